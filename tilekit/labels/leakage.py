"""The same pixels in two sets of images, by perceptual hash, confirmed on small copies.

A difference hash (is each cell brighter than its neighbor?) of 8 x 8 cells in both directions, 128 bits, finds
candidates; copies of 32 x 32 px confirm them. Pictures without contrast say nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import ScanError, ScanUnsupported

BITS = 4
"""Bits of 128 in which two encodings of the same pixels may differ."""
MEAN_DIFFERENCE = 3.0
"""Gray levels by which their small copies may differ on average."""
_SMALL = 32


Hash = tuple[int, int]


def hash_of(path: str) -> Hash | None:
    """The hash of an image file, None where it has too little contrast to say. Raises ScanError where not all of its
    pixels can be decoded."""
    return difference_hash(_decoded(path))


def same_pixels(
    first: Mapping[int, str], second: Mapping[int, str], hashes: Mapping[str, Hash | None]
) -> list[tuple[int, int]]:
    """Pairs (number in `first`, number in `second`) of image files with the same pixels, by the `hashes` of files.

    Files without a hash are left out. Memory: 16 bytes an image, and a block of 4096 x n / 8 bytes.
    """
    numbers, rows = _rows(first, hashes)
    others, other_rows = _rows(second, hashes)
    found = []
    for start in range(0, len(rows), 256):
        block = rows[start : start + 256]
        apart = np.bitwise_count(block[:, None, 0] ^ other_rows[None, :, 0]).astype(np.int64)
        apart += np.bitwise_count(block[:, None, 1] ^ other_rows[None, :, 1])
        for row, column in zip(*np.nonzero(apart <= BITS), strict=True):
            pair = numbers[start + int(row)], others[int(column)]
            if _alike(first[pair[0]], second[pair[1]]):
                found.append(pair)
    return found


def difference_hash(gray: NDArray[np.float64]) -> Hash | None:
    """Two 64-bit hashes of (h, w) gray levels, or None where there is too little contrast to say."""
    across, down = shrink(gray, 8, 9), shrink(gray, 9, 8)
    if float(gray.std()) < 2.0:
        return None
    return _bits(across[:, 1:] > across[:, :-1]), _bits(down[1:] > down[:-1])


def shrink(gray: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Means of rows x columns cells of (h, w) gray levels; pictures smaller than that are repeated."""
    height, width = gray.shape
    gray = np.repeat(gray, -(-rows // height), axis=0) if height < rows else gray
    gray = np.repeat(gray, -(-columns // width), axis=1) if width < columns else gray
    tops = np.arange(rows) * gray.shape[0] // rows
    lefts = np.arange(columns) * gray.shape[1] // columns
    sums = np.add.reduceat(np.add.reduceat(gray, tops, axis=0), lefts, axis=1)
    counts = np.diff([*tops, gray.shape[0]])[:, None] * np.diff([*lefts, gray.shape[1]])[None, :]
    means: NDArray[np.float64] = sums / counts
    return means


def _rows(
    files: Mapping[int, str], hashes: Mapping[str, Hash | None]
) -> tuple[list[int], NDArray[np.uint64]]:
    found = {number: row for number, path in files.items() if (row := hashes.get(path)) is not None}
    return list(found), np.array(list(found.values()), dtype=np.uint64).reshape(-1, 2)


def _decoded(path: str) -> NDArray[np.float64]:
    """(h, w) gray levels of all pixels: compared with one another only, so samples of any range are spread."""
    from tilekit.scans.opening import open_scan

    try:
        scan = open_scan(path)
    except ScanUnsupported:
        scan = open_scan(path, levels="minmax")
    with scan:
        pixels = next(scan.bands_of_rows([scan.height]))
    gray: NDArray[np.float64] = pixels.mean(axis=2)
    return gray


def _gray(path: str) -> NDArray[np.float64] | None:
    try:
        return _decoded(path)
    except ScanError:
        return None


def _alike(one: str, other: str) -> bool:
    first, second = _gray(one), _gray(other)
    if first is None or second is None:
        return False
    apart = shrink(first, _SMALL, _SMALL) - shrink(second, _SMALL, _SMALL)
    return float(np.abs(apart).mean()) <= MEAN_DIFFERENCE


def _bits(flags: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(flags).tobytes(), "big")
