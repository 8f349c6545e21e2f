from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation import naive
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import EvaluationError, InvalidArgument, LabelError
from tilekit.evaluation.evaluating import evaluate
from tilekit.evaluation.matching import FREE, IGNORED, find_overlaps, match, match_pages
from tilekit.evaluation.metrics import curve
from tilekit.evaluation.pages import flatten
from tilekit.evaluation.rules import EvaluationRules
from tilekit.evaluation.saved import read_evaluation
from tilekit.evaluation.thresholds import fit_thresholds
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.pages import PageKey

A, B = PageKey("a.png"), PageKey("b.png")


def marks(*boxes, names=("x",), ids=None, ignore=None):
    return Annotations(np.array(boxes, float).reshape(-1, 4), ids, names, ignore)


def finds(*boxes, scores, names=("x",), ids=None, cut=None):
    return Detections(np.array(boxes, float).reshape(-1, 4), scores, ids, names, cut=cut)


@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.3, 0.75, "center"]))
def test_counts_equal_the_slow_twin(seed, criterion):
    truth, found = naive.random_pages(seed)
    result = evaluate(truth, found, criterion, thresholds=0.4)
    slow = naive.counts(truth, found, criterion, 0.4)
    fast = {row.label: (row.counts.tp, row.counts.fp, row.counts.fn) for row in result.labels}
    assert {name: fast[name] for name in slow} == slow
    assert all(counts == (0, 0, 0) for name, counts in fast.items() if name not in slow)


@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.3, "center"]), st.booleans())
def test_one_page_matches_as_boxes_match_does_with_ignore_regions(seed, criterion, drawn):
    truth, found = naive.random_pages(seed, pages=1)
    (key,) = truth
    if drawn:  # regions of a label of their own act on all
        marked = truth[key]
        labels = np.where(marked.ignore, 2, marked.class_ids)
        truth[key] = Annotations(marked.boxes, labels, (*marked.names, "legend"), marked.ignore)
    flat = flatten(truth, found)
    matched = match_pages(flat, find_overlaps(flat), criterion)
    way = {"metric": "center"} if criterion == "center" else {"iou": criterion}
    page = match(found[key], truth[key], **way)
    counted = np.flatnonzero(~truth[key].ignore)
    alone = np.where(page.ignored, IGNORED, FREE)
    hits = page.truth_of >= 0
    alone[hits] = np.searchsorted(counted, page.truth_of[hits])
    assert matched.tolist() == alone.tolist()
    slow = naive.match_page(truth[key], found[key], criterion, naive.carried_labels(truth, found))
    assert page.ignored.tolist() == [what == "ignored" for what in slow]
    assert page.truth_of.tolist() == [-1 if what in ("free", "ignored") else what for what in slow]


@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.3]))
def test_all_pages_at_once_match_as_page_by_page(seed, iou):
    truth, found = naive.random_pages(seed, ignore=0)
    flat = flatten(truth, found)
    matched = match_pages(flat, find_overlaps(flat), iou)
    first = dict(zip(flat.pages, np.cumsum([0, *(len(page) for page in truth.values())]), strict=False))
    alone = [
        np.where(part.truth_of >= 0, part.truth_of + first[key], FREE)
        for key, part in ((key, match(found[key], truth[key], iou)) for key in truth)
    ]
    assert matched.tolist() == np.concatenate(alone).tolist()


@given(st.integers(0, 10**6))
def test_assumed_threshold_is_the_best_f1_of_all(seed):
    truth, found = naive.random_pages(seed, pages=2, boxes=8)
    result = evaluate(truth, found)
    for row in result.labels:
        slow = naive.best_f1(truth, found, 0.5, row.label)
        if slow is None:
            assert row.assumed is None
            assert row.threshold == 0.5
        else:
            assert row.assumed == slow[0]
            assert row.f1 == pytest.approx(slow[1])


@given(st.integers(0, 10**6))
def test_sides_are_the_other_criteria_at_the_same_thresholds(seed):
    truth, found = naive.random_pages(seed)
    result = evaluate(truth, found, 0.5, thresholds=0.3)
    for side in result.sides:
        other = evaluate(truth, found, side.criterion, thresholds=0.3)
        assert (side.f1, side.micro) == (other.f1, other.micro)
    assert [side.criterion for side in result.sides] == [0.5, 0.3, "center"]


