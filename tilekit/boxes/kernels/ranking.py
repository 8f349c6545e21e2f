"""Kept boxes by falling score: a radix sort over the leading bits, mended by insertion."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilekit.boxes.kernels.jit import inlined, kernel


@inlined
def bits_of(bits: int) -> int:
    """A float64's bits as an integer that orders like the float; -0.0 as 0.0."""
    return bits if bits >= 0 else -9223372036854775807 - 1 - bits


@inlined
def scatter(keys: Any, places: Any, to_keys: Any, to_places: Any, n: int, shift: int, counts: Any) -> None:
    """One stable pass over 11 bits."""
    for d in range(2048):
        counts[d] = 0
    for i in range(n):
        counts[(keys[i] >> shift) & 2047] += 1
    total = 0
    for d in range(2048):
        here = counts[d]
        counts[d] = total
        total += here
    for i in range(n):
        d = (keys[i] >> shift) & 2047
        at = counts[d]
        counts[d] = at + 1
        to_keys[at] = keys[i]
        to_places[at] = places[i]


@inlined
def mend(keys: Any, places: Any, n: int, budget: int) -> int:
    """Insertion sort of what is nearly sorted; below 0 when it was not."""
    for i in range(1, n):
        key, spot = keys[i], places[i]
        j = i - 1
        while j >= 0 and keys[j] > key:
            keys[j + 1] = keys[j]
            places[j + 1] = places[j]
            j -= 1
        keys[j + 1] = key
        places[j + 1] = spot
        budget -= i - 1 - j
        if budget < 0:
            break
    return budget


@kernel("i(RI,B,I,S,I,S,S,I)")
def rank(
    bits: Any, kept: Any, keys: Any, places: Any, other_keys: Any, other_places: Any, counts: Any, out: Any
) -> int:
    """Write the kept places by falling score to `out`; ties in input order. Gives their number, or -1.

    `bits`: the scores' own bits; -1 where they span too far or are too unevenly spread for this sort.
    """
    n: Any = np.int64(0)  # not a literal, for which everything would be compiled once more
    for i in range(len(kept)):
        if kept[i] != 0:
            keys[n] = bits_of(bits[i])
            places[n] = i
            n += 1
    if n == 0:
        return 0
    low, high = keys[0], keys[0]
    for i in range(n):
        low, high = min(low, keys[i]), max(high, keys[i])
    if low < 0 and high > 0:
        return -1
    length = 0
    while (high - low) >> length > 0:
        length += 1
    for i in range(n):
        keys[i] = high - keys[i]
    swapped = False
    if n > 48:
        passes = 2 if n < 100000 else 3
        shift = max(0, length - 11 * passes)
        while shift < length:
            if swapped:
                scatter(other_keys, other_places, keys, places, n, shift, counts)
            else:
                scatter(keys, places, other_keys, other_places, n, shift, counts)
            swapped = not swapped
            shift += 11
    budget = 8 * n + 4096
    budget = mend(other_keys, other_places, n, budget) if swapped else mend(keys, places, n, budget)
    if budget < 0:
        return -1
    for i in range(n):
        out[i] = other_places[i] if swapped else places[i]
    return n
