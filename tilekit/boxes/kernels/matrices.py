"""Overlap of every box with every other."""

from __future__ import annotations

from typing import Any

from tilekit.compiled import kernel


@kernel("void(R2,R2,i,F2)")
def fill(one: Any, other: Any, kind: int, out: Any) -> None:
    """Into `out` (n, m): kind 0 IoU, 1 intersection over the smaller area, 2 generalized IoU, 3 IoU less the distance of centers."""
    for i in range(len(one)):
        x0, y0, x1, y1 = one[i, 0], one[i, 1], one[i, 2], one[i, 3]
        area = (x1 - x0) * (y1 - y0)
        for j in range(len(other)):
            w = min(x1, other[j, 2]) - max(x0, other[j, 0])
            h = min(y1, other[j, 3]) - max(y0, other[j, 1])
            shared = w * h if w > 0.0 and h > 0.0 else 0.0
            area2 = (other[j, 2] - other[j, 0]) * (other[j, 3] - other[j, 1])
            union = area + area2 - shared
            whole = min(area, area2) if kind == 1 else union
            value = shared / whole if shared > 0.0 else 0.0
            if kind == 2:
                hull = (max(x1, other[j, 2]) - min(x0, other[j, 0])) * (
                    max(y1, other[j, 3]) - min(y0, other[j, 1])
                )
                if hull > 0.0:
                    value -= (hull - union) / hull
            elif kind == 3:
                wide = max(x1, other[j, 2]) - min(x0, other[j, 0])
                high = max(y1, other[j, 3]) - min(y0, other[j, 1])
                across = 0.5 * (x0 + x1 - other[j, 0] - other[j, 2])
                down = 0.5 * (y0 + y1 - other[j, 1] - other[j, 3])
                if wide > 0.0 or high > 0.0:
                    value -= (across * across + down * down) / (wide * wide + high * high)
            out[i, j] = value
