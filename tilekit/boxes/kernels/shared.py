"""Area that two shapes share: turned rectangles by clipping one with the other, masks by walking along both."""

from __future__ import annotations

from typing import Any

from tilekit.compiled import kernel


@kernel("void(R2,R2,RI,RI,F2,F)")
def quads(corners: Any, others: Any, first: Any, second: Any, work: Any, out: Any) -> None:
    """`out[p]`: area shared by the convex outline `first[p]` of `corners` (n, 8) and `second[p]` of `others`.

    Corners run clockwise as x, y, x, y. `work` (4, 16): the outline as it is cut down, and its next state.
    """
    for p in range(len(first)):
        i, j = first[p], second[p]
        x, y = corners[i, 0], corners[i, 1]
        size, now = 4, 0
        for k in range(4):
            work[0, k], work[1, k] = corners[i, 2 * k] - x, corners[i, 2 * k + 1] - y
        for side in range(4):
            after = (side + 1) % 4
            ax, ay = others[j, 2 * side] - x, others[j, 2 * side + 1] - y
            ex, ey = others[j, 2 * after] - x - ax, others[j, 2 * after + 1] - y - ay
            made, then = 0, 2 - now
            for k in range(size):
                px, py = work[now, k], work[now + 1, k]
                m = k + 1 if k + 1 < size else 0
                qx, qy = work[now, m], work[now + 1, m]
                here = ex * (py - ay) - ey * (px - ax)
                there = ex * (qy - ay) - ey * (qx - ax)
                if here >= 0.0:
                    work[then, made], work[then + 1, made] = px, py
                    made += 1
                if (here > 0.0 and there < 0.0) or (here < 0.0 and there > 0.0):
                    part = here / (here - there)
                    work[then, made], work[then + 1, made] = px + part * (qx - px), py + part * (qy - py)
                    made += 1
            size, now = made, then
        area = 0.0
        for k in range(1, size - 1):
            ux, uy = work[now, k] - work[now, 0], work[now + 1, k] - work[now + 1, 0]
            vx, vy = work[now, k + 1] - work[now, 0], work[now + 1, k + 1] - work[now + 1, 0]
            area += ux * vy - uy * vx
        out[p] = max(0.5 * area, 0.0)


@kernel("void(RS2,RI,RS2,RI,RI,RI,F)")
def spans(one: Any, starts: Any, other: Any, other_starts: Any, first: Any, second: Any, out: Any) -> None:
    """`out[p]`: pixels that mask `first[p]` of `one` and mask `second[p]` of `other` share; spans (n, 3) are x, y0, y1."""
    for p in range(len(first)):
        a, end_a = starts[first[p]], starts[first[p] + 1]
        b, end_b = other_starts[second[p]], other_starts[second[p] + 1]
        total = 0
        while a < end_a and b < end_b:
            if one[a, 0] < other[b, 0]:
                a += 1
            elif one[a, 0] > other[b, 0]:
                b += 1
            else:
                low, high = max(one[a, 1], other[b, 1]), min(one[a, 2], other[b, 2])
                if high > low:
                    total += high - low
                if one[a, 2] <= other[b, 2]:
                    a += 1
                else:
                    b += 1
        out[p] = float(total)
