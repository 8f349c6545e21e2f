from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.rekognition.lines import META, changed, line, raw, sport
from tilekit.cli.check import check
from tilekit.errors import InvalidArgument, StorageNotFound
from tilekit.labels.checking import check_manifest, page_of, role_of
from tilekit.labels.fixing import fix_manifest
from tilekit.rekognition.limits import Limits

GOOD = [line(ref=f"s3://bucket/{i}.jpg") for i in range(12)]


def write(path: Path, lines: list[Any]) -> Path:
    path.write_bytes(b"".join(raw(each) + b"\n" for each in lines))
    return path


def test_clean(tmp_path: Path) -> None:
    report = check_manifest(write(tmp_path / "train.manifest", GOOD), uploaded=True)
    assert report.clean
    assert list(report) == []
    assert report.manifests[0].to_json()["images_per_label"] == {"Echo": 12, "Echo Dot": 12}


def test_findings_name_file_line_code_and_fix(tmp_path: Path) -> None:
    path = write(tmp_path / "train.manifest", [*GOOD, b"", changed(GOOD[0], {}, META, "class-map"), GOOD[0]])
    report = check_manifest(path)
    found = {(located.line, located.finding.code) for located in report}
    assert (13, "ERROR_INVALID_JSON_LINE") in found
    assert (14, "ERROR_MISSING_CLASS_MAP_ID") in found
    assert (14, "TILEKIT_REPEATED_SOURCE_REF") in found
    assert (15, "TILEKIT_REPEATED_SOURCE_REF") in found
    assert report.ok
    assert not report.clean
    assert f"{path}, line 13: ERROR_INVALID_JSON_LINE" in report.text()
    json.dumps(report.to_json())


def test_twenty_percent_ends_the_training(tmp_path: Path) -> None:
    report = check_manifest(write(tmp_path / "train.manifest", [*GOOD, *[b""] * 4]))
    assert [located.finding.code for located in report.terminal] == [
        "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST"
    ]


def test_file_rules(tmp_path: Path) -> None:
    assert [f.finding.code for f in check_manifest(write(tmp_path / "a.manifest", []))] == [
        "ERROR_EMPTY_MANIFEST"
    ]
    plain = check_manifest(write(tmp_path / "manifest", GOOD), limits=Limits(max_manifest_bytes=99))
    assert {located.finding.code for located in plain} == {
        "ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT",
        "ERROR_MANIFEST_SIZE_TOO_LARGE",
    }
    with pytest.raises(StorageNotFound):
        check_manifest(tmp_path / "none.manifest")
    with pytest.raises(InvalidArgument):
        check_manifest()


@pytest.mark.parametrize("filler", ["x" * 100_000, "ü" * 100_000, "x" * 1_000_000])
def test_over_long_lines_are_dropped_in_silence(tmp_path: Path, filler: str) -> None:
    path = write(tmp_path / "train.manifest", [*GOOD, {**line(ref="s3://bucket/long.jpg"), "note": filler}])
    assert [(f.line, f.finding.code) for f in check_manifest(path)] == [(13, "TILEKIT_LINE_TOO_LONG")]


def test_characters_count_not_bytes(tmp_path: Path) -> None:
    path = write(
        tmp_path / "train.manifest", [*GOOD, {**line(ref="s3://bucket/l.jpg"), "note": "ü" * 90_000}]
    )
    assert check_manifest(path).clean


def test_train_and_test_together(tmp_path: Path) -> None:
    tile = "s3://bucket/t/{}/plan.p0.x{}.y0.w1024.h1024.jpg"
    train = [line(ref=tile.format("train", x)) for x in range(12)]
    test = [line([(0, 5, 5, 50, 50)], names={"0": "other"}, ref=tile.format("test", 99))]
    report = check_manifest(
        write(tmp_path / "train.manifest", train), write(tmp_path / "test.manifest", test)
    )
    codes = [located.finding.code for located in report]
    assert "ERROR_INSUFFICIENT_LABEL_OVERLAP" in codes
    leak = next(located for located in report if located.finding.code == "TILEKIT_PAGE_IN_TRAIN_AND_TEST")
    assert (leak.file, leak.line) == (str(tmp_path / "test.manifest"), 1)
    assert "line 1" in leak.finding.detail


