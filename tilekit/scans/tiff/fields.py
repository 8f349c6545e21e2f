"""The fields of one TIFF directory, read when asked for. Facts: TIFF 6.0 section 2; BigTIFF by its design page."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.scans.source import ByteReader

SIZES = {
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
_CODES = {
    1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
_MOST_FIELDS = 4096
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Header:
    """Byte order ("<" or ">"), BigTIFF or not, and where the first directory is."""

    order: str
    big: bool
    first: int


@dataclass(frozen=True)
class Fields:
    """One directory. `entries`: number -> (type, count, the value's bytes or their place)."""

    header: Header
    entries: dict[int, tuple[int, int, bytes]]
    reader: ByteReader = field(repr=False)

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def raw(self, tag: int) -> bytes:
        """The value as it is stored; raises ValueError where it is not in the file."""
        kind, count, inline = self.entries[tag]
        size = count * SIZES.get(kind, 1)
        if size <= len(inline):
            return inline[:size]
        if size > _MOST_BYTES:
            raise ValueError(f"field {tag} has {size:,} bytes")
        place = struct.unpack(self.header.order + ("Q" if self.header.big else "I"), inline)[0]
        data = self.reader.at(place, size)
        if len(data) != size:
            raise ValueError(f"field {tag} is cut off")
        return data

    def array(self, tag: int) -> NDArray[Any]:
        """The value as numbers; raises ValueError for a type that holds none."""
        code = _CODES.get(self.entries[tag][0])
        if code is None:
            raise ValueError(f"field {tag} is of type {self.entries[tag][0]}")
        return np.frombuffer(self.raw(tag), np.dtype(self.header.order + code))

    def many(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The value as whole numbers, or the default where the field is absent or empty."""
        if tag not in self.entries or not self.entries[tag][1]:
            return default
        return tuple(int(value) for value in self.array(tag))

    def one(self, tag: int, default: int) -> int:
        """The first of `many`; the default also where the value cannot be read."""
        try:
            return self.many(tag, (default,))[0]
        except ValueError:
            return default

    def ratio(self, tag: int) -> float | None:
        """A RATIONAL or a number; None where it is absent or no number above zero."""
        try:
            if self.entries[tag][0] == 5:
                above, below = struct.unpack_from(self.header.order + "II", self.raw(tag))
                value = above / below
            else:
                value = float(self.array(tag)[0])
        except (KeyError, ValueError, IndexError, ZeroDivisionError, struct.error):
            return None
        return value if 0 < value < 1e9 else None

    def text(self, tag: int, most: int) -> bytes:
        """At most `most` bytes of a text; empty where there is none."""
        kind, count, inline = self.entries.get(tag, (2, 0, b""))
        size = count * SIZES.get(kind, 1)
        if size <= len(inline):
            return inline[:size]
        place = struct.unpack(self.header.order + ("Q" if self.header.big else "I"), inline)[0]
        return self.reader.at(place, min(size, most))


def read_header(reader: ByteReader) -> Header:
    """The header; raises ValueError or struct.error for what is none."""
    head = reader.at(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    if not order:
        raise ValueError("no byte order")
    big = struct.unpack_from(order + "H", head, 2)[0] == 43
    return Header(order, big, struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0])


def read_fields(reader: ByteReader, header: Header, at: int) -> tuple[Fields, int]:
    """The directory at a place, and where the next one is (0: nowhere)."""
    step, word, wide = (20, "Q", 8) if header.big else (12, "I", 2)
    count = struct.unpack(header.order + ("Q" if header.big else "H"), reader.at(at, wide))[0]
    if count > _MOST_FIELDS:
        raise ValueError(f"{count} fields")
    table = reader.at(at + wide, step * count + (8 if header.big else 4))
    entries: dict[int, tuple[int, int, bytes]] = {}
    inline = 12 if header.big else 8
    for start in range(0, step * count, step):
        number, kind = struct.unpack_from(header.order + "HH", table, start)
        items = struct.unpack_from(header.order + word, table, start + 4)[0]
        entries.setdefault(number, (kind, items, table[start + inline : start + step]))
    following = struct.unpack_from(header.order + word, table, step * count)[0]
    return Fields(header, entries, reader), int(following)
