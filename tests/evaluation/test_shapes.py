"""Evaluation by shapes, at parity with pycocotools; what is confused, and what is lost at borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tilekit as tk
from tests.boxes import shape_strategies as own
from tests.evaluation import naive
from tilekit.errors import EvaluationError, InvalidArgument
from tilekit.evaluation.coco_metrics import coco_metrics
from tilekit.evaluation.matching import find_overlaps, match_pages
from tilekit.evaluation.pages import flatten

A = tk.PageKey("a.png")
BY_SHAPE = tk.EvaluationRules(by="shape")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pycocotools' own


def paired(column, rng):
    """Truth, and predictions that are the same shapes moved a little, in any order."""
    column = column[column.given].moved(40, 40)
    moved = column.moved(rng.integers(-2, 3, len(column)), rng.integers(-2, 3, len(column)))
    truth = tk.Annotations.from_shapes(column, names=["x"]) if len(column) else tk.Annotations.empty(["x"])
    order = rng.permutation(len(column))
    scores = rng.integers(1, 5, len(column)) / 8
    found = (
        tk.Detections.from_shapes(moved[order], scores, names=["x"])
        if len(column)
        else tk.Detections.empty(["x"])
    )
    return {A: truth}, {A: found}


@given(own.masks(1, 5), st.integers(0, 2**32), st.sampled_from([0.3, 0.5, 0.75]))
def test_masks_are_judged_as_pycocotools_segm_does(column, seed, iou):
    truth, found = paired(column, np.random.default_rng(seed))
    if not len(truth[A]):
        return
    ours = tk.evaluate(truth, found, iou, rules=BY_SHAPE)
    theirs = coco_metrics(truth, found, ious=[iou], by="shape")
    assert ours.ap == pytest.approx(theirs.per_label["x"][iou])


@given(st.one_of(own.polygons(1, 4), own.oriented(1, 5)), st.integers(0, 2**32))
def test_outlines_are_judged_pair_by_pair_as_the_slow_twin_does(column, seed):
    truth, found = paired(column, np.random.default_rng(seed))
    shares = tk.iou(found[A].shapes, truth[A].shapes) if len(truth[A]) else np.empty((0, 0))
    if (np.abs(shares - 0.5) < 1e-6).any():
        return
    taken, hits = set(), []
    for i in np.argsort(-found[A].scores, kind="stable").tolist():
        fits = [(shares[i, j], j) for j in range(len(truth[A])) if shares[i, j] >= 0.5 and j not in taken]
        if len({round(fit, 9) for fit, _ in fits}) < len(fits):
            return
        if fits:
            taken.add(max(fits)[1])
            hits.append((i, max(fits)[1]))
    result = tk.match(found[A], truth[A], by="shape")
    assert sorted(hits) == [(i, int(j)) for i, j in enumerate(result.truth_of) if j >= 0]


def test_of_two_equal_truths_the_one_pycocotools_takes_is_taken():
    from pycocotools.cocoeval import COCOeval  # noqa: F401 - the rule is its evaluateImg: the later one of equals

    truth = {A: tk.Annotations([[0, 0, 10, 10], [0, 0, 10, 10]], None, ["x"])}
    found = {A: tk.Detections([[0, 0, 10, 10]], [0.9], None, ["x"])}
    flat = flatten(truth, found)
    assert match_pages(flat, find_overlaps(flat)).tolist() == [1]
    assert tk.match(found[A], truth[A]).prediction_of.tolist() == [-1, 0]


@given(st.integers(0, 10**6))
def test_on_ties_ap_equals_pycocotools(seed):
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 4, (8, 2)) * 4.0
    truth = {A: tk.Annotations(np.hstack([corner, corner + 8]), None, ["x"])}
    corner = rng.integers(0, 4, (9, 2)) * 4.0
    found = {A: tk.Detections(np.hstack([corner, corner + 8]), rng.integers(1, 4, 9) / 4, None, ["x"])}
    theirs = coco_metrics(truth, found, ious=[0.3]).per_label["x"][0.3]
    assert tk.evaluate(truth, found, 0.3).ap == pytest.approx(theirs)


@given(st.integers(0, 10**6))
def test_the_confusion_matrix_adds_up(seed):
    truth, found = naive.random_pages(seed)
    result = tk.evaluate(truth, found, thresholds=0.4)
    table = result.confusion
    for place, row in enumerate(result.labels):
        assert table[place].sum() == row.truths
        assert table[place, place] == row.counts.tp
        assert table[:, place].sum() == row.counts.tp + row.counts.fp
    assert table[-1, -1] == 0


def test_what_was_taken_for_what():
    truth = {A: tk.Annotations([[0, 0, 10, 10], [30, 0, 40, 10], [60, 0, 70, 10]], [0, 0, 1], ["cat", "dog"])}
    found = {
        A: tk.Detections(
            [[0, 0, 10, 10], [30, 0, 40, 10], [90, 0, 99, 9]], [0.9] * 3, [0, 1, 1], ["cat", "dog"]
        )
    }
    result = tk.evaluate(truth, found, thresholds=0.5)
    assert result.confusion.tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert result.mistaken() == [("cat", "dog", 1)]
    assert "1 of 'cat' were taken for 'dog'." in result.table()


def test_what_detect_returns_evaluate_takes_and_tells_of_borders():
    tiling = tk.Tiling(100, 20)
    truth = {A: tk.Annotations([[10, 10, 30, 30], [84, 40, 96, 60], [60, 40, 130, 60]], None, ["x"])}
    found = tk.Detections([[10, 10, 30, 30]], [0.9], None, ["x"])
    page = tk.PageDetections(tk.PageKey("elsewhere.png"), 180, 100, found, (tiling,))
    result = tk.evaluate(truth, {A: page}, thresholds=0.5)
    assert result.micro.tp == 1
    groups = {group.name: (group.counts.tp, group.counts.fn) for group in result.by_border}
    assert groups == {
        "cut in every tile": (0, 1),
        "0 to 16 px from a border": (0, 1),
        "64 px and more from a border": (1, 0),
    }
    assert "cut in every tile 0.000 of 1" in result.table()


@given(st.integers(0, 10**6), st.integers(30, 90), st.sampled_from([0, 10, 0.4]), st.sampled_from([1.0, 0.5]))
def test_margins_are_what_every_tile_says(seed, tile, overlap, scale):
    rng = np.random.default_rng(seed)
    grid = tk.Tiling(tile, overlap, scale=scale).grid(150, 120)
    corner = rng.integers(0, 100, (6, 2))
    boxes = np.hstack([corner, corner + rng.integers(1, 40, (6, 2))]).astype(float)
    for box, margin in zip(grid.to_reduced(boxes), grid.margins(boxes), strict=True):
        best = -np.inf
        for window in grid:
            sides = [
                box[0] - window.x0 if window.x0 > 0 else np.inf,
                box[1] - window.y0 if window.y0 > 0 else np.inf,
                window.x1 - box[2] if window.x1 < grid.width else np.inf,
                window.y1 - box[3] if window.y1 < grid.height else np.inf,
            ]
            best = max(best, min(sides))
        assert margin == pytest.approx(best / scale)


def test_shapes_that_are_not_there_are_asked_for():
    truth, found = naive.random_pages(3)
    with pytest.raises(EvaluationError, match="there are only boxes"):
        tk.evaluate(truth, found, rules=BY_SHAPE)
    with pytest.raises(InvalidArgument, match="by='masks'"):
        tk.EvaluationRules(by="masks")
    with pytest.raises(InvalidArgument, match="size_edges"):
        tk.EvaluationRules(size_edges=(5, 3))
    with pytest.raises(InvalidArgument, match="beside every box"):
        coco_metrics(truth, found, by="shape")
