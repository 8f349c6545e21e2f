"""Matching of predictions to truth on all pages at once, in arrays.

Greedy by score, as COCO does and as the service seems to: per page and label, the best prediction
first takes the free true box it fits best (IoU, of boxes or of shapes), the last one of equals as pycocotools does; one
true box is taken once. All pages go together, because a call a page costs more than the work; `match` is the same for
one page. Ignore regions are COCO's crowds: of their own label, entered by the share of the prediction that makes a hit.

The greedy order is a stable marriage (every true box prefers the higher score), so it is found by
rounds of proposals over arrays, not by a loop over boxes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import checks
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.shapes import OrientedBoxes, Shapes
from tilekit.boxes.shapes.overlap import Measure
from tilekit.errors import EvaluationError, InvalidArgument
from tilekit.evaluation.pages import ANY_LABEL, FlatPages, acting_labels
from tilekit.pages import PageKey

FREE = -1
IGNORED = -2
Criterion = float | Literal["center"]
By = Literal["box", "shape"]

_CHUNK = 4_000_000  # candidate pairs looked at together: about 200 MB


@dataclass(frozen=True)
class Overlaps:
    """Pairs of a prediction and a true box of the same page and label that share area or a center.

    `prediction`, `truth`: rows in FlatPages; `iou` float64; `centered`: the prediction's center lies in
    the true box. Sorted by prediction, then best fit first. `rank`, (n,) int64: place by falling score. `covered`, (n,) float64: largest share of each prediction inside one ignore region;
    `center_ignored`, (n,) bool: its center lies in one.
    """

    prediction: NDArray[np.int64]
    truth: NDArray[np.int64]
    iou: NDArray[np.float64]
    centered: NDArray[np.bool_]
    rank: NDArray[np.int64]
    covered: NDArray[np.float64]
    center_ignored: NDArray[np.bool_]


def find_overlaps(flat: FlatPages, by: By = "box") -> Overlaps:
    """All pairs that could match under any criterion, by what boxes share or shapes. Memory: the pairs, plus one bounded chunk."""
    if by not in ("box", "shape"):
        raise InvalidArgument(f"by={by!r} is unknown; choose box or shape")
    labels = max(1, len(flat.names))
    pairs = _candidates(
        flat.boxes,
        flat.page * labels + flat.label,
        flat.truth_boxes,
        flat.truth_page * labels + flat.truth_label,
    )
    covered = np.zeros(len(flat.boxes))
    center_ignored = np.zeros(len(flat.boxes), np.bool_)
    _cover(flat, flat.ignore_label == ANY_LABEL, 1, by, covered, center_ignored)
    _cover(flat, flat.ignore_label != ANY_LABEL, labels, by, covered, center_ignored)
    rows, truths = pairs
    iou, _, centered = _measure(flat.boxes[rows], flat.truth_boxes[truths])
    if by == "shape":
        iou = _shape_overlap(flat, rows, truths)
    keep = np.flatnonzero((iou > 0) | centered)
    keep = keep[np.lexsort((-truths[keep], -iou[keep], rows[keep]))]
    rank = np.empty(len(flat.scores), np.int64)
    rank[np.argsort(-flat.scores, kind="stable")] = np.arange(len(flat.scores))
    return Overlaps(rows[keep], truths[keep], iou[keep], centered[keep], rank, covered, center_ignored)


def match_pages(flat: FlatPages, overlaps: Overlaps, criterion: Criterion = 0.5) -> NDArray[np.int64]:
    """For each prediction the row of its true box, FREE (a false alarm) or IGNORED (an ignore region, or beyond the
    regions that count), (n,) int64.

    `criterion`: an IoU that must be reached, or "center" (the prediction's center lies in the true
    box). Equal scores keep input order; of equal fits the later true box is taken, as pycocotools takes it.
    """
    if criterion == "center":
        fits, ignored = overlaps.centered, overlaps.center_ignored
    else:
        fits, ignored = overlaps.iou >= criterion, overlaps.covered >= criterion
    taken = _greedy(overlaps.prediction[fits], overlaps.truth[fits], overlaps.rank, len(flat.truth_boxes))
    if flat.outside is not None:
        ignored = ignored | flat.outside
    taken[(taken == FREE) & ignored] = IGNORED
    return taken


def _greedy(
    prediction: NDArray[np.int64], truth: NDArray[np.int64], rank: NDArray[np.int64], truths: int
) -> NDArray[np.int64]:
    """Serial dictatorship by rank, as rounds of proposals; gives the true box of each prediction.

    The pairs are wishes: sorted by prediction, best first.
    """
    count = len(rank)
    wishes = np.bincount(prediction, minlength=count)
    end = np.cumsum(wishes)
    place = end - wishes  # where each one's wishes begin
    by_rank = np.empty(count, np.int64)
    by_rank[rank] = np.arange(count)
    owner = np.full(truths, count, np.int64)  # rank of who holds each true box
    active = np.flatnonzero(place < end)
    while len(active):
        wish = truth[place[active]]
        before = owner[wish]
        np.minimum.at(owner, wish, rank[active])
        refused = active[owner[wish] != rank[active]]
        lost = before[(before != count) & (owner[wish] != before)]
        active = np.concatenate([refused, by_rank[np.unique(lost)]])
        place[active] += 1
        active = active[place[active] < end[active]]
    taken = np.full(count, FREE, np.int64)
    held = np.flatnonzero(owner < count)
    taken[by_rank[owner[held]]] = held
    return taken


def _candidates(
    boxes: NDArray[np.float64],
    group: NDArray[np.int64],
    others: NDArray[np.float64],
    other_group: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (row of boxes, row of others) of one group whose x and y ranges touch.

    Others are sorted by group, then left edge; a box looks only from its left edge less the widest
    other of its group to its right edge, by binary search. No loop over pages or boxes.
    """
    empty = np.empty(0, np.int64)
    if not len(boxes) or not len(others):
        return empty, empty
    order = np.lexsort((others[:, 0], other_group))
    groups, starts = np.unique(other_group[order], return_index=True)
    widest = np.maximum.reduceat((others[:, 2] - others[:, 0])[order], starts)
    where = np.searchsorted(groups, group)
    rows = np.flatnonzero((where < len(groups)) & (groups[np.minimum(where, len(groups) - 1)] == group))
    where = where[rows]
    # One sorted key for all groups: the group's place times a span wider than any page, plus the left edge.
    low = min(float(boxes[:, 0].min()), float(others[:, 0].min()))
    span = 4 * (max(float(boxes[:, 2].max()), float(others[:, 2].max())) - low + 1)
    slack = span * len(groups) * 1e-15 + 1e-9
    of_other = np.repeat(np.arange(len(groups)), np.diff(np.append(starts, len(order))))
    key = of_other * span + (others[order, 0] - low)
    base = where * span
    first = np.searchsorted(key, base + (boxes[rows, 0] - low - widest[where]) - slack)
    last = np.searchsorted(key, base + (boxes[rows, 2] - low) + slack, side="right")
    first = np.maximum(first, starts[where])
    last = np.maximum(first, np.minimum(last, np.append(starts, len(order))[where + 1]))
    found_rows: list[NDArray[np.int64]] = [empty]
    found_others: list[NDArray[np.int64]] = [empty]
    for part in _chunks(last - first):
        counts = (last - first)[part]
        mine = np.repeat(rows[part], counts)
        offset = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        theirs = order[np.repeat(first[part], counts) + offset]
        touch = (
            (boxes[mine, 0] <= others[theirs, 2])
            & (boxes[mine, 2] >= others[theirs, 0])
            & (boxes[mine, 1] <= others[theirs, 3])
            & (boxes[mine, 3] >= others[theirs, 1])
        )
        found_rows.append(mine[touch])
        found_others.append(theirs[touch])
    return np.concatenate(found_rows), np.concatenate(found_others)


