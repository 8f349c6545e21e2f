"""Merging along pairs of boxes that touch: quick where boxes are spread, as detections are."""

from __future__ import annotations

from typing import Any

from tilekit.boxes.kernels.greedy import DROPPED, KEPT, MERGE, OPEN, suppresses
from tilekit.compiled import kernel

_UNKNOWN = 3


@kernel("void(R2,RF,RI,RI,RB,f,f,S2,B,S,S,S,S,B)")
def settle(
    boxes: Any,
    scores: Any,
    labels: Any,
    tiles: Any,
    cut: Any,
    threshold: float,
    slack: float,
    pairs: Any,
    unsettled: Any,
    first: Any,
    better: Any,
    stack: Any,
    reached: Any,
    state: Any,
) -> None:
    """Decide every box: `state` DROPPED, KEPT or OPEN, as the greedy kernel would.

    `pairs` (m, 2) are all that may remove one another; overwritten, as is `unsettled`. Scratch: `first`
    (n + 2), `better` (m), `stack`, `reached` (n).
    """
    n = len(boxes)
    for i in range(n + 2):
        first[i] = 0
    for p in range(len(pairs)):
        a, b = pairs[p, 0], pairs[p, 1]
        pairs[p, 1] = -1
        if labels[a] != labels[b]:
            continue
        if cut[a] > cut[b] or (
            cut[a] == cut[b] and (scores[a] < scores[b] or (scores[a] == scores[b] and a > b))
        ):
            a, b = b, a
        if suppresses(boxes, cut, tiles, a, b, MERGE, threshold, slack):
            pairs[p, 0], pairs[p, 1] = a, b
            first[b + 2] += 1
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
        stack[0], reached[0] = i, first[i]
        while depth >= 0:
            b, at = stack[depth], reached[depth]
            verdict = KEPT
            while at < first[b + 1]:
                known = state[better[at]]
                if known in (KEPT, _UNKNOWN):
                    verdict = DROPPED if known == KEPT else _UNKNOWN
                    break
                if known == OPEN:
                    unsettled[b] = 1
                at += 1
            if verdict == _UNKNOWN:
                reached[depth] = at
                depth += 1
                stack[depth], reached[depth] = better[at], first[better[at]]
            else:
                state[b] = OPEN if verdict == KEPT and unsettled[b] != 0 else verdict
                depth -= 1
