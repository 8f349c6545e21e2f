"""Matching of predictions with the truth, for evaluation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import checks, overlap
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument

_ANY = -1  # label of a region that acts on all
_CHUNK = 2**16  # cells of a matrix, above which only the pairs are listed


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
    drawn: Collection[str] | None = None,
) -> Matches:
    """Match greedily: the highest score chooses first, each truth is found once.

    With metric "iou" a prediction may find truths of IoU at least `iou`, with "center" those that its center
    lies in; it takes the one of the largest IoU. Labels must have the same name, unless `class_agnostic`.
    Ignored truths are never found. They are COCO's crowds, as in evaluate(): a prediction that found nothing is
    ignored where the share of it inside one of them is at least `iou` (with "center": its center lies in one).
    A region acts on its own label, or on all where its label is one of `drawn` (or with `class_agnostic`): by default
    the labels that nothing else carries, neither a prediction nor another truth. That is evaluate()'s rule, which
    asks all pages; give `drawn` for one page of many. Equal scores keep input order, equal overlaps the first truth.
    """
    checks.instance(predictions, Detections, "predictions")
    checks.instance(truth, Annotations, "truth")
    limit = checks.ratio(iou, "iou")
    if metric not in ("iou", "center"):
        raise InvalidArgument(f"metric={metric!r} is unknown; choose iou or center")
    if isinstance(drawn, str) or not (drawn is None or isinstance(drawn, Collection)):
        raise InvalidArgument(f"drawn={drawn!r} must be a list of labels")
    real = np.flatnonzero(~truth.ignore)
    rows, cols, quality = _candidates(predictions.boxes, truth.boxes[real], limit, metric)
    cols = real[cols]
    labels, truth_labels = _shared_labels(predictions, truth)
    if not class_agnostic and len(rows):
        same = labels[rows] == truth_labels[cols]
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
    if class_agnostic:
        acting = np.full(len(truth), _ANY)
    elif drawn is None:
        acting = acting_labels(truth_labels, truth.ignore, labels)
    else:
        named = np.array([name in drawn for name in truth.names], np.bool_)
        acting = np.where(named[truth.class_ids], _ANY, truth_labels) if len(truth) else truth_labels
    region_labels = acting[truth.ignore]
    ignored = (truth_of < 0) & _covered(
        predictions.boxes, labels, truth.boxes[truth.ignore], region_labels, limit, metric
    )
    return Matches(truth_of, prediction_of, ignored, shares)


def acting_labels(
    truth_labels: NDArray[np.int64], ignore: NDArray[np.bool_], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The label each truth acts on as a region: its own, or -1, all, where nothing else carries it.

    `truth_labels`, `ignore` (t,): of all truths; `labels` (p,): of all predictions.
    """
    return np.where(
        np.isin(truth_labels, np.concatenate([labels, truth_labels[~ignore]])), truth_labels, _ANY
    )


def _candidates(
    found: NDArray[np.float64], real: NDArray[np.float64], limit: float, metric: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs (prediction, truth) that may match and how well, in any order."""
    if metric == "center":
        rows, cols = _centered(found, real)
        return rows, cols, overlap.aligned_iou(found[rows], real[cols])
    count = len(found)
    if count * len(real) > _CHUNK:
        both = overlap.listed(np.concatenate([found, real]), float(np.nextafter(limit, -1)) if limit else 0.0)
        first, second = both.min(axis=1).astype(np.int64), both.max(axis=1).astype(np.int64) - count
        across = (first < count) & (second >= 0)
        first, second = first[across], second[across]
        return first, second, overlap.aligned_iou(found[first], real[second])
    quality = overlap.iou(found, real)
    rows, cols = np.nonzero((quality >= limit) & (quality > 0))
    return rows, cols, quality[rows, cols]


def _centered(
    found: NDArray[np.float64], real: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs whose prediction's center lies in the truth.

    Centers are sorted into strips as high as the truths on average, so that there are at most 3 (truth, strip) a truth,
    and by x within a strip, where the few candidates are found by bisection.
    """
    if not len(found) or not len(real):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    x, y = (found[:, 0] + found[:, 2]) / 2, (found[:, 1] + found[:, 3]) / 2
    low, high = float(y.min()), float(y.max())
    top, bottom = np.clip(real[:, 1], low, high), np.clip(real[:, 3], low, high)
    side = max(float((bottom - top).mean()), (high - low) / len(real), 1e-300)
    strip = ((y - low) / side).astype(np.int64)
    levels, level = np.unique(x, return_inverse=True)
    step = len(levels) + 1
    keys = strip * step + level
    order = np.argsort(keys, kind="stable")
    first_strip, last_strip = ((top - low) / side).astype(np.int64), ((bottom - low) / side).astype(np.int64)
    truths, strips = _spread_out(first_strip, last_strip + 1)
    left = np.searchsorted(levels, real[:, 0])[truths]
    right = np.searchsorted(levels, real[:, 2])[truths]
    begin = np.searchsorted(keys[order], strips * step + left)
    end = np.searchsorted(keys[order], strips * step + np.maximum(left, right))
    entry, places = _spread_out(begin, end)
    rows, cols = order[places], truths[entry]
    inside = (real[cols, 1] <= y[rows]) & (y[rows] < real[cols, 3])
    return rows[inside], cols[inside]


def _spread_out(
    begin: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every number of every range begin..end, and the place of its range."""
    counts = end - begin
    place = np.repeat(np.arange(len(begin)), counts)
    return place, np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts) + begin[place]


def _shared_labels(
    predictions: Detections, truth: Annotations
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels of both, equal where the names are."""
    places: dict[str, int] = {}
    ids = np.array([places.setdefault(name, len(places)) for name in predictions.names], np.int64)
    truth_ids = np.array([places.setdefault(name, len(places)) for name in truth.names], np.int64)
    return (
        ids[predictions.class_ids] if len(ids) else np.zeros(len(predictions), np.int64),
        truth_ids[truth.class_ids] if len(truth_ids) else np.zeros(len(truth), np.int64),
    )


def _covered(
    found: NDArray[np.float64],
    labels: NDArray[np.int64],
    regions: NDArray[np.float64],
    region_labels: NDArray[np.int64],
    limit: float,
    metric: str,
) -> NDArray[np.bool_]:
    """Which boxes lie in a region that acts on them: by share of area, or by center."""
    covered = np.zeros(len(found), np.bool_)
    area = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    x, y = (found[:, 0] + found[:, 2]) / 2, (found[:, 1] + found[:, 3]) / 2
    for (x0, y0, x1, y1), label in zip(regions.tolist(), region_labels.tolist(), strict=True):
        if metric == "center":
            inside = (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)
        else:
            w = np.minimum(found[:, 2], x1) - np.maximum(found[:, 0], x0)
            h = np.minimum(found[:, 3], y1) - np.maximum(found[:, 1], y0)
            shared = np.maximum(w, 0) * np.maximum(h, 0)
            share = np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)
            inside = (share >= limit) & (share > 0)
        covered |= inside & ((labels == label) | (label == _ANY))
    return covered
