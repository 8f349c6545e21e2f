"""Stable radix sort of non-negative int64 keys, 11 bits a pass, passes without effect left out."""

from __future__ import annotations

from typing import Any

from tilekit.compiled import kernel


@kernel("i(I,S,I,S,I,i)")
def radix(keys: Any, places: Any, other_keys: Any, other_places: Any, counts: Any, bits: int) -> int:
    """Sort `keys` with `places` stably; gives 1 where the result lies in the `other_` arrays.

    `bits`: how many low bits of the keys matter; `counts`: 2048 of scratch.
    """
    n = len(keys)
    swapped = 0
    shift = 0
    while shift < bits:
        for d in range(2048):
            counts[d] = 0
        if swapped == 0:
            for i in range(n):
                counts[(keys[i] >> shift) & 2047] += 1
        else:
            for i in range(n):
                counts[(other_keys[i] >> shift) & 2047] += 1
        total = 0
        most = 0
        for d in range(2048):
            here = counts[d]
            counts[d] = total
            total += here
            most = max(most, here)
        if most < n:
            if swapped == 0:
                for i in range(n):
                    d = (keys[i] >> shift) & 2047
                    at = counts[d]
                    counts[d] = at + 1
                    other_keys[at] = keys[i]
                    other_places[at] = places[i]
            else:
                for i in range(n):
                    d = (other_keys[i] >> shift) & 2047
                    at = counts[d]
                    counts[d] = at + 1
                    keys[at] = other_keys[i]
                    places[at] = other_places[i]
            swapped = 1 - swapped
        shift += 11
    return swapped
