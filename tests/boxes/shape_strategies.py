"""Hypothesis strategies for shapes of every kind."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tilekit.boxes.shapes import Keypoints, Masks, OrientedBoxes, Polygons

numbers = st.integers(-400, 400).map(lambda k: k / 4)
points = st.tuples(numbers, numbers)
rings = st.lists(points, min_size=3, max_size=6).filter(lambda ring: ring[0] != ring[-1])


def polygons(min_size=0, max_size=5, bare=True):
    parts = st.lists(rings, min_size=1, max_size=3)
    objects = st.one_of(st.none(), parts) if bare else parts
    return st.lists(objects, min_size=min_size, max_size=max_size).map(Polygons.of)


def oriented(min_size=0, max_size=5):
    sides = st.integers(0, 200).map(lambda k: k / 4)
    row = st.tuples(numbers, numbers, sides, sides, st.floats(-720, 720, width=32))
    return st.lists(row, min_size=min_size, max_size=max_size).map(
        lambda rows: OrientedBoxes(np.array(rows, float).reshape(-1, 5))
    )


@st.composite
def masks(draw, min_size=0, max_size=5):
    count = draw(st.integers(min_size, max_size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    arrays = [rng.random(rng.integers(0, 12, 2)) < rng.choice([0.0, 0.2, 0.7, 1.0]) for _ in range(count)]
    return Masks.from_arrays(arrays, rng.integers(-20, 40, (count, 2)))


def keypoints(min_size=0, max_size=5):
    def point(entry):
        x, y, seen = entry
        return (x, y, seen) if seen else (0.0, 0.0, 0)

    each = st.tuples(numbers, numbers, st.integers(0, 2)).map(point)
    objects = st.one_of(st.none(), st.lists(each, min_size=1, max_size=4))
    return st.lists(objects, min_size=min_size, max_size=max_size).map(Keypoints.of)


def shapes(min_size=0, max_size=5):
    """A column of any kind."""
    return st.one_of(*(kind(min_size, max_size) for kind in (polygons, oriented, masks, keypoints)))
