"""The slow, obvious twin of `evaluate`: loops over pages, labels and boxes."""

from __future__ import annotations

import numpy as np


def iou(a, b):
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(across, 0) * max(down, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def inside(a, b):
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    area = (a[2] - a[0]) * (a[3] - a[1])
    return max(across, 0) * max(down, 0) / area if area > 0 else 0.0


def centered(a, b):
    x, y = (a[0] + a[2]) / 2, (a[1] + a[3]) / 2
    return b[0] <= x < b[2] and b[1] <= y < b[3]


def carried_labels(truths, predictions):
    """Labels that a true box or a prediction of any page carries; regions of other labels act on all."""
    carried = {name for found in predictions.values() for name in found.labels}
    for truth in truths.values():
        carried |= {name for name, skip in zip(truth.labels, truth.ignore, strict=True) if not skip}
    return carried


def match_page(truth, found, criterion, carried):
    """For each prediction: index of its true box, "free" or "ignored"."""
    result = ["free"] * len(found)
    taken = set()
    for i in sorted(range(len(found)), key=lambda i: (-found.scores[i], i)):
        label, box = found.labels[i], found.boxes[i]
        best, best_fit = None, -1.0
        for j in range(len(truth)):
            if truth.ignore[j] or j in taken or truth.labels[j] != label:
                continue
            fit = iou(box, truth.boxes[j])
            good = centered(box, truth.boxes[j]) if criterion == "center" else fit >= criterion
            if good and fit >= best_fit:
                best, best_fit = j, fit
        if best is not None:
            taken.add(best)
            result[i] = best
            continue
        for j in range(len(truth)):
            if not truth.ignore[j] or (truth.labels[j] != label and truth.labels[j] in carried):
                continue
            region = truth.boxes[j]
            if centered(box, region) if criterion == "center" else inside(box, region) >= criterion:
                result[i] = "ignored"
    return result


def counts(truths, predictions, criterion, threshold):
    """label -> (tp, fp, fn) over all pages at one threshold."""
    names = sorted({n for part in (*truths.values(), *predictions.values()) for n in part.labels})
    table = {name: [0, 0, 0] for name in names}
    carried = carried_labels(truths, predictions)
    for key, truth in truths.items():
        found = predictions[key]
        outcome = match_page(truth, found, criterion, carried)
        hit = set()
        for i, what in enumerate(outcome):
            if found.scores[i] < threshold or what == "ignored":
                continue
            table[found.labels[i]][1 if what == "free" else 0] += 1
            hit.add(what)
        for j, label in enumerate(truth.labels):
            if not truth.ignore[j] and j not in hit:
                table[label][2] += 1
    return {name: tuple(row) for name, row in table.items()}


def best_f1(truths, predictions, criterion, label):
    """(threshold, F1) of the best F1 of a label by trying every score; None where F1 is never above 0."""
    scores = sorted({float(s) for p in predictions.values() for s in p.scores}, reverse=True)
    best = None
    for threshold in scores:
        tp, fp, fn = counts(truths, predictions, criterion, threshold).get(label, (0, 0, 0))
        f1 = 2 * tp / (2 * tp + fp + fn) if tp else 0.0
        if f1 > 0 and (best is None or f1 > best[1] + 1e-12):
            best = (threshold, f1)
    return best


def random_pages(seed, pages=3, boxes=12, names=("a", "b"), size=120, ignore=0.2, ties=True):
    """Small crowded pages, integer boxes, repeated scores: what breaks matchers."""
    from tilekit.boxes.annotations import Annotations
    from tilekit.boxes.detections import Detections
    from tilekit.pages import PageKey

    rng = np.random.default_rng(seed)

    def some(count):
        corner = rng.integers(0, size, (count, 2))
        return np.hstack([corner, corner + rng.integers(1, 40, (count, 2))]).astype(float)

    truths, predictions = {}, {}
    for page in range(pages):
        key = PageKey(f"page-{page}.png", 0)
        count = int(rng.integers(0, boxes))
        there = some(count)
        truths[key] = Annotations(
            there, rng.integers(0, len(names), count), names, rng.random(count) < ignore
        )
        near = there + rng.integers(-4, 5, there.shape)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        found = np.vstack([near, some(int(rng.integers(0, boxes)))])
        scores = rng.integers(1, 8, len(found)) / 8 if ties else rng.random(len(found))
        predictions[key] = Detections(found, scores, rng.integers(0, len(names), len(found)), names)
    return truths, predictions
