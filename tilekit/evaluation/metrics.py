"""Counts, ratios and curves. A ratio without a denominator is None, never 0/0 as a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECALL_POINTS = np.linspace(0.0, 1.0, 101)  # COCO's interpolation


def ratio(part: float, whole: float) -> float | None:
    """part / whole, or None where there is nothing to divide by."""
    return None if whole == 0 else float(part / whole)


def mean(values: Iterable[float | None]) -> float | None:
    """Plain mean of the values that are there; None where none is."""
    given = [value for value in values if value is not None]
    return None if not given else float(sum(given) / len(given))


@dataclass(frozen=True, slots=True)
class Counts:
    """True positives, false positives, false negatives, and what follows from them."""

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP); None where nothing was found."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """TP / (TP + FN); None where there is nothing to find."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None where there is nothing to find and nothing was found."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
        }


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision, recall and F1 of one label as the threshold falls, one point a distinct score.

    `thresholds` (n,) descending; a box counts when its score is at least the threshold.
    `tp`, `fp` (n,) int64; `truths`: true boxes of the label.
    """

    thresholds: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    truths: int

    def __len__(self) -> int:
        return len(self.thresholds)

    @property
    def precision(self) -> NDArray[np.float64]:
        """(n,) precision; every point holds at least one box."""
        return self.tp / (self.tp + self.fp)

    @property
    def recall(self) -> NDArray[np.float64]:
        """(n,) recall; all NaN where the label has no true box."""
        return self.tp / self.truths if self.truths else np.full(len(self), np.nan)

    @property
    def f1(self) -> NDArray[np.float64]:
        """(n,) F1."""
        return 2 * self.tp / (self.tp + self.fp + self.truths)

    @property
    def best(self) -> tuple[float, float] | None:
        """(threshold, F1) of the best F1, the highest threshold of equals; None where F1 is nowhere above 0."""
        if not len(self) or not self.truths:
            return None
        scores = self.f1
        place = int(np.argmax(scores))
        return (float(self.thresholds[place]), float(scores[place])) if scores[place] > 0 else None

    @property
    def middle(self) -> float | None:
        """A threshold for other pages: halfway from that of the best F1 to the next lower score (or 0).

        Here it keeps the same boxes. On other pages the score of the last hit itself would lose every hit
        that scores a little less; of few true boxes that costs several hundredths of F1.
        """
        if self.best is None:
            return None
        place = int(np.argmax(self.f1))
        lower = float(self.thresholds[place + 1]) if place + 1 < len(self) else 0.0
        return (float(self.thresholds[place]) + lower) / 2

    def thinned(self, points: int = 200) -> Curve:
        """At most this many points, evenly chosen, first and last among them."""
        if len(self) <= points:
            return self
        rows = np.unique(np.linspace(0, len(self) - 1, points).round().astype(np.int64))
        return Curve(self.thresholds[rows], self.tp[rows], self.fp[rows], self.truths)


def curve(scores: NDArray[np.float64], hit: NDArray[np.bool_], truths: int) -> Curve:
    """The curve of one label from its predictions (those that count neither way left out)."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], hit[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.empty(0, int)
    tp = np.cumsum(hits)[last] if len(ordered) else np.empty(0, np.int64)
    return Curve(ordered[last], tp.astype(np.int64), (last + 1 - tp).astype(np.int64), truths)


def average_precision(scores: NDArray[np.float64], hit: NDArray[np.bool_], truths: int) -> float | None:
    """AP at one IoU by COCO's 101 recall points; None where the label has no true box.

    Equal to pycocotools: boxes of equal score count one after the other, in input order.
    """
    if truths == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    tp = np.cumsum(hit[order])
    recall = tp / truths
    # the same guard against 0/0 as pycocotools, for equality to the last digit
    precision = tp / (np.arange(1, len(tp) + 1) + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, RECALL_POINTS, side="left")
    reached = place < len(precision)
    return (
        float(np.where(reached, precision[np.minimum(place, max(0, len(precision) - 1))], 0).mean())
        if len(precision)
        else 0.0
    )