def test_roles_and_pages() -> None:
    assert [
        role_of(name) for name in ("x/train.manifest", "Test-1.manifest", "tune.manifest", "val.json", "a")
    ] == [
        "train",
        "test",
        "tune",
        "tune",
        "train",
    ]
    assert page_of("s3://b/train/a/plan.p2.x0.y0.w9.h9.jpg") == page_of(
        "s3://b/test/a/plan.p2.x5.y5.w9.h9.png"
    )
    assert page_of("a/plan.p2.x0.y0.w9.h9.jpg") != page_of("b/plan.p2.x0.y0.w9.h9.jpg")


def picture(path: Path, seed: int, size: tuple[int, int] = (200, 160), quality: int = 90) -> None:
    cells = np.random.default_rng(seed).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells).resize(size, Image.Resampling.BILINEAR).save(path, quality=quality)


def local(name: str, size: tuple[int, int] = (200, 160)) -> dict[str, Any]:
    return line([(0, 5, 5, 50, 50), (1, 9, 9, 40, 40)], size, ref=name)


def test_images_are_looked_at(tmp_path: Path) -> None:
    for seed in range(10):
        picture(tmp_path / f"t/{seed}.jpg", seed)
    (tmp_path / "t/text.jpg").write_text("no image")
    picture(tmp_path / "t/small.png", 3, (60, 300))
    names = [*(f"t/{seed}.jpg" for seed in range(10)), "t/text.jpg", "t/none.jpg"]
    rows = [*map(local, names), local("t/small.png", (60, 300)), local("t/1.jpg", (300, 300))]
    report = check_manifest(write(tmp_path / "train.manifest", rows))
    assert {(f.line, f.finding.code) for f in report} == {
        (11, "ERROR_INVALID_IMAGE"),
        (12, "ERROR_INVALID_IMAGE"),
        (13, "ERROR_INVALID_IMAGE_DIMENSION"),
        (14, "TILEKIT_IMAGE_SIZE_DIFFERS"),
        (14, "TILEKIT_REPEATED_SOURCE_REF"),
        (0, "TILEKIT_LOCAL_IMAGES"),
        (0, "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST"),
    }
    uploaded = check_manifest(tmp_path / "train.manifest", uploaded=True)
    assert uploaded.total()["ERROR_INVALID_SOURCE_REF_FORMAT"] == 14


def test_same_pixels_under_another_name_and_quality(tmp_path: Path) -> None:
    for seed in range(4):
        picture(tmp_path / f"a/{seed}.jpg", seed)
    picture(tmp_path / "b/x.jpg", 2, quality=70)
    picture(tmp_path / "b/y.jpg", 9)
    Image.new("RGB", (200, 160), "white").save(tmp_path / "a/white.jpg")
    Image.new("RGB", (200, 160), "white").save(tmp_path / "b/white.jpg")
    train = write(tmp_path / "train.manifest", [local(f"a/{name}.jpg") for name in (0, 1, 2, 3, "white")])
    test = write(tmp_path / "test.manifest", [local(f"b/{name}.jpg") for name in ("x", "y", "white")])
    found = [f for f in check_manifest(train, test, pixels=True) if "PIXELS" in f.finding.code]
    assert [(f.file, f.line) for f in found] == [(str(test), 1)]
    assert "line 3" in found[0].finding.detail


