"""evaluate() at scale and the report of many pages."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np

import tilekit as tk
from tilekit.evaluation.coco_metrics import coco_metrics
from tilekit.evaluation.evaluating import evaluate
from tilekit.report.building import write_report

NAMES = ("a", "b", "c", "d", "e")


def pages_of_boxes(pages):
    """80 true boxes and 100 predictions a page, 70 of them near a true box."""
    rng = np.random.default_rng(0)
    truth, found = {}, {}
    for place in range(pages):
        corner = rng.uniform(0, 5000, (80, 2))
        boxes = np.hstack([corner, corner + rng.uniform(8, 60, (80, 2))])
        labels = rng.integers(0, 5, 80)
        near = boxes[:70] + rng.normal(0, 1.5, (70, 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
        corner = rng.uniform(0, 5000, (30, 2))
        rows = np.vstack([near, np.hstack([corner, corner + 20])])
        ids = np.concatenate([labels[:70], rng.integers(0, 5, 30)])
        key = tk.PageKey(f"{place}.png")
        truth[key] = tk.Annotations(boxes, labels, NAMES)
        found[key] = tk.Detections(rows, rng.uniform(0, 1, 100), ids, NAMES)
    return truth, found


def test_evaluate(frame):
    truth, found = pages_of_boxes(frame.pick(10_000, 500))
    timed = frame.pair({"evaluate": lambda: evaluate(truth, found)}, rounds=3, warm=False)
    assert not timed.failed, timed.failed
    frame.record("evaluate.seconds", [cost.seconds for cost in timed.costs["evaluate"]], cost=timed)


def test_against_pycocotools(frame):
    """The same boxes at one IoU: the same average precision, or no figure."""
    truth, found = pages_of_boxes(frame.pick(500, 50))
    ours, theirs = evaluate(truth, found), coco_metrics(truth, found, ious=(0.5,))
    apart = max(abs(row.ap - theirs.per_label[row.label][0.5]) for row in ours.labels)
    if apart > 1e-12:
        frame.record("evaluate.coco", None, f"another average precision, by {apart:.1e}")
        return
    works = {
        "tilekit": lambda: evaluate(truth, found),
        "pycocotools": lambda: coco_metrics(truth, found, ious=(0.5,)),
    }
    timed = frame.pair(works, rounds=3, warm=False)
    frame.record("evaluate.coco", timed.ratio("pycocotools", "tilekit"), "equal AP", cost=timed)


def test_report(frame, fresh):
    if not frame.first:
        return
    scan = frame.scan("jpeg", 2500, 3500)
    folder, pages = fresh(), frame.pick(200, 10)
    rng = np.random.default_rng(1)
    truth, poor, good = {}, [], []
    Path(folder).mkdir()
    for place in range(pages):
        file = Path(folder, f"{place}.jpg")
        shutil.copyfile(scan.path, file)
        key = tk.PageKey(str(file))
        corner = rng.uniform(0, 2400, (30, 2))
        boxes = np.hstack([corner, corner + rng.uniform(12, 60, (30, 2))])
        truth[key] = tk.Annotations(boxes, np.arange(30) % 5, NAMES)
        scores = rng.uniform(0.5, 1, 30)
        all_found = tk.Detections(boxes + 0.5, scores, np.arange(30) % 5, NAMES)
        good.append(tk.PageDetections(key, 2500, 3500, all_found[1:]))
        poor.append(tk.PageDetections(key, 2500, 3500, all_found[::3]))
    runs = {"whole pages": tk.PredictionSet(poor), "tiles": tk.PredictionSet(good)}
    labels = tk.LabelSet(truth, sizes=dict.fromkeys(truth, (2500, 3500)), names=NAMES)
    start = time.perf_counter()
    write_report(Path(folder, "report"), labels, runs)
    frame.record("report.seconds", time.perf_counter() - start, f"{pages} pages of 8.75 Mpx, 30 boxes each")
