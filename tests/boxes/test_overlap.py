from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests import naive
from tests.boxes.strategies import box_arrays, thresholds
from tilekit.boxes.overlap import aligned_further, aligned_iou, diou, giou, ios, iou, pairs
from tilekit.errors import InvalidArgument


@given(box_arrays(max_size=15), box_arrays(max_size=15))
def test_matrices_equal_their_slow_twins(one, other):
    for fast, slow in ((iou, naive.iou), (ios, naive.ios), (giou, naive.giou), (diou, naive.diou)):
        expected = np.array([[slow(a, b) for b in other] for a in one]).reshape(len(one), len(other))
        np.testing.assert_allclose(fast(one, other), expected, rtol=1e-12, atol=1e-15)


@given(box_arrays(max_size=15), box_arrays(max_size=15))
def test_row_by_row_is_the_diagonal_of_the_matrix(one, other):
    count = min(len(one), len(other))
    one, other = one[:count], other[:count]
    np.testing.assert_allclose(aligned_iou(one, other), np.diag(iou(one, other)), rtol=1e-12, atol=1e-15)
    for kind, matrix in (("giou", giou), ("diou", diou)):
        found = aligned_further(one, other, kind)
        np.testing.assert_allclose(found, np.diag(matrix(one, other)), rtol=1e-9, atol=1e-12)


def test_boxes_without_area_share_nothing_row_by_row():
    line, point = np.array([[0, 0, 9, 0.0]]), np.array([[3, 3, 3, 3.0]])
    for one, other in ((line, line), (point, point), (line, point)):
        assert aligned_iou(one, other) == 0
        for kind, matrix in (("giou", giou), ("diou", diou)):
            assert aligned_further(one, other, kind) == matrix(one, other)[0]


@given(box_arrays(), thresholds)
def test_pairs_equal_the_matrix(boxes, threshold):
    found = pairs(boxes, threshold)
    expected = [
        (i, j, naive.iou(boxes[i], boxes[j]))
        for i in range(len(boxes))
        for j in range(i + 1, len(boxes))
        if naive.iou(boxes[i], boxes[j]) > threshold
    ]
    assert (
        list(zip(found.first.tolist(), found.second.tolist(), found.overlap.tolist(), strict=True))
        == expected
    )


@pytest.mark.parametrize("octaves", [0.5, 2, 4, 12, 40])
@pytest.mark.parametrize("extent", [10.0, 200.0, 5000.0])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.9])
def test_pairs_of_every_mix_of_sizes(octaves, extent, threshold):
    rng = np.random.default_rng(int(extent + 10 * octaves))
    corner = rng.uniform(-extent, extent, (250, 2))
    sides = 30 * np.exp2(rng.uniform(-octaves, 0, (250, 1))) * rng.uniform(0.5, 1, (250, 2))
    boxes = np.concatenate([corner, corner + sides], axis=1)
    found = pairs(boxes, threshold)
    first, second = np.nonzero(np.triu(iou(boxes, boxes), 1) > threshold)
    assert (found.first.tolist(), found.second.tolist()) == (first.tolist(), second.tolist())


def test_bad_input_is_named():
    with pytest.raises(InvalidArgument, match=r"others\[0\]"):
        iou([[0, 0, 1, 1]], [[1, 0, 0, 1]])
    with pytest.raises(InvalidArgument, match="threshold"):
        pairs([[0, 0, 1, 1]], -0.1)
