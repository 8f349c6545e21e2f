"""The directories of a TIFF, read without decoding: which are pages, and what libvips must be told.

Field numbers are those of TIFF 6.0, its technical notes, and libtiff's list of compressions.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from tilekit.errors import ScanCorrupt, ScanUnsupported
from tilekit.scans.faults import one_line
from tilekit.scans.source import Source

FIELD_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
FIELD_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_SUBFILE, _WIDTH, _HEIGHT, _COMPRESSION, _DESCRIPTION, _MAKE, _SOFTWARE = 254, 256, 257, 259, 270, 271, 305
_XMP, _NDPI, _PLANAR, _SAMPLES = 700, 65420, 284, 277
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_LARGEST_TILE = 1 << 14
_REDUCED, _MASK = 1, 4
Entry = tuple[int, int, bytes]
_MOST_DIRECTORIES = 65536
_MOST_BYTES = 1 << 30
_LONGEST = 4096
READ_BY_LIBVIPS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946, 50001}
READ_STORED = {34925, 50000}
_NAMES = {
    6: "old-style JPEG", 33003: "JPEG 2000 (YCbCr)",
    33005: "JPEG 2000 (RGB)", 34712: "JPEG 2000", 34887: "LERC", 52546: "JPEG XL", 34661: "JBIG",
}  # fmt: skip


@dataclass(frozen=True)
class Directory:
    """One image file directory: its place in the chain and the fields asked for here.

    `ndpi`: has Hamamatsu's own field; `planes`: color planes stored apart, in tiles;
    `tile`: width and height of its tiles, zeros for strips.
    """

    index: int
    width: int
    height: int
    subfile: int
    compression: int
    text: bytes
    ndpi: bool
    planes: bool
    tile: tuple[int, int]


def read_directories(source: Source) -> list[Directory]:
    """Every directory of the main chain, in order.

    Raises ScanCorrupt where the chain leaves the file, loops, or has no directory at all.
    """
    try:
        with source.open() as file:
            found = _chain(file, source.size, source.name)
    except (struct.error, OverflowError, ValueError) as exc:
        raise ScanCorrupt(f"{source.name}: its TIFF directories make no sense ({one_line(exc)})") from exc
    if not found:
        raise ScanCorrupt(f"{source.name}: is a TIFF without a page")
    return found


def pages_of(directories: list[Directory]) -> list[Directory]:
    """The directories that are pages: not the reduced copies of a pyramid, not masks."""
    pages = [item for item in directories if not item.subfile & (_REDUCED | _MASK)]
    return pages or directories[:1]


def is_vendor_slide(directories: list[Directory]) -> bool:
    """Whether a TIFF looks like the slide of a scanner vendor that OpenSlide reads."""
    first = directories[0]
    marks = (b"Aperio", b"leica-microsystems", b"Philips", b"iScan", b"MedScan", b"ventana")
    return first.ndpi or any(mark in first.text for mark in marks)


def check_tiles(directories: list[Directory], name: str) -> None:
    """Raises ScanCorrupt for tiles no scanner writes: OpenSlide ends the process if memory for one runs out."""
    for item in directories:
        if max(item.tile) > _LARGEST_TILE or min(item.width, item.height) < 1:
            raise ScanCorrupt(
                f"{name}: TIFF directory {item.index + 1} is of {item.width} x {item.height} px in tiles of "
                f"{item.tile[0]} x {item.tile[1]}, which no slide scanner writes"
            )


def check_compression(page: Directory, name: str) -> None:
    """Raises ScanUnsupported for a compression that no reader here decodes."""
    if page.compression not in READ_BY_LIBVIPS | READ_STORED:
        what = _NAMES.get(page.compression, f"scheme {page.compression}")
        raise ScanUnsupported(
            f"{name}: its pixels are compressed by {what}, which cannot be read; "
            "write it with deflate, LZW or JPEG compression"
        )
    if page.planes:
        raise ScanUnsupported(
            f"{name}: its color planes are stored apart and in tiles, which cannot be read; "
            "write them together, or in strips"
        )


def open_directory(file: BinaryIO, index: int) -> tuple[str, dict[int, Entry]]:
    """Byte order ("<" or ">") and the entries of one directory of the chain."""
    order, big, at = _header(file)
    for _ in range(index):
        _, at = _directory(file, at, order, big)
    return order, _directory(file, at, order, big)[0]


def field_bytes(file: BinaryIO, order: str, entry: Entry) -> bytes:
    """The value of an entry as it is stored."""
    kind, items, value = entry
    length = items * FIELD_SIZES.get(kind, 1)
    if length <= len(value):
        return value[:length]
    if length > _MOST_BYTES:
        raise ValueError(f"a field of {length} bytes")
    file.seek(struct.unpack(order + ("Q" if len(value) == 8 else "I"), value)[0])
    return file.read(length)


def field_numbers(file: BinaryIO, order: str, entries: dict[int, Entry], field: int) -> list[int]:
    """The value of an entry as whole numbers."""
    kind, items, _ = entries[field]
    return list(struct.unpack(f"{order}{items}{FIELD_CODES[kind]}", field_bytes(file, order, entries[field])))


def _header(file: BinaryIO) -> tuple[str, bool, int]:
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(order + "H", head[2:4])[0] == 43
    at = struct.unpack(order + ("Q" if big else "I"), head[8:16] if big else head[4:8])[0]
    return order, big, at


def _chain(file: BinaryIO, size: int, name: str) -> list[Directory]:
    order, big, at = _header(file)
    seen: set[int] = set()
    found: list[Directory] = []
    while at:
        if at in seen or at >= size or len(found) >= _MOST_DIRECTORIES:
            raise ScanCorrupt(
                f"{name}: TIFF directory {len(found) + 1} is cut off or points to itself "
                f"(byte {at} of {size})"
            )
        seen.add(at)
        fields, at = _directory(file, at, order, big)
        found.append(_summary(file, fields, len(found), order))
    return found


def _directory(file: BinaryIO, at: int, order: str, big: bool) -> tuple[dict[int, Entry], int]:
    """Entries (type, count, value bytes or offset) by number, and where the next directory is."""
    step, word = (20, "Q") if big else (12, "I")
    file.seek(at)
    count = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))[0]
    if count > _LONGEST:
        raise ValueError(f"{count} fields")
    table = file.read(step * count)
    following = struct.unpack(order + word, file.read(8 if big else 4))[0]
    entries = {}
    for start in range(0, step * count, step):
        number, kind = struct.unpack_from(order + "HH", table, start)
        items = struct.unpack_from(order + word, table, start + 4)[0]
        value = table[start + (12 if big else 8) : start + step]
        entries[number] = (kind, items, value)
    return entries, following


def _summary(file: BinaryIO, entries: dict[int, Entry], index: int, order: str) -> Directory:
    def number(field: int, default: int) -> int:
        kind, items, value = entries.get(field, (0, 0, b""))
        if kind not in FIELD_CODES or items < 1:
            return default
        return int(struct.unpack_from(order + FIELD_CODES[kind], value)[0])

    def text(field: int) -> bytes:
        kind, items, value = entries.get(field, (0, 0, b""))
        length = min(items * FIELD_SIZES.get(kind, 1), _LONGEST)
        if length <= len(value):
            return value
        file.seek(struct.unpack(order + ("Q" if len(value) == 8 else "I"), value)[0])
        return file.read(length)

    words = b" ".join(text(field) for field in (_DESCRIPTION, _MAKE, _SOFTWARE, _XMP)) if index == 0 else b""
    return Directory(
        index,
        number(_WIDTH, 0),
        number(_HEIGHT, 0),
        number(_SUBFILE, 0),
        number(_COMPRESSION, 1),
        words,
        _NDPI in entries,
        _TILE_WIDTH in entries and number(_PLANAR, 1) == 2 and number(_SAMPLES, 1) > 1,
        (number(_TILE_WIDTH, 0), number(_TILE_HEIGHT, 0)),
    )
