"""Kept boxes by falling score: a radix sort over the leading bits, mended by insertion."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilekit.compiled import kernel


@kernel("i(RI,B,I2,S2,S,I)")
def rank(bits: Any, kept: Any, keys: Any, places: Any, counts: Any, out: Any) -> int:
    """Write the kept places by falling score to `out`; ties in input order. Gives their number, or -1.

    `bits`: the scores' own bits; -1 where they span too far or are too unevenly spread for this sort.
    Scratch: `keys`, `places` (2, n) and `counts` (2048): the sort goes to and fro between the two rows.
    """
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    n: Any = np.int64(0)  # not a literal, for which everything would be compiled once more
    low, high = 9223372036854775807, -9223372036854775807
    for i in range(len(kept)):
        if kept[i] != 0:
            key = bits[i]
            if key < 0:  # then larger bits are a smaller number; -0.0 is 0.0
                key = -9223372036854775807 - 1 - key
            keys[0, n] = key
            places[0, n] = i
            low, high = min(low, key), max(high, key)
            n += 1
    if n == 0:
        return 0
    if low < 0 and high > 0:
        return -1
    length = 0
    while (high - low) >> length > 0:
        length += 1
    for i in range(n):
        keys[0, i] = high - keys[0, i]
    row = 0
    if n > 48:
        shift = max(0, length - (22 if n < 100000 else 33))
        while shift < length:
            for d in range(2048):
                counts[d] = 0
            for i in range(n):
                counts[(keys[row, i] >> shift) & 2047] += 1
            total = 0
            for d in range(2048):
                here = counts[d]
                counts[d] = total
                total += here
            for i in range(n):
                key = keys[row, i]
                d = (key >> shift) & 2047
                at = counts[d]
                counts[d] = at + 1
                keys[1 - row, at] = key
                places[1 - row, at] = places[row, i]
            row = 1 - row
            shift += 11
    budget = 8 * n + 4096
    for i in range(1, n):
        key, spot = keys[row, i], places[row, i]
        j = i - 1
        while j >= 0 and keys[row, j] > key:
            keys[row, j + 1] = keys[row, j]
            places[row, j + 1] = places[row, j]
            j -= 1
        keys[row, j + 1] = key
        places[row, j + 1] = spot
        budget -= i - 1 - j
        if budget < 0:
            return -1
    for i in range(n):
        out[i] = places[row, i]
    return n
