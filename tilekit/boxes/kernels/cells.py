"""Boxes sorted into grid cells by their centers, and the pairs that overlap enough, found cell by cell.

Boxes whose IoU is above t cannot have centers further apart than (w1 + w2)(1 - t) / (2(1 + t)) across,
nor sides that differ by more than a factor of t; so with cells that large a box only needs its own
cell and the next ones. Boxes of very different size live in grids of their own, one per size group.
Everything is read in the order it lies in memory. Functions here are compiled into their callers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tilekit.boxes.kernels.jit import inlined

# Columns of `plan`, one row a group.
COUNT, WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM, LONG, SHORT, SIDE_X, SIDE_Y, COLS, ROWS, BASE = range(14)
GROUPS = 24
OCTAVES = 3


@inlined
def survey(boxes: Any, plan: Any, group: Any) -> int:
    """Check all boxes, put them into size groups, fill the plan's extents; -1, or the first bad box."""
    n = len(boxes)
    longest, shortest = 0.0, 1e300
    for i in range(n):
        x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        if not (x0 >= -1e100 and y0 >= -1e100 and x1 <= 1e100 and y1 <= 1e100 and x0 <= x1 and y0 <= y1):
            return i
        side = max(x1 - x0, y1 - y0)
        longest = max(longest, side)
        if side > 0.0:
            shortest = min(shortest, side)
    single = longest <= shortest * 8.0
    for g in range(GROUPS):
        plan[g, COUNT] = 0.0
        plan[g, WIDE] = plan[g, HIGH] = plan[g, LONG] = 0.0
        plan[g, LEFT] = plan[g, TOP] = plan[g, SHORT] = 1e300
        plan[g, RIGHT] = plan[g, BOTTOM] = -1e300
    for i in range(n):
        x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        w, h = x1 - x0, y1 - y0
        side = max(w, h)
        g = 0
        if not single:
            limit = longest * 0.125
            while side < limit and g < GROUPS - 1:
                limit *= 0.125
                g += 1
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
    return -1


@inlined
def lay_out(plan: Any, near: float) -> int:
    """Choose cells for every group: as large as overlap reaches, about one box each; gives their number."""
    base = 0
    for g in range(GROUPS):
        n = plan[g, COUNT]
        plan[g, BASE] = base
        if n == 0.0:
            continue
        across, down = plan[g, RIGHT] - plan[g, LEFT], plan[g, BOTTOM] - plan[g, TOP]
        far = max(max(abs(plan[g, LEFT]), abs(plan[g, RIGHT])), max(abs(plan[g, TOP]), abs(plan[g, BOTTOM])))
        grain = max(far * 4e-15, 1e-150)
        side = math.sqrt(across / n) * math.sqrt(down)
        side_x = max(max(plan[g, WIDE] * near * 1.000001, side), grain) + grain
        side_y = max(max(plan[g, HIGH] * near * 1.000001, side), grain) + grain
        cols, rows = min(across / side_x, n), min(down / side_y, n)
        if (cols + 1.0) * (rows + 1.0) > 2.0 * n + 16.0:
            if cols > rows:
                cols = 2.0 * n / (rows + 1.0)
            else:
                rows = 2.0 * n / (cols + 1.0)
        if cols * side_x < across:
            side_x = across / max(cols, 1.0) * 1.000001
        if rows * side_y < down:
            side_y = down / max(rows, 1.0) * 1.000001
        plan[g, SIDE_X], plan[g, SIDE_Y] = side_x, side_y
        plan[g, COLS] = math.floor(across / side_x) + 3.0
        plan[g, ROWS] = math.floor(down / side_y) + 1.0
        base += int(plan[g, COLS] * (plan[g, ROWS] + 1.0)) + 3
    return base


@inlined
def place(plan: Any, g: int, cx: float, cy: float) -> int:
    """The cell of a center in the grid of group g; one empty column stands on either side."""
    col = min(math.floor((cx - plan[g, LEFT]) / plan[g, SIDE_X]), plan[g, COLS] - 3.0)
    row = min(math.floor((cy - plan[g, TOP]) / plan[g, SIDE_Y]), plan[g, ROWS] - 1.0)
    return int(plan[g, BASE] + row * plan[g, COLS] + col + 1.0)


@inlined
def sort_in(
    boxes: Any, plan: Any, group: Any, cell: Any, starts: Any, cells: int, lying: Any, source: Any
) -> None:
    """Counting sort: `lying` (n, 4) the boxes cell by cell, `source` where each came from."""
    n = len(boxes)
    for c in range(cells + 1):
        starts[c] = 0
    for i in range(n):
        x0, y0 = boxes[i, 0], boxes[i, 1]
        c = place(plan, int(group[i]), x0 + 0.5 * (boxes[i, 2] - x0), y0 + 0.5 * (boxes[i, 3] - y0))
        cell[i] = c
        starts[c + 1] += 1
    for c in range(cells):
        starts[c + 1] += starts[c]
    for i in range(n):
        at = starts[cell[i]]
        starts[cell[i]] = at + 1
        source[at] = i
        lying[at, 0] = boxes[i, 0]
        lying[at, 1] = boxes[i, 1]
        lying[at, 2] = boxes[i, 2]
        lying[at, 3] = boxes[i, 3]
    for c in range(cells, 0, -1):
        starts[c] = starts[c - 1]
    starts[0] = 0


