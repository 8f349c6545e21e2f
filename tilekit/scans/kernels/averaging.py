"""Means of boxes of whole pixels, down and then across, each rounded as libvips rounds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilekit.compiled import inlined, kernel

_U = np.uint64
_24 = np.uint32(24)
_FEW = 8  # columns of a box that are quicker added for every pixel, many at once, than for every box
_NEAR = 4096  # sums added at once: they stay in a processor's nearest cache


@inlined
def _down(rows: Any, row: Any, sums: Any, down: Any) -> None:
    """Row `row` of the means of every `down` rows, into `sums`; what is missing in the last is repeated."""
    height, line = rows.shape[0], rows.shape[1]
    half, times = np.uint32(down // 2), np.uint32((1 << 32) // (256 * down))
    source = rows[row * down]
    for x in range(line):
        sums[x] = half + source[x]
    for y in range(row * down + 1, row * down + down):
        source = rows[min(y, height - 1)]
        for x in range(line):
            sums[x] += source[x]
    for x in range(line):
        sums[x] = np.uint32(sums[x] * times) >> _24


@inlined
def _across(sums: Any, line: Any, target: Any, bands: Any, across: Any) -> None:
    """Means of every `across` columns of the `line` values in `sums`, which has room for as many more."""
    whole, rest = line // (bands * across), line % (bands * across)
    half, times = np.uint32(across // 2), np.uint32((1 << 32) // (256 * across))
    if across <= _FEW:
        step = max(1, _NEAR // (bands * across))
        added, box = sums[line:], bands * across
        for first in range(0, whole, step):
            count = min(step, whole - first)
            here, last = sums[first * box :], count * box - bands * (across - 1)
            for x in range(last):
                added[x] = half + here[x]
            for column in range(1, across):
                ahead = here[column * bands :]
                for x in range(last):
                    added[x] += ahead[x]
            there = target[first * bands :]
            for place in range(count):
                at, to = _U(place * box), _U(place * bands)
                for band in range(bands):
                    there[to + _U(band)] = np.uint32(added[at + _U(band)] * times) >> _24
    else:
        for band in range(bands):
            at = _U(band)
            for place in range(whole):
                total = half
                for _ in range(across):
                    total = np.uint32(total + sums[at])
                    at += _U(bands)
                target[_U(place * bands + band)] = np.uint32(total * times) >> _24
    if rest > 0:
        for band in range(bands):
            total, end = half, line - bands + band
            for x in range(across):
                total = np.uint32(total + sums[min(whole * bands * across + band + x * bands, end)])
            target[whole * bands + band] = np.uint32(total * times) >> _24


@kernel("void(RB2,B2,U,i,i,i)")
def box_means(rows: Any, out: Any, sums: Any, bands: int, across: int, down: int) -> None:
    """Every `down` rows and `across` columns of `rows` (n, width x bands) made one, what is missing in the last repeated.

    `out`: (ceil(n / down), ceil(width / across) x bands). `sums`: room for two rows.
    """
    for row in range(out.shape[0]):
        _down(rows, row, sums, down)
        _across(sums, rows.shape[1], out[row], bands, across)


@kernel("void(RB2,B2,U,i)")
def down_means(rows: Any, out: Any, sums: Any, down: int) -> None:
    """The first half of `box_means`: `out` is (ceil(n / down), width x bands)."""
    for row in range(out.shape[0]):
        _down(rows, row, sums, down)
        target = out[row]
        for x in range(rows.shape[1]):
            target[x] = sums[x]


@kernel("void(RB2,B2,U,i,i)")
def across_means(rows: Any, out: Any, sums: Any, bands: int, across: int) -> None:
    """The second half of `box_means`: `out` is (n, ceil(width / across) x bands)."""
    line = rows.shape[1]
    for row in range(out.shape[0]):
        source = rows[row]
        for x in range(line):
            sums[x] = source[x]
        _across(sums, line, out[row], bands, across)


@kernel("void(RB2,U,i)")
def add_rows(rows: Any, sums: Any, missing: int) -> None:
    """All rows added to `sums`, the last so many times more."""
    height, line = rows.shape[0], rows.shape[1]
    for y in range(height):
        source = rows[y]
        for x in range(line):
            sums[x] += source[x]
    more, source = np.uint32(max(0, missing)), rows[height - 1]
    for x in range(line):
        sums[x] += np.uint32(source[x] * more)
