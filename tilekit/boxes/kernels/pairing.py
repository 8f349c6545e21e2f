"""Suppression along pairs: quick where boxes are spread, as detections are."""

from __future__ import annotations

from typing import Any

from tilekit.boxes.kernels.cells import collect, survey
from tilekit.boxes.kernels.jit import inlined, kernel
from tilekit.boxes.kernels.ranking import rank

BAD_BOX, BAD_SCORE, GIVE_UP = -1, -2, -3


@inlined
def resolve(
    pairs: Any,
    found: int,
    scores: Any,
    labels: Any,
    first: Any,
    better: Any,
    stack: Any,
    reached: Any,
    kept: Any,
) -> None:
    """Drop every box that a kept better one overlaps: depth first along the pairs.

    `first` (n + 2), `better` (found), `stack`, `reached` (n): scratch. `kept`: 1 kept, 0 dropped.
    """
    n = len(scores)
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
        stack[0], reached[0] = i, first[i]
        while depth >= 0:
            b, at = stack[depth], reached[depth]
            verdict = 1
            while at < first[b + 1]:
                state = kept[better[at]]
                if state != 0:
                    verdict = 0 if state == 1 else 2
                    break
                at += 1
            if verdict == 2:
                reached[depth] = at
                depth += 1
                stack[depth] = better[at]
                reached[depth] = first[better[at]]
            else:
                kept[b] = verdict
                depth -= 1


@kernel("i(R2,RF,RI,RI,f,F2,F2,S,S2,B,I,S,I)")
def nms(
    boxes: Any,
    scores: Any,
    bits: Any,
    labels: Any,
    threshold: float,
    plan: Any,
    lying: Any,
    scratch: Any,
    pairs: Any,
    flags: Any,
    keys: Any,
    counts: Any,
    out: Any,
) -> int:
    """Kept places by falling score into `out`; their number, or BAD_BOX, BAD_SCORE, GIVE_UP (too dense).

    Scratch: `plan` (24, 14), `lying` (n, 4), `scratch` (7 n + 800), `pairs` (up to 4 n, 2), `flags` (2 n),
    `keys` (2 n), `counts` (2048). `labels` may be empty.
    """
    n = len(boxes)
    group, kept = flags[:n], flags[n:]
    if survey(boxes, plan, group) >= 0:
        return BAD_BOX
    for i in range(n):
        if not (-1e300 <= scores[i] <= 1e300):
            return BAD_SCORE
    cell, source, starts = scratch[:n], scratch[n : 2 * n], scratch[2 * n :]
    room = len(pairs)
    found = collect(boxes, threshold, plan, group, cell, starts, lying, source, pairs, room, 64 * n + 4096)
    if found < 0 or found > room:
        return GIVE_UP
    first, stack, reached = scratch[: n + 2], scratch[n + 2 : 2 * n + 2], scratch[2 * n + 2 : 3 * n + 2]
    resolve(pairs, found, scores, labels, first, scratch[3 * n + 2 :], stack, reached, kept)
    number = rank(bits, kept, keys[:n], scratch[:n], keys[n:], scratch[n : 2 * n], counts, out)
    return GIVE_UP if number < 0 else number
