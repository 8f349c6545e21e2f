"""Suppression along pairs: quick where boxes are spread, as detections are."""

from __future__ import annotations

from typing import Any

from tilekit.compiled import kernel


@kernel("i(S2,i,RF,RI,S,S,S2,B)")
def resolve(
    pairs: Any,
    found: int,
    scores: Any,
    labels: Any,
    first: Any,
    better: Any,
    stack: Any,
    kept: Any,
) -> int:
    """Drop every box that a kept better one overlaps: depth first along the pairs; -1 for a bad score, else 0.

    `first` (n + 2), `better` (found), `stack` (2, n: box, place reached): scratch. `kept`: 1 kept, 0 dropped.
    """
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    n = len(scores)
    for i in range(n):
        if not (-1e300 <= scores[i] <= 1e300):
            return -1
    labeled = len(labels) > 0
    for i in range(n + 2):
        first[i] = 0
    for p in range(found):
        a, b = pairs[p, 0], pairs[p, 1]
        if labeled and labels[a] != labels[b]:
            pairs[p, 1] = -1
            continue
        if scores[a] < scores[b] or (scores[a] == scores[b] and a > b):
            a, b = b, a
        pairs[p, 0], pairs[p, 1] = a, b
        first[b + 2] += 1
    for i in range(n):
        first[i + 2] += first[i + 1]
        kept[i] = 1 if first[i + 2] == first[i + 1] else 2
    for p in range(found):
        b = pairs[p, 1]
        if b >= 0:
            at = first[b + 1]
            first[b + 1] = at + 1
            better[at] = pairs[p, 0]
    for i in range(n):
        if kept[i] != 2:
            continue
        depth = 0
        stack[0, 0], stack[1, 0] = i, first[i]
        while depth >= 0:
            b, at = stack[0, depth], stack[1, depth]
            verdict = 1
            while at < first[b + 1]:
                state = kept[better[at]]
                if state != 0:
                    verdict = 0 if state == 1 else 2
                    break
                at += 1
            if verdict == 2:
                stack[1, depth] = at
                depth += 1
                stack[0, depth] = better[at]
                stack[1, depth] = first[better[at]]
            else:
                kept[b] = verdict
                depth -= 1
    return 0
