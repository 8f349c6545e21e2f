from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from tests.jpeg.files import jpeg
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.merging import merge
from tilekit.cli import cli
from tilekit.cli.detect import EXPORTS, detect
from tilekit.cli.evaluate import compare, evaluate
from tilekit.cli.tune_merge import tune_merge
from tilekit.detection.keeping import read_kept_tiles
from tilekit.detectors.naming import ModelRef
from tilekit.errors import InvalidArgument, LabelError, RecipeMismatch
from tilekit.labels.label_set import LabelSet
from tilekit.labels.prediction_lines import read_predictions
from tilekit.labels.reading import read_labels, write_labels
from tilekit.pages import PageKey
from tilekit.scans.encoding import encode_image

CORNERS = [(10, 10), (100, 40), (190, 120), (250, 200)]

DETECTOR = '''
"""Finds black squares of 20 px by their top left corners."""
import numpy as np

calls = []

def squares(pixels):
    calls.append(pixels.shape)
    dark = np.pad(pixels[:, :, 0] < 128, ((1, 0), (1, 0)))
    corner = dark[1:, 1:] & ~dark[:-1, 1:] & ~dark[1:, :-1]
    ys, xs = np.nonzero(corner)
    return np.stack([xs, ys, np.minimum(xs + 20, pixels.shape[1]), np.minimum(ys + 20, pixels.shape[0]),
                     np.full(len(xs), 0.9)], axis=1)

def broken(pixels):
    if (pixels[:, :, 0] < 128).any():
        raise RuntimeError("cannot see")
    return []
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two pages of squares, a page of nothing, their labels, and a detector module."""
    monkeypatch.chdir(tmp_path)
    scans = tmp_path / "scans"
    scans.mkdir()
    truth, sizes = {}, {}
    for name, corners in (("a.png", CORNERS), ("b.png", CORNERS[:2]), ("c.png", [])):
        pixels = np.full((240, 300, 1), 255, np.uint8)
        for x, y in corners:
            pixels[y : y + 20, x : x + 20] = 0
        (scans / name).write_bytes(encode_image(pixels, "png").data)
        key = PageKey(str(scans / name))
        boxes = np.array([[x, y, x + 20, y + 20] for x, y in corners], float).reshape(-1, 4)
        truth[key], sizes[key] = Annotations(boxes, None, ("square",)), (300, 240)
    write_labels(LabelSet(truth, sizes=sizes), tmp_path / "truth.coco.json", "coco")
    (tmp_path / "finder.py").write_text(DETECTOR)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run(command, *args, code=0):
    result = CliRunner().invoke(command, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def found(folder, *more, code=0):
    args = ["scans", "--model", "finder:squares", "--names", "square", "--tile", 128, "--overlap", 40, *more]
    return run(detect, *args, code=code)


def test_detect_then_evaluate_then_compare(folder):
    result = json.loads(found(folder, "--json").stdout)
    assert (result["pages"], result["counts"], result["failed"]) == (3, {"square": 6}, [])
    found(folder, "--whole", "--whole-side", 60, "--out", "whole.jsonl")
    figures = json.loads(run(evaluate, "truth.coco.json", "detections.jsonl", "--json", "--coco").stdout)
    assert figures["f1"] == 1
    assert figures["coco"]["ap"] == pytest.approx(1)
    assert figures["counting"]["bare_pages"] == 1
    text = run(evaluate, "truth.coco.json", "whole.jsonl", "--out", "whole.json").stdout
    assert "mean of labels" in text
    run(evaluate, "truth.coco.json", "detections.jsonl", "--out", "tiles.json", "--save-thresholds", "t.json")
    assert json.loads((folder / "t.json").read_text()) == {"thresholds": {"square": 0.9}}
    one = json.loads(run(compare, "whole.json", "tiles.json", "--json").stdout)
    assert one["names"] == ["whole", "tiles"]
    two = run(compare, "truth.coco.json", "whole.jsonl", "detections.jsonl", "--thresholds", "t.json").stdout
    assert "an interval takes at least 4 pages, here are 3" in two
    run(compare, "whole.json", code=2)


def test_a_second_run_does_only_what_is_missing(folder):
    found(folder)
    lines = (folder / "detections.jsonl").read_text().splitlines(keepends=True)
    (folder / "detections.jsonl").write_text(lines[0] + lines[1][:40])
    again = json.loads(found(folder, "--json").stdout)
    assert (again["pages"], again["skipped"]) == (2, 1)
    assert (folder / "detections.jsonl").read_text().splitlines(keepends=True) == lines
    assert json.loads(found(folder, "--json", "--fresh").stdout)["pages"] == 3


def test_another_tiling_into_the_same_file_is_refused(folder):
    found(folder)
    with pytest.raises(InvalidArgument, match="--fresh"):
        run(detect, "scans", "--model", "finder:squares", "--tile", 64)


@pytest.mark.parametrize(
    ("more", "name"),
    [(["--thresholds", "t.json"], "thresholds"), (["--decoy", "square"], "decoy"), (["--dpi", 100], "dpi")],
)
def test_other_options_into_the_same_file_are_refused(folder, more, name):
    (folder / "t.json").write_text('{"square": 0.95}')
    found(folder)
    with pytest.raises(InvalidArgument, match=f"{name}[= ]the default, not .*--fresh"):
        found(folder, *more)
    assert json.loads(found(folder, "--json").stdout)["skipped"] == 3
    assert json.loads(found(folder, "--json", "--fresh", *more).stdout)["pages"] == 3
    assert json.loads(found(folder, "--json", *more).stdout)["skipped"] == 3
    with pytest.raises(InvalidArgument, match=f"{name}[= ].* not the default"):
        found(folder)


def test_changed_thresholds_are_noticed(folder):
    (folder / "t.json").write_text('{"square": 0.95}')
    found(folder, "--thresholds", "t.json")
    assert not any(len(boxes) for boxes in read_predictions("detections.jsonl").values())
    (folder / "t.json").write_text('{"square": 0.5}')
    with pytest.raises(InvalidArgument, match=r"0\.95.*, not .*0\.5"):
        found(folder, "--thresholds", "t.json")


def test_a_run_that_writes_nothing_leaves_nothing(folder):
    (folder / "scans" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnot much")
    args = ["--model", "finder:squares", "--tile", 64, "--out", "new/found.jsonl", "--format", "csv"]
    run(detect, "scans/a.png", *args, code=1)
    assert not (folder / "new").exists()


def test_incomplete_pages_end_with_1_and_are_mended_later(folder):
    args = ["scans/b.png", "--model", "finder:broken", "--tile", "64", "--overlap", "0"]
    result = run(detect, *args, "--json", code=1)
    value = json.loads(result.stdout)
    assert len(value["incomplete"]) == 1
    assert not read_predictions("detections.jsonl").page(PageKey("scans/b.png")).complete
    assert json.loads(run(detect, *args, "--json", code=1).stdout)["pages"] == 1


def test_a_bad_scan_is_set_aside(folder):
    (folder / "scans" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnot much")
    value = json.loads(found(folder, "--json", code=1).stdout)
    assert value["pages"] == 2
    assert "a.png" in value["failed"][0]["page"]


@pytest.mark.parametrize(
    "name", [name for name, (format, _) in EXPORTS.items() if format != "map"]
)  # tests of maps have it
def test_exports(folder, name):
    found(folder, "--format", name)
    format, ending = EXPORTS[name]
    options = {"predictions": True} if name == "labelstudio" else {}
    back = read_labels(folder / f"detections{ending}", format, **options)
    assert sorted(len(page) for page in back.values()) in ([0, 2, 4], [2, 4])
    known = [score for page in read_predictions("detections.jsonl").pages() for score in page.scores.tolist()]
    assert sorted(score for page in back.scores.values() for score in page.tolist()) == sorted(known)


def test_a_map_of_scans_that_lie_nowhere_is_refused_before_a_model_is_asked(folder):
    with pytest.raises(InvalidArgument, match="does not say where it lies on a map"):
        run(detect, "scans", "--model", "finder:squares", "--format", "map")
    assert not (folder / "detections.jsonl").exists()


def test_pictures(folder):
    found(folder, "--draw", "drawn")
    assert sorted(path.name for path in (folder / "drawn").iterdir()) == ["a.jpg", "b.jpg", "c.jpg"]


def test_thresholds_file(folder):
    (folder / "t.json").write_text('{"square": 0.95}')
    assert json.loads(found(folder, "--json", "--thresholds", "t.json").stdout)["counts"] == {"square": 0}


def test_callables_are_found_or_said(folder):
    assert ModelRef("finder:squares").detector().workers == 1
    for text in ("nowhere:f", "finder:missing"):
        with pytest.raises(InvalidArgument, match="cannot be imported"):
            ModelRef(text).detector()
    (folder / "empty").mkdir()
    with pytest.raises(InvalidArgument, match="no scan"):
        run(detect, "empty", "--model", "finder:squares")


def test_recipe_of_a_detector(folder):
    (folder / "finder.py").write_text(
        DETECTOR + "from tilekit import CallableDetector, Tiling\n"
        "trained = CallableDetector(squares, names=('square',), tiling=Tiling(128, 40))\n"
    )
    value = json.loads(run(detect, "scans", "--model", "finder:trained", "--json").stdout)
    assert value["counts"] == {"square": 6}
    with pytest.raises(RecipeMismatch):
        run(detect, "scans", "--model", "finder:trained", "--tile", 64, "--out", "other.jsonl")


def test_a_dry_run_counts_and_calls_nothing(folder):
    (folder / "scans" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    arguments = ["scans", "--model", "finder:squares", "--tile", "100", "--overlap", "20", "--dry-run"]
    done = CliRunner().invoke(detect, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    plan = json.loads(done.stdout)
    assert (plan["pages"], plan["calls"]) == (3, 3 * 4 * 3)
    assert plan["us_dollars"] > 0
    assert "bad.png" in plan["failed"][0]["page"]
    assert __import__("finder").calls == []
    assert not (folder / "detections.jsonl").exists()
    people = CliRunner().invoke(detect, arguments)
    assert "36 calls" in people.stderr


def test_a_dry_run_says_what_goes_out_without_decoding(folder):
    page = jpeg(300, 250, "4:2:0")
    (folder / "page.jpg").write_bytes(page)
    arguments = ["page.jpg", "--model", "finder:squares", "--tile", "128", "--overlap", "16", "--dry-run"]
    asked = [json.loads(run(detect, *arguments, *more, "--json").stdout) for more in ((), ("--align", "16"))]
    assert [(plan["calls"], plan["kept"]) for plan in asked] == [(9, 4), (9, 9)]
    assert "off the grid" in asked[0]["why"]
    assert asked[1]["why"] == ""
    text = run(detect, *arguments).output
    assert "4 of 9 tiles" in text
    assert "--align 16" in text


def test_tiles_are_kept_and_a_policy_fitted_to_them_is_used(folder):
    found(folder, "--keep-tiles", "tiles.jsonl")
    pages = list(read_kept_tiles("tiles.jsonl"))
    assert len(pages) == 3
    merged = read_predictions("detections.jsonl")
    for key, tiles, grid in pages:
        assert merge(tiles, grid).boxes.tolist() == merged[key].boxes.tolist()
    text = run(tune_merge, "truth.coco.json", "tiles.jsonl").output
    assert "fitted" in text
    said = json.loads(run(tune_merge, "truth.coco.json", "tiles.jsonl", "--json").stdout)
    assert (said["pages"], said["fitted"]["fp"], said["fitted"]["fn"]) == (3, 0, 0)
    policy = json.loads((folder / "merge.json").read_text())
    (folder / "merge.json").write_text(json.dumps(policy | {"threshold": 0.6}))
    found(folder, "--merge", "merge.json", "--out", "again.jsonl")
    assert all(page.options["policy"]["threshold"] == 0.6 for page in read_predictions("again.jsonl").pages())
    with pytest.raises(InvalidArgument, match="was detected with policy="):
        found(folder, "--out", "again.jsonl")
    (folder / "merge.json").write_text('{"treshold": 0.6}')
    with pytest.raises(LabelError, match=r"merge.json: a merge policy has no field 'treshold'"):
        found(folder, "--merge", "merge.json", "--out", "third.jsonl")
    with pytest.raises(InvalidArgument, match="holds merged boxes"):
        run(tune_merge, "truth.coco.json", "detections.jsonl")


def test_tiles_kept_at_two_scales_come_back_with_their_grids(folder):
    found(folder, "--keep-tiles", "tiles.jsonl", "--tile", 128)
    args = ["scans", "--model", "finder:squares", "--names", "square", "--at", "128", "--at", "128@0.5"]
    run(detect, *args, "--out", "two.jsonl", "--keep-tiles", "two-tiles.jsonl")
    pages = list(read_kept_tiles("two-tiles.jsonl"))
    assert {grid.is_scaled for _, _, grid in pages} == {True, False}
    for _, tiles, grid in pages:
        windows = grid.windows()[tiles.tile_index]
        sides = np.concatenate([np.zeros((len(tiles), 2)), windows[:, 2:] - windows[:, :2]], axis=1)
        assert (tiles.boxes[:, 2:] <= sides[:, 2:] + 1e-6).all()
        assert (tiles.boxes >= -1e-6).all()


def test_pages_of_labels_are_detected_on_as_the_labels_are_read(folder):
    words = ["--model", "finder:squares", "--names", "square", "--tile", 128, "--overlap", 40]
    document = json.loads((folder / "truth.coco.json").read_text())
    for image in document["images"]:
        image["file_name"] = image["file_name"].removeprefix("scans/")
    document["annotations"][0]["bbox"][2] = 4000  # a box beyond its page
    (folder / "moved.json").write_text(json.dumps(document))
    with pytest.raises(LabelError, match="outside the page"):
        run(detect, "moved.json", "--from", "coco", "--images", "scans", *words)
    told = ["--from", "coco", "--images", "scans", "--clip"]
    result = run(detect, "moved.json", *words, *told)
    assert len(read_predictions("detections.jsonl")) == 3
    assert f"next: tilekit evaluate moved.json detections.jsonl {' '.join(told[:4])} --clip" in result.stderr
    run(evaluate, "moved.json", "detections.jsonl", *told)
    refused = run(detect, "scans", *words, "--lenient", code=2)
    assert "--lenient says how labels are read: none of SCANS is a manifest" in refused.output


def test_a_ready_made_model_without_a_region_is_one_sentence(folder, monkeypatch):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    (folder / "page.png").write_bytes(encode_image(np.full((200, 200, 1), 250, np.uint8), "png").data)
    done = CliRunner().invoke(cli, ["detect", "page.png", "--model", "text"])
    assert isinstance(done.exception, InvalidArgument)
    assert str(done.exception).startswith("no AWS region is set; give --region")
    assert "failed" not in done.output
