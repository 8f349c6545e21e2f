from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation import naive
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument
from tilekit.evaluation.coco_metrics import coco_metrics
from tilekit.evaluation.evaluating import evaluate
from tilekit.pages import PageKey


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_our_ap_equals_pycocotools(seed):
    truth, found = naive.random_pages(seed, pages=4, boxes=25, ties=False)
    theirs = coco_metrics(truth, found, ious=(0.5, 0.75))
    for iou in (0.5, 0.75):
        ours = evaluate(truth, found, iou)
        for row in ours.labels:
            if theirs.per_label[row.label][iou] is None:
                assert row.ap is None
            else:
                assert row.ap == pytest.approx(theirs.per_label[row.label][iou], abs=1e-12)


def test_more_than_100_boxes_a_page_count():
    rng = np.random.default_rng(0)
    corner = np.stack(np.meshgrid(np.arange(30), np.arange(30)), -1).reshape(-1, 2) * 20.0
    boxes = np.hstack([corner, corner + 10])
    truth = {PageKey("dense.png"): Annotations(boxes, None, ("x",))}
    found = {PageKey("dense.png"): Detections(boxes, rng.random(900), None, ("x",))}
    metrics = coco_metrics(truth, found)
    assert metrics.max_boxes == 900
    assert metrics.ap == pytest.approx(1)
    assert (metrics.ap50, metrics.ap75) == (pytest.approx(1), pytest.approx(1))


def test_nothing_to_find():
    metrics = coco_metrics(
        {PageKey("a"): Annotations.empty(("x",))},
        {PageKey("a"): Detections([[0, 0, 1, 1]], [0.5], None, ("x",))},
    )
    assert metrics.ap is None


def test_bad_overlaps():
    with pytest.raises(InvalidArgument, match="ious"):
        coco_metrics({}, {}, ious=())
