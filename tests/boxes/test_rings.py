"""Rings told simple at a glance are so, and their edges equal those of the slow twin."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import tilekit as tk
from tests import naive
from tilekit.boxes.kernels import rings as kernels

whole = st.integers(-6, 6).map(float)
exact = st.floats(-50, 50, width=32).map(float)
ring_points = st.one_of(*(st.lists(st.tuples(one, one), min_size=3, max_size=9) for one in (whole, exact)))


def told(rings):
    points = np.array([point for ring in rings for point in ring], float).reshape(-1, 2)
    starts = np.cumsum([0, *map(len, rings)])
    sure = np.empty(len(rings), np.uint8)
    kernels.simple(points, starts, sure)
    return sure.astype(bool).tolist()


@given(st.lists(ring_points, max_size=5))
def test_what_is_sure_shapely_finds_valid(rings):
    for ring, sure in zip(rings, told(rings), strict=True):
        assert not sure or shapely.is_valid(shapely.Polygon(ring))


@given(st.integers(3, 80), st.integers(0, 2**32), st.sampled_from([0.0, 1e6]))
def test_what_people_draw_is_sure(count, seed, far):
    rng = np.random.default_rng(seed)
    turn = (np.arange(count) + rng.uniform(0.1, 0.9, count)) * 2 * np.pi / count
    ring = rng.uniform(10, 40, (count, 1)) * np.column_stack([np.cos(turn), np.sin(turn)]) + far
    assert told([ring, ring[::-1]]) == [count <= 64] * 2


@pytest.mark.parametrize(
    "ring",
    [
        [(0, 0), (10, 10), (10, 0), (0, 10)],  # crosses itself
        [(0, 0), (10, 0), (5, 0)],  # runs back
        [(0, 0), (10, 0), (10, 10), (5, 0), (0, 10)],  # touches itself
        [(0, 0), (0, 0), (10, 0), (10, 10)],  # a point twice
        [(0, 0), (10, 0), (10, 10), (10, 0), (0, 10)],  # a spike
    ],
)
def test_what_is_not_simple_is_not_sure(ring):
    assert told([ring]) == [False]


def test_a_point_on_a_side_is_no_reason_to_doubt():
    assert told([[(0, 0), (5, 0), (10, 0), (10, 10), (0, 10)]]) == [True]


@given(st.lists(st.lists(ring_points, max_size=3), max_size=5), st.integers(0, 7), st.booleans())
def test_edges_equal_their_slow_twin(rows, holed, long):
    if long:  # more than the kernel sorts
        turn = np.linspace(0, 6, 70)
        rows = [*rows, [np.column_stack([np.cos(turn * 7), np.sin(turn)]).tolist()]]
    holes = [[bool(place and holed >> place & 1) for place in range(len(row))] for row in rows]
    polygons = tk.boxes.Polygons(
        np.array([point for row in rows for ring in row for point in ring], float).reshape(-1, 2),
        np.cumsum([0, *(len(ring) for row in rows for ring in row)]),
        np.cumsum([0, *map(len, rows)]),
        np.array([hole for row in holes for hole in row], bool),
    )
    made, starts, areas = polygons.edges()
    assert len(made) == starts[-1]
    for row, rings in enumerate(rows):
        expected, area = naive.edges([[tuple(point) for point in ring] for ring in rings], holes[row])
        mine = made[starts[row] : starts[row + 1]]
        assert mine[:, 0].tolist() == [edge[0] for edge in expected]
        assert sorted(map(tuple, mine[:, :5].tolist())) == sorted(expected)
        assert areas[row] == pytest.approx(area, abs=1e-9)
        assert mine[:, 5].tolist() == np.maximum.accumulate(mine[:, 2]).tolist()
