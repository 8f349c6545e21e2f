"""Greedy suppression in score order against the few survivors near by, found through a hash of cells.

Works for every threshold, metric and mix of sizes. Boxes are grouped by size (three octaves a
group), every group has cells fit to its largest box; a survivor hangs in the cell of its center,
and a box looks only into the cells where a survivor of each group could suppress it.
"""

from __future__ import annotations

import math
from typing import Any

from tilekit.compiled import inlined, kernel

IOU, IOS, MERGE = 0, 1, 2
DROPPED, KEPT, OPEN = 0, 1, 2
ACROSS = (
    0.8  # of the threshold is enough where two tiles saw the boxes: edges of both are off, each by itself
)


@inlined
def cell_of(value: float, size: float) -> int:
    """The cell of a coordinate; monotone, clamped so that it always fits."""
    return math.floor(min(max(value / size, -1e12), 1e12))


@inlined
def slot_of(ix: int, iy: int, group: int, label: int, mask: int) -> int:
    """Place of a cell in the hash table."""
    return ((ix * 73856093) ^ (iy * 19349663) ^ (group * 83492791) ^ (label * 50331653)) & mask


@inlined
def intersection(a: Any, i: int, b: Any, j: int) -> float:
    """Shared area of box i of a and box j of b."""
    w = min(a[i, 2], b[j, 2]) - max(a[i, 0], b[j, 0])
    h = min(a[i, 3], b[j, 3]) - max(a[i, 1], b[j, 1])
    if w <= 0.0 or h <= 0.0:
        return 0.0
    return w * h


@inlined
def area(a: Any, i: int) -> float:
    """Area of box i."""
    return (a[i, 2] - a[i, 0]) * (a[i, 3] - a[i, 1])


@inlined
def inside(a: Any, i: int, k: int, slack: float) -> float:
    """Share of box i that lies in box k widened by `slack` on every side."""
    w = min(a[i, 2], a[k, 2] + slack) - max(a[i, 0], a[k, 0] - slack)
    h = min(a[i, 3], a[k, 3] + slack) - max(a[i, 1], a[k, 1] - slack)
    if w < 0.0 or h < 0.0:
        return 0.0
    size = area(a, i)
    if size > 0.0:
        return w * h / size
    return 1.0 if w >= a[i, 2] - a[i, 0] and h >= a[i, 3] - a[i, 1] else 0.0


@inlined
def coincide(a: Any, i: int, k: int, slack: float) -> bool:
    """Whether all four edges agree within `slack` and the boxes overlap at all."""
    return (
        abs(a[i, 0] - a[k, 0]) <= slack
        and abs(a[i, 1] - a[k, 1]) <= slack
        and abs(a[i, 2] - a[k, 2]) <= slack
        and abs(a[i, 3] - a[k, 3]) <= slack
        and intersection(a, i, a, k) > 0.0
    )


@inlined
def iou_of(a: Any, i: int, b: Any, j: int) -> float:
    """Intersection over union; 0 where there is none."""
    shared = intersection(a, i, b, j)
    if shared <= 0.0:
        return 0.0
    return shared / (area(a, i) + area(b, j) - shared)


@inlined
def ios_of(a: Any, i: int, b: Any, j: int) -> float:
    """Intersection over the smaller area; 0 where there is none."""
    shared = intersection(a, i, b, j)
    if shared <= 0.0:
        return 0.0
    return shared / min(area(a, i), area(b, j))


@inlined
def suppresses(
    boxes: Any, marks: Any, keys: Any, k: int, i: int, metric: int, threshold: float, slack: float
) -> bool:
    """Whether the better box k removes box i; `keys` (n, 2) label and tile, `marks` (n, 3) group, cut, unsettled."""
    if metric == IOU:
        return iou_of(boxes, i, boxes, k) > threshold
    if metric == IOS:
        return ios_of(boxes, i, boxes, k) > threshold
    if marks[i, 1] == 0:
        if keys[i, 1] == keys[k, 1]:
            return iou_of(boxes, i, boxes, k) > threshold
        return iou_of(boxes, i, boxes, k) > ACROSS * threshold or coincide(boxes, i, k, slack)
    if marks[k, 1] == 0:
        return inside(boxes, i, k, slack) > threshold
    return ios_of(boxes, i, boxes, k) > threshold or inside(boxes, i, k, slack) > threshold


