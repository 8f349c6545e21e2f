"""Pairs of boxes of different size groups: each box looks into the grids of larger ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tilekit.boxes.kernels.listing import (
    BASE,
    COLS,
    COUNT,
    GROUPS,
    HIGH,
    LEFT,
    LONG,
    ROWS,
    SHORT,
    SIDE_X,
    SIDE_Y,
    TOP,
    WIDE,
    alike,
)
from tilekit.compiled import kernel


@kernel("i(F2,f,S,F2,S,f,S2,i,i,i)")
def between(
    plan: Any,
    near: float,
    starts: Any,
    lying: Any,
    source: Any,
    threshold: float,
    pairs: Any,
    found: int,
    limit: int,
    budget: int,
) -> int:
    """Add the pairs of a box and one of a group of larger boxes to the `found` ones, as `listing.within` does."""
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    least = threshold * 0.999999
    for g in range(1, GROUPS):
        if plan[g, COUNT] == 0.0 or plan[g, LONG] == 0.0:
            continue
        begin = np.int64(starts[int(plan[g, BASE])])
        end = begin + int(plan[g, COUNT])
        for other in range(g):
            short = least * plan[other, SHORT]
            if plan[other, COUNT] == 0.0 or plan[g, LONG] < short:
                continue
            base, cols, rows = int(plan[other, BASE]), plan[other, COLS], plan[other, ROWS]
            side_x, side_y = plan[other, SIDE_X], plan[other, SIDE_Y]
            for i in range(begin, end):
                x0, y0, x1, y1 = lying[i, 0], lying[i, 1], lying[i, 2], lying[i, 3]
                w, h = x1 - x0, y1 - y0
                if max(w, h) < short:
                    continue
                reach_x = (w + plan[other, WIDE]) * near * 0.5000001 + 1e-6 * side_x
                reach_y = (h + plan[other, HIGH]) * near * 0.5000001 + 1e-6 * side_y
                cx, cy = x0 + 0.5 * w - plan[other, LEFT], y0 + 0.5 * h - plan[other, TOP]
                left = math.floor(min(max((cx - reach_x) / side_x, 0.0), cols))
                right = math.floor(min(max((cx + reach_x) / side_x, -1.0), cols - 3.0))
                top = math.floor(min(max((cy - reach_y) / side_y, 0.0), rows))
                bottom = math.floor(min(max((cy + reach_y) / side_y, -1.0), rows - 1.0))
                if left > right:
                    continue
                for row in range(top, bottom + 1):
                    line = base + row * int(cols) + 1
                    start, stop = np.int64(starts[line + left]), np.int64(starts[line + right + 1])
                    budget -= int(stop - start) + 2
                    found = alike(lying, source, i, start, stop, threshold, pairs, found)
                if budget < 0 or found > limit:
                    return -1
    return found if found <= limit else -1
