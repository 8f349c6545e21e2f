"""Boxes that hurt: ties, duplicates, touching edges, zero area, huge and negative, extreme aspect."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

_whole = st.integers(-20, 60).map(float)
_fine = st.floats(-50, 50, allow_nan=False).map(lambda v: round(v, 3))
_huge = st.sampled_from([-1e99, -1e15, -1e9, 1e9, 1e9 + 1, 1e15, 1e99, 0.0, 1.0, 1.0 + 1e-12])
_wide = st.builds(lambda e, m: m * 10.0**e, st.integers(-3, 6), st.floats(-1, 1, allow_nan=False))


@st.composite
def box_arrays(draw, max_size=40, huge=True):
    """(n, 4) float64, x0 <= x1, y0 <= y1."""
    kinds = [_whole, _fine, _wide, _huge] if huge else [_whole, _fine]
    coordinate = draw(st.sampled_from(kinds))
    rows = draw(st.lists(st.tuples(*[coordinate] * 4), max_size=max_size))
    boxes = np.array(rows, np.float64).reshape(-1, 4)
    boxes = np.concatenate(
        [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1
    )
    if len(boxes) and draw(st.booleans()):
        boxes = boxes[draw(st.lists(st.integers(0, len(boxes) - 1), max_size=max_size))]
    return np.ascontiguousarray(boxes)


def score_arrays(count):
    """(n,) float64 with many ties."""
    value = st.sampled_from([0.0, 0.25, 0.5, 0.5 + 1e-12, 1.0]) | st.floats(0, 1)
    return st.lists(value, min_size=count, max_size=count).map(lambda v: np.array(v, np.float64))


def label_arrays(count, labels=3):
    return st.lists(st.integers(0, labels - 1), min_size=count, max_size=count).map(
        lambda v: np.array(v, np.int64)
    )


thresholds = st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.7, 1.0]) | st.floats(0, 1)
