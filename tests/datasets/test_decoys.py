"""Decoys: only what is far from every true box and every ignore region."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.datasets.decoys import find_decoys, with_decoys
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.pages import PageKey

TRUTH = Annotations([[0, 0, 20, 20], [100, 0, 200, 100]], None, ("a",), [False, True])


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 20, 20], 0),  # a hit
        ([10, 10, 30, 30], 0),  # badly placed, a quarter shared
        ([18, 18, 38, 38], 1),  # a hundredth shared
        ([5, 5, 8, 8], 0),  # inside a true box
        ([-20, -20, 60, 60], 0),  # around a true box
        ([150, 50, 160, 60], 0),  # inside an ignore region
        ([50, 50, 60, 60], 1),
        ([50, 50, 50, 60], 0),  # no area
    ],
)
def test_a_detection_is_a_decoy_only_away_from_what_is_there(box, expected):
    assert len(find_decoys(Detections([box], [0.9], None, ("b",)), TRUTH)) == expected


def test_each_place_is_taught_once_and_weak_ones_never():
    boxes = [[50, 50, 60, 60], [51, 51, 61, 61], [80, 80, 90, 90]]
    found = find_decoys(Detections(boxes, [0.5, 0.9, 0.2], [0, 1, 0], ("b", "c")), TRUTH, name="look-alike")
    assert found.boxes.tolist() == [[51, 51, 61, 61]]
    assert found.names == ("look-alike",)
    with pytest.raises(InvalidArgument, match="decoy_score"):
        find_decoys(Detections(boxes, [0.5, 0.9, 0.2], None, ("b",)), TRUTH, score=2)


@given(st.integers(0, 10_000))
def test_decoys_share_next_to_nothing_with_the_truth(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 300, (60, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 60, (60, 2))], axis=1)
    truth = Annotations(boxes[:20], None, ("a",))
    found = find_decoys(Detections(boxes[20:], rng.uniform(0.3, 1, 40), None, ("a",)), truth)
    for one in found.boxes:
        for other in truth.boxes:
            common = np.prod(np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0))
            smaller = min(np.prod(one[2:] - one[:2]), np.prod(other[2:] - other[:2]))
            assert common <= 0.1 * smaller + 1e-9


def test_pages_are_found_by_path_and_their_sizes_are_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    key = PageKey("a.tif")
    labels = LabelSet({key: TRUTH}, sizes={key: (400, 300)})
    found = Detections([[250, 250, 260, 260]], [0.9], None, ("a",))
    absolute = PredictionSet([PageDetections(PageKey(str(tmp_path / "a.tif")), 400, 300, found)])
    taught, count = with_decoys(labels, [key], absolute)
    assert count == 1
    assert taught[key].labels == ["a", "a", "decoy"]
    assert taught[key].ignore.tolist() == [False, True, False]
    with pytest.raises(LabelError, match="200 x 300"):
        with_decoys(labels, [key], PredictionSet([PageDetections(key, 200, 300, found)]))
