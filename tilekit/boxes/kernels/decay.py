"""Soft suppression: the best box lowers the scores of those it overlaps, with a heap over the scores."""

from __future__ import annotations

import math
from typing import Any

from tilekit.compiled import inlined, kernel


@inlined
def before(scores: Any, one: int, other: int) -> bool:
    """Whether a box comes before another: by score, then by place."""
    return scores[one] > scores[other] or (scores[one] == scores[other] and one < other)


@inlined
def sink(heap: Any, spot: Any, scores: Any, at: int, size: int) -> None:
    """Move the box at a heap place down to where it belongs."""
    item = heap[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and before(scores, heap[child + 1], heap[child]):
            child += 1
        if not before(scores, heap[child], item):
            break
        heap[at] = heap[child]
        spot[heap[at]] = at
        at = child
    heap[at] = item
    spot[item] = at


@kernel("i(RS,RS,RF,i,f,f,F,I,I,I)")
def soften(
    first: Any,
    second: Any,
    overlap: Any,
    gaussian: int,
    sigma: float,
    floor: float,
    scores: Any,
    heap: Any,
    spot: Any,
    out: Any,
) -> int:
    """Choose boxes best first into `out`, lowering `scores` in place; gives their number.

    `first` (n + 1): where each box's neighbors begin in `second` and `overlap`. Chosen boxes have `spot` -1.
    """
    n = len(scores)
    for i in range(n):
        heap[i] = i
        spot[i] = i
    for at in range(n // 2 - 1, -1, -1):
        sink(heap, spot, scores, at, n)
    size, chosen = n, 0
    while size > 0:
        best = heap[0]
        if scores[best] < floor:
            break
        size -= 1
        spot[best] = -1
        if size > 0:
            heap[0] = heap[size]
            sink(heap, spot, scores, 0, size)
        out[chosen] = best
        chosen += 1
        for p in range(first[best], first[best + 1]):
            other = second[p]
            if spot[other] >= 0:
                part = overlap[p]
                scores[other] *= math.exp(-part * part / sigma) if gaussian != 0 else 1.0 - part
                sink(heap, spot, scores, spot[other], size)
    return chosen
