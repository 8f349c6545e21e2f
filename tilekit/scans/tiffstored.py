"""TIFFs compressed by Zstandard or LZMA, for a libtiff that has neither.

libvips is shown a TIFF that exists nowhere: the same directory, with every segment unpacked and
stored in deflate's "not compressed" form, whose length is known beforehand. Segments are unpacked
when they are read, so nothing is copied to disk; memory is one segment.
"""

from __future__ import annotations

import bisect
import io
import lzma
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import pyvips

from tilekit.errors import MissingExtra, ScanCorrupt
from tilekit.scans.faults import one_line
from tilekit.scans.source import Source
from tilekit.scans.tiffdir import Directory, field_bytes, field_numbers, open_directory

ZSTD, LZMA = 50000, 34925
_DEFLATE = 8
_BLOCK = 65535  # the most bytes a stored block of deflate holds (RFC 1951, 3.2.4)
_PLACES = {True: (324, 325), False: (273, 279)}  # tiled or not: numbers of offsets and byte counts
_LEFT_OUT = {330, 34665, 34853, 273, 279, 324, 325, 259}
_MOST_SEGMENT = 1 << 31


@dataclass(frozen=True)
class _Layout:
    """Where the packed segments are, how long each is unpacked, and the directory shown instead."""

    places: tuple[int, ...]
    packed: tuple[int, ...]
    raw: tuple[int, ...]
    head: bytes
    starts: tuple[int, ...]


def stored_loader(source: Source, page: Directory) -> Callable[[str], Any]:
    """A loader for scan_of, over the page as libvips can read it. Raises ScanCorrupt, MissingExtra."""
    unpack = _unpacker(page.compression)
    try:
        layout = _layout(source, page)
    except (struct.error, ValueError, OverflowError, ZeroDivisionError, KeyError, IndexError) as exc:
        raise ScanCorrupt(f"{source.name}: its TIFF directory makes no sense ({one_line(exc)})") from exc
    alive: list[Any] = []  # libvips calls back into these for as long as an image of theirs is read

    def load(access: str) -> Any:
        stream = _Stored(source, layout, unpack)
        custom = pyvips.SourceCustom()
        custom.on_read(stream.read)
        custom.on_seek(stream.seek)
        alive.append(custom)
        return pyvips.Image.tiffload_source(custom, access=access, fail_on="warning")

    return load


def _unpacker(compression: int) -> Callable[[bytes, int], bytes]:
    if compression == LZMA:
        return lambda data, size: lzma.LZMADecompressor().decompress(data, size)
    try:
        import zstandard
    except ImportError as exc:
        raise MissingExtra("TIFFs compressed by Zstandard need zstandard", "zstd") from exc

    def unpack(data: bytes, size: int) -> bytes:
        found: bytes = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read(size)
        return found

    return unpack


def _layout(source: Source, page: Directory) -> _Layout:
    with source.open() as file:
        order, entries = open_directory(file, page.index)

        def numbers(field: int, default: int) -> list[int]:
            return field_numbers(file, order, entries, field) if field in entries else [default]

        tiled = 322 in entries
        places, packed = (numbers(field, 0) for field in _PLACES[tiled])
        raw = _raw_sizes(page, numbers, tiled, len(places))
        if not len(places) == len(packed) == len(raw) or max(raw) > _MOST_SEGMENT:
            raise ValueError(f"{len(places)} offsets, {len(packed)} lengths, {len(raw)} segments")
        kept = {
            number: (entry[0], entry[1], field_bytes(file, order, entry))
            for number, entry in entries.items()
            if number not in _LEFT_OUT
        }
    lengths = [_stored_length(size) for size in raw]
    kept[259] = (3, 1, struct.pack(order + "H", _DEFLATE))
    kept[_PLACES[tiled][1]] = (16, len(raw), struct.pack(f"{order}{len(raw)}Q", *lengths))
    size = len(_head(order, kept, _PLACES[tiled][0], [0] * len(raw)))
    starts = list(accumulate([size, *lengths]))
    head = _head(order, kept, _PLACES[tiled][0], starts[:-1])
    return _Layout(tuple(places), tuple(packed), tuple(raw), head, tuple(starts))


