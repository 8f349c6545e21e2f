"""Means of boxes of whole pixels, down and then across, each rounded as libvips rounds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilekit.compiled import kernel

_U = np.uint64
_24 = np.uint32(24)


@kernel("void(RB2,B2,U,i,i,i)")
def box_means(rows: Any, out: Any, sums: Any, bands: int, across: int, down: int) -> None:
    """Every `down` rows and `across` columns of `rows` (n, width x bands) made one, what is missing in the last repeated.

    `out`: (ceil(n / down), ceil(width / across) x bands). `sums`: room for a row.
    """
    height, line = rows.shape[0], rows.shape[1]
    whole, rest = line // (bands * across), line % (bands * across)
    half_down, half_across = np.uint32(down // 2), np.uint32(across // 2)
    times_down, times_across = np.uint32((1 << 32) // (256 * down)), np.uint32((1 << 32) // (256 * across))
    for row in range(out.shape[0]):
        source, target = rows[row * down], out[row]
        for x in range(line):
            sums[x] = half_down + source[x]
        for y in range(row * down + 1, row * down + down):
            source = rows[min(y, height - 1)]
            for x in range(line):
                sums[x] += source[x]
        for x in range(line):
            sums[x] = np.uint32(sums[x] * times_down) >> _24
        for band in range(bands):
            at = _U(band)
            for place in range(whole):
                total = half_across
                for _ in range(across):
                    total = np.uint32(total + sums[at])
                    at += _U(bands)
                target[_U(place * bands + band)] = np.uint32(total * times_across) >> _24
            if rest > 0:
                total, last = half_across, line - bands + band
                for x in range(across):
                    total = np.uint32(total + sums[min(int(at) + x * bands, last)])
                target[whole * bands + band] = np.uint32(total * times_across) >> _24
