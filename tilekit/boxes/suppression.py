"""Non-maximum suppression: of boxes that overlap too much, keep the best."""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks, engine, overlap
from tilekit.boxes.shapes import Shapes
from tilekit.boxes.shapes.overlap import Measure
from tilekit.errors import InvalidArgument

Metric = Literal["iou", "ios"]
MoreMetric = Literal["iou", "ios", "giou", "diou"]
METRICS = {"iou": 0, "ios": 1}
_FEW = 48  # up to here comparing every pair is the quickest
_FLOAT, _INT = np.dtype(np.float64), np.dtype(np.int64)
_new = np.empty
_NO_LABELS: NDArray[np.int64] = np.empty(0, np.int64)


def nms(
    boxes: ArrayLike | Shapes,
    scores: ArrayLike,
    class_ids: ArrayLike | None = None,
    threshold: float = 0.5,
    metric: MoreMetric = "iou",
    class_agnostic: bool = False,
) -> NDArray[np.int64]:
    """Exact greedy suppression: the best box stays, what overlaps it by more than `threshold` goes.

    `boxes` (n, 4) xyxy, or Polygons, OrientedBoxes or Masks, which then overlap by their own area; `scores` (n,) any finite numbers; `class_ids` (n,) whole numbers: only boxes
    of one class compete, unless `class_agnostic`. `metric`: "iou" (intersection over union), "ios"
    (over the smaller area), or for boxes "giou" and "diou" (less what is empty or how far centers are apart). Gives the kept indices by falling score, int64; equal scores keep input
    order. Raises InvalidArgument with the first bad index.
    """
    if class_ids is None and metric == "iou" and type(threshold) is float:
        try:  # a call per tile: types are compared by identity, shapes and values by the kernel
            if boxes.dtype is _FLOAT and scores.dtype is _FLOAT:  # type: ignore[union-attr]
                count = len(scores)  # type: ignore[arg-type]
                if count <= _FEW:
                    out = _new(count, _INT)
                    found = _few()(boxes, scores, threshold, 0, out)
                    if found == count:
                        return out
                    if found >= 0:
                        return out[:found]
        except (AttributeError, TypeError):
            pass
    if metric in ("giou", "diou") and not isinstance(boxes, Shapes):
        return _by_further(boxes, scores, None if class_agnostic else class_ids, threshold, metric)
    if metric not in METRICS:
        raise InvalidArgument(f"metric={metric!r} is unknown; choose iou, ios, or for boxes giou or diou")
    if isinstance(boxes, Shapes):
        return _by_shape(boxes, scores, None if class_agnostic else class_ids, threshold, metric)
    limit = checks.ratio(threshold, "threshold")
    given: tuple[Any, Any, Any] = boxes, scores, class_ids
    if not _plain(*given):
        given = _checked(*given)
    labels = _NO_LABELS if class_agnostic or given[2] is None else given[2]
    kept = _quick(given[0], given[1], labels, limit, METRICS[metric])
    if kept is not None:
        return kept
    given = _checked(*given)
    order = engine.descending(given[1])
    ranked = np.take(given[0], order, axis=0)  # what the kernel reads then lies in the order of its work
    labels = np.zeros(len(order), np.int64) if labels is _NO_LABELS else labels[order]
    ranks = np.arange(len(order), dtype=np.int32)
    state, _ = engine.greedy(ranked, ranks, labels, METRICS[metric], limit)
    rest: NDArray[np.int64] = order[state == 1].astype(np.int64)
    return rest


def _by_shape(
    shapes: Shapes, scores: ArrayLike, class_ids: ArrayLike | None, threshold: float, metric: str
) -> NDArray[np.int64]:
    limit = checks.ratio(threshold, "threshold")
    bare = ~shapes.given
    if bare.any():
        raise InvalidArgument(f"boxes: row {int(bare.argmax())} has no shape; give the boxes themselves")
    count = len(shapes)
    values, labels = checks.finite(scores, count, "scores"), checks.labels(class_ids, count)
    hulls = shapes.boxes
    found = overlap.listed(hulls, 0.0)
    if labels is not None:
        found = found[labels[found[:, 0]] == labels[found[:, 1]]]
    first, second = found.astype(np.int64).T
    share = Measure(shapes, hulls).overlap(first, second, ios=metric == "ios")
    return _along(found[share > limit], values)


