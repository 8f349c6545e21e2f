"""Rings of outlines: which surely do not cross themselves, and their edges as measuring wants them."""

from __future__ import annotations

from typing import Any

from tilekit.compiled import inlined, kernel

FEW = 64  # points of a ring, and edges of a row, up to which looking at all of them is quick
_SURE = 1e-15  # of the sum of both products, beyond which the sign of their difference is no rounding


@inlined
def side(points: Any, p: int, q: int, c: int) -> float:
    """1 or -1 for the side of the line from p to q on which c surely lies, 0 where that is too close to say."""
    left = (points[q, 0] - points[p, 0]) * (points[c, 1] - points[p, 1])
    right = (points[q, 1] - points[p, 1]) * (points[c, 0] - points[p, 0])
    least = _SURE * (abs(left) + abs(right))
    if left - right > least:
        return 1.0
    if right - left > least:
        return -1.0
    return 0.0


@inlined
def apart(points: Any, p: int, q: int, c: int, d: int) -> bool:
    """Whether the stretches p to q and c to d surely have no point in common."""
    if max(points[p, 0], points[q, 0]) < min(points[c, 0], points[d, 0]):
        return True
    if max(points[c, 0], points[d, 0]) < min(points[p, 0], points[q, 0]):
        return True
    if max(points[p, 1], points[q, 1]) < min(points[c, 1], points[d, 1]):
        return True
    if max(points[c, 1], points[d, 1]) < min(points[p, 1], points[q, 1]):
        return True
    return (
        side(points, p, q, c) * side(points, p, q, d) > 0.0
        or side(points, c, d, p) * side(points, c, d, q) > 0.0
    )


@inlined
def goes_on(points: Any, p: int, q: int, c: int) -> bool:
    """Whether the way from p over q to c surely does not run back on itself."""
    if side(points, p, q, c) != 0.0:
        return True
    across = (points[q, 0] - points[p, 0]) * (points[c, 0] - points[q, 0])
    down = (points[q, 1] - points[p, 1]) * (points[c, 1] - points[q, 1])
    return across + down > 1e-9 * (abs(across) + abs(down))


@kernel("void(R2,RI,B)")
def simple(points: Any, rings: Any, sure: Any) -> None:
    """`sure[r]` 1 where ring r surely neither crosses nor touches itself; 0 says nothing: no, too close, or over 64 points."""
    for r in range(len(rings) - 1):
        first, count = rings[r], rings[r + 1] - rings[r]
        sure[r] = 0
        if count < 3 or count > FEW:
            continue
        fine = True
        for i in range(count):
            p, q = first + i, first + (i + 1) % count
            if not goes_on(points, p, q, first + (i + 2) % count):
                fine = False
                break
            for j in range(i + 2, count - (1 if i == 0 else 0)):
                if not apart(points, p, q, first + j, first + (j + 1) % count):
                    fine = False
                    break
            if not fine:
                break
        sure[r] = fine


@kernel("void(R2,RI,RI,RB,F2,I,F)")
def edges(points: Any, rings: Any, objects: Any, holes: Any, out: Any, starts: Any, areas: Any) -> None:
    """Edges of each row as `shared.outlines` takes them: x0, y0, x1, y1 with x0 < x1, and the sign; upright ones left out.

    `starts` (n + 1,): where each row's begin; up to 64 a row come sorted by x0, more as they are. `areas` (n,).
    """
    at = 0
    for row in range(len(objects) - 1):
        starts[row] = begin = at
        areas[row] = 0.0
        for r in range(objects[row], objects[row + 1]):
            first, stop = rings[r], rings[r + 1]
            double = 0.0
            for i in range(first, stop):
                j = i + 1 if i + 1 < stop else first
                ax, ay = points[i, 0] - points[first, 0], points[i, 1] - points[first, 1]
                bx, by = points[j, 0] - points[first, 0], points[j, 1] - points[first, 1]
                double += ax * by - bx * ay
            turn = -1.0 if holes[r] else 1.0
            areas[row] += 0.5 * turn * abs(double)
            if double < 0.0:
                turn = -turn
            for i in range(first, stop):
                j = i + 1 if i + 1 < stop else first
                x0, y0, x1, y1, sign = points[i, 0], points[i, 1], points[j, 0], points[j, 1], turn
                if x0 == x1:
                    continue
                if x0 > x1:
                    x0, y0, x1, y1, sign = x1, y1, x0, y0, -turn
                k = at
                if at - begin < FEW:
                    while k > begin and out[k - 1, 0] > x0:
                        for field in range(5):
                            out[k, field] = out[k - 1, field]
                        k -= 1
                out[k, 0], out[k, 1], out[k, 2], out[k, 3], out[k, 4] = x0, y0, x1, y1, sign
                at += 1
        areas[row] = max(areas[row], 0.0)
    starts[len(objects) - 1] = at
