"""Weighted box fusion: clusters whose mean boxes move, found through cells of powers of two."""

from __future__ import annotations

import math
from typing import Any

from tilekit.compiled import inlined, kernel


@inlined
def level_of(size: float) -> int:
    """The power of two above a size, from -300 to 400."""
    if size <= 1e-90:
        return -300
    return math.ceil(math.log2(size) + 1e-9)


@inlined
def slot_at(x: float, y: float, level: int, label: int, mask: int) -> int:
    """Hash slot of a cell; coordinates in cells of the level."""
    ix = math.floor(min(max(x, -1e12), 1e12))
    iy = math.floor(min(max(y, -1e12), 1e12))
    return ((ix * 73856093) ^ (iy * 19349663) ^ (level * 83492791) ^ (label * 50331653)) & mask


@inlined
def iou_with(boxes: Any, i: int, fused: Any, k: int) -> float:
    """IoU of box i and cluster k."""
    w = min(boxes[i, 2], fused[k, 2]) - max(boxes[i, 0], fused[k, 0])
    h = min(boxes[i, 3], fused[k, 3]) - max(boxes[i, 1], fused[k, 1])
    if w <= 0.0 or h <= 0.0 or w * h <= 0.0:
        return 0.0
    one = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
    return w * h / (one + (fused[k, 2] - fused[k, 0]) * (fused[k, 3] - fused[k, 1]) - w * h)


@kernel("i(R2,RF,RS,RI,f,F2,F2,F,I,I2,I,I)")
def fuse(
    boxes: Any,
    weights: Any,
    order: Any,
    labels: Any,
    threshold: float,
    fused: Any,
    sums: Any,
    total: Any,
    heads: Any,
    links: Any,
    members: Any,
    target: Any,
) -> int:
    """Put each box, best first, to the cluster it overlaps most above the threshold, or into a new one.

    `weights` (n,): score times model weight. `fused` (n, 4): mean boxes; `sums` (n, 4): weighted sums;
    `total` (n,): summed weights; `members` (n,): their number; `target` (n,): cluster of each box, -1 for those
    not in `order`. Scratch: `heads` (a power of two), `links` (3, n): next in the cell, the cell's slot, the first member. Gives the number of clusters.
    """
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    mask = len(heads) - 1
    heads[:] = -1
    target[:] = -1
    low, high = 400, -300
    count = 0
    for rank in range(len(order)):
        i = order[rank]
        label = int(labels[i])
        size = max(boxes[i, 2] - boxes[i, 0], boxes[i, 3] - boxes[i, 1])
        cx, cy = (
            boxes[i, 0] + 0.5 * (boxes[i, 2] - boxes[i, 0]),
            boxes[i, 1] + 0.5 * (boxes[i, 3] - boxes[i, 1]),
        )
        best, most = -1, threshold
        begin = low if threshold <= 0.0 else max(low, level_of(size * threshold * 0.999))
        end = high if threshold <= 0.0 else min(high, level_of(size / threshold * 1.001))
        for level in range(begin, end + 1):
            side = 2.0**level
            grain = max(abs(cx), abs(cy)) * 4e-15
            side = max(side, grain)
            reach = (size + 2.0**level) * 0.5000001 * (1.0 - threshold) / (1.0 + threshold) + grain
            left, right = (
                math.floor(max((cx - reach) / side, -1e12)),
                math.floor(min((cx + reach) / side, 1e12)),
            )
            top, bottom = (
                math.floor(max((cy - reach) / side, -1e12)),
                math.floor(min((cy + reach) / side, 1e12)),
            )
            for iy in range(top, bottom + 1):
                for ix in range(left, right + 1):
                    k = heads[slot_at(float(ix), float(iy), level, label, mask)]
                    while k >= 0:
                        if members[k] > 0 and labels[links[2, k]] == label:
                            part = iou_with(boxes, i, fused, k)
                            if part > most or (part == most and best >= 0 and k < best):
                                most, best = part, k
                        k = links[0, k]
        fresh = best < 0
        if fresh:
            best = count
            count += 1
            total[best] = 0.0
            members[best] = 0
            sums[best, 0] = sums[best, 1] = sums[best, 2] = sums[best, 3] = 0.0
            links[1, best] = -1
            links[2, best] = i
        target[i] = best
        weight = max(weights[i], 1e-150)
        total[best] += weight
        members[best] += 1
        for side_of in range(4):
            sums[best, side_of] += weight * boxes[i, side_of]
            fused[best, side_of] = boxes[i, side_of] if fresh else sums[best, side_of] / total[best]
        size = max(fused[best, 2] - fused[best, 0], fused[best, 3] - fused[best, 1])
        level = level_of(size)
        low, high = min(low, level), max(high, level)
        cx = fused[best, 0] + 0.5 * (fused[best, 2] - fused[best, 0])
        cy = fused[best, 1] + 0.5 * (fused[best, 3] - fused[best, 1])
        side = max(2.0**level, max(abs(cx), abs(cy)) * 4e-15)
        slot = slot_at(cx / side, cy / side, level, label, mask)
        old = links[1, best]
        if old == slot:
            continue
        if old >= 0:
            if heads[old] == best:
                heads[old] = links[0, best]
            else:
                k = heads[old]
                while links[0, k] != best:
                    k = links[0, k]
                links[0, k] = links[0, best]
        links[0, best] = heads[slot]
        heads[slot] = best
        links[1, best] = slot
    return count


@kernel("void(R2,RS,RI,i,f,F2)")
def swallow(boxes: Any, order: Any, winner: Any, ios: int, threshold: float, out: Any) -> None:
    """Grow each kept box of `out` (a copy of `boxes`) over those it removed, in order, while they still overlap."""
    for rank in range(len(order)):
        i = order[rank]
        k = winner[i]
        if k < 0:
            continue
        w = min(boxes[i, 2], out[k, 2]) - max(boxes[i, 0], out[k, 0])
        h = min(boxes[i, 3], out[k, 3]) - max(boxes[i, 1], out[k, 1])
        if w <= 0.0 or h <= 0.0 or w * h <= 0.0:
            continue
        one = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
        other = (out[k, 2] - out[k, 0]) * (out[k, 3] - out[k, 1])
        if w * h / (min(one, other) if ios != 0 else one + other - w * h) > threshold:
            out[k, 0], out[k, 1] = min(out[k, 0], boxes[i, 0]), min(out[k, 1], boxes[i, 1])
            out[k, 2], out[k, 3] = max(out[k, 2], boxes[i, 2]), max(out[k, 3], boxes[i, 3])
