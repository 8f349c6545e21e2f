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
from tilekit.rekognition.limits import LIMITS


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


def test_what_a_smaller_overlap_would_cost():
    found = labels(6000, 6000, 20, each=40)
    key = found.pages()[0]
    large = Annotations([[2000, 1000, 2600, 1030]], None, ("a",))
    plan = recommend_tiling(found.replace(pages={**found, key: Annotations.concat([found[key], large])}))
    assert plan.chosen.overlap == 608
    assert any("a few very large objects" in note for note in plan.notes)
    smaller = [item for item in plan.overlaps if item.overlap == 24]
    assert smaller[0].tiles_a_page < plan.chosen.tiles_a_page
    assert smaller[0].cost < plan.chosen.cost


def test_objects_larger_than_half_of_any_tile():
    plan = recommend_tiling(labels(9000, 9000, 2500, each=3))
    assert plan.chosen.tile == LIMITS.max_side
    assert any("needs tiles of at least" in note for note in plan.notes)


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
    plan = recommend_tiling(labels(20000, 20000, 20, each=3000, pages=2), test_share=1.0)
    assert any("over 4096 px" in limit for limit in plan.whole.limits)
    assert any("shrunk to 1280" in limit for option in plan.options for limit in option.limits)
    assert any("test images of a label" in limit for option in plan.options for limit in option.limits)


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
