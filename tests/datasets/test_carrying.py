"""Carrying: positives, slivers, ignore regions, crowded tiles; no label is dropped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilekit.boxes.annotations import Annotations
from tilekit.datasets import carrying
from tilekit.datasets.carrying import SHIFTED, CarryingRules, carry_page, outward, painted
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling

BIG = 64  # sides below are refused by the service, so the grids here start there


@st.composite
def pages(draw, largest=40, most=60):
    """A grid with overlap >= the largest object, and objects on its scan."""
    width, height = draw(st.integers(BIG, 500)), draw(st.integers(BIG, 500))
    tile = draw(st.integers(BIG + largest, 220))
    tiling = Tiling(tile, draw(st.integers(largest, tile - BIG // 2)))
    count = draw(st.integers(0, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = rng.uniform(1, largest, (count, 2))
    low = rng.uniform(0, 1, (count, 2)) * (np.array([width, height]) - sizes)
    return tiling.grid(width, height), np.concatenate([low, low + sizes], axis=1)


@given(pages())
def test_each_object_is_whole_in_some_tile_where_the_overlap_is_large_enough(page):
    grid, boxes = page
    plan = carry_page(Annotations(boxes, None, ("a",)), grid, CarryingRules())
    assert plan.objects_left_out == ()
    whole = set()
    for tile in plan.tiles:
        back = tile.boxes + np.array([tile.window.x0, tile.window.y0] * 2)
        same = np.abs(back - boxes[tile.source]).max(axis=1, initial=0) < 1e-6
        whole |= set(tile.source[same].tolist())
    assert whole == set(range(len(boxes)))


@given(pages(), st.sampled_from([1, 3, 10]), st.sampled_from(["mask", "leave", "keep"]))
def test_no_label_is_dropped_and_no_tile_is_crowded(page, most, slivers):
    grid, boxes = page
    rules = CarryingRules(max_boxes=most, slivers="mask" if slivers == "leave" else slivers)
    plan = carry_page(Annotations(boxes, None, ("a",)), grid, rules)
    shown = {row for tile in plan.tiles for row in tile.source.tolist()}
    assert shown == set(range(len(boxes)))
    assert all(len(tile.source) <= most for tile in plan.tiles)
    assert len({(tile.window, tile.copy) for tile in plan.tiles}) == len(plan.tiles)


@given(pages(most=20), st.floats(0.1, 1), st.sampled_from(["mask", "leave", "keep"]), st.integers(0, 3))
def test_a_plan_keeps_its_rules(page, visible, slivers, empty):
    grid, boxes = page
    ignore = np.arange(len(boxes)) % 5 == 4
    rules = CarryingRules(visible, slivers, keep_empty=empty)
    plan = carry_page(Annotations(boxes, None, ("a",), ignore), grid, rules, seed=1)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    dropped = {row for row, _ in plan.objects_left_out}
    shown = {row for tile in plan.tiles for row in tile.source.tolist()}
    assert dropped | shown == set(np.flatnonzero(~ignore).tolist())
    assert not dropped & shown
    for tile in plan.tiles:
        window = tile.window
        assert 0 <= window.x0 < window.x1 <= grid.width
        assert 0 <= window.y0 < window.y1 <= grid.height
        limit = [window.width, window.height] * 2
        assert (tile.boxes >= 0).all()
        assert (tile.boxes <= limit).all()
        inside = np.clip(boxes - [window.x0, window.y0] * 2, 0, limit)
        share = (inside[:, 2] - inside[:, 0]) * (inside[:, 3] - inside[:, 1]) / area
        expected = np.flatnonzero((share >= visible) & ~ignore)
        assert tile.source.tolist() == expected.tolist()
        np.testing.assert_allclose(tile.boxes, inside[expected])
        assert not (share[ignore] > 0).any()
        cut = (share > 0) & (share < visible)
        if slivers == "leave":
            assert not cut.any()
        assert len(tile.masks) == (cut.sum() if slivers == "mask" else 0)
    assert sum(not len(tile.source) for tile in plan.tiles) <= empty
    again = carry_page(Annotations(boxes, None, ("a",), ignore), grid, rules, seed=1)
    assert [t.window for t in again.tiles] == [t.window for t in plan.tiles]


def test_a_reduced_scan_has_its_boxes_reduced():
    grid = Tiling(100, 20, scale=0.5).grid(400, 200)
    plan = carry_page(Annotations([[20, 40, 60, 80]], None, ("a",)), grid, CarryingRules())
    assert plan.tiles[0].boxes.tolist() == [[10, 20, 30, 40]]


def test_an_object_on_a_corner_of_four_tiles_gets_a_window_of_its_own():
    grid = Tiling(100).grid(200, 200)
    plan = carry_page(Annotations([[90, 90, 110, 110]], None, ("a",)), grid, CarryingRules(0.6))
    assert [(tile.window, tile.index) for tile in plan.tiles] == [((50, 50, 150, 150), SHIFTED)]
    assert plan.shifted == 1


def test_objects_that_no_tile_can_show_are_told_with_the_reason():
    grid = Tiling(100).grid(300, 300)
    boxes = [[0, 0, 300, 300], [400, 400, 420, 420], [10, 10, 10, 30]]
    plan = carry_page(Annotations(boxes, None, ("a",)), grid, CarryingRules())
    assert plan.objects_left_out == ((0, carrying.TOO_LARGE), (1, carrying.OUTSIDE), (2, carrying.FLAT))
    assert plan.tiles == ()


def test_tiles_that_an_ignore_region_touches_stay_out_unless_asked():
    grid = Tiling(100).grid(300, 100)
    boxes, ignore = [[10, 10, 30, 30], [60, 60, 120, 90], [250, 10, 270, 30]], [False, True, False]
    page = Annotations(boxes, None, ("a",), ignore)
    plan = carry_page(page, grid, CarryingRules())
    assert [tile.window.x0 for tile in plan.tiles] == [200]
    assert plan.objects_left_out == ((0, carrying.IN_THE_WAY),)
    assert plan.tiles_left_out[carrying.IGNORED] == 2
    masked = carry_page(page, grid, CarryingRules(ignored="mask"))
    assert [tile.masks.tolist() for tile in masked.tiles] == [[[60, 60, 100, 90]], []]
    kept = carry_page(page, grid, CarryingRules(ignored="keep"))
    assert [len(tile.masks) for tile in kept.tiles] == [0, 0]


def test_a_shifted_window_avoids_an_ignore_region():
    grid = Tiling(100).grid(300, 100)
    boxes, ignore = [[80, 10, 95, 30], [10, 10, 20, 90]], [False, True]
    plan = carry_page(Annotations(boxes, None, ("a",), ignore), grid, CarryingRules())
    assert plan.objects_left_out == ()
    assert plan.tiles[0].window.x0 >= 20


def test_tiles_that_the_service_refuses_for_their_sides_are_replaced():
    grid = Tiling(100, edge="clip").grid(130, 100)
    plan = carry_page(Annotations([[110, 10, 120, 20]], None, ("a",)), grid, CarryingRules())
    assert plan.tiles_left_out[carrying.SIDES] == 1
    assert [tile.window for tile in plan.tiles] == [(30, 0, 130, 100)]


def test_empty_tiles_are_kept_when_asked_and_never_ones_that_something_touches():
    grid = Tiling(100).grid(1000, 1000)
    boxes = np.array([[95.0, 95, 110, 110]])
    plan = carry_page(Annotations(boxes, None, ("a",)), grid, CarryingRules(keep_empty=90))
    assert sum(not len(tile.source) for tile in plan.tiles) == 90
    every = carry_page(Annotations(boxes, None, ("a",)), grid, CarryingRules(keep_empty=1000))
    assert sum(not len(tile.source) for tile in every.tiles) == 96
    assert carry_page(Annotations.empty(), grid, CarryingRules()).tiles == ()


def test_crowded_tiles_prefer_windows_without_paint():
    grid = Tiling(100).grid(300, 300)
    left = [[2 + 4 * i, 120, 5 + 4 * i, 130] for i in range(6)]
    right = [[170 + 4 * i, 120, 173 + 4 * i, 130] for i in range(6)]
    middle = [[100 + 4 * i, 120, 103 + 4 * i, 130] for i in range(6)]
    plan = carry_page(
        Annotations(left + middle + right, None, ("a",)), grid, CarryingRules(max_boxes=8, slivers="keep")
    )
    assert plan.objects_left_out == ()
    assert plan.copies == 0
    assert plan.shifted >= 1
    assert not any(len(tile.masks) for tile in plan.tiles)


def test_a_dense_tile_becomes_copies_that_show_each_object_once():
    grid = Tiling(100).grid(100, 100)
    boxes = [[10.0 * x, 10.0 * y, 10 * x + 5, 10 * y + 5] for x in range(10) for y in range(10)]
    plan = carry_page(Annotations(boxes, None, ("a",)), grid, CarryingRules())
    assert [(len(tile.source), len(tile.masks), tile.copy) for tile in plan.tiles] == [
        (50, 50, 0),
        (50, 50, 1),
    ]
    assert plan.copies == 1


@given(st.lists(st.tuples(*[st.floats(0, 100)] * 4), max_size=20))
def test_whole_pixel_boxes_are_outward_inside_and_off_by_at_most_one_pixel(values):
    boxes = np.sort(np.array(values, dtype=np.float64).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    whole = outward(boxes, 100, 100)
    assert (whole >= 0).all()
    assert (whole <= 100).all()
    assert (whole[:, 2:] > whole[:, :2]).all()
    assert (np.abs(whole - boxes) <= 1 + 1e-6).all()
    assert (whole[:, :2] <= boxes[:, :2] + 1e-6).all()
    assert (whole[:, 2:] >= boxes[:, 2:] - 1e-6).all()


def test_paint_covers_masks_and_spares_positives():
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[20:30, 20:30] = 7
    result = painted(pixels, np.array([[10.0, 10, 25, 25]]), np.array([[20.0, 20, 30, 30]]), (255, 254, 253))
    assert (result[20:30, 20:30] == 7).all()
    assert result[10, 10].tolist() == [255, 254, 253]
    assert result[9, 9].tolist() == [0, 0, 0]
    assert (pixels[10, 10] == 0).all()
    assert painted(pixels, np.empty((0, 4)), np.empty((0, 4)), (0, 0, 0)) is pixels


@pytest.mark.parametrize(
    "fields",
    [
        {"min_visible": 0},
        {"min_visible": 2},
        {"slivers": "x"},
        {"ignored": "x"},
        {"max_boxes": 0},
        {"keep_empty": -1},
    ],
)
def test_bad_rules_are_named(fields):
    with pytest.raises(InvalidArgument, match=next(iter(fields))):
        CarryingRules(**fields)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_many_boxes_stay_quick(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 9000, (2000, 2))
    plan = carry_page(
        Annotations(np.concatenate([low, low + 20], axis=1), None, ("a",)),
        Tiling(1024, 128).grid(10000, 10000),
        CarryingRules(),
    )
    assert {row for tile in plan.tiles for row in tile.source.tolist()} == set(range(2000))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), slivers=st.sampled_from(["mask", "keep"]))
def test_painting_surplus_boxes_over_never_reaches_into_one_that_stays(seed, slivers):
    """Crowded pages of overlapping objects: in every copy the pixels of what is labeled are the page's own."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 260, (40, 2))
    boxes = np.concatenate([low, low + rng.uniform(8, 50, (40, 2))], axis=1)
    grid = Tiling(320).grid(320, 320)
    pixels = rng.integers(0, 200, (320, 320, 1), np.uint8)
    plan = carry_page(Annotations(boxes, None, ("x",)), grid, CarryingRules(slivers=slivers, max_boxes=8))
    assert plan.copies
    for tile in plan.tiles:
        result = painted(pixels, tile.masks, tile.boxes, (255,))
        for x0, y0, x1, y1 in outward(tile.boxes, 320, 320).tolist():
            assert (result[y0:y1, x0:x1] == pixels[y0:y1, x0:x1]).all()
        shown = np.zeros(len(boxes), bool)
        shown[tile.source] = True
        for row in np.flatnonzero(~shown):
            free = boxes[row].round().astype(int)
            middle = result[free[1] : free[3], free[0] : free[2]]
            covered = np.zeros((320, 320), bool)
            for x0, y0, x1, y1 in outward(tile.boxes, 320, 320).tolist():
                covered[y0:y1, x0:x1] = True
            assert (middle[~covered[free[1] : free[3], free[0] : free[2]]] == 255).all()
