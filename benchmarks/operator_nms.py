"""torchvision's CPU operator for suppression by its published algorithm, as a peer where the operator has no CPU build.

Boxes are taken in order of falling score; each one still standing puts down all later boxes it overlaps
too much. Every pair may be looked at, so the time grows with the square of the boxes.
(https://docs.pytorch.org/vision/stable/generated/torchvision.ops.nms.html)
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _sweep(x0, y0, x1, y1, areas, order, threshold):
    count = len(order)
    down = np.zeros(count, np.bool_)
    for place in range(count):
        best = order[place]
        if down[best]:
            continue
        left, top, right, bottom, area = x0[best], y0[best], x1[best], y1[best], areas[best]
        for later in range(place + 1, count):
            other = order[later]
            if down[other]:
                continue
            wide = min(right, x1[other]) - max(left, x0[other])
            high = min(bottom, y1[other]) - max(top, y0[other])
            shared = max(0.0, wide) * max(0.0, high)
            if shared / (area + areas[other] - shared) > threshold:
                down[other] = True
    return order[~down[order]]


def operator_nms(boxes, scores):
    """Kept indices, best first, at IoU 0.5."""
    x0, y0, x1, y1 = (np.ascontiguousarray(column) for column in boxes.T)
    order = np.argsort(-scores, kind="stable")
    return _sweep(x0, y0, x1, y1, (x1 - x0) * (y1 - y0), order, 0.5)
