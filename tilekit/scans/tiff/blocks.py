"""The stored blocks of a TIFF page, as bytes or decoded, one by one, so that a pool can do it.

Decoded are only layouts whose pixels come out the same, byte for byte, as libvips gives them: uint8 gray or
RGB, planes together or apart, by JPEG (with shared tables), deflate or none. Facts: TIFF 6.0; TIFF Technical
Note 2 (JPEG).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import ScanCorrupt
from tilekit.scans.source import ByteReader
from tilekit.scans.tiff.layout import JPEG, NONE, YCBCR, BlockLayout

Pixels = NDArray[np.uint8]
Ints = NDArray[np.int64]
Shape = tuple[int, int, int]
_GRAY, _RGB = 1, 2
_LARGEST_SIDE = 65_500
_EIGHTH = 8
_GAP, _READ = 64, 1 << 22  # bytes between blocks that are read with them, and in one read


class Watcher(Protocol):
    """Who is shown blocks as they are decoded, in whatever thread and order, some more than once."""

    def see(self, row: int, col: int, data: bytes, pixels: Pixels) -> None:
        """A block as stored (its first plane) and as decoded, cut to the page."""


class StoredBlocks:
    """The blocks of one page. All methods may be called from any thread while the scan is open.

    `layout`: where they are and what is in them; `bands`: samples given, the first of those stored.
    `decodes`: whether `decode` gives the page's pixels; else only `data` does. `watchers` see what is decoded.
    """

    def __init__(self, name: str, layout: BlockLayout, reader: ByteReader, bands: int) -> None:
        self.name, self.layout, self.bands = name, layout, bands
        self._reader = reader
        self._decode = _decoder(layout, bands)
        self.watchers: tuple[Watcher, ...] = ()

    @property
    def width(self) -> int:
        """Width of the page in px."""
        return self.layout.width

    @property
    def height(self) -> int:
        """Height of the page in px."""
        return self.layout.height

    @property
    def block(self) -> tuple[int, int]:
        """Width and height of a block in px."""
        return self.layout.block

    @property
    def decodes(self) -> bool:
        """Whether `decode` may be called."""
        return self._decode is not None

    @property
    def shrinks(self) -> bool:
        """Whether `eighth` may be called: blocks of whole 8 x 8 px in JPEG."""
        width, height = self.layout.block
        layout = self.layout
        return self.decodes and layout.tiled and layout.compression == JPEG and width % 8 == height % 8 == 0

    def data(self, row: int, col: int, plane: int = 0) -> bytes:
        """A block as it is stored; raises ScanCorrupt where it is not in the file."""
        layout = self.layout
        place = (plane * layout.down + row) * layout.across + col
        count = int(layout.counts[place])
        found = self._reader.at(int(layout.offsets[place]), count)
        if len(found) != count or count == 0:
            raise self._damaged(row, col, "its bytes are missing")
        return found

    def several(
        self, cells: Sequence[tuple[int, int]], room: Callable[[int], Pixels]
    ) -> tuple[Pixels, Ints, Ints]:
        """Blocks (row, column) of the first plane in one array, `room(size)` or a part of it, and where each begins and stops.

        Those that lie together are read at once. Raises ScanCorrupt as `data` does.
        """
        layout = self.layout
        places = [row * layout.across + col for row, col in cells]
        offsets, counts = layout.offsets[places].tolist(), layout.counts[places].tolist()
        for cell, offset, count in zip(cells, offsets, counts, strict=True):
            if count == 0 or offset + count > self._reader.size:
                raise self._damaged(*cell, "its bytes are missing")
        order = sorted(range(len(cells)), key=offsets.__getitem__)  # some writers store the last block first
        begins, spans, size = [0] * len(cells), [], 0
        first = 0
        while first < len(order):
            begin = end = offsets[order[first]]
            last = first
            while last < len(order) and end <= offsets[order[last]] <= end + _GAP and end - begin < _READ:
                begins[order[last]] = size + offsets[order[last]] - begin
                end = offsets[order[last]] + counts[order[last]]
                last += 1
            spans.append((begin, size, end - begin, order[first:last]))
            size += end - begin
            first = last
        data = room(size)[:size]
        for begin, at, wanted, blocks in spans:
            read = self._reader.into(begin, data[at : at + wanted].data)
            if read < wanted:
                raise self._damaged(*cells[blocks[-1]], "its bytes are missing")
        found = np.array(begins, np.int64)
        return data, found, found + np.array(counts, np.int64)

    def decode(self, row: int, col: int) -> Pixels:
        """(h, w, bands) uint8 of one block, cut to the page; raises ScanCorrupt naming the block."""
        layout = self.layout
        assert self._decode is not None
        rows = layout.rows(row)
        shape = (rows, layout.block[0], layout.samples if layout.planes == 1 else 1)
        planes = range(1 if layout.planes == 1 else self.bands)
        first, parts = b"", []
        for plane in planes:
            data = self.data(row, col, plane)
            first = first or data
            parts.append(self._made(self._decode, data, shape, row, col))
        pixels = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        bottom = min(layout.height - row * layout.block[1], rows)
        right = min(layout.width - col * layout.block[0], layout.block[0])
        if pixels.shape != (bottom, right, self.bands):
            pixels = pixels[:bottom, :right, : self.bands]
        for watcher in self.watchers:
            watcher.see(row, col, first, pixels)
        return pixels

    def eighth(self, row: int, col: int) -> Pixels:
        """(h // 8, w // 8, bands) of a JPEG block as its decoder makes it at an eighth of its size, not cut to the page;
        raises ScanCorrupt naming the block."""
        width, height = self.layout.block
        decode = _jpeg_decoder(self.layout, _EIGHTH)
        return self._made(decode, self.data(row, col), (height, width, self.layout.samples), row, col)

    def _made(
        self, decode: Callable[[bytes, Shape], Pixels], data: bytes, shape: Shape, row: int, col: int
    ) -> Pixels:
        try:
            return decode(data, shape)
        except (ValueError, OSError, zlib.error) as exc:
            raise self._damaged(row, col, str(exc)) from exc

    def _damaged(self, row: int, col: int, why: str) -> ScanCorrupt:
        place = row * self.layout.across + col
        what = "segment" if self.layout.tiled else "strip"
        return ScanCorrupt(
            f"{self.name}: is damaged or cut short ({what} {place} at column {col}, row {row}: {why})"
        )


def _decoder(layout: BlockLayout, bands: int) -> Callable[[bytes, Shape], Pixels] | None:
    """How a block becomes (h, w, samples) uint8, or None where only libvips may do it."""
    plain = set(layout.bits) == {8} and layout.form == layout.fill == 1 and layout.colors == bands
    if not plain or max(layout.block) > _LARGEST_SIDE:
        return None
    if layout.compression == JPEG:
        known = (layout.samples, layout.photometric) in {(1, _GRAY), (3, _RGB), (3, YCBCR)}
        return _jpeg_decoder(layout) if known and layout.planes == 1 else None
    if (bands, layout.photometric) not in {(1, _GRAY), (3, _RGB)}:
        return None
    if layout.compression == NONE:
        return _uncompressed
    if layout.compression in (8, 32946) and layout.predictor in (1, 2):
        return _deflate_decoder(layout.predictor == 2)
    return None


def _uncompressed(data: bytes, shape: Shape) -> Pixels:
    size = shape[0] * shape[1] * shape[2]
    if len(data) < size:
        raise ValueError(f"{len(data)} of its {size} bytes are there")
    return np.frombuffer(data, np.uint8)[:size].reshape(shape)


def _deflate_decoder(predicted: bool) -> Callable[[bytes, Shape], Pixels]:
    def decode(data: bytes, shape: Shape) -> Pixels:
        size = shape[0] * shape[1] * shape[2]
        pixels = np.frombuffer(zlib.decompressobj().decompress(data, size), np.uint8).reshape(shape)
        return np.cumsum(pixels, axis=1, dtype=np.uint8) if predicted else pixels

    return decode


def jpeg_head(layout: BlockLayout) -> bytes:
    """What goes before the bytes of a JPEG block, its SOI left out, to make it a stream of its own."""
    tables = layout.tables
    middle = tables[2:-2] if tables[:2] == b"\xff\xd8" and tables[-2:] == b"\xff\xd9" else b""
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([layout.photometric == YCBCR])
    return b"\xff\xd8" + (b"" if layout.photometric == _GRAY else adobe) + middle


def _jpeg_decoder(layout: BlockLayout, shrink: int = 1) -> Callable[[bytes, Shape], Pixels]:
    """Block and shared tables become one stream whose color is what the TIFF says it is; 1 / `shrink` of its size."""
    import simplejpeg

    colorspace = "GRAY" if layout.photometric == _GRAY else "RGB"
    head = jpeg_head(layout)

    def decode(data: bytes, shape: Shape) -> Pixels:
        if data[:2] != b"\xff\xd8":
            raise ValueError("it is not JPEG")
        if layout.photometric == _RGB and b"JFIF\0" in data[:64]:
            raise ValueError("it says JFIF, which is YCbCr, and RGB at once")
        stream = head + data[2:]
        height, width, _, _ = simplejpeg.decode_jpeg_header(stream)
        if (height, width) != shape[:2]:
            raise ValueError(f"it holds {width} x {height} px")
        sides = (shape[0] // shrink, shape[1] // shrink) if shrink > 1 else (0, 0)
        pixels: Pixels = simplejpeg.decode_jpeg(
            stream, colorspace=colorspace, min_height=sides[0], min_width=sides[1], min_factor=1
        )
        return pixels.reshape(shape[0] // shrink, shape[1] // shrink, shape[2])

    return decode
