"""Non-maximum suppression: of boxes that overlap too much, keep the best."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks, engine
from tilekit.errors import InvalidArgument

Metric = Literal["iou", "ios"]
METRICS = {"iou": 0, "ios": 1}


def nms(
    boxes: ArrayLike,
    scores: ArrayLike,
    class_ids: ArrayLike | None = None,
    threshold: float = 0.5,
    metric: Metric = "iou",
    class_agnostic: bool = False,
) -> NDArray[np.int64]:
    """Exact greedy suppression: the best box stays, what overlaps it by more than `threshold` goes.

    `boxes` (n, 4) xyxy; `scores` (n,) any finite numbers; `class_ids` (n,) whole numbers: only boxes
    of one class compete, unless `class_agnostic`. `metric`: "iou" (intersection over union) or "ios"
    (over the smaller area). Gives the kept indices by falling score, int64; equal scores keep input
    order. Raises InvalidArgument with the first bad index.
    """
    checked = checks.boxes(boxes)
    count = len(checked)
    values = checks.finite(scores, count, "scores")
    labels = checks.labels(class_ids, count)
    limit = checks.ratio(threshold, "threshold")
    if metric not in METRICS:
        raise InvalidArgument(f"metric={metric!r} is unknown; choose iou or ios")
    if class_agnostic or labels is None:
        labels = np.zeros(count, np.int64)
    order = engine.descending(values)
    state, _ = engine.greedy(checked, order, labels, METRICS[metric], limit)
    kept: NDArray[np.int64] = order[state[order] == 1].astype(np.int64)
    return kept
