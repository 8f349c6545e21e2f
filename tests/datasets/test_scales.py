"""A dataset over scales: each object is labeled where it belongs, pages stay on one side, one Tiling changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.pages import contents, labeled_pages
from tilekit.aws.training import read_beside
from tilekit.boxes.annotations import Annotations
from tilekit.datasets import DatasetOptions, Encoding
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.carrying import CarryingRules, carry_page
from tilekit.datasets.splitting import SIDES
from tilekit.datasets.summary import HOMELESS
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import read_labels
from tilekit.pages import PageKey
from tilekit.rekognition.belonging import Look, SizeRule, fitting
from tilekit.scales import Scales
from tilekit.scans.encoding import decode_image, encode_image

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
