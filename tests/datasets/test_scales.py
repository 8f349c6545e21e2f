"""A dataset over scales: each object is labeled where it belongs, pages stay on one side, one Tiling changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.pages import contents, labeled_pages
from tilekit.aws.training import read_beside
from tilekit.boxes.annotations import Annotations
from tilekit.datasets import DatasetOptions, Encoding, writing
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.carrying import CarryingRules, carry_page
from tilekit.datasets.splitting import SIDES
from tilekit.datasets.summary import HOMELESS
from tilekit.errors import ScanCorrupt
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import read_labels
from tilekit.pages import PageKey
from tilekit.rekognition.belonging import Look, SizeRule, fitting
from tilekit.scales import Scales
from tilekit.scans import vips
from tilekit.scans.encoding import decode_image, encode_image
from tilekit.scans.reducing import image_of

NAMES = ("mark", "table")
SCALES = Scales(Tiling(200, 40), Tiling.whole(300))
RULE = SizeRule(enough=16, share=0.5)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> LabelSet:
    """Pages of 900 x 700 with marks of 12 px, some of them inside a table of about 400."""
    folder = tmp_path_factory.mktemp("mixed")
    rng = np.random.default_rng(1)
    pages, sizes = {}, {}
    for number in range(8):
        pixels = np.full((700, 900, 3), 255, np.uint8)
        table = np.array([100, 150, 500, 450]) + int(rng.integers(0, 100))
        pixels[table[1] : table[3], table[0] : table[2]] = (200, 210, 230)
        boxes, ids = [table.tolist()], [1]
        for _ in range(25):
            x, y = int(rng.integers(0, 888)), int(rng.integers(0, 688))
            pixels[y : y + 12, x : x + 12] = (20, 30, 60)
            boxes.append([x, y, x + 12, y + 12])
            ids.append(0)
        key = PageKey(str(folder / f"page{number}.png"))
        Path(key.source).write_bytes(encode_image(pixels, "png").data)
        pages[key], sizes[key] = Annotations(boxes, ids, NAMES), (900, 700)
    return LabelSet(pages, sizes=sizes, names=NAMES)


def test_scales_of_one_tiling_give_the_same_bytes(tmp_path):
    labels = labeled_pages(tmp_path / "scans")
    tile_dataset(labels, tmp_path / "one", Tiling(160, 40), options=DatasetOptions(baseline=True))
    tile_dataset(labels, tmp_path / "same", Scales(Tiling(160, 40)), options=DatasetOptions(baseline=True))
    assert contents(tmp_path / "one") == contents(tmp_path / "same")


def test_each_object_is_labeled_on_the_scales_where_it_belongs(mixed, tmp_path):
    summary = tile_dataset(
        mixed,
        tmp_path / "out",
        SCALES,
        options=DatasetOptions(
            rules=CarryingRules(slivers="keep", sizes=RULE), encoding=Encoding(format="png")
        ),
    )
    shown: dict[tuple[str, bool], set] = {}
    for side in SIDES:
        tiles = read_labels(tmp_path / "out" / f"{side}.manifest")
        for key, page in tiles.items():
            coarse = "/scale-2/" in Path(key.source).as_posix()
            pixels = decode_image(Path(key.source).read_bytes())
            assert (pixels.shape[1], pixels.shape[0]) == tiles.sizes[key]
            stem = Path(key.source).name.split(".")[0]
            for box, label in zip(page.boxes, page.labels, strict=True):
                shown.setdefault((label, coarse), set()).add(stem)
                if not coarse:
                    assert label == "mark"
                    x, y = (int(v) for v in (box[:2] + box[2:]) / 2)
                    assert tuple(pixels[y, x]) == (20, 30, 60)
    assert set(shown) == {("mark", False), ("table", True)}
    assert all(len(pages) == 8 for pages in shown.values())
    for side in summary.sides.values():
        fine, coarse = side.scales
        assert (fine.objects["table"], coarse.objects["mark"]) == (0, 0)
        assert coarse.objects["table"] == side.labels["table"].objects == side.pages
        assert fine.objects["mark"] == side.labels["mark"].objects == 25 * side.pages
    columns, rows = summary.scale_table()
    assert columns == ["side", "scale", "tiles", *NAMES]
    assert [row[1] for row in rows] == ["200/40", "page@300"] * 3
    assert any("tiles by scale: 200/40" in note for note in summary.notes)


def test_the_recipe_travels_and_pages_keep_their_truth(mixed, tmp_path):
    out = tmp_path / "out"
    summary = tile_dataset(mixed, out, SCALES, options=DatasetOptions(baseline=True))
    assert summary.tiling == SCALES
    assert read_beside(out / "train.manifest").tiling == SCALES
    assert Scales.from_json(json.loads((out / "tiling.json").read_text())) == SCALES
    found = [read_labels(out / f"pages-{side}.manifest") for side in SIDES]
    assert sum(len(part) for part in found) == len(mixed)
    assert sum(part.boxes for part in found) == mixed.boxes
    for side, part in zip(SIDES, found, strict=True):
        stems = {Path(key.source).stem for key in part}
        tiles = read_labels(out / f"{side}.manifest")
        assert {Path(key.source).name.split(".")[0] for key in tiles} == stems
    again = tile_dataset(mixed, out, SCALES, options=DatasetOptions(baseline=True))
    assert again.bytes == 0


def test_an_object_on_no_scale_is_named(mixed, tmp_path):
    key = mixed.pages()[0]
    page = Annotations.concat([mixed[key], Annotations([[600, 20, 720, 30]], [0], NAMES)])
    labels = mixed.replace(pages={**mixed, key: page})
    summary = tile_dataset(
        labels, tmp_path / "out", SCALES, options=DatasetOptions(rules=CarryingRules(sizes=RULE))
    )
    assert sum(side.objects_left_out.get(HOMELESS, 0) for side in summary.sides.values()) == 1
    assert any(HOMELESS in note for note in summary.notes)
    assert sum(side.labels["mark"].left_out for side in summary.sides.values()) == 1


@pytest.mark.parametrize("elsewhere", ["leave", "mask"])
def test_what_lies_in_a_large_object_is_never_painted_over(mixed, elsewhere):
    page = mixed[mixed.pages()[0]]
    rules = CarryingRules(slivers="mask", elsewhere=elsewhere, sizes=RULE)
    grids = SCALES.grids(900, 700)
    fits = fitting([Look.on(page.boxes, grid) for grid in grids], RULE)
    table = page.boxes[0]
    for place, grid in enumerate(grids):
        plan = carry_page(page, grid, rules, belongs=fits[:, place])
        for tile in plan.tiles:
            masks = grid.to_base(tile.masks + np.array([tile.window.x0, tile.window.y0] * 2))
            if place == 0:
                assert all(np.ptp(mask[[0, 2]]) <= 12 and np.ptp(mask[[1, 3]]) <= 12 for mask in masks)
            else:
                inside = (masks[:, :2] < table[2:]).all(axis=1) & (masks[:, 2:] > table[:2]).all(axis=1)
                assert not inside.any()
                assert bool(len(masks)) == (elsewhere == "mask")


KINDS = {
    "png": {},
    "strips.tif": {"compression": "deflate"},
    "blocks.tif": {"compression": "deflate", "tile": True, "tile_width": 64, "tile_height": 64},
    "jpeg.tif": {"compression": "jpeg", "tile": True, "tile_width": 64, "tile_height": 64},
    "jpg": {"Q": 90, "subsample_mode": "on"},
}


@pytest.fixture(params=KINDS)
def kinds(request, tmp_path, monkeypatch) -> LabelSet:
    """Pages of one kind, on which most rows of tiles are empty."""
    monkeypatch.setattr(vips, "SMALL_BYTES", 0)
    rng = np.random.default_rng(2)
    pages, sizes = {}, {}
    for number in range(4):
        pixels = rng.integers(0, 256, (88, 113, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        top = 220 + 200 * (number % 2)
        boxes = [[10 + 40 * place, top, 22 + 40 * place, top + 12] for place in range(6)]
        key = PageKey(str(tmp_path / f"page{number}.{request.param}"))
        image_of(pixels).write_to_file(key.source, **KINDS[request.param])
        pages[key], sizes[key] = Annotations([*boxes, [100, 100, 600, 500]], [0] * 6 + [1], NAMES), (904, 704)
    return LabelSet(pages, sizes=sizes, names=NAMES)


RULES = CarryingRules(sizes=RULE)
SHARES = DatasetOptions(rules=RULES, workers=1)


def test_a_page_is_opened_and_read_once_for_all_scales(kinds, tmp_path, monkeypatch):
    """And gives the bytes of a run that reads it for each scale."""
    opened, loads = [], []
    real = writing.open_page

    def opening(*how):
        scan = real(*how)
        opened.append(scan.key)
        load = scan._loader
        scan._loader = lambda *a, **k: loads.append(scan.key) or load(*a, **k)
        return scan

    monkeypatch.setattr(writing, "open_page", opening)
    scales = Scales(Tiling(128, 32), Tiling.whole(100))
    tile_dataset(kinds, tmp_path / "once", scales, split=(0.5, 0.25, 0.25), options=SHARES)
    assert sorted(opened) == sorted(kinds)
    assert not loads  # the image opened for its header serves the one pass, if it is libvips that makes it
    monkeypatch.setattr(writing, "expect_after", lambda *_: None)
    tile_dataset(kinds, tmp_path / "twice", scales, split=(0.5, 0.25, 0.25), options=SHARES)
    assert contents(tmp_path / "once") == contents(tmp_path / "twice")
    assert [name for name in contents(tmp_path / "once") if name.startswith("scale-2/tiles")]


def test_a_run_goes_on_at_the_scale_where_it_was_stopped(mixed, tmp_path, monkeypatch):
    options = DatasetOptions(rules=RULES, workers=1)
    tile_dataset(mixed, tmp_path / "whole", SCALES, options=options)
    real, tried = writing._write_scale, []

    def stopping(scan, task, *more):
        tried.append((task.page.key, task.scale))
        if len(tried) == 4:
            raise ScanCorrupt("damaged")
        return real(scan, task, *more)

    monkeypatch.setattr(writing, "_write_scale", stopping)
    with pytest.raises(ScanCorrupt):
        tile_dataset(mixed, tmp_path / "out", SCALES, options=options)
    first = tried[:]
    assert [scale for _, scale in first] == [0, 1, 0, 1]
    tile_dataset(mixed, tmp_path / "out", SCALES, options=options)
    assert tried[4] == first[3]
    assert not set(tried[4:]) & set(first[:3])
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