def test_worked_example():
    """The example of docs/evaluation.md, worked by hand there."""
    truth = {A: marks([0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]), B: marks()}
    found = {
        A: finds([0, 0, 10, 10], [20, 0, 30, 8], [60, 0, 70, 10], scores=[0.9, 0.6, 0.7]),
        B: finds([5, 5, 9, 9], scores=[0.2]),
    }
    result = evaluate(truth, found)
    row = result["x"]
    assert (row.counts.tp, row.counts.fp, row.counts.fn) == (2, 1, 1)
    assert row.assumed == 0.6
    assert row.precision == row.recall == row.f1 == pytest.approx(2 / 3)
    # recall points 0..0.33 see precision 1, 0.34..0.66 see 2/3, the rest 0: (34 + 33 * 2/3) / 101
    assert row.ap == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert result.counting.mean_absolute == 0
    assert result.counting.exact_pages == 2
    assert evaluate(truth, found, thresholds=0.1).counting.bare_false_alarms == 1


def test_ignore_regions_count_neither_way():
    truth = {A: marks([0, 0, 10, 10], [50, 50, 90, 90], ignore=[False, True])}
    found = {A: finds([0, 0, 10, 10], [60, 60, 70, 70], [61, 61, 71, 71], scores=[0.9, 0.8, 0.7])}
    result = evaluate(truth, found, thresholds=0.5)
    assert (result.micro.tp, result.micro.fp, result.micro.fn) == (1, 0, 0)
    assert result.ignored == 2


def test_region_of_a_label_of_its_own_covers_all_labels():
    truth = {
        A: marks([0, 0, 5, 5], [50, 50, 90, 90], names=("x", "legend"), ids=[0, 1], ignore=[False, True])
    }
    found = {A: finds([60, 60, 70, 70], scores=[0.9])}
    assert evaluate(truth, found, thresholds=0.5)["x"].counts.fp == 0


def test_nothing_is_none_not_a_number():
    result = evaluate({A: marks(names=())}, {A: Detections.empty()})
    assert result.f1 is None
    assert result.micro.precision is None
    assert result.ap is None
    one = evaluate({A: marks([0, 0, 5, 5])}, {A: Detections.empty(("x",))})
    assert one["x"].precision is None
    assert one["x"].recall == 0
    assert one["x"].f1 == 0
    assert one["x"].ap == 0
    assert "NaN" not in json.dumps(one.to_json())


def test_labels_nobody_drew_are_false_alarms_and_said():
    result = evaluate(
        {A: marks([0, 0, 5, 5])}, {A: finds([0, 0, 5, 5], scores=[0.9], names=("y",))}, thresholds=0.5
    )
    assert result["y"].counts.fp == 1
    assert result["y"].recall is None
    assert any("'y'" in note for note in result.notes)
    assert result.f1 == 0  # the mean is over labels with truth


def test_pages_without_a_partner():
    truth = {A: marks([0, 0, 5, 5]), B: marks([0, 0, 5, 5])}
    found = {A: finds([0, 0, 5, 5], scores=[0.9])}
    with pytest.raises(EvaluationError, match=r"b\.png"):
        evaluate(truth, found)
    assert evaluate(truth, found, rules=EvaluationRules(missing="empty")).micro.fn == 1
    assert evaluate(truth, found, rules=EvaluationRules(missing="skip")).micro.fn == 0
    with pytest.raises(EvaluationError, match="no page in common"):
        evaluate(truth, {PageKey("c.png"): found[A]}, rules=EvaluationRules(missing="skip"))
    extra = evaluate({A: truth[A]}, {**found, B: found[A]})
    assert any("no truth" in note for note in extra.notes)


def test_pages_are_paired_by_file_name_where_folders_differ():
    result = evaluate(
        {PageKey("s3://bucket/pages/a.png"): marks([0, 0, 5, 5])},
        {PageKey("scans/a.png"): finds([0, 0, 5, 5], scores=[0.9])},
    )
    assert result.f1 == 1
    assert any("file name" in note for note in result.notes)


def test_other_sizes_are_refused():
    class Sized(dict):
        @property
        def sizes(self):
            return {A: (200, 100)}

    page = PageDetections(A, 100, 50, finds([0, 0, 5, 5], scores=[0.9]))
    with pytest.raises(EvaluationError, match="200 x 100"):
        evaluate(Sized({A: marks([0, 0, 5, 5])}), PredictionSet([page]))


