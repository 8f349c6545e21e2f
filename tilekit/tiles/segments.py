"""Segments of tiled TIFFs, decoded one by one, so that a pool can do it and width costs no memory.

Only layouts whose pixels come out the same, byte for byte, as libvips gives them: uint8 gray or
RGB stored chunky, JPEG (with shared tables), deflate or not compressed. Anything else gives None
and is read by libvips. Facts: TIFF 6.0; TIFF Technical Note 2 (JPEG); BigTIFF by its design page.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import ScanCorrupt
from tilekit.scans.scan import Scan
from tilekit.scans.tiffdir import FIELD_CODES, FIELD_SIZES

Pixels = NDArray[np.uint8]

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SAMPLES, _PLANAR, _PREDICTOR, _TILE_W, _TILE_H, _OFFSETS, _COUNTS = 277, 284, 317, 322, 323, 324, 325
_EXTRA, _FORMAT, _TABLES = 338, 339, 347
_MAX_PAGES = 100_000
_GRAY, _RGB, _YCBCR = 1, 2, 6


class Segments:
    """The blocks of one tiled page. `decode` may be called from any thread.

    `block` (width, height) px; `across`, `down`: how many; blocks at the right and bottom come cut
    to the page.
    """

    def __init__(
        self,
        name: str,
        size: tuple[int, int, int],
        block: tuple[int, int],
        places: tuple[NDArray[np.uint64], NDArray[np.uint64]],
        read: Callable[[int, int], bytes],
        decode: Callable[[bytes, tuple[int, int, int]], Pixels],
    ) -> None:
        self.name = name
        self.width, self.height, self.bands = size
        self.block = block
        self.across = -(-self.width // block[0])
        self.down = -(-self.height // block[1])
        self._offsets, self._counts = places
        self._read = read
        self._decode = decode

    def decode(self, row: int, col: int) -> Pixels:
        """(h, w, bands) uint8 of one block; raises ScanCorrupt naming the block."""
        place = row * self.across + col
        offset, count = int(self._offsets[place]), int(self._counts[place])
        shape = (self.block[1], self.block[0], self.bands)
        try:
            data = self._read(offset, count)
            if len(data) != count or count == 0:
                raise ValueError("its bytes are missing")
            pixels = self._decode(data, shape)
            if pixels.shape != shape:
                raise ValueError(f"it holds {pixels.shape[1]} x {pixels.shape[0]} px")
        except (ValueError, OSError, zlib.error) as exc:
            raise ScanCorrupt(
                f"{self.name}: is damaged or cut short (segment {place} at column {col}, row {row}: {exc})"
            ) from exc
        bottom = min(self.height - row * self.block[1], self.block[1])
        right = min(self.width - col * self.block[0], self.block[0])
        return pixels if (bottom, right) == shape[:2] else pixels[:bottom, :right]


def open_segments(scan: Scan) -> tuple[Segments, Callable[[], None]] | None:
    """The scan's segments and what closes them, or None where libvips must read it."""
    source = scan.source
    if scan.info.kind != "tiff" or not scan.identity or scan.info.access != "block" or source is None:
        return None
    file = source.open()
    try:
        found = _segments(scan, file)
    except (ValueError, KeyError, IndexError, struct.error, OverflowError, OSError):
        found = None  # a header that only libvips may judge
    if found is None:
        file.close()
        return None
    return found, file.close