def _by_further(
    boxes: ArrayLike, scores: ArrayLike, class_ids: ArrayLike | None, threshold: float, metric: str
) -> NDArray[np.int64]:
    """Both are at most the IoU, so its pairs hold all of theirs."""
    limit = checks.ratio(threshold, "threshold")
    checked, values, labels = _checked(boxes, scores, class_ids)
    found = overlap.listed(checked, limit)
    if labels is not None:
        found = found[labels[found[:, 0]] == labels[found[:, 1]]]
    share = overlap.aligned_further(checked[found[:, 0]], checked[found[:, 1]], metric)
    return _along(found[share > limit], values)


def _along(pairs: NDArray[np.int32], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """What is left of boxes of which these pairs overlap too much."""
    found, count = np.ascontiguousarray(pairs), len(values)
    pairing, _ = _along_pairs()
    kept, stack, starts = (
        np.empty(count, np.uint8),
        np.empty((2, count), np.int32),
        np.empty(count + 2, np.int32),
    )
    pairing.resolve(
        found, len(found), values, _NO_LABELS, starts, np.empty(len(found), np.int32), stack, kept
    )
    order: NDArray[np.int64] = engine.descending(values).astype(np.int64)
    return np.asarray(order[kept[order] == 1], np.int64)


@functools.cache
def _few() -> Any:
    """The kernel of a few boxes; a cached call is 30 ns, an import of what is there 350."""
    from tilekit.boxes.kernels import few

    return few.nms


def _checked(boxes: ArrayLike, scores: ArrayLike, labels: ArrayLike | None) -> tuple[Any, Any, Any]:
    """The arrays as kernels take them; raises InvalidArgument with the first bad index."""
    checked = checks.boxes(boxes)
    count = len(checked)
    return checked, checks.finite(scores, count, "scores"), checks.labels(labels, count)


def _plain(boxes: Any, scores: Any, labels: Any) -> bool:
    """Whether the kernels can take the arrays as they are, but for their values."""
    return (
        type(boxes) is np.ndarray
        and boxes.dtype is _FLOAT
        and boxes.ndim == 2
        and boxes.shape[1] == 4
        and boxes.flags.c_contiguous
        and type(scores) is np.ndarray
        and scores.dtype is _FLOAT
        and scores.shape == (len(boxes),)
        and scores.flags.c_contiguous
        and (
            labels is None
            or (
                type(labels) is np.ndarray
                and labels.dtype is _INT
                and labels.shape == scores.shape
                and labels.flags.c_contiguous
            )
        )
    )


def _quick(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    threshold: float,
    metric: int,
) -> NDArray[np.int64] | None:
    """The kernels that check as they go; None where values are bad or boxes too dense for them."""
    count = len(boxes)
    if count <= _FEW:
        out = np.empty(count, np.int64) if labels is _NO_LABELS else np.concatenate((labels, labels))
        found = _few()(boxes, scores, threshold, metric if labels is _NO_LABELS else metric + 2, out)
        return out[:found] if found >= 0 else None
    if metric != 0:
        return None
    pairing, ranking = _along_pairs()
    room = 2 * count + 256
    pairs, number, lying, work, starts = overlap.search(boxes, threshold, room, 64 * count + 4096, room)
    if number < 0:
        return None
    kept, better, out = _new(count, np.uint8), _new(number, np.int32), _new(count, np.int64)
    if pairing.resolve(pairs, number, scores, labels, starts, better, work, kept) < 0:
        return None
    keys = lying.view(_INT).reshape(4, count)
    found = ranking.rank(scores.view(_INT), kept, keys, work, _new(2048, np.int32), out)
    return out[:found] if found >= 0 else None


@functools.cache
def _along_pairs() -> tuple[Any, Any]:
    from tilekit.boxes.kernels import pairing, ranking

    return pairing, ranking