@inlined
def over(b: Any, i: int, j: int, threshold: float) -> bool:
    """Whether the IoU of rows i and j is above the threshold, decided as the quotient says."""
    w = min(b[i, 2], b[j, 2]) - max(b[i, 0], b[j, 0])
    if w <= 0.0:
        return False
    h = min(b[i, 3], b[j, 3]) - max(b[i, 1], b[j, 1])
    if h <= 0.0:
        return False
    shared = w * h
    union = (b[i, 2] - b[i, 0]) * (b[i, 3] - b[i, 1]) + (b[j, 2] - b[j, 0]) * (b[j, 3] - b[j, 1]) - shared
    return shared > threshold * union * 0.999999 and shared / union > threshold


@inlined
def keep_pair(pairs: Any, found: int, one: int, other: int) -> int:
    """Store a pair while there is room; gives the new count either way."""
    if found < len(pairs):
        pairs[found, 0] = one
        pairs[found, 1] = other
    return found + 1


@inlined
def within(
    plan: Any,
    g: int,
    starts: Any,
    lying: Any,
    source: Any,
    threshold: float,
    pairs: Any,
    found: int,
    limit: int,
    budget: int,
) -> tuple[int, int]:
    """Pairs inside one group: each cell against itself and the cells after it; ends early where they are too many."""
    base, cols = int(plan[g, BASE]), int(plan[g, COLS])
    cells = cols * int(plan[g, ROWS])
    work = 0
    for c in range(base, base + cells):
        here = int(starts[c + 1] - starts[c])
        work += here * int(starts[c + 2] - starts[c] + starts[c + cols + 2] - starts[c + cols - 1])
    if work > budget:
        return found, -1
    budget -= work
    for c in range(base, base + cells):
        first, last = np.int64(starts[c]), np.int64(starts[c + 1])
        if first == last:
            continue
        ahead, under = np.int64(starts[c + 2]), np.int64(starts[c + cols - 1])
        done = np.int64(starts[c + cols + 2])
        if found > limit:
            return found, -1
        for i in range(first, last):
            for j in range(i + 1, ahead):
                if over(lying, i, j, threshold):
                    found = keep_pair(pairs, found, source[i], source[j])
            for j in range(under, done):
                if over(lying, i, j, threshold):
                    found = keep_pair(pairs, found, source[i], source[j])
    return found, budget


@inlined
def between(
    plan: Any,
    g: int,
    other: int,
    near: float,
    starts: Any,
    lying: Any,
    source: Any,
    threshold: float,
    pairs: Any,
    found: int,
    limit: int,
    budget: int,
) -> tuple[int, int]:
    """Pairs of a box in group g (smaller boxes) and one in the group `other`."""
    base, cols, rows = int(plan[other, BASE]), plan[other, COLS], plan[other, ROWS]
    first = np.int64(starts[int(plan[g, BASE])])
    for i in range(first, first + int(plan[g, COUNT])):
        w, h = lying[i, 2] - lying[i, 0], lying[i, 3] - lying[i, 1]
        if max(w, h) < threshold * plan[other, SHORT] * 0.999999:
            continue
        reach_x = (w + plan[other, WIDE]) * near * 0.5000001 + 1e-6 * plan[other, SIDE_X]
        reach_y = (h + plan[other, HIGH]) * near * 0.5000001 + 1e-6 * plan[other, SIDE_Y]
        cx, cy = lying[i, 0] + 0.5 * w - plan[other, LEFT], lying[i, 1] + 0.5 * h - plan[other, TOP]
        left = math.floor(min(max((cx - reach_x) / plan[other, SIDE_X], 0.0), cols))
        right = math.floor(min(max((cx + reach_x) / plan[other, SIDE_X], -1.0), cols - 3.0))
        top = math.floor(min(max((cy - reach_y) / plan[other, SIDE_Y], 0.0), rows))
        bottom = math.floor(min(max((cy + reach_y) / plan[other, SIDE_Y], -1.0), rows - 1.0))
        if left > right:
            continue
        for row in range(top, bottom + 1):
            begin = base + row * int(cols) + 1
            start, stop = np.int64(starts[begin + left]), np.int64(starts[begin + right + 1])
            budget -= int(stop - start) + 2
            for j in range(start, stop):
                if over(lying, i, j, threshold):
                    found = keep_pair(pairs, found, source[i], source[j])
        if budget < 0 or found > limit:
            return found, -1
    return found, budget


@inlined
def collect(
    boxes: Any,
    threshold: float,
    plan: Any,
    group: Any,
    cell: Any,
    starts: Any,
    lying: Any,
    source: Any,
    pairs: Any,
    limit: int,
    budget: int,
) -> int:
    """All pairs of IoU above the threshold into `pairs`; their number, or -1 when over budget or limit.

    The plan must have been surveyed. More pairs than there is room for are counted, not stored.
    """
    near = (1.0 - threshold) / (1.0 + threshold)
    cells = lay_out(plan, near)
    if cells + 1 > len(starts):
        return -1
    sort_in(boxes, plan, group, cell, starts, cells, lying, source)
    found: Any = np.int64(0)  # not a literal, for which everything would be compiled once more
    for g in range(GROUPS):
        if budget < 0:
            return -1
        if plan[g, COUNT] == 0.0 or plan[g, LONG] == 0.0:
            continue
        found, budget = within(plan, g, starts, lying, source, threshold, pairs, found, limit, budget)
        for other in range(g):
            if plan[other, COUNT] > 0.0 and plan[g, LONG] >= threshold * plan[other, SHORT] * 0.999999:
                found, budget = between(
                    plan, g, other, near, starts, lying, source, threshold, pairs, found, limit, budget
                )
        if budget < 0:
            return -1
    return found if found <= limit else -1
