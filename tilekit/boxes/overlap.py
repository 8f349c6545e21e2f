"""How much boxes overlap: matrices, and the sparse list of pairs."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks
from tilekit.boxes.shapes import OrientedBoxes, Shapes
from tilekit.boxes.shapes.overlap import Measure
from tilekit.errors import InvalidArgument

_new = np.empty


class Pairs(NamedTuple):
    """Pairs of boxes, `first` < `second`, sorted: (m,) int64 each; `overlap` (m,) float64 their IoU."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    overlap: NDArray[np.float64]


def iou(boxes: ArrayLike | Shapes, others: ArrayLike | Shapes) -> NDArray[np.float64]:
    """Intersection over union of each box (n, 4) with each other (m, 4), or of shapes: (n, m) float64, 0 where none."""
    return _matrix(boxes, others, 0)


def ios(boxes: ArrayLike | Shapes, others: ArrayLike | Shapes) -> NDArray[np.float64]:
    """Intersection over the smaller area, of boxes or of shapes: (n, m) float64, 0 where there is none."""
    return _matrix(boxes, others, 1)


def giou(boxes: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """Generalized IoU, -1..1: IoU less the empty share of the hull (Rezatofighi et al., CVPR 2019): (n, m)."""
    return _matrix(boxes, others, 2)


def diou(boxes: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """IoU less the squared distance of centers over the hull's diagonal squared (Zheng et al., AAAI 2020): (n, m)."""
    return _matrix(boxes, others, 3)


def pairs(boxes: ArrayLike, threshold: float = 0.5) -> Pairs:
    """All pairs of boxes (n, 4) with IoU above `threshold`, without an n x n matrix.

    Memory: about 80 bytes a box and 24 a pair.
    """
    checked = checks.boxes(boxes)
    limit = checks.ratio(threshold, "threshold")
    found = listed(checked, limit)
    first, second = found.min(axis=1).astype(np.int64), found.max(axis=1).astype(np.int64)
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    return Pairs(first, second, aligned_iou(checked[first], checked[second]))


def listed(boxes: NDArray[np.float64], threshold: float) -> NDArray[np.int32]:
    """The pairs (m, 2) of checked boxes, in no particular order."""
    room = 2 * len(boxes) + 256
    while True:
        out, number = listed_within(boxes, threshold, room, 2**62)
        if number <= room:
            return out
        room = number


def listed_within(
    boxes: NDArray[np.float64], threshold: float, room: int, budget: int, limit: int | None = None
) -> tuple[NDArray[np.int32], int]:
    """Up to `room` pairs, and how many there are: -1 where there are more than `limit`, where finding them takes
    more comparisons than `budget`, or a box is not one."""
    found = search(boxes, threshold, room, budget, 2**62 if limit is None else limit)
    return found.pairs[: max(0, found.number)], found.number


class Search(NamedTuple):
    """What a search for pairs found: `pairs` (room, 2) and their `number` (-1: given up), and memory that is free
    again: `lying` (n, 4) float64, `work` (2, n) and `starts` (at least n + 2) int32."""

    pairs: NDArray[np.int32]
    number: int
    lying: NDArray[np.float64]
    work: NDArray[np.int32]
    starts: NDArray[np.int32]


def search(boxes: NDArray[np.float64], threshold: float, room: int, budget: int, limit: int) -> Search:
    """Find the pairs; memory once used is faster than fresh, so it is handed on."""
    listing = _listing()
    count = len(boxes)
    near = (1.0 - threshold) / (1.0 + threshold)
    plan, group = _new((33, 15)), _new(count, np.uint8)
    pairs, lying, work = _new((room, 2), np.int32), _new((count, 4)), _new((2, count), np.int32)
    starts = _new(5 * count + 1200, np.int32)
    cells = listing.survey(boxes, near, plan, group)
    if cells < 0 or cells + 2 > len(starts):
        return Search(pairs, -1, lying, work, starts)
    source = work[1]
    listing.sort_in(boxes, plan, group, starts, cells, work[0], lying, source)
    number = listing.within(plan, starts, lying, source, threshold, pairs, limit, budget)
    if number >= 0 and plan[32, 0] > 1:
        from tilekit.boxes.kernels import acrossing

        number = acrossing.between(plan, near, starts, lying, source, threshold, pairs, number, limit, budget)
    return Search(pairs, number, lying, work, starts)


@functools.cache
def _listing() -> Any:
    from tilekit.boxes.kernels import listing

    return listing


def aligned_iou(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU row by row of (n, 4) and (n, 4)."""
    sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    shared = np.maximum(sides[:, 0], 0) * np.maximum(sides[:, 1], 0)
    areas = (one[:, 2] - one[:, 0]) * (one[:, 3] - one[:, 1])
    others = (other[:, 2] - other[:, 0]) * (other[:, 3] - other[:, 1])
    whole = areas + others - shared
    out: NDArray[np.float64] = np.divide(shared, whole, out=np.zeros(len(one)), where=shared > 0)
    return out


def aligned_further(one: NDArray[np.float64], other: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """GIoU or DIoU row by row of (n, 4) and (n, 4)."""
    shared = aligned_iou(one, other)
    low, high = np.minimum(one[:, :2], other[:, :2]), np.maximum(one[:, 2:], other[:, 2:])
    sides = high - low
    if kind == "diou":
        apart = ((one[:, :2] + one[:, 2:] - other[:, :2] - other[:, 2:]) / 2) ** 2
        whole = (sides**2).sum(axis=1)
        lost = np.divide(apart.sum(axis=1), whole, out=np.zeros(len(one)), where=whole > 0)
    else:
        hull = sides[:, 0] * sides[:, 1]
        inner = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
        both = np.maximum(inner[:, 0], 0) * np.maximum(inner[:, 1], 0)
        areas = np.prod(one[:, 2:] - one[:, :2], axis=1) + np.prod(other[:, 2:] - other[:, :2], axis=1)
        lost = np.divide(hull - (areas - both), hull, out=np.zeros(len(one)), where=hull > 0)
    return np.asarray(shared - lost, np.float64)


def _matrix(boxes: ArrayLike | Shapes, others: ArrayLike | Shapes, kind: int) -> NDArray[np.float64]:
    if isinstance(boxes, Shapes) or isinstance(others, Shapes):
        return _shape_matrix(boxes, others, kind)
    one, other = checks.boxes(boxes), checks.boxes(others, "others")
    from tilekit.boxes.kernels import matrices

    out = np.empty((len(one), len(other)))
    matrices.fill(one, other, kind, out)
    return out


def _shape_matrix(boxes: ArrayLike | Shapes, others: ArrayLike | Shapes, kind: int) -> NDArray[np.float64]:
    """Only pairs whose boxes touch are measured; plain boxes beside shapes are upright rectangles."""
    one, other = (
        side if isinstance(side, Shapes) else OrientedBoxes.absent(checks.boxes(side))
        for side in (boxes, others)
    )
    if kind > 1:
        raise InvalidArgument("giou and diou are for boxes; shapes have iou and ios")
    hulls, other_hulls = one.boxes, other.boxes
    out = np.zeros((len(one), len(other)))
    both = listed(np.concatenate([hulls, other_hulls]), 0.0)
    first, second = both.min(axis=1).astype(np.int64), both.max(axis=1).astype(np.int64) - len(one)
    across = (first < len(one)) & (second >= 0)
    first, second = first[across], second[across]
    out[first, second] = Measure(one, hulls, other, other_hulls).overlap(first, second, ios=kind == 1)
    return out