def test_damaged_and_turned_images_are_found(tmp_path: Path) -> None:
    for seed in range(12):
        picture(tmp_path / f"t/{seed}.jpg", seed)
    whole = (tmp_path / "t/3.jpg").read_bytes()
    (tmp_path / "t/3.jpg").write_bytes(whole[: len(whole) // 2])
    picture(tmp_path / "t/cut.png", 5)
    whole = (tmp_path / "t/cut.png").read_bytes()
    (tmp_path / "t/cut.png").write_bytes(whole[: len(whole) // 2])
    for name, orientation in (("stored", 6), ("upright", 8), ("half", 3)):
        with Image.open(tmp_path / "t/4.jpg") as image:
            exif = Image.Exif()
            exif[0x0112] = orientation
            image.save(tmp_path / f"t/{name}.jpg", exif=exif)
    rows = [local(f"t/{seed}.jpg") for seed in range(12)]
    rows += [
        local("t/cut.png"),
        local("t/stored.jpg"),
        local("t/upright.jpg", (160, 200)),
        local("t/half.jpg"),
    ]
    rows.append(line([(0, 5, 5, 50, 190)], (160, 200), ref="t/upright.jpg"))
    report = check_manifest(write(tmp_path / "train.manifest", rows), pixels=True)
    found = {(f.line, f.finding.code): f.finding.detail for f in report if f.line and f.line < 17}
    assert set(found) == {
        (4, "ERROR_INVALID_IMAGE"),
        (13, "ERROR_INVALID_IMAGE"),
        (14, "TILEKIT_IMAGE_TURNED"),
        (15, "TILEKIT_IMAGE_TURNED"),
        (16, "TILEKIT_IMAGE_TURNED"),
    }
    assert "The image is invalid" in report.text()
    assert "decoded" in found[4, "ERROR_INVALID_IMAGE"]
    assert report.manifests[0].tally.invalid == 2
    assert "160 x 200 px upright; the line has the size before" in found[14, "TILEKIT_IMAGE_TURNED"]
    assert "before the turn" not in found[15, "TILEKIT_IMAGE_TURNED"]
    assert not [
        f for f in report if f.line == 17 and "BOUNDING_BOX" in f.finding.code
    ]  # inside it, once upright
    without = check_manifest(tmp_path / "train.manifest")
    assert {f.line for f in without if "TURNED" in f.finding.code} == {14, 15, 16, 17}


def test_what_can_be_mended_is(tmp_path: Path) -> None:
    multi = {
        "source-ref": "s3://bucket/m.jpg",
        "k": [0, 8],
        "k-metadata": {
            "class-map": {"0": "a", "8": "b"},
            "type": "groundtruth/image-classification-multilabel",
            "confidence-map": {"0": 1, "8": 0.5},
            "human-annotated": "yes",
            "creation-date": "2020-01-01T00:00:00",
        },
    }
    rows: list[Any] = [
        b"\xef\xbb\xbf" + raw(line(ref="s3://bucket/bom.jpg")),
        changed(line(ref="s3://bucket/1.jpg"), {"width": 1000, "height": 800}, "bb", "image_size"),
        changed(line(ref="s3://bucket/2.jpg"), 10.5, "bb", "annotations", 0, "left"),
        changed(line(ref="s3://bucket/3.jpg"), 980, "bb", "annotations", 0, "left"),
        changed(line(ref="s3://bucket/4.jpg"), {"0": "Echo"}, META, "class-map"),
        changed(line(ref="s3://bucket/5.jpg"), [], META, "objects"),
        changed(line(ref="s3://bucket/6.jpg"), "soon", META, "creation-date"),
        line(names={"0": "x" * 300, "1": "y"}, ref="s3://bucket/7.jpg"),
        multi,
        b"",
        line(ref="s3://bucket/1.jpg"),
        line([(0, 0, 0, 9, 9)] * 51, ref="s3://bucket/8.jpg"),
    ]
    out = tmp_path / "fixed.manifest"
    report = fix_manifest(write(tmp_path / "train.manifest", rows), out)
    assert (report.read, report.written) == (12, 9)
    assert {change.line for change in report.changes} == set(range(1, 13))
    assert [change.line for change in report.changes if not change.kept] == [10, 11, 12]
    again = check_manifest(out)
    assert all(
        located.finding.about.level == "advice" or "OTHER" in located.finding.code for located in again
    )
    mended = [json.loads(text) for text in out.read_text().splitlines()]
    assert mended[2]["bb"]["annotations"][0] == {
        "class_id": 1,
        "left": 10,
        "top": 20,
        "width": 31,
        "height": 40,
    }
    assert mended[3]["bb"]["annotations"][0]["width"] == 20


@st.composite
def _breakings(draw: st.DrawFn) -> Any:
    value = st.sampled_from([None, -5, 0, 1, 2.5, 999, 5000, "x", "", [], {}, "yes"])
    made = draw(st.sampled_from([line(), sport(), line([]), line(size=(4096, 4096))]))
    paths = [["source-ref"], ["bb"], [META]]
    paths += [["bb", key] for key in ("image_size", "annotations")]
    paths += [["bb", "annotations", 0, key] for key in ("class_id", "left", "top", "width", "height")]
    paths += [[META, key] for key in ("objects", "class-map", "type", "human-annotated", "creation-date")]
    for path in draw(st.lists(st.sampled_from(paths), max_size=3)):
        try:
            made = changed(made, draw(value), *path)
        except (KeyError, TypeError, IndexError):
            continue
    return (
        {**made, "source-ref": f"s3://bucket/{draw(st.integers(0, 9))}.jpg"} if draw(st.booleans()) else made
    )


@given(rows=st.lists(_breakings(), max_size=4))
def test_a_fixed_manifest_has_no_bad_line(rows: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("fix")
    path = write(folder / "train.manifest", rows)
    report = fix_manifest(path, folder / "out.manifest")
    again = check_manifest(folder / "out.manifest", keep=1000)
    assert [f for f in again if f.line and f.finding.about.error] == []
    assert again.manifests[0].tally.total == report.written
    twice = fix_manifest(folder / "out.manifest", folder / "twice.manifest")
    assert twice.changes == ()
    assert (folder / "twice.manifest").read_bytes() == (folder / "out.manifest").read_bytes()


def test_command(tmp_path: Path) -> None:
    path = write(tmp_path / "train.manifest", [*GOOD, b"{"])
    result = CliRunner().invoke(check, [str(path), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["codes"] == {"ERROR_INVALID_JSON_LINE": 1}
    out = str(tmp_path / "out.manifest")
    fixed = CliRunner().invoke(check, [str(path), "--fix", out])
    assert fixed.exit_code == 0
    assert "line 13 left out" in fixed.output
    clean = CliRunner().invoke(check, [out])
    assert clean.exit_code == 0, clean.output
    assert CliRunner().invoke(check, [out, out, "--fix", "x"]).exit_code == 2


def test_findings_of_one_kind_are_one_line_with_a_count(tmp_path: Path) -> None:
    bad = [
        changed(line(ref=f"s3://bucket/{place}.jpg"), {"0": "Echo"}, META, "class-map") for place in range(30)
    ]
    report = check_manifest(write(tmp_path / "train.manifest", [*GOOD, *bad]))
    rows = report.text(4).splitlines()
    assert len(rows) == len({(f.file, f.finding.code) for f in report})
    row = next(text for text in rows if "30 such findings" in text)
    assert "also in lines 14, 15, 16 and 26 more." in row
    assert len(report.to_json()["findings"]) >= 30


def test_says_what_fix_would_leave_out_and_what_keeps_it(tmp_path: Path) -> None:
    large = [line(size=(7000, 5000), ref=f"s3://bucket/large{place}.jpg") for place in range(3)]
    crowded = [line([(0, 0, 0, 9, 9)] * 51, ref="s3://bucket/crowded.jpg")]
    path = write(tmp_path / "train.manifest", [*GOOD, *large, *crowded])
    before = path.read_bytes()
    told = CliRunner().invoke(check, [str(path)])
    total = len(GOOD) + 4
    assert f"--fix would leave out 4 of {total} lines, 4 of them for what tiles mend" in told.output
    assert "tilekit dataset" in told.output
    assert path.read_bytes() == before
    fixed = fix_manifest(path, tmp_path / "out.manifest")
    assert (fixed.read, fixed.written, fixed.pages_lost) == (total, len(GOOD), 4)
    mendable = write(tmp_path / "m.manifest", [*GOOD, b"{"])
    told = CliRunner().invoke(check, [str(mendable)]).output
    assert "--fix would leave out 1 of 13 lines." in told