def _segments(scan: Scan, file: BinaryIO) -> Segments | None:
    page = _Directory(file, scan.key.page)
    width, height, samples = page.one(_WIDTH), page.one(_HEIGHT), page.one(_SAMPLES, 1)
    block = page.one(_TILE_W), page.one(_TILE_H)
    plain = (
        (width, height, samples) == (scan.width, scan.height, scan.bands)
        and page.one(_PLANAR, 1) == 1
        and page.one(_FORMAT, 1) == 1
        and set(page.many(_BITS, (1,))) == {8}
        and not page.has(_EXTRA)
        and 0 < block[0] <= 65_500
        and 0 < block[1] <= 65_500
    )
    if not plain:
        return None
    decode = _decoder(page, samples)
    if decode is None:
        return None
    count = -(-width // block[0]) * -(-height // block[1])
    places = page.array(_OFFSETS), page.array(_COUNTS)
    if len(places[0]) != count or len(places[1]) != count:
        return None
    return Segments(str(scan.key), (width, height, samples), block, places, _reader(scan, file), decode)


def _reader(scan: Scan, file: BinaryIO) -> Callable[[int, int], bytes]:
    data = scan.source.data if scan.source is not None else None
    if data is not None:
        return lambda offset, count: data[offset : offset + count]
    size = os.fstat(file.fileno()).st_size

    def read(offset: int, count: int) -> bytes:
        if offset + count > size:
            return b""
        return os.pread(file.fileno(), count, offset)

    return read


def _decoder(page: _Directory, samples: int) -> Callable[[bytes, tuple[int, int, int]], Pixels] | None:
    compression, photometric = page.one(_COMPRESSION, 1), page.one(_PHOTOMETRIC)
    if compression == 7:
        if (samples, photometric) not in {(1, _GRAY), (3, _RGB), (3, _YCBCR)}:
            return None
        tables = page.raw(_TABLES) if page.has(_TABLES) else b""
        return _jpeg_decoder(tables, photometric)
    if (samples, photometric) not in {(1, _GRAY), (3, _RGB)}:
        return None
    if compression == 1:
        return lambda data, shape: np.frombuffer(data, np.uint8)[: shape[0] * shape[1] * shape[2]].reshape(
            shape
        )
    if compression in (8, 32946) and page.one(_PREDICTOR, 1) in (1, 2):
        return _deflate_decoder(page.one(_PREDICTOR, 1) == 2)
    return None


def _jpeg_decoder(tables: bytes, photometric: int) -> Callable[[bytes, tuple[int, int, int]], Pixels]:
    """Segment and shared tables become one stream whose color is what the TIFF says it is."""
    import simplejpeg

    colorspace = "GRAY" if photometric == _GRAY else "RGB"
    middle = tables[2:-2] if tables[:2] == b"\xff\xd8" and tables[-2:] == b"\xff\xd9" else b""
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([photometric == _YCBCR])
    head = b"\xff\xd8" + (b"" if photometric == _GRAY else adobe) + middle

    def decode(data: bytes, shape: tuple[int, int, int]) -> Pixels:
        if data[:2] != b"\xff\xd8":
            raise ValueError("it is not JPEG")
        if photometric == _RGB and b"JFIF\0" in data[:64]:
            raise ValueError("it says JFIF, which is YCbCr, and RGB at once")
        stream = head + data[2:]
        height, width, _, _ = simplejpeg.decode_jpeg_header(stream)
        if (height, width) != shape[:2]:
            raise ValueError(f"it holds {width} x {height} px")
        pixels: Pixels = simplejpeg.decode_jpeg(stream, colorspace=colorspace)
        return pixels.reshape(shape)

    return decode


def _deflate_decoder(predicted: bool) -> Callable[[bytes, tuple[int, int, int]], Pixels]:
    def decode(data: bytes, shape: tuple[int, int, int]) -> Pixels:
        size = shape[0] * shape[1] * shape[2]
        pixels = np.frombuffer(zlib.decompressobj().decompress(data, size), np.uint8).reshape(shape)
        return np.cumsum(pixels, axis=1, dtype=np.uint8) if predicted else pixels

    return decode


class _Directory:
    """The tags of one page (image file directory), values read when asked for."""

    def __init__(self, file: BinaryIO, page: int) -> None:
        self._file = file
        head = self._at(0, 16)
        self._order = {b"II": "<", b"MM": ">"}[head[:2]]
        (version,) = self._unpack("H", head[2:4])
        if version not in (42, 43):
            raise ValueError("not a TIFF")
        self._big = version == 43
        if self._big:
            (place,) = self._unpack("Q", head[8:16])
        else:
            (place,) = self._unpack("I", head[4:8])
        seen: set[int] = set()
        for _ in range(min(page, _MAX_PAGES)):
            if place in seen or not place:
                raise ValueError("no such page")
            seen.add(place)
            place = self._load(place)
        if not place:
            raise ValueError("no such page")
        self._load(place)

    def has(self, tag: int) -> bool:
        return tag in self._tags

    def one(self, tag: int, default: int | None = None) -> int:
        values = self.many(tag, None if default is None else (default,))
        return int(values[0])

    def many(self, tag: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        if tag not in self._tags and default is not None:
            return default
        return tuple(int(value) for value in self.array(tag))

    def array(self, tag: int) -> NDArray[np.uint64]:
        kind = self._tags[tag][0]
        values = np.frombuffer(self.raw(tag), np.dtype(self._order + FIELD_CODES[kind]))
        return values.astype(np.uint64)

    def raw(self, tag: int) -> bytes:
        kind, count, inline = self._tags[tag]
        size = FIELD_SIZES[kind] * count
        if size <= len(inline):
            return inline[:size]
        (place,) = self._unpack("Q" if self._big else "I", inline)
        return self._at(place, size)

    def _load(self, place: int) -> int:
        wide, entry, inline = (8, 20, 8) if self._big else (2, 12, 4)
        (count,) = self._unpack("Q" if self._big else "H", self._at(place, wide))
        if count > 4096:
            raise ValueError("too many tags")
        body = self._at(place + wide, count * entry + inline)
        self._tags: dict[int, tuple[int, int, bytes]] = {}
        for at in range(0, count * entry, entry):
            tag, kind = self._unpack("HH", body[at : at + 4])
            (number,) = self._unpack("Q" if self._big else "I", body[at + 4 : at + entry - inline])
            self._tags[tag] = kind, number, body[at + entry - inline : at + entry]
        (following,) = self._unpack("Q" if self._big else "I", body[count * entry :])
        return int(following)

    def _at(self, place: int, size: int) -> bytes:
        self._file.seek(place)
        data = self._file.read(size)
        if len(data) != size:
            raise ValueError("cut short")
        return data

    def _unpack(self, form: str, data: bytes) -> tuple[Any, ...]:
        return struct.unpack(self._order + form, data)
