"""Measuring for real, at tiny sizes: fresh processes, checks of outputs, limits, boxes, detection, documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import SUPPRESSORS, TILERS
from tilekit.bench import machine as machines
from tilekit.bench.boxes import spread, suppress_duel, surprises
from tilekit.bench.detecting import detect_rows, waiting_detector
from tilekit.bench.document import compare_documents, new_document, read_document
from tilekit.bench.inputs import Input, given_scan, made_scan, side_of
from tilekit.bench.limits import bound_of
from tilekit.bench.peers import Suppressor, Tiler
from tilekit.bench.processes import PeerFailed, run_task
from tilekit.bench.tiling import TILEKIT, Setting, around, differs, duel, limit_of, quality_of, scratch
from tilekit.errors import InvalidArgument, ScanError, StorageFull, StorageNotFound, TilekitError
from tilekit.grid import Tiling

SMALL = Setting(256, 32, workers=1)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Input:
    return made_scan("jpeg", 700, 500, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[], str]]:
    with scratch(tmp_path) as names:
        yield names


def test_made_scans_are_cached_and_known_by_their_bytes(scan: Input) -> None:
    before = Path(scan.path).stat().st_mtime_ns
    again = made_scan("jpeg", 700, 500, cache=Path(scan.path).parent)
    assert again == scan
    assert Path(scan.path).stat().st_mtime_ns == before
    assert given_scan(scan.path).hash == scan.hash
    assert made_scan("jpeg", 700, 500, seed=1, cache=Path(scan.path).parent).hash != scan.hash


def test_a_child_tells_what_its_work_cost(scan: Input) -> None:
    cost = run_task({"do": "tilekit.bench.limits:decode_alone", "path": scan.path, "how": "simplejpeg"})
    whole = run_task(
        {"do": "tilekit.bench.limits:decode_alone", "path": scan.path, "how": "tilekit"}, whole=True
    )
    assert cost.answer == {"pixels": 350_000}
    assert 10 < cost.peak_mb < 500
    assert 0 < cost.seconds < whole.seconds


def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(PeerFailed, match="no_such_function"):
        run_task({"do": "tilekit.bench.limits:no_such_function"})


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["dzsave", "vips_crop", "opencv", "pillow"])
def test_peers_do_the_same_job(scan: Input, fresh: Callable[[], str], peer: str) -> None:
    ours, theirs = quality_of(TILEKIT, scan, SMALL, fresh), quality_of(TILERS[peer], scan, SMALL, fresh)
    assert differs(ours, theirs, "jpeg", slack=8) == ""


@pytest.mark.slow
def test_peers_with_settings_of_their_own(scan: Input, fresh: Callable[[], str]) -> None:
    for peer, overlap in (("image_slicer", 0), ("sahi", 32)):
        fight = duel(scan, Setting(256, overlap, "jpeg", 75, "420", 1), {peer: TILERS[peer]}, fresh, rounds=1)
        assert fight.left_out == {}
        assert fight.ratio(peer) is not None


def test_tifffile_reads_what_it_can(fresh: Callable[[], str], tmp_path: Path) -> None:
    scan = made_scan("tiled-jpeg", 700, 500, cache=tmp_path)
    assert quality_of(TILERS["tifffile"], scan, SMALL, fresh)["tiles"] == len(Tiling(256, 32).grid(700, 500))


@pytest.mark.slow
def test_lossless_tiles_are_equal(scan: Input, fresh: Callable[[], str]) -> None:
    setting = Setting(256, 32, "png", workers=1)
    for who in (TILEKIT, *(TILERS[name] for name in ("dzsave", "opencv", "pillow", "vips_crop"))):
        assert quality_of(who, scan, setting, fresh)["psnr"] is None


@pytest.mark.slow
def test_a_duel_reports_who_is_missing_fails_or_differs(scan: Input, fresh: Callable[[], str]) -> None:
    them = {name: TILERS[name] for name in ("dzsave", "image_slicer", "tifffile")}
    them["large_image"] = Tiler("no_such_package", TILERS["large_image"].work)
    fight = duel(scan, SMALL, them, fresh, rounds=1)
    assert fight.left_out["large_image"] == "not installed"
    assert "knows no overlap" in fight.left_out["image_slicer"]
    assert "not a TIFF" in fight.left_out["tifffile"]
    rows = {row["who"]: row for row in fight.to_json()}
    assert rows["dzsave"]["slower"] > 0
    assert rows["large_image"]["note"] == "not installed"
    assert rows["dzsave"]["how"] == "256/32 jpeg Q90 444"
    assert fight.ratio("large_image") is None


def test_another_output_does_not_count() -> None:
    ours = {"tiles": 9, "psnr": 38.0, "behind": 0.0}
    assert "8 tiles" in differs(ours, ours | {"tiles": 8}, "jpeg")
    assert "worse" in differs(ours, ours | {"behind": 3.0}, "jpeg")
    assert "differ from the scan" in differs(ours, ours, "png")
    assert differs(ours, ours | {"psnr": None}, "png") == ""


def test_the_limit_says_what_bounds(scan: Input, fresh: Callable[[], str]) -> None:
    limit = limit_of(scan, SMALL, fresh, ours=1.0, rounds=1)
    assert limit["limit"] == pytest.approx(limit["decode"] + limit["encode"], abs=1e-3)
    assert limit["share"] == pytest.approx(limit["limit"], abs=1e-3)
    assert limit["by"] in ("libvips", "simplejpeg", "tilekit")


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ((1.0, 3.0, 0.1, 2, True), "processor: encode (75 %)"),
        ((3.0, 1.0, 0.1, 2, True), "decode (one thread only)"),
        ((3.0, 1.0, 0.1, 2, False), "processor: decode (75 %)"),
        ((1.0, 1.0, 9.0, 2, True), "disk"),
    ],
)
def test_bounds(figures: tuple[float, float, float, int, bool], expected: str) -> None:
    assert bound_of(*figures) == expected


def test_settings_change_one_thing_at_a_time() -> None:
    found = around(SMALL, tiles=(256, 512, 16), overlaps=(0,), formats=("png",), workers=(1, 2))
    assert [(s.tile, s.overlap, s.format, s.workers) for s in found] == [
        (256, 32, "jpeg", 1), (512, 32, "jpeg", 1), (256, 0, "jpeg", 1), (256, 32, "png", 1), (256, 32, "jpeg", 2),
    ]  # fmt: skip


def test_too_little_room_is_said_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(StorageFull, match="GB of disk"):
        machines.require_room("a scan", tmp_path / "not" / "yet", 2**60, 0)
    with pytest.raises(InvalidArgument, match="GB of memory"):
        machines.require_room("boxes", tmp_path, 0, 2**60)
    with pytest.raises(StorageFull):
        made_scan("jpeg", 10**7, 10**7, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
def test_sizes_that_make_no_sense(size: float) -> None:
    with pytest.raises(InvalidArgument, match="megapixels"):
        side_of(size)


def test_box_peers_must_keep_the_same_boxes() -> None:
    def other(boxes: Any, scores: Any) -> Any:
        return np.arange(1)

    def broken(boxes: Any, scores: Any) -> Any:
        raise ValueError("no")

    them = {
        "lsnms": SUPPRESSORS["lsnms"],
        "other": Suppressor("numpy", lambda: other),
        "broken": Suppressor("numpy", lambda: broken),
        "missing": Suppressor("no_such_package", lambda: broken),
        "slow": Suppressor("numpy", lambda: broken, 10),
    }
    fight = suppress_duel(spread(200, 500), them, rounds=1)
    assert set(fight.rounds.costs) == {"tilekit", "lsnms"}
    assert fight.fastest() == "lsnms"
    assert fight.left_out["missing"] == "not installed"
    assert fight.left_out["broken"] == "ValueError: no"
    assert "another answer" in fight.left_out["other"]
    assert fight.left_out["slow"] == "not tried: more than 10 boxes"


def test_surprises_are_valid_boxes() -> None:
    for case, labels in surprises(50).values():
        assert case.boxes.shape == (50, 4)
        assert (case.boxes[:, 2:] >= case.boxes[:, :2]).all()
        assert labels is None or labels.shape == (50,)


def test_a_waiting_detector_shows_how_busy_it_was(scan: Input) -> None:
    rows = detect_rows(scan, waiting_detector(0.02, 2), Tiling(256, 32), (1, 2, 3))
    assert [row["workers"] for row in rows] == [1, 2]
    for row in rows:
        assert row["tiles"] == len(Tiling(256, 32).grid(700, 500))
        assert row["call_ms"] >= 20
        assert 0 < row["busy"] <= 1


def test_documents_compare_what_both_have(tmp_path: Path) -> None:
    old, new = new_document("boxes"), new_document("boxes")
    old["peers"] = [
        {"case": "a", "who": "lsnms", "slower": 10.0, "low": 9.0, "high": 11.0},
        {"case": "b", "who": "lsnms", "slower": 10.0, "low": 9.0, "high": 11.0},
        {"case": "c", "who": "lsnms", "slower": 10.0, "low": 9.0, "high": 11.0},
        {"case": "gone", "who": "lsnms", "slower": 1.0, "low": 1.0, "high": 1.0},
    ]
    new["peers"] = [
        {"case": "a", "who": "lsnms", "slower": 12.0, "low": 10.5, "high": 13.0},
        {"case": "b", "who": "lsnms", "slower": 5.0, "low": 4.5, "high": 6.0},
        {"case": "c", "who": "lsnms", "slower": 20.0, "low": 18.0, "high": 22.0},
    ]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    rows = compare_documents(read_document(path), new)
    assert [(row["what"][0], row["verdict"]) for row in rows] == [
        ("a", "same"),
        ("b", "worse"),
        ("c", "better"),
    ]
    with pytest.raises(InvalidArgument, match="old run is of boxes"):
        compare_documents(old, new_document("detect"))


def test_a_changed_input_is_not_compared() -> None:
    old, new = new_document("tiling"), new_document("tiling")
    row = {"scan": "s", "who": "dzsave", "slower": 2.0, "low": 2.0, "high": 2.0}
    for run, digest in ((old, "1"), (new, "2")):
        run |= {"inputs": [{"name": "s", "hash": digest}], "peers": [row]}
    assert compare_documents(old, new) == []


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 99, "what": "x"}'])
def test_what_is_not_a_run_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=r"run\.json"):
        read_document(path)
    with pytest.raises(StorageNotFound):
        read_document(tmp_path / "none.json")


def test_an_unreadable_scan_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.jpg"
    path.write_bytes(b"not a picture")
    with pytest.raises((ScanError, TilekitError), match=r"plan\.jpg"):
        given_scan(path)