@kernel("void(R2,RS,RI2,RB2,R2,RF,S,S2,I,B,I)")
def suppress(
    boxes: Any,
    order: Any,
    keys: Any,
    marks: Any,
    groups: Any,
    rule: Any,
    heads: Any,
    links: Any,
    seen: Any,
    state: Any,
    winner: Any,
) -> None:
    """Decide every box in `order` (best first): `state` DROPPED, KEPT or OPEN, `winner` what removed it.

    `keys` (n, 2): label and tile; `marks` (n, 3): size group * 2 + cut, cut, unsettled (something still unknown may
    remove it; such boxes and what depends on them end OPEN). `groups` (g, 4): largest width, height and long side, and
    the smallest long side in the group. `rule` (5,): metric, threshold, slack, grain (least cell side), and whether to
    look for the best box that removes each (slower), not just any; `winner` of others is -1 - rank. Scratch: `heads`
    (a power of two), `links` (2, n), `seen` (2 g): survivors and last survivor of each group.
    """
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    metric, best = int(rule[0]), int(rule[4])
    threshold, slack, grain = rule[1], rule[2], rule[3]
    mask, count = len(heads) - 1, len(groups)
    least = ACROSS * threshold if metric == MERGE else threshold
    near = (1.0 - least) / (2.0 * (1.0 + least))
    for s in range(len(heads)):
        heads[s] = -1
    for g in range(count):
        seen[2 * g] = 0
        seen[2 * g + 1] = -1
    for rank in range(len(order)):
        i = order[rank]
        w, h = boxes[i, 2] - boxes[i, 0], boxes[i, 3] - boxes[i, 1]
        longest = max(w, h)
        cx, cy = boxes[i, 0] + 0.5 * w, boxes[i, 1] + 0.5 * h
        label = int(keys[i, 0])
        verdict = OPEN if marks[i, 2] != 0 else KEPT
        by = -1
        for g in range(count):
            if seen[2 * g] == 0:
                continue
            part = near
            if metric == IOS or (metric == MERGE and (marks[i, 1] != 0 or (g & 1) != 0)):
                part = 0.5
            elif least > 0.0 and (
                longest + 2.0 * slack < least * (groups[g, 3] - 2.0 * slack) * 0.999
                or groups[g, 2] + 2.0 * slack < least * (longest - 2.0 * slack) * 0.999
            ):
                continue
            own = near if metric == IOU or (metric == MERGE and (g & 1) == 0) else 0.5
            side_x = max(4.0 * groups[g, 0] * own + slack, grain)
            side_y = max(4.0 * groups[g, 1] * own + slack, grain)
            reach_x = (w + groups[g, 0]) * part * 1.000001 + slack + grain
            reach_y = (h + groups[g, 1]) * part * 1.000001 + slack + grain
            left, right = cell_of(cx - reach_x, side_x), cell_of(cx + reach_x, side_x)
            top, bottom = cell_of(cy - reach_y, side_y), cell_of(cy + reach_y, side_y)
            plain = (right - left + 1.0) * (bottom - top + 1.0) > seen[2 * g]
            if plain:
                right, bottom = left, top
            for iy in range(top, bottom + 1):
                for ix in range(left, right + 1):
                    k = seen[2 * g + 1] if plain else heads[slot_of(ix, iy, g, label, mask)]
                    while k >= 0:
                        if keys[k, 0] == label and suppresses(
                            boxes, marks, keys, k, i, metric, threshold, slack
                        ):
                            if state[k] == KEPT:
                                verdict = DROPPED
                                if by < 0 or winner[k] > winner[by]:
                                    by = k
                                if best == 0:
                                    break
                            elif verdict != DROPPED:
                                verdict = OPEN
                        k = links[1, k] if plain else links[0, k]
                    if verdict == DROPPED and best == 0:
                        break
                if verdict == DROPPED and best == 0:
                    break
            if verdict == DROPPED and best == 0:
                break
        state[i] = verdict
        winner[i] = by if by >= 0 else -1 - rank
        if verdict != DROPPED:
            g = int(marks[i, 0])
            own = near if metric == IOU or (metric == MERGE and (g & 1) == 0) else 0.5
            ix = cell_of(cx, max(4.0 * groups[g, 0] * own + slack, grain))
            iy = cell_of(cy, max(4.0 * groups[g, 1] * own + slack, grain))
            slot = slot_of(ix, iy, g, label, mask)
            links[0, i] = heads[slot]
            heads[slot] = i
            links[1, i] = seen[2 * g + 1]
            seen[2 * g + 1] = i
            seen[2 * g] += 1
