"""Splits by region: no pixel and no object on two sides, and only test regions count."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.datasets.pages import labeled_pages
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.cli.dataset import dataset
from tilekit.datasets import CarryingRules, DatasetOptions, Decoys, Encoding
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.regions import Room, split_regions, truth_of
from tilekit.datasets.splitting import SIDES
from tilekit.errors import InvalidArgument, LabelError
from tilekit.evaluation.comparison import compare
from tilekit.evaluation.evaluating import evaluate
from tilekit.evaluation.saved import read_evaluation
from tilekit.grid import Tiling
from tilekit.labels.checking import check_manifest
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.labels.reading import read_labels
from tilekit.pages import PageKey
from tilekit.tiles.naming import parse_tile_name

TILING = Tiling(80, 16)


def gap(one, other) -> int:
    """The larger of the distances in x and in y between two rectangles."""
    return max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(
    size=st.tuples(st.integers(400, 3000), st.integers(400, 3000)),
    tile=st.integers(20, 60),
    overlap=st.integers(0, 30),
    seed=st.integers(0, 5),
    pages=st.integers(1, 3),
)
def test_regions_of_two_sides_are_a_tile_and_its_overlap_apart(size, tile, overlap, seed, pages):
    rng = np.random.default_rng(seed)
    labels = {}
    for page in range(pages):
        corner = rng.uniform(0, np.array(size) - 12, (40, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(2, 12, (40, 2))], axis=1)
        labels[PageKey("a.png", page)] = Annotations(boxes, rng.integers(0, 2, 40), ("a", "b"))
    rooms = {key: Room(size, (tile, tile), (tile + overlap,) * 2) for key in labels}
    split = split_regions(labels, rooms, seed=seed)
    assert split == split_regions(dict(reversed(labels.items())), rooms, seed=seed).__class__(
        split.train, split.tune, split.test, split.left_out, (), split.regions
    )
    assert split.train
    assert split.tune
    assert split.test
    owners = np.zeros(0, int)
    for key, found in split.regions.items():
        every = [(side, one) for side in SIDES for one in found.get(side, ())]
        for (side, one), (other_side, other) in combinations(every, 2):
            assert gap(one, other) >= (0 if side == other_side else tile + overlap)
        for _, (x0, y0, x1, y1) in every:
            assert x0 >= 0
            assert y0 >= 0
            assert x1 <= size[0]
            assert y1 <= size[1]
            assert min(x1 - x0, y1 - y0) >= tile
        counted = [~truth_of(labels[key], found, side).ignore for side in SIDES]
        boxes = [
            truth_of(labels[key], found, side).boxes[keep] for side, keep in zip(SIDES, counted, strict=True)
        ]
        together = np.concatenate(boxes)
        assert len(np.unique(together, axis=0)) == len(together)  # no object on two sides
        owners = np.append(owners, [len(part) for part in boxes])
    assert owners.sum() > 0


@pytest.fixture(scope="module")
def one_page(tmp_path_factory):
    return labeled_pages(tmp_path_factory.mktemp("one"), count=1, size=(1500, 1100), each=150, empty=0)


@pytest.fixture(scope="module")
def made(one_page, tmp_path_factory):
    out = tmp_path_factory.mktemp("regions") / "out"
    return tile_dataset(
        one_page,
        out,
        TILING,
        options=DatasetOptions(
            rules=CarryingRules(keep_empty=20),
            encoding=Encoding(format="png"),
            split_by="region",
            baseline=True,
        ),
    ), out


def windows(out, side, page="page0"):
    found = []
    for line in (out / f"{side}.manifest").read_text().splitlines():
        name = parse_tile_name(json.loads(line)["source-ref"].rsplit("/", 1)[1])
        found.append(tuple(name.window))
    return found


def test_a_single_page_gives_all_three_sides(made, one_page):
    summary, out = made
    regions = summary.split.regions[one_page.pages()[0]]
    assert len(regions["test"]) >= 4  # enough for an interval
    placed = {side: windows(out, side) for side in SIDES}
    assert all(placed.values())
    for side in SIDES:
        for x0, y0, x1, y1 in placed[side]:
            held = sum(
                max(0, min(x1, c) - max(x0, a)) * max(0, min(y1, d) - max(y0, b))
                for a, b, c, d in regions[side]
            )
            assert held == (x1 - x0) * (y1 - y0)
    for one, other in combinations(SIDES, 2):
        nearest = min(gap(a, b) for a in placed[one] for b in placed[other])
        assert nearest >= 80 + 16
    assert any("guard bands" in note for note in summary.notes)
    assert not summary.baseline.possible
    assert "region" in summary.baseline.reason
    for side in SIDES:  # what a side counts is shown by a tile, or said to be at the rim
        count = summary.sides[side]
        assert sum(count.objects_left_out.values()) < 0.2 * sum(one.objects for one in count.labels.values())


def test_the_check_finds_no_leak_in_it_and_one_in_tiles_that_touch(made, tmp_path):
    _, out = made
    report = check_manifest(out / "train.manifest", out / "test.manifest", pixels=True)
    assert not {code for code in report.counts if "TRAIN_AND_TEST" in code}
    train = (out / "train.manifest").read_text().splitlines()
    (out / "near-train.manifest").write_text("\n".join(train[::2]) + "\n")
    (out / "test-near.manifest").write_text("\n".join(train[1::2]) + "\n")
    report = check_manifest(out / "near-train.manifest", out / "test-near.manifest")
    assert report.counts["TILEKIT_PAGE_IN_TRAIN_AND_TEST"] == 1


def test_only_the_test_regions_count_and_are_drawn(made, one_page, tmp_path):
    _summary, out = made
    key = one_page.pages()[0]
    truth = read_labels(out / "pages-test.manifest")
    regions = truth.regions[truth.pages()[0]]
    page = one_page[key]
    center = (page.boxes[:, :2] + page.boxes[:, 2:]) / 2
    inside = np.zeros(len(page), bool)
    for x0, y0, x1, y1 in regions:
        inside |= ((center >= (x0, y0)) & (center < (x1, y1))).all(axis=1)
    right = Detections(page.boxes, np.full(len(page), 0.9), page.class_ids, page.names)
    # right in the test regions only: all else is missed and full of false alarms
    noise = np.array([[x, y, x + 9, y + 9] for x in range(5, 1490, 30) for y in range(5, 1090, 30)], float)
    x, y = noise[:, 0] + 4.5, noise[:, 1] + 4.5
    beyond = np.ones(len(noise), bool)
    for x0, y0, x1, y1 in regions:
        beyond &= ~((x >= x0) & (x < x1) & (y >= y0) & (y < y1))
    wrong = Detections(
        noise[beyond], np.full(int(beyond.sum()), 0.8), np.zeros(int(beyond.sum()), int), page.names
    )
    found = Detections.concat([right[inside], wrong])
    key = truth.pages()[0]
    good = evaluate(truth, {key: found}, thresholds=0.5)
    assert good.f1 == 1.0
    assert good.micro.tp == int((~truth[key].ignore).sum()) <= int(inside.sum())
    assert len(good.pages) == len(regions) == good.counting.pages
    assert "regions" in good.table()
    half = Detections.concat([right[inside][::2], wrong])
    worse = evaluate(truth, {key: half}, thresholds=0.5)
    result = compare(worse, good, samples=200)
    assert (result.pages, result.unit) == (len(regions), "regions")
    assert result.f1.low is not None
    assert f"{len(regions)} regions" in result.sentence
    good.save(tmp_path / "good.json")
    assert read_evaluation(tmp_path / "good.json").units == good.units
    everywhere = evaluate(truth.replace(extra={}), {key: found}, thresholds=0.5)
    assert everywhere.f1 < 0.9  # the same figures over the whole page are others


def test_a_split_by_region_is_given_again(made, one_page, tmp_path):
    summary, out = made
    again = tile_dataset(
        one_page,
        tmp_path / "again",
        TILING,
        split=out / "split.json",
        options=DatasetOptions(rules=CarryingRules(keep_empty=20), encoding=Encoding(format="png")),
    )
    for side in SIDES:
        assert windows(tmp_path / "again", side) == windows(out, side)
    assert again.split.regions == summary.split.regions
    value = json.loads((out / "split.json").read_text())
    (page, sides), *_ = value["regions"].items()
    value["regions"][page] = {"train": sides["train"], "test": [sides["train"][0]]}
    (out / "bad.json").write_text(json.dumps(value))
    with pytest.raises(LabelError, match="overlap"):
        tile_dataset(one_page, tmp_path / "bad", TILING, split=out / "bad.json")


def test_decoys_of_test_regions_are_taught_nowhere(one_page, made, tmp_path):
    summary, _ = made
    key = one_page.pages()[0]
    grid = np.array([[x, y, x + 9, y + 9] for x in range(5, 1490, 40) for y in range(5, 1090, 40)], float)
    alarms = Detections(grid, np.full(len(grid), 0.9), np.zeros(len(grid), int), one_page.names)
    taught = tile_dataset(
        one_page,
        tmp_path / "out",
        TILING,
        split=summary.split,
        options=DatasetOptions(decoys=Decoys(PredictionSet([PageDetections(key, 1500, 1100, alarms)]))),
    )
    assert taught.sides["train"].labels["decoy"].boxes > 0
    assert taught.sides["test"].labels["decoy"].objects == taught.sides["tune"].labels["decoy"].objects == 0


def test_an_object_over_two_sides_is_on_neither(one_page, made, tmp_path):
    summary, _ = made
    key = one_page.pages()[0]
    long = [[0.0, 500.0, 1500.0, 506.0]]
    page = Annotations.concat([one_page[key], Annotations(long, [0], one_page.names)])
    labels = LabelSet({key: page}, sizes=one_page.sizes, names=one_page.names)
    out = tmp_path / "out"
    tile_dataset(
        labels, out, TILING, split=summary.split, options=DatasetOptions(rules=CarryingRules(ignored="keep"))
    )
    regions = summary.split.regions[key]
    sides = [side for side in SIDES if any(y0 < 506 and y1 > 500 for _, y0, _, y1 in regions[side])]
    assert len(sides) > 1
    for side in SIDES:
        assert not [one for one in windows(out, side) if one[1] < 506 and one[3] > 500]


def test_pages_too_small_say_so(one_page, tmp_path):
    with pytest.raises(InvalidArgument, match="too few for regions of 3 sides"):
        tile_dataset(one_page, tmp_path / "out", Tiling(800), options=DatasetOptions(split_by="region"))
    with pytest.raises(InvalidArgument, match="shows the whole page"):
        tile_dataset(
            one_page, tmp_path / "out", Tiling.whole(1280), options=DatasetOptions(split_by="region")
        )


def test_command(one_page, tmp_path):
    from tilekit.labels.reading import write_labels

    write_labels(one_page, tmp_path / "one.manifest")
    words = [str(tmp_path / "one.manifest"), str(tmp_path / "out"), "--tile", "80", "--overlap", "16"]
    done = CliRunner().invoke(dataset, [*words, "--split-by", "region", "--split", "0.6,0,0.4"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "test.manifest").read_text()
