"""Evaluation as the service describes it: box level, a threshold per label, plain means over labels.

A prediction matches a true box of its label where they overlap by IoU >= 0.5 (the service documents no
value), greedily by score, one truth once. The assumed threshold of a label is the score with its best F1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tilekit.local.training_lines import TrainingLine

IOU = 0.5


class ScoredBox(Protocol):
    """A predicted box."""

    @property
    def line(self) -> int:
        """Place of its image's line."""

    @property
    def label(self) -> str:
        """Its label."""

    @property
    def score(self) -> float:
        """0..1."""

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in px."""


@dataclass(frozen=True, slots=True)
class LabelResult:
    """One label's figures at its assumed threshold."""

    label: str
    images: int
    threshold: float
    precision: float
    recall: float
    f1: float
    average_precision: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All labels' figures, and which predictions matched a true box (in the order given)."""

    labels: tuple[LabelResult, ...]
    matched: tuple[bool, ...]

    @property
    def thresholds(self) -> dict[str, float]:
        """Assumed threshold of each label, 0..1."""
        return {result.label: result.threshold for result in self.labels}

    def mean(self, name: str) -> float:
        """Plain mean of one figure over the labels."""
        values = [float(getattr(result, name)) for result in self.labels]
        return float(np.mean(values)) if values else 0.0

    @property
    def f1(self) -> float:
        """Mean of the labels' F1."""
        return self.mean("f1")


def evaluate(test: Sequence[TrainingLine], predicted: Sequence[ScoredBox]) -> Evaluation:
    """Figures of predictions on the usable test lines."""
    truth: dict[str, dict[int, list[tuple[float, float, float, float]]]] = {}
    for place, line in enumerate(test):
        for box in line.boxes if line.usable else ():
            truth.setdefault(box.label, {}).setdefault(place, []).append(box.corners)
    matched = [False] * len(predicted)
    results = []
    for label in sorted(truth):
        places = [i for i, box in enumerate(predicted) if box.label == label]
        places.sort(key=lambda i: (-predicted[i].score, i))
        hits = _match(truth[label], [predicted[i] for i in places])
        for i, hit in zip(places, hits, strict=True):
            matched[i] = bool(hit)
        total = sum(len(boxes) for boxes in truth[label].values())
        scores = np.array([predicted[i].score for i in places])
        results.append(_figures(label, len(truth[label]), total, scores, hits))
    return Evaluation(tuple(results), tuple(matched))


def _match(
    truth: dict[int, list[tuple[float, float, float, float]]], ordered: Sequence[ScoredBox]
) -> NDArray[np.bool_]:
    left = {place: np.array(boxes, dtype=np.float64) for place, boxes in truth.items()}
    taken = {place: np.zeros(len(boxes), dtype=bool) for place, boxes in truth.items()}
    hits = np.zeros(len(ordered), dtype=bool)
    for i, box in enumerate(ordered):
        if box.line not in left:
            continue
        overlap = np.where(taken[box.line], -1.0, _iou(np.array(box.corners), left[box.line]))
        best = int(overlap.argmax())
        if overlap[best] >= IOU:
            taken[box.line][best] = True
            hits[i] = True
    return hits


def _iou(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    shares: NDArray[np.float64] = inside / np.maximum(areas - inside, 1e-9)
    return shares


def _figures(
    label: str, images: int, total: int, scores: NDArray[np.float64], hits: NDArray[np.bool_]
) -> LabelResult:
    if not len(scores):
        return LabelResult(label, images, 0.5, 0.0, 0.0, 0.0, 0.0)
    found = hits.cumsum()
    counts = np.arange(1, len(hits) + 1)
    precision, recall = found / counts, found / total
    f1 = 2 * found / (counts + total)
    last = np.append(scores[1:] != scores[:-1], True)  # a threshold keeps all boxes of one score, or none
    best = int(np.where(last, f1, -1.0).argmax())
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    average = float(np.sum(np.diff(np.concatenate([[0.0], recall])) * envelope))
    return LabelResult(
        label,
        images,
        float(scores[best]),
        float(precision[best]),
        float(recall[best]),
        float(f1[best]),
        average,
    )
