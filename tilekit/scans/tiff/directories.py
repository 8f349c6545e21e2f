"""What the directories of a TIFF are: pages, their levels, masks, thumbnails. The only reader of them.

A directory that says it is reduced (NewSubfileType 1, SubfileType 2) belongs to the page before it: as a
level where its shape is the page's, else as a thumbnail. SubIFDs are levels of the page that names them.
Numbers of fields are those of TIFF 6.0 and its technical notes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Literal

from tilekit.errors import ScanCorrupt
from tilekit.scans.faults import one_line
from tilekit.scans.source import ByteReader, Source
from tilekit.scans.tiff.fields import Fields, Header, read_fields, read_header

Role = Literal["page", "level", "mask", "thumbnail"]
SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
DESCRIPTION, MAKE, SOFTWARE, SAMPLES, PLANAR, PREDICTOR, SUBIFDS = 270, 271, 305, 277, 284, 317, 330
TILE_WIDTH, TILE_HEIGHT, XMP, NDPI = 322, 323, 700, 65420
_REDUCED, _MASK = 1, 4
_MOST_DIRECTORIES = 65536
_MOST_SUBIFDS = 64
_LONGEST_TEXT = 4096
_LARGEST_TILE = 1 << 14


@dataclass(frozen=True)
class Directory:
    """One image file directory.

    `role`: what it is; `page`: the page it is or belongs to, from 0; `place`: its number in the main
    chain, from 0, or that of the directory whose SubIFD it is; `at`: its byte in the file.
    """

    role: Role
    page: int
    place: int
    at: int
    fields: Fields

    @property
    def width(self) -> int:
        """Width in px."""
        return self.fields.one(WIDTH, 0)

    @property
    def height(self) -> int:
        """Height in px."""
        return self.fields.one(HEIGHT, 0)

    @property
    def tile(self) -> tuple[int, int]:
        """Width and height of its tiles, zeros for strips."""
        return self.fields.one(TILE_WIDTH, 0), self.fields.one(TILE_HEIGHT, 0)


@dataclass(frozen=True)
class Directories:
    """All directories of a file, in the order of the main chain, SubIFDs after the one that names them."""

    all: tuple[Directory, ...]

    @property
    def pages(self) -> tuple[Directory, ...]:
        """The directories that are pages, in order."""
        return tuple(item for item in self.all if item.role == "page")

    def levels(self, page: int) -> tuple[Directory, ...]:
        """The reduced copies of a page, largest first."""
        found = [item for item in self.all if item.role == "level" and item.page == page]
        return tuple(sorted(found, key=lambda item: -item.width))


def read_directories(source: Source, reader: ByteReader) -> Directories:
    """Every directory, with its role.

    Raises ScanCorrupt where the chain leaves the file, loops, or has no directory at all.
    """
    try:
        header = read_header(reader)
        chain = _chain(reader, header, source)
        if not chain:
            raise ScanCorrupt(f"{source.name}: is a TIFF without a page")
        return Directories(tuple(_named(_roles(chain), reader, header)))
    except (struct.error, OverflowError, ValueError) as exc:
        if isinstance(exc, ScanCorrupt):
            raise
        raise ScanCorrupt(f"{source.name}: its TIFF directories make no sense ({one_line(exc)})") from exc


def is_vendor_slide(found: Directories) -> bool:
    """Whether a TIFF looks like the slide of a scanner vendor that OpenSlide reads."""
    fields = found.all[0].fields
    if NDPI in fields:
        return True
    words = b" ".join(fields.text(tag, _LONGEST_TEXT) for tag in (DESCRIPTION, MAKE, SOFTWARE, XMP))
    marks = (b"Aperio", b"leica-microsystems", b"Philips", b"iScan", b"MedScan", b"ventana")
    return any(mark in words for mark in marks)


def check_tiles(found: Directories, name: str) -> None:
    """Raises ScanCorrupt for tiles no scanner writes: OpenSlide ends the process if memory for one runs out."""
    for item in found.all:
        if max(item.tile) > _LARGEST_TILE or min(item.width, item.height) < 1:
            raise ScanCorrupt(
                f"{name}: TIFF directory {item.place + 1} is of {item.width} x {item.height} px in tiles of "
                f"{item.tile[0]} x {item.tile[1]}, which no slide scanner writes"
            )


def _chain(reader: ByteReader, header: Header, source: Source) -> list[Directory]:
    at, size = header.first, reader.size
    seen: set[int] = set()
    found: list[Directory] = []
    while at:
        if at in seen or at >= size or len(found) >= _MOST_DIRECTORIES:
            raise ScanCorrupt(
                f"{source.name}: TIFF directory {len(found) + 1} is cut off or points to itself "
                f"(byte {at} of {size})"
            )
        seen.add(at)
        fields, following = read_fields(reader, header, at)
        found.append(Directory("page", 0, len(found), at, fields))
        at = following
    return found


def _roles(chain: list[Directory]) -> list[Directory]:
    """The chain with roles. A file of nothing but reduced copies and masks has its first as its page."""
    marks = [_mark(item.fields) for item in chain]
    if "page" not in marks:
        marks[0] = "page"
    named: list[Directory] = []
    page, owner = -1, chain[marks.index("page")]
    for item, mark in zip(chain, marks, strict=True):
        role: Role = "page"
        if mark == "page":
            page, owner = page + 1, item
        elif mark == "mask":
            role = "mask"
        else:
            role = "level" if _same_shape(owner, item) else "thumbnail"
        named.append(replace(item, role=role, page=max(page, 0)))
    return named


def _named(chain: list[Directory], reader: ByteReader, header: Header) -> list[Directory]:
    """The chain with the SubIFDs of each page after it; one that cannot be read is left out."""
    found = []
    for item in chain:
        found.append(item)
        if item.role != "page" or SUBIFDS not in item.fields:
            continue
        try:
            places = item.fields.many(SUBIFDS)[:_MOST_SUBIFDS]
        except ValueError:
            continue
        for at in places:
            try:
                fields = read_fields(reader, header, at)[0]
            except (struct.error, ValueError, OverflowError):
                continue
            inner = Directory("level", item.page, item.place, at, fields)
            found.append(inner if _same_shape(item, inner) else replace(inner, role="thumbnail"))
    return found


def _mark(fields: Fields) -> Literal["page", "reduced", "mask"]:
    kind = fields.one(SUBFILE, 0)
    if kind & _MASK:
        return "mask"
    return "reduced" if kind & _REDUCED or fields.one(OLD_SUBFILE, 1) == 2 else "page"


def _same_shape(page: Directory, copy: Directory) -> bool:
    """Whether a reduced copy has the page's shape, give or take the rounding of its sides."""
    if not 0 < copy.width <= page.width or not 0 < copy.height <= page.height:
        return False
    across, down = page.width / copy.width, page.height / copy.height
    slack = across / copy.width + down / copy.height
    return abs(across - down) <= slack