def _chunks(counts: NDArray[np.int64]) -> list[slice]:
    """Consecutive slices whose counts add up to at most _CHUNK, or hold one item."""
    total = np.cumsum(counts)
    slices, begin = [], 0
    while begin < len(counts):
        before = int(total[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(total, before + _CHUNK, side="right")))
        slices.append(slice(begin, end))
        begin = end
    return slices


def _measure(
    boxes: NDArray[np.float64], others: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """IoU, share of the box inside the other, and whether the box's center lies in the other."""
    across = np.minimum(boxes[:, 2], others[:, 2]) - np.maximum(boxes[:, 0], others[:, 0])
    down = np.minimum(boxes[:, 3], others[:, 3]) - np.maximum(boxes[:, 1], others[:, 1])
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    other_area = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    union = area + other_area - shared
    iou = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    inside = np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    centered = (others[:, 0] <= x) & (x < others[:, 2]) & (others[:, 1] <= y) & (y < others[:, 3])
    return iou, inside, centered


def _measured(
    shapes: Shapes | None,
    boxes: NDArray[np.float64],
    others: Shapes | None,
    other_boxes: NDArray[np.float64],
) -> Measure:
    """Shapes of both sides; what has none is its box."""
    one = OrientedBoxes.absent(boxes) if shapes is None else shapes
    other = OrientedBoxes.absent(other_boxes) if others is None else others
    return Measure(one, boxes, other, other_boxes)


def _shape_overlap(
    flat: FlatPages, rows: NDArray[np.int64], truths: NDArray[np.int64]
) -> NDArray[np.float64]:
    if len(rows) and flat.shapes is None and flat.truth_shapes is None:
        raise EvaluationError("by='shape' needs shapes in the truth or the predictions; there are only boxes")
    return _measured(flat.shapes, flat.boxes, flat.truth_shapes, flat.truth_boxes).overlap(rows, truths)


def _cover(
    flat: FlatPages,
    which: NDArray[np.bool_],
    labels: int,
    by: By,
    covered: NDArray[np.float64],
    center_ignored: NDArray[np.bool_],
) -> None:
    """Note how much of each prediction lies in one of these ignore regions; labels 1 joins all labels."""
    if not which.any():
        return
    regions = flat.ignore_boxes[which]
    region_label = flat.ignore_label[which] if labels > 1 else 0
    label = flat.label if labels > 1 else 0
    rows, others = _candidates(
        flat.boxes, flat.page * labels + label, regions, flat.ignore_page[which] * labels + region_label
    )
    _, inside, centered = _measure(flat.boxes[rows], regions[others])
    if by == "shape":
        chosen = None if flat.ignore_shapes is None else flat.ignore_shapes[which]
        measure = _measured(flat.shapes, flat.boxes, chosen, regions)
        both, own = measure.shared(rows, others), measure.areas[rows]
        inside = np.divide(both, own, out=np.zeros_like(both), where=own > 0)
    np.maximum.at(covered, rows, inside)
    center_ignored[rows[centered]] = True


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
    by: By = "box",
) -> Matches:
    """Match one page greedily, as `evaluate` does all: the highest score chooses first, each truth is found once.

    With metric "iou" a prediction may find truths of IoU at least `iou` (of boxes, or `by="shape"`), with "center"
    those that its center lies in; it takes the one of the largest IoU. Labels must have the same name, unless
    `class_agnostic`. Ignored truths are never found. They are COCO's crowds: a prediction that found nothing is
    ignored where the share of it inside one of them is at least `iou` (with "center": its center lies in one).
    A region acts on its own label, or on all where its label is one of `drawn` (or with `class_agnostic`): by default
    the labels that nothing else carries, neither a prediction nor another truth. That is evaluate()'s rule, which
    asks all pages; give `drawn` for one page of many. Equal scores keep input order, of equal overlaps the last truth.
    """
    checks.instance(predictions, Detections, "predictions")
    checks.instance(truth, Annotations, "truth")
    limit = checks.ratio(iou, "iou")
    if metric not in ("iou", "center"):
        raise InvalidArgument(f"metric={metric!r} is unknown; choose iou or center")
    if isinstance(drawn, str) or not (drawn is None or isinstance(drawn, Collection)):
        raise InvalidArgument(f"drawn={drawn!r} must be a list of labels")
    labels, truth_labels = _shared_labels(predictions, truth)
    if class_agnostic:
        labels, truth_labels = np.zeros_like(labels), np.zeros_like(truth_labels)
    acting = _acting(truth, truth_labels, labels, drawn, class_agnostic)
    real, region = np.flatnonzero(~truth.ignore), np.flatnonzero(truth.ignore)
    flat = FlatPages(
        tuple(dict.fromkeys((*predictions.names, *truth.names))),
        (PageKey("page"),),
        truth.boxes[real],
        np.zeros(len(real), np.int64),
        truth_labels[real],
        truth.boxes[region],
        np.zeros(len(region), np.int64),
        acting[region],
        predictions.boxes,
        predictions.scores,
        np.zeros(len(predictions), np.int64),
        labels,
        None,
        truth_shapes=None if truth.shapes is None else truth.shapes[real],
        ignore_shapes=None if truth.shapes is None else truth.shapes[region],
        shapes=predictions.shapes,
    )
    overlaps = find_overlaps(flat, by)
    least = max(limit, 5e-324)  # an IoU of 0 asks for nothing, yet what shares nothing was not found
    found = match_pages(flat, overlaps, "center" if metric == "center" else least)
    truth_of, prediction_of = np.full(len(predictions), -1, np.int64), np.full(len(truth), -1, np.int64)
    hits = np.flatnonzero(found >= 0)
    truth_of[hits] = real[found[hits]]
    prediction_of[truth_of[hits]] = hits
    shares = np.zeros(len(predictions))
    pair = found[overlaps.prediction] == overlaps.truth
    shares[overlaps.prediction[pair]] = overlaps.iou[pair]
    return Matches(truth_of, prediction_of, found == IGNORED, shares)


def _acting(
    truth: Annotations,
    truth_labels: NDArray[np.int64],
    labels: NDArray[np.int64],
    drawn: Collection[str] | None,
    class_agnostic: bool,
) -> NDArray[np.int64]:
    """The label on which each ignored box acts, as `match` says."""
    if class_agnostic:
        return np.full(len(truth), ANY_LABEL)
    if drawn is None:
        return acting_labels(truth_labels, truth.ignore, labels)
    named = np.array([name in drawn for name in truth.names], np.bool_)
    return np.where(named[truth.class_ids], ANY_LABEL, truth_labels) if len(truth) else truth_labels


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
