"""Pieces whose other half no tile reported grow to the size their label has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tilekit as tk
from tests import naive
from tilekit.boxes.completing import LabelSizes, completed, grown
from tilekit.errors import InvalidArgument

px = st.integers(1, 400).map(float)
sides = st.lists(px, min_size=1, max_size=6).map(tuple)


def naive_extent(seen, given):
    """The extent, not below what is seen, whose mean of shorter over longer with all larger ones is best."""
    larger = [size for size in given if size > seen]
    if not larger:
        return seen
    tried = [size for size in given if size >= seen] + [seen]
    return max(tried, key=lambda one: sum(min(one, size) / max(one, size) for size in larger))


@given(st.lists(st.tuples(px, px, px, px, st.integers(0, 15), st.integers(0, 1)), max_size=6), sides, sides)
def test_completing_equals_its_slow_twin(rows, widths, heights):
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, _, _ in rows]).reshape(-1, 4)
    edges = np.array([row[4] for row in rows], np.uint8)
    labels = np.array([row[5] for row in rows], np.int64)
    known = [LabelSizes("valve", widths, heights), LabelSizes("other", (1.0,), (1.0,))]
    made = completed(boxes, edges, labels, ("pump", "valve"), known, (500, 450))
    for before, after, edge, label in zip(boxes, made, edges.tolist(), labels.tolist(), strict=True):
        if label == 0:
            assert (before == after).all()
            continue
        for axis, limit, given_sizes in ((0, 500, widths), (1, 450, heights)):
            low, high = before[axis], before[axis + 2]
            more = naive_extent(high - low, given_sizes) - (high - low)
            at_low, at_high = edge & (1, 2)[axis], edge & (4, 8)[axis]
            if at_low:
                low = max(low - (more / 2 if at_high else more), 0)
            if at_high:
                high = max(high, min(limit, high + (more / 2 if at_low else more)))
            assert (after[axis], after[axis + 2]) == (pytest.approx(low), pytest.approx(high))


def test_a_piece_is_completed_only_where_its_other_half_was_missed():
    grid = tk.Tiling(100, 40).grid(160, 100)  # tiles at 0 and 60
    policy = tk.MergePolicy(sizes=(LabelSizes("a", (30.0,), (20.0,)),))
    piece = tk.Detections([[90, 10, 100, 30]], [0.9], None, ("a",), [0])
    assert tk.merge(piece, grid, policy).boxes.tolist() == [[90, 10, 120, 30]]
    assert tk.merge(piece, grid).boxes.tolist() == [[90, 10, 104, 30]]
    assert tk.merge(piece, grid, tk.MergePolicy(growth=0)).boxes.tolist() == [[90, 10, 100, 30]]
    other = replace(policy, sizes=(LabelSizes("b", (30.0,), (20.0,)),))
    assert tk.merge(piece, grid, other).boxes.tolist() == [[90, 10, 104, 30]]
    both = tk.Detections([[90, 10, 100, 30], [30, 10, 62, 30]], [0.9, 0.8], None, ("a",), [0, 1])
    assert tk.merge(both, grid, policy).boxes.tolist() == [[90, 10, 122, 30]]
    stream = tk.boxes.StreamingMerge(grid, policy)
    assert stream.add(0, piece).boxes.tolist() == [[90, 10, 120, 30]]


@given(
    st.lists(st.tuples(px, px, px, px, st.integers(0, 15), st.integers(-1, 6)), max_size=6),
    st.integers(20, 150),
    st.sampled_from([0, 0.2, 0.6]),
    st.sampled_from(["shift", "clip", "pad"]),
    st.sampled_from([0.2, 0.4]),
)
def test_growing_equals_its_slow_twin(rows, tile, overlap, edge, growth):
    grid = tk.Tiling(tile, overlap, edge).grid(500, 450)
    boxes = np.array([[x, y, min(x + w, 500.0), min(y + h, 450.0)] for x, y, w, h, _, _ in rows]).reshape(
        -1, 4
    )
    for box, row in zip(boxes, rows, strict=True):  # most of them near a border of a tile
        window = grid[row[5] % len(grid)]
        if row[5] >= 0 and box[0] < window.x1 <= 500:
            box[2] = window.x1 - row[5] / 2
        elif row[5] >= 0 and window.y0 < box[3]:
            box[1] = window.y0 + row[5] / 2
    edges = np.array([row[4] for row in rows], np.uint8)
    made = grown(boxes, edges, grid, growth, 2.0)
    expected = [naive.grown(box, edge, grid, growth, 2.0) for box, edge in zip(boxes, edges, strict=True)]
    assert made.tolist() == [pytest.approx(one) for one in expected]


def test_a_piece_grows_where_the_tile_beyond_should_have_seen_it():
    grid = tk.Tiling(100, 40).grid(160, 100)
    near = tk.Detections(
        [[60, 10, 97, 60]], [0.9], None, ("a",), [0]
    )  # ends before the border: its end was seen
    assert tk.merge(near, grid, tk.MergePolicy(relative_tolerance=0.1)).cut.tolist() == [True]
    assert tk.merge(near, grid, tk.MergePolicy(relative_tolerance=0.1)).boxes.tolist() == [[60, 10, 97, 60]]
    apart = tk.Tiling(100, 0).grid(200, 100)  # the tile beyond shows none of it
    piece = tk.Detections([[60, 10, 100, 60]], [0.9], None, ("a",), [0])
    assert tk.merge(piece, apart).boxes.tolist() == [[60, 10, 100, 60]]
    assert tk.merge(piece, grid).boxes.tolist() == [[60, 10, 116, 60]]


@pytest.mark.parametrize(
    ("tile", "box", "grown"),
    [
        (0, [60, 10, 100, 60], [60, 10, 116, 60]),
        (1, [0, 10, 40, 60], [44, 10, 100, 60]),
        (0, [10, 60, 60, 100], [10, 60, 60, 116]),
        (2, [10, 0, 60, 40], [10, 44, 60, 100]),
        (0, [30, 30, 60, 60], [30, 30, 60, 60]),
    ],
)
def test_a_piece_grows_over_each_of_the_four_edges(tile, box, grown):
    grid = tk.Tiling(100, 40).grid(160, 160)
    found = tk.Detections([box], [0.9], None, ("a",), [tile])
    assert tk.merge(found, grid).boxes.tolist() == [grown]


def test_shapes_stay_as_they_were_seen():
    grid = tk.Tiling(100, 40).grid(160, 100)
    policy = tk.MergePolicy(sizes=(LabelSizes("a", (30.0,), (20.0,)),))
    outline = tk.boxes.Polygons.of([[[90, 10, 100, 10, 100, 30, 90, 30]]])
    piece = tk.Detections([[90, 10, 100, 30]], [0.9], None, ("a",), [0], shapes=outline)
    merged = tk.merge(piece, grid, policy)
    assert merged.boxes.tolist() == merged.shapes.boxes.tolist() == [[90, 10, 100, 30]]


def test_large_boxes_may_be_off_by_more():
    grid = tk.Tiling(1000, 200).grid(1800, 1000)  # tiles at 0 and 800
    ends_early = tk.Detections([[700, 10, 988, 300], [2, 10, 400, 300]], [0.9, 0.5], None, ("a",), [0, 1])
    assert tk.merge(ends_early, grid).boxes.tolist() == [[700, 10, 1200, 300]]
    assert len(tk.merge(ends_early, grid, tk.MergePolicy(relative_tolerance=0))) == 2


def test_whole_boxes_of_two_tiles_need_less_overlap():
    grid = tk.Tiling(100, 40).grid(160, 100)
    apart = [[70, 10, 80, 40], [13.75, 10, 23.75, 40]]  # IoU 0.45 on the page
    found = tk.Detections(apart, [0.9, 0.8], None, ("a",), [0, 1])
    assert len(tk.merge(found, grid)) == 1
    same_tile = tk.Detections([apart[0], [73.75, 10, 83.75, 40]], [0.9, 0.8], None, ("a",), [0, 0])
    assert len(tk.merge(same_tile, grid)) == 2


def test_a_policy_goes_to_json_and_back_and_bad_fields_are_named():
    policy = tk.MergePolicy(tolerance=3, sizes=(LabelSizes("a", (30.0,), (20.0,)),))
    assert tk.MergePolicy.from_json(policy.to_json()) == policy
    with pytest.raises(InvalidArgument, match="no field 'tolerence'"):
        tk.MergePolicy.from_json({"tolerence": 3})
    with pytest.raises(InvalidArgument, match="object of fields"):
        tk.MergePolicy.from_json([])
    with pytest.raises(InvalidArgument, match="name, widths and heights"):
        tk.MergePolicy.from_json({"sizes": [{"label": "a"}]})
    with pytest.raises(InvalidArgument, match="widths"):
        LabelSizes("a", (float("nan"),), ())
    with pytest.raises(InvalidArgument, match="sizes must be"):
        tk.MergePolicy(sizes=("a",))