def _raw_sizes(
    page: Directory, numbers: Callable[[int, int], list[int]], tiled: bool, count: int
) -> list[int]:
    bits, planes = numbers(258, 1)[0], numbers(277, 1)[0]
    per_segment, groups = (planes, 1) if numbers(284, 1)[0] == 1 else (1, planes)
    if tiled:
        width, height = numbers(322, 0)[0], numbers(323, 0)[0]
        return [-(-width * bits * per_segment // 8) * height] * count
    line = -(-page.width * bits * per_segment // 8)
    rows = min(numbers(278, page.height)[0], page.height)
    full, rest = divmod(page.height, rows)
    return ([line * rows] * full + ([line * rest] if rest else [])) * groups


def _head(
    order: str, fields: dict[int, tuple[int, int, bytes]], place_field: int, places: list[int]
) -> bytes:
    """A BigTIFF header with one directory, then the values that do not fit in it."""
    fields = fields | {place_field: (16, len(places), struct.pack(f"{order}{len(places)}Q", *places))}
    table, values = b"", b""
    after = 16 + 8 + 20 * len(fields) + 8
    for number in sorted(fields):
        kind, count, data = fields[number]
        if len(data) > 8:
            inline = struct.pack(order + "Q", after + len(values))
            values += data + bytes(-len(data) % 8)
        else:
            inline = data.ljust(8, b"\0")
        table += struct.pack(order + "HHQ", number, kind, count) + inline
    mark = b"II" if order == "<" else b"MM"
    start = mark + struct.pack(order + "HHHQ", 43, 8, 0, 16) + struct.pack(order + "Q", len(fields))
    return start + table + bytes(8) + values


def _stored_length(size: int) -> int:
    return 2 + 5 * max(1, -(-size // _BLOCK)) + size + 4


def _stored(data: bytes) -> bytes:
    """A zlib stream (RFC 1950) of stored blocks."""
    parts = [b"\x78\x01"]
    for at in range(0, max(1, len(data)), _BLOCK):
        block = data[at : at + _BLOCK]
        last = at + _BLOCK >= len(data)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*parts, struct.pack(">I", zlib.adler32(data))])


class _Stored:
    """The TIFF shown to libvips, as a stream. An error ends the stream, which libvips then reports."""

    def __init__(self, source: Source, layout: _Layout, unpack: Callable[[bytes, int], bytes]) -> None:
        self._source = source
        self._layout = layout
        self._unpack = unpack
        self._at = 0
        self._held: tuple[int, bytes] = (-1, b"")

    def read(self, size: int) -> bytes | None:
        """Called by libvips; nothing may be raised through it."""
        try:
            data = self._read(size)
        except Exception:  # noqa: BLE001 - libvips sees the end of the file, and says where it broke off
            return None
        self._at += len(data)
        return data or None

    def seek(self, offset: int, whence: int) -> int:
        """Called by libvips."""
        base = (0, self._at, self._layout.starts[-1])[whence]
        self._at = max(0, base + offset)
        return self._at

    def _read(self, size: int) -> bytes:
        if self._at < len(self._layout.head):
            return self._layout.head[self._at : self._at + size]
        if self._at >= self._layout.starts[-1]:
            return b""
        index = bisect.bisect_right(self._layout.starts, self._at) - 1
        start = self._at - self._layout.starts[index]
        return self._segment(index)[start : start + size]

    def _segment(self, index: int) -> bytes:
        if self._held[0] != index:
            with self._source.open() as file:
                file.seek(self._layout.places[index])
                packed = file.read(self._layout.packed[index])
            data = self._unpack(packed, self._layout.raw[index])
            if len(data) != self._layout.raw[index]:
                raise ValueError(f"segment {index} is cut short")
            self._held = (index, _stored(data))
        return self._held[1]
