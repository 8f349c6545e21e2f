"""Huge tiled TIFFs that take little disk: every block is real, but blocks share their bytes."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from tilekit.scans.encoding import encode_image
from tilekit.storage.local import atomic_file
from tilekit.testing.scans import paper_scan

_BLOCK = 256
_PATTERNS = 64


def write_huge_scan(path: str | os.PathLike[str], width: int, height: int, seed: int = 0) -> Path:
    """Write a BigTIFF of `width` x `height` px in 256 px JPEG blocks (YCbCr 4:4:4, quality 90).

    64 different blocks of paper are stored once and pointed at again and again, so 10 gigapixels
    take about 3 MB of disk, and still cost every reader the decoding of all of them.
    """
    target = Path(path)
    side = int(_PATTERNS**0.5)
    page = paper_scan(side * _BLOCK, side * _BLOCK, seed)
    blocks = [
        encode_image(page[y : y + _BLOCK, x : x + _BLOCK]).data
        for y in range(0, side * _BLOCK, _BLOCK)
        for x in range(0, side * _BLOCK, _BLOCK)
    ]
    places = 16 + np.cumsum([0] + [len(block) for block in blocks])[:-1].astype(np.uint64)
    sizes = np.array([len(block) for block in blocks], np.uint64)
    count = -(-width // _BLOCK) * -(-height // _BLOCK)
    order = np.random.default_rng([seed, 5]).integers(0, _PATTERNS, count)
    offsets_at = 16 + int(sizes.sum())
    counts_at = offsets_at + 8 * count
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8 | 8 << 16 | 8 << 32), (259, 3, 1, 7),
        (262, 3, 1, 6), (277, 3, 1, 3), (284, 3, 1, 1), (322, 4, 1, _BLOCK), (323, 4, 1, _BLOCK),
        (324, 16, count, offsets_at), (325, 16, count, counts_at), (530, 3, 2, 1 | 1 << 16),
    ]  # fmt: skip
    if count == 1:
        tags[9], tags[10] = (324, 16, 1, int(places[order[0]])), (325, 16, 1, int(sizes[order[0]]))
    with atomic_file(target) as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, counts_at + 8 * count))
        file.writelines(blocks)
        file.write(places[order].tobytes())
        file.write(sizes[order].tobytes())
        file.write(struct.pack("<Q", len(tags)))
        file.writelines(struct.pack("<HHQQ", *tag) for tag in tags)
        file.write(struct.pack("<Q", 0))
    return target
