"""Thresholds for use, fitted per label on pages set aside for it."""

from __future__ import annotations

from tilekit.evaluation.evaluating import evaluate
from tilekit.evaluation.matching import Criterion
from tilekit.evaluation.pages import Predictions, Truth


def fit_thresholds(truth: Truth, predictions: Predictions, *, iou: Criterion = 0.5) -> dict[str, float]:
    """A threshold for each label that gives its best F1 on these pages, for use on others.

    It lies halfway between the score of the best F1, which is the service's assumed threshold, and the
    next lower score: there it keeps the same boxes, and on other pages fewer hits are lost. Fit on pages set aside for it (the tune split), then give the result to `evaluate(thresholds=)`
    or `detect_tiles(thresholds=)`: fitted on the pages one reports on, it flatters. Labels that no
    threshold helps (no true box, or no hit) are left out.
    """
    fitted = evaluate(truth, predictions, iou=iou)
    found = {name: line.middle for name, line in fitted.curves.items()}
    return {name: value for name, value in found.items() if value is not None}
