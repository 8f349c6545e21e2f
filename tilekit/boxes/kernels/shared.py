"""Area that two shapes share: turned rectangles by clipping one with the other, outlines by summing what lies beyond
pairs of their edges, masks by walking along both."""

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


@kernel("void(R2,RI,R2,RI,RI,RI,F)")
def outlines(one: Any, starts: Any, other: Any, other_starts: Any, first: Any, second: Any, out: Any) -> None:
    """`out[p]`: area shared by outline `first[p]` of `one` and `second[p]` of `other`; rings must not cross.

    Rows of `one` (m, 6) are edges, those of an outline sorted by their left end: x0, y0, x1, y1 with x0 < x1, sign, and
    the rightmost end so far. The sign is 1 where the outline lies beyond the edge (larger y), -1 where before it. So
    an outline is the sum of signed half strips, and what two share the sum over pairs of edges of what lies beyond both.
    """
    for p in range(len(first)):
        a, end_a = starts[first[p]], starts[first[p] + 1]
        begin, end_b = other_starts[second[p]], other_starts[second[p] + 1]
        out[p] = 0.0
        if a == end_a or begin == end_b:
            continue
        ox, oy = max(one[a, 0], other[begin, 0]), one[a, 1]
        total, size = 0.0, 0.0
        while a < end_a:
            ax0, ax1 = one[a, 0] - ox, one[a, 2] - ox
            ay0, rise, run = one[a, 1] - oy, one[a, 3] - one[a, 1], one[a, 2] - one[a, 0]
            while begin < end_b and other[begin, 5] - ox <= ax0:
                begin += 1
            b = begin
            while b < end_b and other[b, 0] - ox < ax1:
                bx0, bx1 = other[b, 0] - ox, other[b, 2] - ox
                left, right = max(ax0, bx0), min(ax1, bx1)
                if right > left:
                    by0, climb, way = other[b, 1] - oy, other[b, 3] - other[b, 1], other[b, 2] - other[b, 0]
                    here, there = by0 + (left - bx0) / way * climb, by0 + (right - bx0) / way * climb
                    apart = ay0 + (left - ax0) / run * rise - here
                    apart_there = ay0 + (right - ax0) / run * rise - there
                    high = here + there
                    if apart >= 0.0 and apart_there >= 0.0:
                        high += apart + apart_there
                    elif apart > 0.0:
                        high += apart * apart / (apart - apart_there)
                    elif apart_there > 0.0:
                        high += apart_there * apart_there / (apart_there - apart)
                    part = 0.5 * high * (right - left)
                    total -= one[a, 4] * other[b, 4] * part
                    size += abs(part)
                b += 1
            a += 1
        if total > 1e-13 * size:  # less is what rounding leaves of outlines that do not meet
            out[p] = total


@kernel("void(F2,RI)")
def reach(edges: Any, starts: Any) -> None:
    """Note beside each edge the rightmost end of its outline so far."""
    for row in range(len(starts) - 1):
        far = 0.0
        for edge in range(starts[row], starts[row + 1]):
            if edge == starts[row] or edges[edge, 2] > far:
                far = edges[edge, 2]
            edges[edge, 5] = far


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
