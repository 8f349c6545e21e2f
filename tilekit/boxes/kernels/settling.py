"""Merging along pairs of boxes that touch: quick where boxes are spread, as detections are."""

from __future__ import annotations

from typing import Any

from tilekit.boxes.kernels.greedy import DROPPED, KEPT, MERGE, OPEN, suppresses
from tilekit.compiled import kernel

_UNKNOWN = 3


@kernel("void(R2,RF,RI2,RB2,f,f,S2)")
def judge(boxes: Any, ranks: Any, keys: Any, marks: Any, threshold: float, slack: float, pairs: Any) -> None:
    """Turn every pair that may remove one another to better, worse; -1 in place of worse where none removes the other."""
    for p in range(len(pairs)):
        a, b = pairs[p, 0], pairs[p, 1]
        pairs[p, 1] = -1
        if keys[a, 0] != keys[b, 0]:
            continue
        if marks[a, 1] > marks[b, 1] or (
            marks[a, 1] == marks[b, 1] and (ranks[a] < ranks[b] or (ranks[a] == ranks[b] and a > b))
        ):
            a, b = b, a
        if suppresses(boxes, marks, keys, a, b, MERGE, threshold, slack):
            pairs[p, 0], pairs[p, 1] = a, b


@kernel("void(S2,RB2,S,S,S2,B)")
def settle(pairs: Any, marks: Any, first: Any, better: Any, stack: Any, state: Any) -> None:
    """Decide every box from the pairs (better, worse) that `judge` left: `state` DROPPED, KEPT or OPEN.

    `marks` (n, 3): the last column names boxes that something still unknown may remove. Scratch: `first` (n + 2),
    `better` (m), `stack` (3, n): boxes on the way, where each one's better ones were left, whether one of them is open.
    """
    n = len(state)
    for i in range(n + 2):
        first[i] = 0
    for p in range(len(pairs)):
        if pairs[p, 1] >= 0:
            first[pairs[p, 1] + 2] += 1
    for i in range(n):
        first[i + 2] += first[i + 1]
        state[i] = _UNKNOWN
    for p in range(len(pairs)):
        b = pairs[p, 1]
        if b >= 0:
            better[first[b + 1]] = pairs[p, 0]
            first[b + 1] += 1
    for i in range(n):
        if state[i] != _UNKNOWN:
            continue
        depth = 0
        stack[0, 0], stack[1, 0], stack[2, 0] = i, first[i], marks[i, 2]
        while depth >= 0:
            b, at = stack[0, depth], stack[1, depth]
            verdict = KEPT
            while at < first[b + 1]:
                known = state[better[at]]
                if known in (KEPT, _UNKNOWN):
                    verdict = DROPPED if known == KEPT else _UNKNOWN
                    break
                if known == OPEN:
                    stack[2, depth] = 1
                at += 1
            if verdict == _UNKNOWN:
                stack[1, depth] = at
                depth += 1
                stack[0, depth], stack[1, depth] = better[at], first[better[at]]
                stack[2, depth] = marks[better[at], 2]
            else:
                state[b] = OPEN if verdict == KEPT and stack[2, depth] != 0 else verdict
                depth -= 1
