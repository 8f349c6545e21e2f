"""Matching of predictions with the truth, for evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import checks, overlap
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument

_INSIDE = 0.5  # share of a prediction inside an ignored box that makes it count neither way
_CHUNK = 2**22  # cells of a matrix at a time


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Who found whom on one page.

    `truth_of` (p,) int64: the truth each prediction found, -1 for none; `prediction_of` (t,) int64: the
    prediction that found each truth, -1 for none; `ignored` (p,) bool: predictions that count neither way;
    `overlap` (p,) float64: IoU with the truth found, 0 for none.
    """

    truth_of: NDArray[np.int64]
    prediction_of: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    overlap: NDArray[np.float64]


def match(
    predictions: Detections,
    truth: Annotations,
    iou: float = 0.5,
    metric: Literal["iou", "center"] = "iou",
    class_agnostic: bool = False,
) -> Matches:
    """Match greedily: the highest score chooses first, each truth is found once.

    With metric "iou" a prediction may find truths of IoU at least `iou` and takes the largest; with "center"
    those that its center lies in, and takes the nearest center. Labels must have the same name, unless
    `class_agnostic`. Ignored truths are never found: a prediction that found none and lies at least half
    in one (of any label) is ignored. Equal scores keep input order, equal overlaps the first truth.
    """
    limit = checks.ratio(iou, "iou")
    if metric not in ("iou", "center"):
        raise InvalidArgument(f"metric={metric!r} is unknown; choose iou or center")
    real = np.flatnonzero(~truth.ignore)
    rows, cols, quality = _candidates(predictions.boxes, truth.boxes[real], limit, metric)
    cols = real[cols]
    if not class_agnostic and len(rows):
        named = {name: place for place, name in enumerate(truth.names)}
        ids = np.array([named.get(name, -1) for name in predictions.names], np.int64)
        same = ids[predictions.class_ids[rows]] == truth.class_ids[cols]
        rows, cols, quality = rows[same], cols[same], quality[same]
    rank = np.empty(len(predictions), np.int64)
    rank[np.argsort(-predictions.scores, kind="stable")] = np.arange(len(predictions))
    truth_of = np.full(len(predictions), -1, np.int64)
    prediction_of = np.full(len(truth), -1, np.int64)
    for place in np.lexsort((cols, -quality, rank[rows])).tolist():
        row, col = rows[place], cols[place]
        if truth_of[row] < 0 and prediction_of[col] < 0:
            truth_of[row], prediction_of[col] = col, row
    shares = np.zeros(len(predictions))
    hits = np.flatnonzero(truth_of >= 0)
    shares[hits] = overlap.aligned_iou(predictions.boxes[hits], truth.boxes[truth_of[hits]])
    ignored = (truth_of < 0) & _mostly_inside(predictions.boxes, truth.boxes[truth.ignore])
    return Matches(truth_of, prediction_of, ignored, shares)


def _candidates(
    found: NDArray[np.float64], real: NDArray[np.float64], limit: float, metric: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs (prediction, truth) that may match and how well, in any order."""
    count = len(found)
    if metric == "iou" and count * len(real) > _CHUNK:
        both = overlap.listed(np.concatenate([found, real]), float(np.nextafter(limit, -1)) if limit else 0.0)
        first, second = both.min(axis=1).astype(np.int64), both.max(axis=1).astype(np.int64) - count
        across = (first < count) & (second >= 0)
        first, second = first[across], second[across]
        return first, second, overlap.aligned_iou(found[first], real[second])
    parts = []
    step = max(1, _CHUNK // max(1, len(real)))
    for start in range(0, count, step):
        part = found[start : start + step]
        if metric == "iou":
            quality = overlap.iou(part, real)
            rows, cols = np.nonzero((quality >= limit) & (quality > 0))
        else:
            x, y = (part[:, 0] + part[:, 2]) / 2, (part[:, 1] + part[:, 3]) / 2
            inside = (real[:, 0] <= x[:, None]) & (x[:, None] < real[:, 2])
            inside &= (real[:, 1] <= y[:, None]) & (y[:, None] < real[:, 3])
            quality = -np.hypot(
                x[:, None] - (real[:, 0] + real[:, 2]) / 2, y[:, None] - (real[:, 1] + real[:, 3]) / 2
            )
            rows, cols = np.nonzero(inside)
        parts.append((rows + start, cols, quality[rows, cols]))
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    return (
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
    )


def _mostly_inside(found: NDArray[np.float64], regions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes lie at least half in one of the regions; boxes without area by their corner."""
    inside = np.zeros(len(found), np.bool_)
    area = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    for x0, y0, x1, y1 in regions:
        w = np.minimum(found[:, 2], x1) - np.maximum(found[:, 0], x0)
        h = np.minimum(found[:, 3], y1) - np.maximum(found[:, 1], y0)
        inside |= (w >= 0) & (h >= 0) & (w * h >= _INSIDE * area)
    return inside
