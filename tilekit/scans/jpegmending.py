"""JPEG files with bytes that do not belong there, of which every viewer shows all pixels.

Stray bytes before a marker are passed over, a missing end mark is set, what follows the end is left out.
Bits of the pictures themselves are never touched: a file cut short has too few of them, with or without an
end mark, and libjpeg says so. Facts: ISO/IEC 10918-1, annex B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyvips

from tilekit.scans.source import ByteReader, Source

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_ALONE = {0x01, *range(0xD0, 0xD8)}
_CHUNK = 1 << 20
_MOST_STRAY = 1 << 16
NO_END = "it has no end mark"
"""What is warned of a JPEG that may be cut short."""
_MOST_MARKERS = 100_000


@dataclass(frozen=True)
class Mended:
    """The parts of a file that are JPEG, as (start, stop), whether an end mark is to be added, and why."""

    parts: tuple[tuple[int, int], ...]
    ended: bool
    warnings: tuple[str, ...]

    @property
    def is_needed(self) -> bool:
        """Whether libjpeg must not see the file as it is; bytes after the end do no harm."""
        return len(self.parts) > 1 or not self.ended


def mended(source: Source) -> Mended | None:
    """What is wrong between the markers of a JPEG file; None where nothing is, or where it is no such fault.

    Memory: one megabyte. A file that has its markers up to the picture in order and ends in its end mark
    is taken as it is; another is read once.
    """
    reader = source.reader()
    try:
        return None if _looks_right(reader) else _walk(reader)
    finally:
        reader.close()


def source_of(found: Mended, source: Source) -> tuple[Any, ByteReader]:
    """The mended stream as a source of libvips, and what to close after."""
    reader = source.reader()
    sizes = [stop - start for start, stop in found.parts]
    tail = b"" if found.ended else b"\xff\xd9"
    total = sum(sizes) + len(tail)
    place = [0]

    def read(size: int) -> bytes | None:
        at = place[0]
        for (start, _), length in zip(found.parts, sizes, strict=True):
            if at < length:
                data = reader.at(start + at, min(size, length - at))
                break
            at -= length
        else:
            data = tail[at : at + size]
        place[0] += len(data)
        return data or None

    def seek(offset: int, whence: int) -> int:
        place[0] = max(0, (0, place[0], total)[whence] + offset)
        return place[0]

    custom = pyvips.SourceCustom()
    custom.on_read(read)
    custom.on_seek(seek)
    return custom, reader


def _looks_right(reader: ByteReader) -> bool:
    at = 2
    for _ in range(_MOST_MARKERS):
        head = reader.at(at, 4)
        if len(head) < 4 or head[0] != 0xFF:
            return False
        if head[1] == _SOS:
            return reader.at(reader.size - 2, 2) == b"\xff\xd9"
        at += 1 if head[1] == 0xFF else 2 if head[1] in _ALONE else 2 + int.from_bytes(head[2:], "big")
    return False


def _walk(reader: ByteReader) -> Mended | None:
    """From marker to marker; the parts between stray bytes."""
    parts: list[tuple[int, int]] = []
    warnings: list[str] = []
    start, at = 0, 2
    for _ in range(_MOST_MARKERS):
        mark = _next_marker(reader, at)
        if mark is None:  # no marker at all: not a fault of the kind mended here, unless all scans were read
            if not parts and at == 2:
                return None
            warnings.append(NO_END)
            parts.append((start, reader.size))
            return Mended(tuple(parts), False, tuple(warnings))
        if mark > at:
            warnings.append(f"{mark - at} stray bytes at byte {at}")
            parts.append((start, at))
            start = mark
        code = reader.at(mark + 1, 1)[0]
        if code == _EOI:
            parts.append((start, mark + 2))
            after = reader.size - mark - 2
            if after:
                warnings.append(f"{after} bytes after its end mark")
            return Mended(tuple(parts), True, tuple(warnings)) if warnings else None
        if code in _ALONE:
            at = mark + 2
            continue
        length = int.from_bytes(reader.at(mark + 2, 2), "big")
        if length < 2:
            return None
        at = mark + 2 + length
        if code == _SOS:
            at = _end_of_bits(reader, at)
    return None


def _next_marker(reader: ByteReader, at: int) -> int | None:
    """Where the next marker begins, fill bytes left out; None at the end of the file."""
    data = reader.at(at, _MOST_STRAY)
    place = data.find(b"\xff")
    while 0 <= place < len(data) - 1:
        if data[place + 1] not in (0x00, 0xFF):
            return at + place
        place = data.find(b"\xff", place + 1)
    return None


def _end_of_bits(reader: ByteReader, at: int) -> int:
    """Where the bits of a scan end: at a marker that is neither a stuffed byte nor a restart."""
    while True:
        data = reader.at(at, _CHUNK)
        place = data.find(b"\xff")
        while 0 <= place < len(data) - 1:
            following = data[place + 1]
            if following != 0x00 and following != 0xFF and not 0xD0 <= following <= 0xD7:
                return at + place
            place = data.find(b"\xff", place + 1)
        if len(data) < _CHUNK:
            return at + len(data)
        at += len(data) - 1
