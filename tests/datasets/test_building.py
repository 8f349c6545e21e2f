"""tile_dataset from pages to manifests: true pixels, true boxes, resumable, repeatable."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.pages import NAMES, PAPER, TILING, contents, labeled_pages, lines
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.datasets import CarryingRules, DatasetOptions, Decoys, Encoding
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.splitting import SIDES, Split
from tilekit.errors import InvalidArgument, LabelError, TilekitError
from tilekit.grid import Tiling
from tilekit.labels.checking import check_manifest
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.labels.reading import read_labels, write_labels
from tilekit.pages import PageKey
from tilekit.scans.encoding import decode_image, encode_image
from tilekit.scans.opening import open_scan
from tilekit.scans.versions import pixel_versions
from tilekit.testing.scenes import scene_pdf
from tilekit.tiles.naming import parse_tile_name


def test_a_dataset_holds_true_tiles_with_true_boxes_split_by_page(labels, tmp_path):
    out = tmp_path / "out"
    calls = []
    summary = tile_dataset(
        labels,
        out,
        TILING,
        progress=lambda done, total: calls.append((done, total)),
        options=DatasetOptions(rules=CarryingRules(slivers="keep"), encoding=Encoding(format="png")),
    )
    assert calls[-1][0] == calls[-1][1] == summary.tiles
    names = {Path(key.source).stem: key for key in labels}
    pages = {key: decode_image(Path(key.source).read_bytes()) for key in labels}
    seen: dict[PageKey, set[int]] = {key: set() for key in labels}
    side_of = summary.split.side_of()
    for side in SIDES:
        for line in lines(out / f"{side}.manifest"):
            name = parse_tile_name(line["source-ref"])
            key = names[Path(name.stem).name]
            assert side_of[key] == side
            window = name.window
            pixels = decode_image((out / line["source-ref"]).read_bytes())
            np.testing.assert_array_equal(pixels, pages[key][window.y0 : window.y1, window.x0 : window.x1])
            part = line["bounding-box"]
            assert part["image_size"] == [{"width": window.width, "height": window.height, "depth": 3}]
            assert part["annotations"]
            class_map = line["bounding-box-metadata"]["class-map"]
            truth = labels[key].boxes - [window.x0, window.y0, window.x0, window.y0]
            for box in part["annotations"]:
                found = np.array(
                    [box["left"], box["top"], box["left"] + box["width"], box["top"] + box["height"]]
                )
                assert (found >= 0).all()
                assert (found <= [window.width, window.height] * 2).all()
                clipped = np.clip(truth, 0, [window.width, window.height] * 2)
                same = np.flatnonzero((np.abs(clipped - found) <= 1).all(axis=1))
                labels_here = [labels[key].labels[row] for row in same]
                assert class_map[str(box["class_id"])] in labels_here
                seen[key] |= set(same.tolist())
    for key, value in labels.items():
        assert seen[key] == set(range(len(value)))
    assert all(count.left_out == 0 for side in summary.sides.values() for count in side.labels.values())


def test_manifests_pass_the_service_check_and_pages_carry_the_whole_truth(labels, tmp_path):
    out = tmp_path / "out"
    summary = tile_dataset(labels, out, TILING)
    report = check_manifest(out / "train.manifest", out / "test.manifest")
    assert report.ok, str(report)
    again = {}
    for side in SIDES:
        part = read_labels(out / f"pages-{side}.manifest")
        assert [Path(key.source).resolve() for key in part] == [
            Path(key.source) for key in summary.split.pages(side)
        ]
        again.update({Path(key.source).resolve(): value for key, value in part.items()})
    for key, value in labels.items():
        found = again[Path(key.source)]
        assert found.boxes.tolist() == value.boxes.tolist()
        assert found.labels == value.labels
    said = json.loads((out / "tiling.json").read_text())
    assert (said["tiling"], said["pixels"]) == (TILING.to_json(), pixel_versions())
    assert json.loads((out / "summary.json").read_text()) == json.loads(json.dumps(summary.to_json()))
    assert decode_image((out / "contact-train.jpg").read_bytes()).shape[2] == 3
    columns, rows = summary.table()
    assert all(len(row) == len(columns) for row in rows)


def test_slivers_are_painted_over_in_training_tiles_only(tmp_path):
    pixels = np.full((100, 200, 3), PAPER, np.uint8)
    pixels[40:60, 95:125] = 0  # a sixth of it on the left tile
    pixels[10:20, 10:20] = 0
    boxes = Annotations([[95, 40, 125, 60], [10, 10, 20, 20]], None, ("a",))
    keys = []
    for side in ("train", "test"):
        keys.append(PageKey(str(tmp_path / f"{side}.png")))
        Path(keys[-1].source).write_bytes(encode_image(pixels, "png").data)
    parts = {
        side: LabelSet({key: boxes}, sizes={key: (200, 100)})
        for side, key in zip(("train", "test"), keys, strict=True)
    }
    out = tmp_path / "out"
    summary = tile_dataset(parts, out, Tiling(100), options=DatasetOptions(encoding=Encoding(format="png")))
    train = decode_image((out / "tiles/train.p0.x0.y0.w100.h100.png").read_bytes())
    test = decode_image((out / "tiles/test.p0.x0.y0.w100.h100.png").read_bytes())
    assert (train[40:60, 95:] == PAPER).all()
    assert (train[10:20, 10:20] == 0).all()
    np.testing.assert_array_equal(test, pixels[:, :100])
    assert summary.sides["train"].slivers == 1
    left = tile_dataset(
        parts,
        tmp_path / "left",
        Tiling(100),
        options=DatasetOptions(rules=CarryingRules(slivers="leave"), encoding=Encoding(format="png")),
    )
    assert left.sides["train"].tiles_left_out["shows a sliver of an object"] == 1
    assert left.sides["train"].labels["a"].left_out == 0  # the small one moves to a shifted window


def test_ignore_regions_come_along_and_their_tiles_stay_out(labels, tmp_path):
    key = labels.pages()[0]
    page = labels[key]
    region = Annotations([[0, 0, 150, 100]], None, NAMES, [True])
    summary = tile_dataset(
        labels.replace(pages={**labels, key: Annotations.concat([page, region])}), tmp_path / "out", TILING
    )
    side = summary.split.side_of()[key]
    assert summary.sides[side].tiles_left_out["touched by an ignore region"] >= 1
    found = read_labels(tmp_path / "out" / f"pages-{side}.manifest")
    ignored = [value for value in found.values() if value.ignore.any()]
    assert len(ignored) == 1
    assert ignored[0].boxes[ignored[0].ignore].tolist() == [[0, 0, 150, 100]]


def test_crowded_pages_keep_every_label(tmp_path):
    labels = labeled_pages(tmp_path / "scans", count=3, each=300, empty=0)
    summary = tile_dataset(labels, tmp_path / "out", TILING)
    for side in SIDES:
        assert summary.sides[side].labels["dark"].left_out == 0
        assert all(
            len(line["bounding-box"]["annotations"]) <= 50
            for line in lines(tmp_path / "out" / f"{side}.manifest")
        )
    assert summary.sides["train"].copies > 0
    assert any(name.startswith("copies/2/") for name in contents(tmp_path / "out"))
    assert check_manifest(tmp_path / "out" / "train.manifest", tmp_path / "out" / "test.manifest").ok


def test_whole_test_pages_are_sampled_where_a_label_has_too_many_images(labels, tmp_path):
    split = Split(train=tuple(labels.pages()[:2]), test=tuple(labels.pages()[2:]))
    full = tile_dataset(labels, tmp_path / "full", TILING, split=split)
    most = full.sides["test"].labels["dark"].tiles // 2
    summary = tile_dataset(
        labels, tmp_path / "out", TILING, split=split, options=DatasetOptions(max_test_images=most)
    )
    test = summary.sides["test"]
    assert 0 < test.labels["dark"].tiles <= most
    assert 0 < test.labels["light"].tiles <= most
    assert test.sampled_out
    assert any("whole pages were sampled" in note for note in summary.notes)
    assert len(read_labels(tmp_path / "out" / "pages-test.manifest")) == len(split.test)
    tiny = tile_dataset(
        labels, tmp_path / "tiny", TILING, split=split, options=DatasetOptions(max_test_images=1)
    )
    assert tiny.sides["test"].labels["dark"].tiles <= 1
    assert tiny.sides["test"].tiles >= 1


def test_decoys_come_from_false_alarms_on_training_pages_only(labels, tmp_path):
    split = Split(train=tuple(labels.pages()[:4]), test=tuple(labels.pages()[4:]))
    blank = Annotations.empty(NAMES)
    key = split.train[0]
    pages = {**labels, key: blank}
    labels = labels.replace(pages=pages)
    found = Detections(
        [[50, 50, 60, 60], [51, 50, 61, 60], [200, 200, 220, 220]], [0.9, 0.8, 0.1], None, NAMES
    )
    predictions = PredictionSet(
        [PageDetections(PageKey(k.source), 400, 300, found) for k in (key, split.test[-1])]
    )
    summary = tile_dataset(
        labels, tmp_path / "out", TILING, split=split, options=DatasetOptions(decoys=Decoys(predictions))
    )
    assert summary.decoy == "decoy"
    assert summary.sides["train"].labels["decoy"].objects == 1
    assert summary.sides["test"].labels["decoy"].objects == 0
    value = json.loads((tmp_path / "out" / "tiling.json").read_text())
    assert value["decoy"] == "decoy"
    assert value["names"] == [*NAMES, "decoy"]
    maps = [line["bounding-box-metadata"]["class-map"] for line in lines(tmp_path / "out" / "train.manifest")]
    assert {"2": "decoy"} in maps
    assert all("decoy" not in part.names for part in [read_labels(tmp_path / "out" / "pages-train.manifest")])
    with pytest.raises(InvalidArgument, match="decoy_name"):
        tile_dataset(
            labels,
            tmp_path / "x",
            TILING,
            split=split,
            options=DatasetOptions(decoys=Decoys(predictions, name="dark")),
        )
    with pytest.raises(LabelError, match="none of the training pages"):
        tile_dataset(
            labels,
            tmp_path / "x",
            TILING,
            split=split,
            options=DatasetOptions(decoys=Decoys(PredictionSet())),
        )


def test_pdf_pages_are_rendered_at_the_size_they_were_labeled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = []
    for number in range(3):
        known += scene_pdf(f"set{number}.pdf", 2, seed=number, dpi=100, width=900, height=640, empty_every=0)
    labels = LabelSet({key: found for key, _, found in known}, sizes={key: size for key, size, _ in known})
    summary = tile_dataset(
        labels,
        "out",
        Tiling(320, 32),
        options=DatasetOptions(
            rules=CarryingRules(slivers="keep"), encoding=Encoding(format="png"), baseline=True
        ),
    )
    assert summary.baseline is not None
    assert summary.baseline.possible
    line = lines(tmp_path / "out" / "train.manifest")[0]
    name = parse_tile_name(line["source-ref"])
    key = PageKey(f"{Path(name.stem).name}.pdf", name.page)
    window = name.window
    with open_scan(key.source, page=key.page, dpi=100) as scan:
        assert (scan.width, scan.height) == labels.size(key)
        np.testing.assert_array_equal(
            scan.read(*window), decode_image((tmp_path / "out" / line["source-ref"]).read_bytes())
        )
    sides = {side: {key.source for key in summary.split.pages(side)} for side in SIDES}
    assert not sides["train"] & sides["test"]
    again = tile_dataset(labels, "again", Tiling(320, 32), split="out/split.json")
    assert again.split == summary.split


def test_the_tiles_for_other_trainers(labels, tmp_path):
    out = tmp_path / "out"
    for _ in range(2):  # a second time over what is there
        summary = tile_dataset(labels, out, TILING, options=DatasetOptions(export=["coco", "yolo"]))
    assert set(summary.exports) == {"train.coco.json", "tune.coco.json", "test.coco.json", "yolo/data.yaml"}
    yolo = {
        os.path.relpath(key.source, out / "yolo" / "images"): v
        for key, v in read_labels(out / "yolo").items()
    }
    count = 0
    for side in SIDES:
        coco = read_labels(out / f"{side}.coco.json")
        assert len(coco) == summary.sides[side].tiles
        for key, value in coco.items():
            assert Path(key.source).is_file()
            twin = yolo[os.path.join(side, os.path.relpath(key.source, out / "tiles"))]
            assert twin.labels == value.labels
            np.testing.assert_allclose(twin.boxes, value.boxes, atol=1e-6)
            count += 1
    assert count == len(yolo) == summary.tiles
    assert (out / "yolo" / "images" / "train").is_dir()


def test_pages_that_nobody_labeled_are_on_no_side(labels, tmp_path):
    waiting = labels.replace(unlabeled={PageKey("later.png"): "not labeled"})
    summary = tile_dataset(waiting, tmp_path / "out", TILING)
    assert any("1 pages are listed but nobody labeled them" in note for note in summary.notes)
    assert PageKey("later.png") not in summary.split.side_of()


def test_empty_tiles_when_asked(labels, tmp_path):
    summary = tile_dataset(
        labels, tmp_path / "out", TILING, options=DatasetOptions(rules=CarryingRules(keep_empty=1))
    )
    assert sum(side.empty_tiles for side in summary.sides.values()) >= 2  # the pages without symbols at least


def test_sizes_that_the_labels_do_not_know_come_from_the_scans(labels, tmp_path):
    tile_dataset(labels.replace(sizes={}), tmp_path / "a", TILING)
    tile_dataset(labels, tmp_path / "b", TILING)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_wrong_size_is_told(labels, tmp_path):
    wrong = labels.replace(sizes=dict.fromkeys(labels, (401, 300)))
    with pytest.raises(LabelError, match="401 x 300 px but the scan has 400 x 300"):
        tile_dataset(wrong, tmp_path / "out", TILING)


def test_two_files_that_differ_in_the_extension_do_not_collide(tmp_path):
    labels = labeled_pages(tmp_path / "scans", count=2, empty=0)
    first, second = labels.pages()
    other = PageKey(first.source.replace(".png", ".tif.png"))
    third = PageKey(first.source.replace(".png", ".jpg"))
    Path(second.source).rename(other.source)
    Path(third.source).write_bytes(Path(first.source).read_bytes())
    pages = {first: labels[first], other: labels[second], third: labels[first]}
    summary = tile_dataset(
        LabelSet(pages, sizes=dict.fromkeys(pages, (400, 300))), tmp_path / "out", TILING, split=(1, 0, 0)
    )
    assert len(list((tmp_path / "out" / "tiles").rglob("*.jpg"))) == summary.tiles


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tiling": Tiling(32)}, "tile="),
        ({"tiling": 5}, "tiling="),
        ({"export": ["x"]}, "export="),
        ({"bucket": "folder"}, "bucket="),
        ({"min_visible": 0}, "min_visible"),
        ({"split": (0, 0, 1)}, "split="),
        ({"labels": {"train": 5}}, "labels="),
        ({"workers": -1}, "workers="),
    ],
)
def test_bad_arguments_are_named(labels, tmp_path, arguments, message):
    options = {name: arguments[name] for name in {"export", "bucket", "workers"} & arguments.keys()}
    asked = {"labels": labels, "out": tmp_path / "out", "tiling": TILING, **arguments}
    asked = {name: value for name, value in asked.items() if name not in options}
    with pytest.raises(InvalidArgument, match=message):
        tile_dataset(**asked, options=DatasetOptions(**options))


def test_labels_from_files_and_splits_from_files(labels, tmp_path):
    write_labels(labels, tmp_path / "all.manifest", "ground-truth")
    first = tile_dataset(tmp_path / "all.manifest", tmp_path / "a", TILING, options=DatasetOptions(seed=4))
    tile_dataset(
        tmp_path / "all.manifest",
        tmp_path / "b",
        TILING,
        split=tmp_path / "a" / "split.json",
        options=DatasetOptions(seed=4),
    )
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    parts = {side: tmp_path / "a" / f"pages-{side}.manifest" for side in SIDES}
    kept = tile_dataset(parts, tmp_path / "c", TILING, options=DatasetOptions(seed=4))
    for side in SIDES:
        assert replace(kept.sides[side]) == first.sides[side]


def test_errors_of_tilekit_only(tmp_path):
    with pytest.raises(TilekitError):
        tile_dataset(tmp_path / "none.manifest", tmp_path / "out", TILING)


def test_tiles_of_a_jpeg_keep_its_bits_unless_something_is_painted_over(tmp_path, monkeypatch):
    from tests.jpeg.files import jpeg
    from tilekit.scans import vips
    from tilekit.tiles.writing import encode_tiles

    monkeypatch.setattr(vips, "SMALL_BYTES", 0)
    path, tiling = tmp_path / "a.jpg", Tiling(128, 32)
    path.write_bytes(jpeg(352, 288, "4:4:4", noise=2.0))
    boxes = np.array([[20, 20, 60, 60], [120, 20, 160, 60], [110, 200, 130, 216]], float)
    key = PageKey(str(path))
    labels = LabelSet(
        {key: Annotations(boxes, np.zeros(3, int), ("a",))}, sizes={key: (352, 288)}, names=("a",)
    )
    with open_scan(path) as scan:
        kept = {tile.window: tile.data for tile in encode_tiles(scan, tiling) if tile.kept}
        page = scan.read(0, 0, 352, 288)
    split = Split((key,), (), ())
    one = tile_dataset(labels, tmp_path / "one", tiling, split=split, options=DatasetOptions(workers=1))
    tile_dataset(labels, tmp_path / "two", tiling, split=split, options=DatasetOptions(workers=3))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    cut, painted = 0, 0
    for file in sorted((tmp_path / "one" / "tiles").rglob("*.jpg")):
        window = parse_tile_name(file.name).window
        got, want = decode_image(file.read_bytes()), page[window.y0 : window.y1, window.x0 : window.x1]
        if file.read_bytes() == kept[window]:
            cut += 1
            assert np.array_equal(got, want)
        else:
            painted += 1
            assert np.abs(got.astype(int) - want).mean() > 0.5  # one sliver is gone
    assert (cut, painted) == (5, 1)
    assert one.tiles == 6
    tile_dataset(
        labels,
        tmp_path / "ninety",
        tiling,
        split=split,
        options=DatasetOptions(encoding=Encoding(quality=90)),
    )
    assert not {file.read_bytes() for file in (tmp_path / "ninety" / "tiles").rglob("*.jpg")} & set(
        kept.values()
    )
    with pytest.raises(InvalidArgument, match="quality"):
        tile_dataset(labels, tmp_path / "none", tiling, options=DatasetOptions(encoding=Encoding(quality=0)))