def test_incomplete_pages_are_said():
    page = PageDetections(A, 100, 50, finds([0, 0, 5, 5], scores=[0.9]), complete=False)
    result = evaluate({A: marks([0, 0, 5, 5])}, [page])
    assert any("incomplete" in note for note in result.notes)


def test_thresholds_fitted_elsewhere():
    truth, found = naive.random_pages(1, pages=6)
    other_truth = {PageKey(f"tune/{key.source}x"): value for key, value in truth.items()}
    other_found = {PageKey(f"tune/{key.source}x"): value for key, value in found.items()}
    result = evaluate(truth, found, fit=(other_truth, other_found))
    assert "other pages" in result.threshold_source
    assert {k: v for k, v in result.thresholds.items() if v != 0.5} == {
        k: v for k, v in fit_thresholds(truth, found).items() if v != 0.5
    }
    assert "among these" in evaluate(truth, found, fit=(truth, found)).threshold_source
    with pytest.raises(InvalidArgument, match="fit="):
        evaluate(truth, found, fit=(truth, found), thresholds=0.5)


def test_groups_by_size_and_cut():
    truth = {A: marks([0, 0, 10, 10], [20, 0, 60, 40])}
    found = {A: finds([0, 0, 10, 10], [70, 0, 110, 40], scores=[0.9, 0.8], cut=[False, True])}
    result = evaluate(truth, found, thresholds=0.5)
    sizes = {group.name: group.counts for group in result.by_size}
    assert (sizes["under 16 px"].tp, sizes["under 16 px"].fn) == (1, 0)
    assert (sizes["32 to 64 px"].tp, sizes["32 to 64 px"].fp, sizes["32 to 64 px"].fn) == (0, 1, 1)
    assert [(group.counts.tp, group.counts.fp) for group in result.by_cut] == [(1, 0), (0, 1)]


def test_only_some_labels():
    truth = {A: marks([0, 0, 10, 10], [20, 0, 30, 10], names=("x", "y"), ids=[0, 1])}
    found = {A: finds([0, 0, 10, 10], scores=[0.9])}
    assert evaluate(truth, found, rules=EvaluationRules(labels=["x"])).names == ("x",)
    assert evaluate(truth, found, rules=EvaluationRules(labels=["x"])).micro.fn == 0
    with pytest.raises(EvaluationError, match="'z'"):
        evaluate(truth, found, rules=EvaluationRules(labels=["z"]))


def test_saved_and_read_back(tmp_path):
    truth, found = naive.random_pages(5, pages=4)
    result = evaluate(truth, found, name="tiles")
    result.save(tmp_path / "e.json")
    again = read_evaluation(tmp_path / "e.json")
    assert again.to_json() == result.to_json()
    assert again.table() == result.table()
    (tmp_path / "e.json").write_text("{}")
    with pytest.raises(LabelError, match=r"e\.json"):
        read_evaluation(tmp_path / "e.json")


def test_reprs():
    truth, found = naive.random_pages(5)
    result = evaluate(truth, found)
    assert "F1" in repr(result)
    assert "<table>" in result._repr_html_()
    assert "mean of labels" in result.table()


@pytest.mark.parametrize("bad", [0, 1.5, True, "middle"])
def test_bad_criterion(bad):
    with pytest.raises(InvalidArgument, match="iou"):
        evaluate({A: marks()}, {A: Detections.empty()}, bad)


def test_a_threshold_for_other_pages_lies_below_the_last_hit():
    scores = np.array([0.9, 0.8, 0.4, 0.3])
    line = curve(scores, np.array([True, True, False, True]), 2)
    assert line.best == (0.8, 1.0)
    assert line.middle == pytest.approx(0.6)
    assert curve(scores[:2], np.array([True, True]), 2).middle == pytest.approx(0.4)
    assert curve(scores, np.zeros(4, bool), 2).middle is None


def test_boxes_of_tiles_that_are_not_merged_are_refused():
    key = PageKey("a.png")
    truth = {key: Annotations([[0, 0, 9, 9]], None, ["x"])}
    found = Detections([[0, 0, 9, 9]] * 2, [0.9, 0.8], None, ["x"], [0, 1])
    page = PageDetections(key, 20, 20, found, options={"merged": False})
    with pytest.raises(EvaluationError, match=r"of a.png are those of its tiles, not merged .*tune-merge"):
        evaluate(truth, [page])
    assert evaluate(truth, [PageDetections(key, 20, 20, found)]).micro.tp == 1
