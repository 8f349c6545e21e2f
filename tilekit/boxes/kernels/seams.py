"""Which pieces on the two sides of a seam belong together."""

from __future__ import annotations

from typing import Any

from tilekit.compiled import inlined, kernel


@inlined
def agreement(a: Any, i: int, b: Any, j: int) -> float:
    """1-d IoU of span i of a and span j of b (n, 2)."""
    whole = max(a[i, 1], b[j, 1]) - min(a[i, 0], b[j, 0])
    if whole <= 0.0:
        return 1.0
    return max(0.0, min(a[i, 1], b[j, 1]) - max(a[i, 0], b[j, 0])) / whole


@kernel("void(RI,R2,RI,RI,R2,RI,f,I,I)")
def pair_up(
    near_keys: Any,
    near: Any,
    near_labels: Any,
    far_keys: Any,
    far: Any,
    far_labels: Any,
    least: float,
    forth: Any,
    back: Any,
) -> None:
    """Mutual best matches over each seam: `forth[i]` the far piece of near piece i, or -1.

    Keys (sorted) name the seam; spans (n, 2) run along it. Pieces of one label match where their 1-d IoU
    is at least `least`; the first of equals wins. `back` is scratch, as long as `far`.
    """
    for j in range(len(far_keys)):
        back[j] = -1
    a, b, end_a, end_b = 0, 0, len(near_keys), len(far_keys)
    for i in range(end_a):
        forth[i] = -1
    while a < end_a and b < end_b:
        if near_keys[a] < far_keys[b]:
            a += 1
            continue
        if near_keys[a] > far_keys[b]:
            b += 1
            continue
        stop_a, stop_b = a, b
        while stop_a < end_a and near_keys[stop_a] == near_keys[a]:
            stop_a += 1
        while stop_b < end_b and far_keys[stop_b] == far_keys[b]:
            stop_b += 1
        for j in range(b, stop_b):
            most = least
            for i in range(a, stop_a):
                if near_labels[i] == far_labels[j]:
                    match = agreement(near, i, far, j)
                    if match > most or (match == most and back[j] < 0):
                        most = match
                        back[j] = i
        for i in range(a, stop_a):
            most = least
            best = -1
            for j in range(b, stop_b):
                if near_labels[i] == far_labels[j]:
                    match = agreement(near, i, far, j)
                    if match > most or (match == most and best < 0):
                        most = match
                        best = j
            if best >= 0 and back[best] == i:
                forth[i] = best
        a, b = stop_a, stop_b
