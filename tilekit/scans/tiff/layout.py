"""Where the blocks of a TIFF directory lie, and what is in them. A strip is a block as wide as the page."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.scans.tiff.directories import (
    BITS,
    COMPRESSION,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    SAMPLES,
    TILE_WIDTH,
    Directory,
)
from tilekit.scans.tiff.fields import Fields

STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS = 273, 278, 279, 324, 325
INK_SET, IMAGE_DEPTH, TILE_DEPTH = 332, 32997, 32998
EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES, SUBSAMPLING, FILL_ORDER = 338, 339, 347, 530, 266
NONE, JPEG, PACKBITS, YCBCR = 1, 7, 32773, 6
_FAXES = (2, 3, 4)
_SEPARATED = 5
_COLORS = {0: 1, 1: 1, 2: 3, 3: 1, 4: 1, 5: 4, 6: 3, 8: 3, 9: 3, 10: 3, 32844: 1, 32845: 3}


@dataclass(frozen=True)
class BlockLayout:
    """The stored blocks of one directory.

    `block`: width and height px, `across` x `down` of them for each of `planes` (1, or one a sample where
    they are stored apart). `offsets`, `counts`: bytes in the file, row by row, plane after plane; counts
    that are missing or reach beyond the file are mended. `bits`: of each sample; `colors`: samples that
    the photometric interpretation names; `extra`: what the others are (0 unspecified, 1 associated,
    2 unassociated alpha), one for each sample over `colors`. `tables`: JPEGTables, or b"".
    `subsampling`: of chroma, as the file says. `fill`: 2 where the bits of every byte are stored the other
    way round. `depth`: planes of px one behind the other, 1 in a picture. `inks`: whether its samples are inks
    other than CMYK. `faults`: what was mended, in words.
    """

    width: int
    height: int
    block: tuple[int, int]
    tiled: bool
    planes: int
    samples: int
    bits: tuple[int, ...]
    form: int
    compression: int
    photometric: int
    predictor: int
    colors: int
    extra: tuple[int, ...]
    offsets: NDArray[np.uint64] = field(repr=False)
    counts: NDArray[np.uint64] = field(repr=False)
    tables: bytes = field(repr=False)
    subsampling: tuple[int, int] = (1, 1)
    fill: int = 1
    depth: int = 1
    inks: bool = False
    faults: tuple[str, ...] = ()

    @property
    def across(self) -> int:
        """Blocks in a row."""
        return -(-self.width // self.block[0])

    @property
    def down(self) -> int:
        """Rows of blocks."""
        return -(-self.height // self.block[1])

    def rows(self, row: int) -> int:
        """Rows of px stored in the blocks of a row: tiles are always full, the last strip is not."""
        return self.block[1] if self.tiled else min(self.block[1], self.height - row * self.block[1])

    def raw_size(self, row: int) -> int:
        """Bytes of a block of this row when not compressed (chroma at full resolution)."""
        per_px = sum(self.bits) if self.planes == 1 else max(self.bits)
        return -(-self.block[0] * per_px // 8) * self.rows(row)


def layout_of(page: Directory) -> BlockLayout:
    """The layout of a directory; raises ValueError where its fields make no sense."""
    fields = page.fields
    samples = fields.one(SAMPLES, max(1, len(fields.many(BITS))))
    photometric, guessed = _photometric(fields)
    tiled = TILE_WIDTH in fields
    block = page.tile if tiled else (page.width, min(fields.one(ROWS_PER_STRIP, page.height), page.height))
    if min(page.width, page.height, *block) < 1 or not 1 <= samples <= 65535:
        raise ValueError(f"{page.width} x {page.height} px of {samples} sample(s) in blocks of {block}")
    planes = samples if fields.one(PLANAR, 1) == 2 and samples > 1 else 1
    colors = min(_COLORS.get(photometric, samples), samples)
    count = -(-page.width // block[0]) * -(-page.height // block[1]) * planes
    offsets = _offsets(fields, tiled, count)
    layout = BlockLayout(
        page.width, page.height, block, tiled, planes, samples, _bits(fields, samples),
        fields.one(SAMPLE_FORMAT, 1), fields.one(COMPRESSION, 1), photometric, fields.one(PREDICTOR, 1),
        colors, _extra(fields, samples - colors), offsets, offsets,
        fields.raw(JPEG_TABLES) if JPEG_TABLES in fields else b"", _subsampling(fields, photometric),
        fields.one(FILL_ORDER, 1), max(fields.one(IMAGE_DEPTH, 1), fields.one(TILE_DEPTH, 1)),
        photometric == _SEPARATED and fields.one(INK_SET, 1) != 1, guessed,
    )  # fmt: skip
    return _with_counts(layout, fields)


def _photometric(fields: Fields) -> tuple[int, tuple[str, ...]]:
    """What the samples mean, and what is to be said where the file does not say it."""
    if PHOTOMETRIC in fields:
        return fields.one(PHOTOMETRIC, 1), ()
    fax = fields.one(COMPRESSION, 1) in _FAXES
    word = "white" if fax else "black"
    return int(not fax), (f"it says nowhere what its samples mean; they were taken for gray, {word} at zero",)


def _bits(fields: Fields, samples: int) -> tuple[int, ...]:
    found = fields.many(BITS, (1,))
    if not 1 <= min(found) <= max(found) <= 64:
        raise ValueError(f"{max(found)} bits a sample")
    return (found + found[-1:] * samples)[:samples]


def _extra(fields: Fields, count: int) -> tuple[int, ...]:
    """One meaning for each sample beyond the colors; unspecified (0) where the file has none."""
    found = fields.many(EXTRA_SAMPLES)
    return (found + (0,) * count)[: max(count, 0)]


def _subsampling(fields: Fields, photometric: int) -> tuple[int, int]:
    if photometric != YCBCR:
        return 1, 1
    found = fields.many(SUBSAMPLING, (2, 2))
    return (found[0], found[1]) if len(found) > 1 else (2, 2)


def _offsets(fields: Fields, tiled: bool, count: int) -> NDArray[np.uint64]:
    tag = TILE_OFFSETS if tiled and TILE_OFFSETS in fields else STRIP_OFFSETS
    if tag not in fields:
        raise ValueError("it says nowhere where its pixels are")
    found = fields.array(tag).astype(np.uint64)
    if len(found) < count:
        raise ValueError(f"{len(found)} of its {count} blocks have a place")
    return found[:count]


def _with_counts(layout: BlockLayout, fields: Fields) -> BlockLayout:
    """The layout with the blocks' lengths; what is missing or impossible is taken from what follows."""
    tag = TILE_COUNTS if layout.tiled and TILE_COUNTS in fields else STRIP_COUNTS
    size, faults = fields.reader.size, list(layout.faults)
    found = fields.array(tag).astype(np.uint64) if tag in fields else np.zeros(0, np.uint64)
    if len(found) < len(layout.offsets) or not found[: len(layout.offsets)].any():
        found = _gaps(layout, size)
        faults.append("the lengths of its blocks are missing and were taken from their places")
    counts = found[: len(layout.offsets)].copy()
    if layout.compression == NONE and layout.photometric != YCBCR:
        whole = [layout.raw_size(row) for row in range(layout.down)]
        raw = np.tile(np.repeat(np.array(whole, np.uint64), layout.across), layout.planes)
        if _is_several(layout, counts, raw, size):
            raise ValueError(f"its blocks have {counts[0]:,} bytes where its fields account for {raw[0]:,}")
        if (counts != raw).any():
            faults.append("the lengths of its blocks are not those of their pixels")
            counts = np.where((counts > raw) | (layout.offsets + raw <= size), raw, counts)
    left = np.where(layout.offsets < size, np.uint64(size) - np.minimum(layout.offsets, np.uint64(size)), 0)
    if (counts > left).any():
        faults.append("blocks reach beyond the end of the file")
        counts = np.minimum(counts, left.astype(np.uint64))
    return replace(layout, counts=counts, faults=tuple(faults))


def _is_several(layout: BlockLayout, counts: NDArray[Any], raw: NDArray[Any], size: int) -> bool:
    """Whether every block is in the file and has more whole bytes a pixel than told: its samples or bits were not."""
    sides = np.array([layout.block[0] * layout.rows(row) for row in range(layout.down)], np.uint64)
    pixels = np.tile(np.repeat(sides, layout.across), layout.planes)
    each = counts[0] // pixels[0]
    more = layout.depth == 1 and counts[0] > raw[0] and (counts == pixels * each).all()
    return bool(more and (layout.offsets + counts <= size).all())


def _gaps(layout: BlockLayout, size: int) -> NDArray[np.uint64]:
    """Each block ends where the next one begins, or the file."""
    starts = np.unique(np.append(layout.offsets, np.uint64(size)))
    after = np.searchsorted(starts, layout.offsets, side="right")
    ends: NDArray[np.uint64] = starts[np.minimum(after, len(starts) - 1)]
    return ends - layout.offsets
