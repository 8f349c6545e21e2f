from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from tests.boxes.strategies import box_arrays, label_arrays, score_arrays
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument
from tilekit.evaluation.matching import FREE, find_overlaps, match, match_pages
from tilekit.evaluation.pages import flatten
from tilekit.pages import PageKey


@given(st.data(), box_arrays(max_size=15), box_arrays(max_size=15), st.sampled_from([0.3, 0.5]))
def test_matching_equals_its_slow_twin(data, found, real, iou):
    scores = data.draw(score_arrays(len(found)))
    ids, truth_ids = data.draw(label_arrays(len(found), 2)), data.draw(label_arrays(len(real), 2))
    predictions = Detections(found, scores, ids, ("a", "b"))
    truth = Annotations(real, truth_ids, ("b", "a"))
    result = match(predictions, truth, iou)
    taken, expected = set(), np.full(len(found), -1)
    for i in sorted(range(len(found)), key=lambda i: -scores[i]):
        shares = [(naive.iou(found[i], real[j]), j) for j in range(len(real))]
        shares = [s for s in shares if s[0] >= iou and s[1] not in taken and ids[i] == 1 - truth_ids[s[1]]]
        if shares:
            expected[i] = max(shares)[1]
            taken.add(expected[i])
    assert result.truth_of.tolist() == expected.tolist()
    for i, j in enumerate(result.truth_of):
        assert j < 0 or result.prediction_of[j] == i
    assert (result.prediction_of >= 0).sum() == len(taken)


def test_ignored_regions_count_neither_way():
    predictions = Detections([[0, 0, 10, 10], [50, 50, 60, 60]], [0.9, 0.8], None, ("a",))
    truth = Annotations([[0, 0, 100, 40]], None, ("b",), [True])
    result = match(predictions, truth)
    assert result.truth_of.tolist() == [-1, -1]
    assert result.ignored.tolist() == [True, False]


def test_center_hits():
    predictions = Detections([[0, 0, 10, 10], [6, 6, 10, 10]], [0.9, 0.8], None, ("a",))
    truth = Annotations([[4, 4, 30, 30], [0, 0, 9, 9]], None, ("a",))
    assert match(predictions, truth, metric="center").truth_of.tolist() == [1, 0]
    with pytest.raises(InvalidArgument, match="metric='middle'"):
        match(predictions, truth, metric="middle")


@given(st.data(), box_arrays(max_size=15), box_arrays(max_size=15))
def test_center_hits_equal_their_slow_twin(data, found, real):
    scores = data.draw(score_arrays(len(found)))
    result = match(Detections(found, scores, None, ("a",)), Annotations(real, None, ("a",)), metric="center")
    taken = {}
    for i in sorted(range(len(found)), key=lambda i: -scores[i]):
        x, y = (found[i][0] + found[i][2]) / 2, (found[i][1] + found[i][3]) / 2
        fits = [
            (naive.iou(found[i], box), j)
            for j, box in enumerate(real)
            if box[0] <= x < box[2] and box[1] <= y < box[3] and j not in taken.values()
        ]
        if fits:
            taken[i] = max(fits)[1]
    assert result.truth_of.tolist() == [taken.get(i, -1) for i in range(len(found))]


def test_a_page_of_many_matches_as_evaluation_does():
    """On the second page nothing carries the crowd's label, on the first something does."""
    names = ("a", "b")
    truth = {
        PageKey("one.png"): Annotations([[0, 0, 10, 10]], [1], names),
        PageKey("two.png"): Annotations([[0, 0, 100, 40]], [1], names, [True]),
    }
    found = {
        PageKey("one.png"): Detections([[0, 0, 10, 10]], [0.9], [1], names),
        PageKey("two.png"): Detections([[0, 0, 10, 10]], [0.9], [0], names),
    }
    flat = flatten(truth, found)
    together = match_pages(flat, find_overlaps(flat))
    assert together.tolist() == [0, FREE]
    page = PageKey("two.png")
    assert match(found[page], truth[page], drawn=()).ignored.tolist() == [False]
    assert match(found[page], truth[page]).ignored.tolist() == [True]
    assert match(found[page], truth[page], drawn={"b"}).ignored.tolist() == [True]
