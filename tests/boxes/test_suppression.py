from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from tests.boxes.strategies import box_arrays, label_arrays, score_arrays, thresholds
from tilekit.boxes import overlap
from tilekit.boxes.suppression import nms
from tilekit.errors import InvalidArgument


@given(st.data(), box_arrays(), thresholds, st.sampled_from(["iou", "ios", "giou", "diou"]), st.booleans())
def test_nms_equals_its_slow_twin(data, boxes, threshold, metric, labeled):
    scores = data.draw(score_arrays(len(boxes)))
    labels = data.draw(label_arrays(len(boxes))) if labeled else None
    expected = naive.nms(boxes, scores, labels, threshold, metric)
    assert nms(boxes, scores, labels, threshold, metric).tolist() == expected
    assert nms(boxes, scores, labels, threshold, metric, class_agnostic=True).tolist() == naive.nms(
        boxes, scores, None, threshold, metric
    )


@given(
    seed=st.integers(0, 2**32),
    count=st.integers(49, 400),
    extent=st.sampled_from([30.0, 300.0, 3000.0, 1e5]),
    decades=st.sampled_from([0.0, 3.0, 14.0]),
    threshold=thresholds,
    labels=st.sampled_from([1, 3, 50]),
    whole=st.booleans(),
)
def test_nms_of_many_boxes_equals_its_slow_twin(seed, count, extent, decades, threshold, labels, whole):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-extent, extent, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 40, (count, 2))], axis=1)
    boxes *= np.exp(rng.uniform(-decades / 2, decades / 2, (count, 1)))
    boxes = np.round(boxes) if whole else boxes
    scores = np.round(rng.normal(size=count), int(rng.integers(1, 12)))
    ids = rng.integers(0, labels, count)
    assert nms(boxes, scores, ids, threshold).tolist() == naive.nms(boxes, scores, ids, threshold)


@pytest.mark.parametrize("count", [49, 100, 1000])
def test_a_heap_in_one_cell_has_more_pairs_than_there_is_room_for(count):
    rng = np.random.default_rng(count)
    corner = rng.uniform(0, 1, (count, 2))
    boxes, scores = np.concatenate([corner, corner + 20], axis=1), rng.random(count)
    assert nms(boxes, scores).tolist() == [int(scores.argmax())]
    assert overlap.listed_within(boxes, 0.5, 64, 2**40, 64)[1] == -1
    assert len(overlap.pairs(boxes).first) == count * (count - 1) // 2


@pytest.mark.parametrize("distribution", ["identical", "line", "heap", "nested", "points"])
def test_nms_of_awkward_heaps(distribution):
    count = 3000
    rng = np.random.default_rng(5)
    step = np.arange(count, dtype=float)
    boxes = {
        "identical": np.tile([3.0, 4, 50, 60], (count, 1)),
        "line": np.column_stack([step, 0 * step, step + 40, 0 * step + 30]),
        "heap": np.tile(rng.uniform(0, 100, (count, 2)), 2) + np.array([0, 0, 40, 40]),
        "nested": np.column_stack([-step, -step, step, step]),
        "points": np.tile(rng.integers(0, 5, (count, 2)).astype(float), 2),
    }[distribution]
    scores = rng.random(count)
    order = np.argsort(-scores)
    alive, kept = np.ones(count, bool), []
    for i in order:
        if alive[i]:
            kept.append(int(i))
            shared = np.clip(
                np.minimum(boxes[i, 2:], boxes[:, 2:]) - np.maximum(boxes[i, :2], boxes[:, :2]), 0, None
            )
            inter = shared.prod(axis=1)
            area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
            with np.errstate(invalid="ignore"):
                alive &= ~(inter / (area[i] + area - inter) > 0.5)
    assert nms(boxes, scores).tolist() == kept


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"boxes": [[0, 0, 1]]}, "boxes must have shape"),
        ({"boxes": [[0, 0, 1, 1], [0, 0, np.nan, 1]]}, r"boxes\[1\]"),
        ({"boxes": [[0, 0, 1, 1], [3, 0, 1, 1]]}, r"boxes\[1\]"),
        ({"boxes": [[0, 0, 1, 1e200], [3, 0, 1, 1]]}, r"boxes\[0\]"),
        ({"boxes": np.array([["a"] * 4] * 2, dtype=object)}, "boxes must be an array of numbers"),
        ({"scores": [0.5, np.nan]}, r"scores\[1\]"),
        ({"scores": [0.5]}, "scores must have one value per box"),
        ({"class_ids": [0.5, 1]}, "class_ids must be whole numbers"),
        ({"class_ids": [1]}, "class_ids must have one value per box"),
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"metric": "nearest"}, "metric='nearest'"),
    ],
)
def test_bad_input_is_named(change, sentence):
    good = {"boxes": [[0, 0, 1, 1], [0, 0, 2, 2]], "scores": [0.5, 0.6]}
    with pytest.raises(InvalidArgument, match=sentence):
        nms(**(good | change))
