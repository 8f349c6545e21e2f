"""recommend_tiling: figures that can be checked by hand, and a verdict."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.planning import recommend_tiling
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.pages import PageKey
from tilekit.scales import Scales


def labels(width: int, height: int, px: float, each: int = 20, pages: int = 6, seed: int = 0) -> LabelSet:
    rng = np.random.default_rng(seed)
    found = {}
    for number in range(pages):
        low = rng.uniform(0, 1, (each, 2)) * [width - px, height - px]
        found[PageKey(f"{number}.png")] = Annotations(np.concatenate([low, low + px], axis=1), None, ("a",))
    return LabelSet(found, sizes=dict.fromkeys(found, (width, height)))


def test_small_symbols_on_large_pages_are_worth_tiling():
    plan = recommend_tiling(labels(5100, 6600, 15))
    assert plan.needed
    assert "a tenth of the objects are under 2.9 px" in plan.reason
    assert plan.whole.small_object == pytest.approx(15 * 1280 / 6600)
    assert plan.tiling == Tiling(1280, 24)  # 15 + 2 x 2, rounded up to 8
    assert plan.chosen.small_object == 15
    assert plan.chosen.cut == 0
    tiles = len(plan.tiling.grid(5100, 6600))
    assert plan.chosen.tiles_a_page == tiles
    assert plan.chosen.cost == pytest.approx(1000 * tiles / 5 / 3600 * 4)
    assert plan.chosen.relative_size == pytest.approx(15 / 1280)
    assert "Tiling pays" in str(plan)


def test_large_objects_on_small_pages_are_not():
    plan = recommend_tiling(labels(1200, 900, 60))
    assert not plan.needed
    assert "whole pages will do" in plan.reason
    assert plan.chosen.tiles_a_page == 1
    assert plan.whole.small_object == pytest.approx(60)
    assert "not needed" in str(plan)


def test_crowded_pages_need_tiling_whatever_the_size():
    plan = recommend_tiling(labels(1280, 1280, 30, each=60))
    assert plan.needed
    assert "more than 50 boxes" in plan.reason
    assert plan.chosen.tile < 1280
    assert plan.chosen.crowded <= 0.5


@settings(max_examples=30)
@given(st.integers(300, 6000), st.integers(300, 6000), st.floats(2, 150), st.integers(0, 99))
def test_the_recommended_overlap_cuts_nothing(width, height, px, seed):
    plan = recommend_tiling(labels(width, height, px, seed=seed))
    assert plan.chosen.cut == 0
    assert plan.tiling.overlap_px[0] >= px + 4
    assert plan.overlaps[-1].overlap == plan.chosen.overlap
    cuts = [item.cut for item in plan.overlaps]
    assert cuts[-1] == 0
    assert all(item.tile >= 2 * item.overlap for item in plan.options)


def test_one_object_out_of_all_proportion_is_named_and_changes_nothing():
    found = labels(6000, 6000, 20, each=40)
    key = found.pages()[0]
    large = Annotations([[2000, 1000, 2600, 1030]], None, ("a",))
    plan = recommend_tiling(found.replace(pages={**found, key: Annotations.concat([found[key], large])}))
    assert plan.scales == recommend_tiling(found).scales
    assert [(one.page, one.label, one.width) for one in plan.outliers] == [(str(key), "a", 600.0)]
    assert "a a of 600 x 30 px" in str(plan)
    assert plan.nowhere == 1


def test_the_overlap_follows_the_percentile_and_says_what_it_cuts():
    rng = np.random.default_rng(3)
    found = labels(7168, 4562, 60, each=100, pages=5)
    pages = {}
    for number, (key, page) in enumerate(found.items()):
        low = rng.uniform(0, 3500, (4, 2))
        long = Annotations(np.concatenate([low, low + np.array([560, 60])], axis=1), None, ("a",))
        pages[key] = Annotations.concat([page, long]) if number < 2 else page
    plan = recommend_tiling(found.replace(pages=pages))
    assert plan.chosen.overlap < 560
    assert plan.overlaps[-1].overlap == plan.chosen.overlap
    assert plan.chosen.cut == plan.overlaps[-1].cut <= 0.02


def test_objects_larger_than_half_of_any_tile_are_seen_on_the_page():
    plan = recommend_tiling(labels(9000, 9000, 2500, each=3))
    assert not plan.needed
    assert [one.is_whole for one in plan.scales] == [True]


def test_pages_that_are_not_shrunk_gain_nothing_from_tiles():
    plan = recommend_tiling(labels(1000, 800, 6))
    assert not plan.needed
    assert "as small in tiles" in plan.reason


def test_tiny_objects_are_told_to_scan_better():
    plan = recommend_tiling(labels(3000, 3000, 5))
    assert any("higher resolution" in note for note in plan.notes)


def test_a_budget_buys_larger_tiles_or_says_that_nothing_fits():
    found = labels(10000, 10000, 30)
    free = recommend_tiling(found)
    tight = recommend_tiling(found, budget=free.chosen.cost / 2)
    assert tight.chosen.tile > free.chosen.tile
    assert tight.chosen.cost <= free.chosen.cost / 2
    assert tight.chosen.small_object >= 16
    poorer = recommend_tiling(found, budget=3.0)
    assert poorer.chosen.cost <= 3
    assert any("smaller than they should be" in note for note in poorer.notes)
    broke = recommend_tiling(found, budget=0.01)
    assert any("no tiling keeps the budget" in note for note in broke.notes)
    twice = recommend_tiling(found, price=8, rate=2.5)
    assert twice.chosen.cost == pytest.approx(4 * free.chosen.cost)


def test_ignored_boxes_do_not_count():
    found = labels(3000, 3000, 20)
    key = found.pages()[0]
    region = Annotations([[0, 0, 2000, 2000]], None, ("a",), [True])
    plan = recommend_tiling(found.replace(pages={**found, key: Annotations.concat([found[key], region])}))
    assert plan.longest.largest == pytest.approx(20)


def test_sizes_may_be_given_beside_plain_annotations():
    found = labels(3000, 3000, 20)
    assert recommend_tiling(dict(found), found.sizes) == recommend_tiling(found)


def test_limits_that_are_met_are_said():
    plan = recommend_tiling(labels(20000, 20000, 20, each=3000, pages=14))
    assert any("over 4096 px" in limit for limit in plan.whole.limits)
    assert any("shrunk to 1280" in limit for option in plan.options for limit in option.limits)
    assert any("test images of a label" in limit for option in plan.options for limit in option.limits)


@pytest.mark.slow
def test_a_plan_as_json_table_and_picture(tmp_path):
    plan = recommend_tiling(labels(3000, 3000, 20))
    value = json.loads(json.dumps(plan.to_json(), allow_nan=False))
    assert Tiling.from_json(value["tiling"]) == plan.tiling
    assert value["prices_as_of"]
    for columns, rows in (plan.table(), plan.overlap_table()):
        assert all(len(row) == len(columns) for row in rows)
    plan.plot(tmp_path / "plan.png")
    assert (tmp_path / "plan.png").read_bytes()[:4] == b"\x89PNG"
    plan.plot(tmp_path / "plan.svg")
    assert b"<svg" in (tmp_path / "plan.svg").read_bytes()


@pytest.mark.parametrize(
    "arguments", [{"budget": 0}, {"price": -1}, {"rate": math.inf}, {"enough": "x"}, {"pays_below": 0}]
)
def test_bad_arguments_are_named(arguments):
    with pytest.raises(InvalidArgument, match=next(iter(arguments))):
        recommend_tiling(labels(300, 300, 20), **arguments)


def test_nothing_to_plan_with():
    with pytest.raises(InvalidArgument, match="no boxes"):
        recommend_tiling(
            LabelSet({PageKey("a.png"): Annotations.empty()}, sizes={PageKey("a.png"): (10, 10)})
        )


def mixed(groups: bool, outlier: bool = False) -> LabelSet:
    """40 drawings with small valves; with titles and tables, or with one box of 5,230 px on one page."""
    rng = np.random.default_rng(5)
    size = (9933, 14043)
    found = {}
    for number in range(40):
        parts = [(2, 36, 70, 36, 70, 30)]
        if groups:
            parts += [(1, 500, 1400, 200, 600, 6), (0, 2500, 6000, 2500, 6000, 2)]
        boxes, ids = [], []
        for label, w0, w1, h0, h1, count in parts:
            for _ in range(count):
                w, h = int(rng.integers(w0, w1)), int(rng.integers(h0, h1))
                x, y = int(rng.integers(0, size[0] - w)), int(rng.integers(0, size[1] - h))
                boxes.append([x, y, x + w, y + h])
                ids.append(label)
        if outlier and number == 7:
            boxes.append([1000, 2000, 4000, 7230])
            ids.append(0)
        found[PageKey(f"p{number}.png")] = Annotations(boxes, ids, ("table", "title", "valve"))
    return LabelSet(found, sizes=dict.fromkeys(found, size))


def test_one_outlier_does_not_change_the_plan():
    small, plan = recommend_tiling(mixed(False)), recommend_tiling(mixed(False, outlier=True))
    assert [one.tile for one in small.at] == [1536]
    assert plan.at[0].small_object >= 0.9 * small.at[0].small_object
    assert plan.cost <= 1.15 * small.cost
    assert [(one.page, one.label, one.height) for one in plan.outliers] == [("p7.png", "table", 5230.0)]
    assert "p7.png: a table of 3000 x 5230 px" in str(plan)


def test_mixed_pages_have_a_scale_for_every_label():
    plan = recommend_tiling(mixed(True))
    assert plan.nowhere == 0
    assert plan.at[0].small_object >= 20
    assert sum(one.tiles_a_page for one in plan.at) <= 36
    assert plan.scales[-1].is_whole
    assert plan.at[0].labels["valve"] == plan.at[-1].labels["table"] == plan.at[-1].labels["title"] == 1
    assert plan.at[0].labels["table"] == 0
    value = json.loads(json.dumps(plan.to_json(), allow_nan=False))
    assert Scales.from_json(value) == plan.scales
    assert value["reasons"] == ["size"]
    assert value["cost"] == pytest.approx(sum(one["cost"] for one in value["scales"]))
    tiled = [Tiling(one["tile"], one["overlap"], scale=one["scale"]) for one in value["scales"]]
    assert [len(one.grid(9933, 14043)) for one in tiled] == [one.tiles_a_page for one in plan.at]


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(2000, 16000), st.integers(2000, 16000))
def test_all_sizes_at_once_have_a_scale(seed, width, height):
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(np.log(16), np.log(0.8 * min(width, height)), 150))
    low = rng.uniform(0, 1, (150, 2)) * (np.array([width, height]) - size[:, None])
    page = Annotations(np.concatenate([low, low + size[:, None]], axis=1), None, ("a",))
    plan = recommend_tiling({PageKey("a.png"): page}, {PageKey("a.png"): (width, height)})
    assert plan.needed
    assert plan.nowhere <= 0.15 * len(page)
    assert sum(one.labels["a"] for one in plan.at) >= 0.85
    for one in plan.at:
        assert one.cut <= 0.08


def test_boxes_alone_take_the_largest_tiles_that_hold_them():
    plan = recommend_tiling(labels(2560, 2560, 91, each=70))
    assert plan.reasons == ("boxes",)
    assert "expect no gain by size" in str(plan)
    assert plan.chosen.crowded <= 0.1
    larger = [one for one in plan.options if one.tile > plan.chosen.tile]
    assert all(one.crowded > 0.1 or one.cost >= plan.chosen.cost for one in larger)


def test_words_do_not_contradict():
    few = labels(1200, 900, 60, each=51, pages=1)
    others = labels(1200, 900, 60, each=4, pages=20, seed=1)
    pages = {PageKey(f"x{n}.png"): page for n, page in enumerate([*few.values(), *others.values()])}
    plan = recommend_tiling(pages, dict.fromkeys(pages, (1200, 900)))
    assert not plan.needed
    assert "no page is too crowded" not in str(plan)
    assert "1 of 21 labeled pages have more than 50 boxes" in plan.reason
    assert "Tiling(" not in str(plan)


def test_a_page_whose_size_nobody_knows_is_named(tmp_path):
    with pytest.raises(InvalidArgument, match=r"do not say its size.*images="):
        recommend_tiling({PageKey("nowhere.png"): Annotations([[0, 0, 9, 9]], None, ("a",))})
