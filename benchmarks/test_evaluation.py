"""evaluate() at scale: 10^6 predictions on 10^4 pages, beside pycocotools on the same boxes."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.evaluation.coco_metrics import coco_metrics
from tilekit.evaluation.evaluating import evaluate
from tilekit.pages import PageKey

PAGES = int(os.environ.get("TILEKIT_BENCH_PAGES", "10000"))
NAMES = tuple("abcde")


@pytest.fixture(scope="module")
def data():
    """80 true boxes and 100 predictions a page, 70 of them near a true box."""
    rng = np.random.default_rng(0)
    truth, found = {}, {}
    for place in range(PAGES):
        key = PageKey(f"{place}.png")
        corner = rng.uniform(0, 5000, (80, 2))
        boxes = np.hstack([corner, corner + rng.uniform(8, 60, (80, 2))])
        labels = rng.integers(0, 5, 80)
        near = boxes[:70] + rng.normal(0, 1.5, (70, 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
        corner = rng.uniform(0, 5000, (30, 2))
        rows = np.vstack([near, np.hstack([corner, corner + 20])])
        ids = np.concatenate([labels[:70], rng.integers(0, 5, 30)])
        truth[key] = Annotations(boxes, labels, NAMES)
        found[key] = Detections(rows, rng.uniform(0, 1, 100), ids, NAMES)
    return truth, found


def test_evaluate(benchmark, data):
    result = benchmark.pedantic(evaluate, data, rounds=3)
    assert result.micro.tp + result.micro.fn == 80 * PAGES


def test_against_pycocotools(data):
    keys = list(data[0])[: max(1, PAGES // 20)]
    part = tuple({key: side[key] for key in keys} for side in data)
    start = time.perf_counter()
    ours = evaluate(*part)
    middle = time.perf_counter()
    theirs = coco_metrics(*part, ious=(0.5,))
    end = time.perf_counter()
    print(
        f"\n{len(keys)} pages: tilekit {middle - start:.2f} s (3 criteria), pycocotools {end - middle:.2f} s (1 IoU)"
    )
    for row in ours.labels:
        assert row.ap == pytest.approx(theirs.per_label[row.label][0.5], abs=1e-12)
