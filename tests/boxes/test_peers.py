"""Suppressing and merging beside SAHI's and supervision's own functions, on crowds of boxes and shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tilekit as tk

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
seeds = st.integers(0, 2**32)


def crowd(seed: int, count: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes over one another, distinct scores, two labels."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(5, 30, (count, 2))])
    return boxes, rng.permutation(count) / count * 0.9 + 0.05, rng.integers(0, 2, count)


@pytest.mark.parametrize("metric", ["iou", "ios"])
@settings(max_examples=15)
@given(seeds, st.sampled_from([0.2, 0.5, 0.8]), st.booleans())
def test_nmm_is_sahis_greedy_nmm(metric, seed, threshold, agnostic):
    from sahi.postprocess.combine import GreedyNMMPostprocess
    from sahi.prediction import ObjectPrediction

    boxes, scores, labels = crowd(seed)
    predictions = [
        ObjectPrediction(bbox=box, score=score, category_id=label, category_name=str(label))
        for box, score, label in zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True)
    ]
    theirs = GreedyNMMPostprocess(threshold, metric.upper(), class_agnostic=agnostic)(predictions)
    ours = tk.nmm(boxes, scores, labels, threshold, metric, class_agnostic=agnostic)
    wanted = sorted((*one.bbox.to_xyxy(), one.score.value, one.category.id) for one in theirs)
    made = sorted(
        (*box, score, label)
        for box, score, label in zip(
            ours.boxes.tolist(), ours.scores.tolist(), ours.class_ids.tolist(), strict=True
        )
    )
    assert np.allclose(made, wanted, atol=1e-3)  # theirs compares in 32 bits


@pytest.mark.parametrize("metric", ["iou", "ios"])
@settings(max_examples=15)
@given(seeds, st.sampled_from([0.2, 0.5, 0.8]))
def test_nms_is_supervisions(metric, seed, threshold):
    import supervision as sv

    boxes, scores, labels = crowd(seed)
    table = np.column_stack([boxes, scores, labels])
    how = sv.detection.utils.iou_and_nms.OverlapMetric.from_value(metric)
    keep = sv.box_non_max_suppression(table, threshold, how)
    assert sorted(tk.nms(boxes, scores, labels, threshold, metric)) == np.flatnonzero(keep).tolist()


@settings(max_examples=10)
@given(seeds, st.sampled_from([0.2, 0.5]))
def test_oriented_nms_is_supervisions(seed, threshold):
    from supervision.detection.utils import iou_and_nms

    rng = np.random.default_rng(seed)
    _, scores, labels = crowd(seed, 15)
    rows = np.column_stack(
        [rng.uniform(0, 50, (15, 2)), rng.uniform(5, 30, (15, 2)), rng.uniform(-180, 180, 15)]
    )
    turned = tk.boxes.OrientedBoxes(rows)
    shares = tk.iou(turned, turned)
    if (np.abs(shares - threshold) < 1e-4).any():
        return
    assert np.allclose(shares, iou_and_nms.oriented_box_iou_batch(turned.corners, turned.corners), atol=1e-4)
    table = np.column_stack([turned.boxes, scores, labels])
    keep = iou_and_nms.oriented_box_non_max_suppression(table, turned.corners, threshold)
    assert sorted(tk.nms(turned, scores, labels, threshold)) == np.flatnonzero(keep).tolist()


@settings(max_examples=10)
@given(seeds, st.sampled_from([0.25, 0.55]))
def test_mask_nms_is_supervisions(seed, threshold):
    import supervision as sv

    rng = np.random.default_rng(seed)
    _, scores, labels = crowd(seed, 12)
    pictures = np.zeros((12, 60, 60), bool)
    for picture in pictures:
        x, y, w, h = rng.integers(0, 30, 2).tolist() + rng.integers(8, 28, 2).tolist()
        picture[y : y + h, x : x + w] = rng.random((h, w)) < 0.8
    masks = tk.boxes.Masks.from_arrays(list(pictures))
    table = np.column_stack([masks.boxes, scores, labels])
    keep = sv.mask_non_max_suppression(table, pictures, threshold)
    assert sorted(tk.nms(masks, scores, labels, threshold)) == np.flatnonzero(keep).tolist()
