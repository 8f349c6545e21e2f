from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from tests.boxes.strategies import box_arrays, label_arrays, score_arrays, thresholds
from tilekit.boxes.suppression import nms
from tilekit.errors import InvalidArgument


@given(st.data(), box_arrays(), thresholds, st.sampled_from(["iou", "ios"]), st.booleans())
def test_nms_equals_its_slow_twin(data, boxes, threshold, metric, labeled):
    scores = data.draw(score_arrays(len(boxes)))
    labels = data.draw(label_arrays(len(boxes))) if labeled else None
    expected = naive.nms(boxes, scores, labels, threshold, metric)
    assert nms(boxes, scores, labels, threshold, metric).tolist() == expected
    assert nms(boxes, scores, labels, threshold, metric, class_agnostic=True).tolist() == naive.nms(
        boxes, scores, None, threshold, metric
    )


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
        ({"metric": "giou"}, "metric='giou'"),
    ],
)
def test_bad_input_is_named(change, sentence):
    good = {"boxes": [[0, 0, 1, 1], [0, 0, 2, 2]], "scores": [0.5, 0.6]}
    with pytest.raises(InvalidArgument, match=sentence):
        nms(**(good | change))
