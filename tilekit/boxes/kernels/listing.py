"""All pairs of boxes that overlap enough, found cell by cell.

Boxes whose IoU is above t cannot have centers further apart than (w1 + w2)(1 - t) / (2(1 + t)) across,
nor sides that differ by more than a factor of t; so with cells that large a box only needs its own
cell and the next ones. Boxes of very different size live in grids of their own, one per size group.
Everything is read in the order it lies in memory. Three kernels in turn: `survey`, `sort_in`, `within`;
`acrossing.between` where there are several groups.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tilekit.compiled import inlined, kernel

# Columns of `plan`, one row a group; a last row holds the number of groups.
COUNT, WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM, LONG, SHORT, SIDE_X, SIDE_Y, COLS, ROWS, BASE, INTO = range(15)
GROUPS = 32
OCTAVES = 3  # of size in one group, where that does not crowd its cells
CROWD = 3.0  # boxes in a cell above which sizes are told apart more finely


@inlined
def octave(size: Any) -> Any:
    """The power of two at or above a size, from its bits."""
    return np.float64(size).view(np.int64) >> 52


@kernel("i(R2,f,F2,B)")
def survey(boxes: Any, near: float, plan: Any, group: Any) -> int:
    """Check all boxes, put them into size groups and lay out their cells; the number of cells, -1 for a bad box.

    `near`: (1 - t) / (1 + t). `plan` (33, 15); `group` (n,) is only filled where there are several groups.
    """
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    n = len(boxes)
    for g in range(GROUPS + 1):
        for field in range(15):
            plan[g, field] = 0.0
        plan[g, LEFT] = plan[g, TOP] = plan[g, SHORT] = 1e300
        plan[g, RIGHT] = plan[g, BOTTOM] = -1e300
    longest, shortest, wide, high = 0.0, 1e300, 0.0, 0.0
    left, right, top, bottom = 1e300, -1e300, 1e300, -1e300
    for i in range(n):
        x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        if not (x0 >= -1e100 and y0 >= -1e100 and x1 <= 1e100 and y1 <= 1e100 and x0 <= x1 and y0 <= y1):
            return -1
        w, h = x1 - x0, y1 - y0
        cx, cy = x0 + 0.5 * w, y0 + 0.5 * h
        wide, high = max(wide, w), max(high, h)
        left, right, top, bottom = min(left, cx), max(right, cx), min(top, cy), max(bottom, cy)
        side = max(w, h)
        longest = max(longest, side)
        if side > 0.0:
            shortest = min(shortest, side)
    crowd = n * min(1.0, wide * near / max(right - left, 1e-300))
    crowd *= min(1.0, high * near / max(bottom - top, 1e-300))
    several = longest > shortest * 8.0 or (longest > shortest * 2.0 and crowd > CROWD)
    if not several:
        plan[0, COUNT], plan[0, WIDE], plan[0, HIGH] = n, wide, high
        plan[0, LEFT], plan[0, RIGHT], plan[0, TOP], plan[0, BOTTOM] = left, right, top, bottom
        plan[0, LONG], plan[0, SHORT] = longest, min(shortest, longest)
    else:
        highest = octave(longest)
        for i in range(n):
            x0, y0 = boxes[i, 0], boxes[i, 1]
            w, h = boxes[i, 2] - x0, boxes[i, 3] - y0
            side = max(w, h)
            g = min(highest - octave(side), GROUPS - 1) if side > 0.0 else GROUPS - 1
            group[i] = g
            cx, cy = x0 + 0.5 * w, y0 + 0.5 * h
            plan[g, COUNT] += 1.0
            plan[g, WIDE] = max(plan[g, WIDE], w)
            plan[g, HIGH] = max(plan[g, HIGH], h)
            plan[g, LONG] = max(plan[g, LONG], side)
            plan[g, SHORT] = min(plan[g, SHORT], side)
            plan[g, LEFT] = min(plan[g, LEFT], cx)
            plan[g, RIGHT] = max(plan[g, RIGHT], cx)
            plan[g, TOP] = min(plan[g, TOP], cy)
            plan[g, BOTTOM] = max(plan[g, BOTTOM], cy)
        head = 0
        for g in range(GROUPS):
            plan[g, INTO] = g
            if g == 0 or plan[g, COUNT] == 0.0:
                continue
            left, right = min(plan[head, LEFT], plan[g, LEFT]), max(plan[head, RIGHT], plan[g, RIGHT])
            top, bottom = min(plan[head, TOP], plan[g, TOP]), max(plan[head, BOTTOM], plan[g, BOTTOM])
            wide, high = max(plan[head, WIDE], plan[g, WIDE]), max(plan[head, HIGH], plan[g, HIGH])
            crowd = plan[head, COUNT] + plan[g, COUNT]
            crowd *= min(1.0, wide * near / max(right - left, 1e-300))
            crowd *= min(1.0, high * near / max(bottom - top, 1e-300))
            if g - head >= OCTAVES or crowd > CROWD:
                head = g
                continue
            plan[g, INTO] = head
            plan[head, COUNT] += plan[g, COUNT]
            plan[g, COUNT] = 0.0
            plan[head, WIDE], plan[head, HIGH] = wide, high
            plan[head, LONG] = max(plan[head, LONG], plan[g, LONG])
            plan[head, SHORT] = min(plan[head, SHORT], plan[g, SHORT])
            plan[head, LEFT], plan[head, RIGHT], plan[head, TOP], plan[head, BOTTOM] = (
                left,
                right,
                top,
                bottom,
            )
    base = 0
    for g in range(GROUPS):
        many = plan[g, COUNT]
        plan[g, BASE] = base
        if many == 0.0:
            continue
        plan[GROUPS, COUNT] += 1.0
        across, down = plan[g, RIGHT] - plan[g, LEFT], plan[g, BOTTOM] - plan[g, TOP]
        far = max(max(abs(plan[g, LEFT]), abs(plan[g, RIGHT])), max(abs(plan[g, TOP]), abs(plan[g, BOTTOM])))
        grain = max(far * 4e-15, 1e-150)
        side = math.sqrt(across / many) * math.sqrt(down)
        side_x = max(max(plan[g, WIDE] * near * 1.000001, side), grain) + grain
        side_y = max(max(plan[g, HIGH] * near * 1.000001, side), grain) + grain
        cols, rows = min(across / side_x, many), min(down / side_y, many)
        if (cols + 1.0) * (rows + 1.0) > 2.0 * many + 16.0:
            if cols > rows:
                cols = 2.0 * many / (rows + 1.0)
            else:
                rows = 2.0 * many / (cols + 1.0)
        if cols * side_x < across:
            side_x = across / max(cols, 1.0) * 1.000001
        if rows * side_y < down:
            side_y = down / max(rows, 1.0) * 1.000001
        plan[g, SIDE_X], plan[g, SIDE_Y] = side_x, side_y
        plan[g, COLS] = math.floor(across / side_x) + 3.0  # one empty column stands on either side
        plan[g, ROWS] = math.floor(down / side_y) + 1.0
        base += int(plan[g, COLS] * (plan[g, ROWS] + 1.0)) + 3
    return base


@kernel("void(R2,F2,B,S,i,S,F2,S)")
def sort_in(
    boxes: Any, plan: Any, group: Any, starts: Any, cells: int, cell: Any, lying: Any, source: Any
) -> None:
    """Counting sort: `lying` (n, 4) the boxes cell by cell, `source` where each came from, `starts` (cells + 2)."""
    n = len(boxes)
    several = plan[GROUPS, COUNT] > 1.0
    for c in range(cells + 2):
        starts[c] = 0
    g = 0
    for i in range(n):
        x0, y0 = boxes[i, 0], boxes[i, 1]
        if several:
            g = int(plan[group[i], INTO])
        cx, cy = x0 + 0.5 * (boxes[i, 2] - x0), y0 + 0.5 * (boxes[i, 3] - y0)
        col = min(math.floor((cx - plan[g, LEFT]) / plan[g, SIDE_X]), plan[g, COLS] - 3.0)
        row = min(math.floor((cy - plan[g, TOP]) / plan[g, SIDE_Y]), plan[g, ROWS] - 1.0)
        c = int(plan[g, BASE] + row * plan[g, COLS] + col + 1.0)
        cell[i] = c
        starts[c + 2] += 1
    for c in range(2, cells + 2):
        starts[c] += starts[c - 1]
    for i in range(n):
        c = cell[i] + 1
        at = starts[c]
        starts[c] = at + 1
        source[at] = i
        lying[at, 0] = boxes[i, 0]
        lying[at, 1] = boxes[i, 1]
        lying[at, 2] = boxes[i, 2]
        lying[at, 3] = boxes[i, 3]


@inlined
def alike(
    lying: Any, source: Any, i: Any, start: Any, stop: Any, threshold: float, pairs: Any, found: Any
) -> Any:
    """Add the pairs of a box and those from `start` to `stop` that overlap it enough; how many are `found` by then."""
    room = len(pairs)
    least = threshold * 0.999999
    x0, y0, x1, y1 = lying[i, 0], lying[i, 1], lying[i, 2], lying[i, 3]
    area = (x1 - x0) * (y1 - y0)
    for j in range(start, stop):
        w = min(x1, lying[j, 2]) - max(x0, lying[j, 0])
        if w <= 0.0:
            continue
        h = min(y1, lying[j, 3]) - max(y0, lying[j, 1])
        if h <= 0.0:
            continue
        shared = w * h
        union = area + (lying[j, 2] - lying[j, 0]) * (lying[j, 3] - lying[j, 1]) - shared
        if shared > least * union and shared / union > threshold:
            if found < room:
                pairs[found, 0] = source[i]
                pairs[found, 1] = source[j]
            found += 1
    return found


@kernel("i(F2,S,F2,S,f,S2,i,i)")
def within(
    plan: Any, starts: Any, lying: Any, source: Any, threshold: float, pairs: Any, limit: int, budget: int
) -> int:
    """Pairs inside each group, each cell against itself and the cells after it, into `pairs` while there is room.

    Gives their number; -1 where more than `limit` pairs or `budget` comparisons are needed.
    """
    found: Any = np.int64(0)  # not a literal, for which everything would be compiled once more
    for g in range(GROUPS):
        if plan[g, COUNT] == 0.0 or plan[g, LONG] == 0.0:
            continue
        base, cols = int(plan[g, BASE]), int(plan[g, COLS])
        end = base + cols * int(plan[g, ROWS])
        for c in range(base, end):
            here, ahead = int(starts[c + 1] - starts[c]), int(starts[c + 2] - starts[c])
            budget -= here * (ahead + int(starts[c + cols + 2] - starts[c + cols - 1]))
        if budget < 0:
            return -1
        for c in range(base, end):
            first, last = int(starts[c]), int(starts[c + 1])
            if first == last:
                continue
            ahead, under = int(starts[c + 2]), int(starts[c + cols - 1])
            done = int(starts[c + cols + 2])
            if found > limit:
                return -1
            for i in range(first, last):
                start, stop = i + 1, ahead
                for _ in range(2):
                    found = alike(lying, source, i, start, stop, threshold, pairs, found)
                    start, stop = under, done
    return found if found <= limit else -1
