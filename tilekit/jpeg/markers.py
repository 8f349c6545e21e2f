"""The markers of a JPEG file: what stands before its entropy-coded data (ITU-T T.81, annex B), and back to bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from tilekit.jpeg.tables import Codes, is_complete

ReadAt = Callable[[int, int], bytes]
_SOI, _EOI, _SOS, _DQT, _DHT, _DRI, _COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xFE
_FRAMES = {
    0xC1: "", 0xC0: "", 0xC2: "it is progressive", 0xC3: "it is lossless", 0xC5: "it is hierarchical",
    0xC6: "it is hierarchical", 0xC7: "it is hierarchical", 0xC9: "it is arithmetic-coded",
    0xCA: "it is arithmetic-coded", 0xCB: "it is arithmetic-coded", 0xCD: "it is hierarchical",
    0xCE: "it is hierarchical", 0xCF: "it is hierarchical",
}  # fmt: skip
_MOST_MARKERS = 1000
_MOST_BYTES = 1 << 26


class CannotCut(Exception):
    """Why the bits of a file cannot be used; never leaves `scans` and `tiles`, which then decode."""


@dataclass(frozen=True)
class Component:
    """A color component: its number in the file, sampling, and which quantization table it uses."""

    number: int
    h: int
    v: int
    quantization: int


@dataclass(frozen=True)
class Header:
    """What a decoder needs besides the bits. `dc`, `ac`: a Huffman table a component.

    `quantization`: table -> the 64 or 128 bytes of it, as stored. `adobe`: the color transform of an
    Adobe marker, `density`: the unit and numbers of a JFIF marker, or None. `profile`: the ICC segments.
    """

    width: int
    height: int
    extended: bool
    components: tuple[Component, ...]
    quantization: tuple[tuple[int, bytes], ...]
    dc: tuple[Codes, ...]
    ac: tuple[Codes, ...]
    restart: int = 0
    adobe: int | None = None
    density: tuple[int, int, int] | None = None
    profile: tuple[bytes, ...] = ()

    @cached_property
    def sampling(self) -> tuple[tuple[int, int], ...]:
        """(h, v) blocks of each component in an MCU; a lone component has one."""
        if len(self.components) == 1:
            return ((1, 1),)
        return tuple((c.h, c.v) for c in self.components)

    @cached_property
    def mcu(self) -> tuple[int, int]:
        """(width, height) px of an MCU."""
        return 8 * max(h for h, _ in self.sampling), 8 * max(v for _, v in self.sampling)

    @cached_property
    def across(self) -> int:
        """MCUs in a row."""
        return -(-self.width // self.mcu[0])

    @cached_property
    def down(self) -> int:
        """Rows of MCUs."""
        return -(-self.height // self.mcu[1])

    @property
    def upsampled(self) -> bool:
        """Whether color is stored at a lower resolution, so that a decoder may smooth over MCU borders."""
        return self.mcu != (8, 8)

    @property
    def subsampling(self) -> str:
        """The nearest of 444, 422, 420 that loses no color."""
        return {(16, 8): "422", (16, 16): "420"}.get(self.mcu, "444")

    @property
    def coding(self) -> tuple[object, ...]:
        """What two streams must share for their bits to stand in one file."""
        tables = dict(self.quantization)
        shapes = [(c.h, c.v, tables[c.quantization]) for c in self.components]
        return (self.sampling, shapes, self.dc, self.ac)

    def sized(self, width: int, height: int) -> Header:
        """The same for a picture of another size, without restart markers."""
        return replace(self, width=width, height=height, restart=0)


def read_header(read: ReadAt, at: int = 0, tables: bytes = b"") -> tuple[Header, int]:
    """The header of the JPEG at byte `at`, and where its entropy-coded data begins.

    `tables`: a file of tables only (the JPEGTables of a TIFF) that come before. Raises CannotCut for
    what is not sequential Huffman-coded JPEG of 8 bit in one scan, gray or of three components.
    """
    state = _State()
    if tables:
        state.take(lambda place, size: tables[place : place + size], 0, len(tables))
    return state.take(read, at, None)


class _State:
    """Tables as they are defined, and what else the markers say."""

    def __init__(self) -> None:
        self.quantization: dict[int, bytes] = {}
        self.huffman: dict[int, Codes] = {}
        self.restart = 0
        self.adobe: int | None = None
        self.density: tuple[int, int, int] | None = None
        self.profile: list[bytes] = []
        self.frame: tuple[bool, int, int, tuple[Component, ...]] | None = None

    def take(self, read: ReadAt, at: int, end: int | None) -> tuple[Header, int]:
        if read(at, 2) != b"\xff\xd8":
            raise CannotCut("it does not begin as a JPEG does")
        at, first = at + 2, at
        for _ in range(_MOST_MARKERS):
            head = read(at, 4)
            if end is not None and (at >= end or head[:2] == b"\xff\xd9"):
                return _NOTHING, at
            while head[:2] == b"\xff\xff":  # fill bytes
                at += 1
                head = read(at, 4)
            if len(head) < 4 or head[0] != 0xFF:
                raise CannotCut("a marker is missing")
            code, size = head[1], int.from_bytes(head[2:4], "big") - 2
            if code in (0, 1, _SOI, _EOI) or 0xD0 <= code <= 0xD7 or size < 0 or at - first > _MOST_BYTES:
                raise CannotCut(f"marker {code:#04x} stands where none may")
            body = read(at + 4, size)
            if len(body) != size:
                raise CannotCut("it is cut short")
            at += 4 + size
            if code == _SOS:
                return self._header(body), at
            self._marker(code, body)
        raise CannotCut("it has too many markers")

    def _marker(self, code: int, body: bytes) -> None:
        if code in _FRAMES:
            self._frame(code, body)
        elif code == _DQT:
            self._tables(body)
        elif code == _DHT:
            self._codes(body)
        elif code == _DRI and len(body) == 2:
            self.restart = int.from_bytes(body, "big")
        elif code == 0xE0 and body[:5] == b"JFIF\0" and len(body) >= 14:
            self.density = struct.unpack(">BHH", body[7:12])
        elif code == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            self.adobe = body[11]
        elif code == 0xE2 and body[:12] == b"ICC_PROFILE\0":
            self.profile.append(body)
        elif not (0xE0 <= code <= 0xEF or code == _COM):
            raise CannotCut(f"marker {code:#04x} is not known")

    def _frame(self, code: int, body: bytes) -> None:
        if _FRAMES[code] or self.frame is not None:
            raise CannotCut(_FRAMES[code] or "it has two frames")
        if len(body) < 6 or len(body) != 6 + 3 * body[5]:
            raise CannotCut("its frame makes no sense")
        bits, height, width, count = struct.unpack(">BHHB", body[:6])
        if bits != 8:
            raise CannotCut(f"it has {bits} bits a sample")
        if count not in (1, 3):
            raise CannotCut(f"it has {count} components")
        if not width or not height:
            raise CannotCut("its frame does not tell its height")
        parts = (body[6 + 3 * i : 9 + 3 * i] for i in range(count))
        components = tuple(Component(part[0], part[1] >> 4, part[1] & 15, part[2]) for part in parts)
        if len({component.number for component in components}) < count:
            raise CannotCut("two of its components have one number")
        shapes = tuple((component.h, component.v) for component in components)
        if count == 3 and (
            shapes[0] not in {(1, 1), (2, 1), (1, 2), (2, 2), (4, 1)} or shapes[1:] != ((1, 1),) * 2
        ):
            told = ", ".join(f"{h} x {v}" for h, v in shapes)
            raise CannotCut(f"its components are sampled {told}")
        if not all(1 <= h <= 4 and 1 <= v <= 4 for h, v in shapes):
            raise CannotCut("its sampling makes no sense")
        self.frame = code == 0xC1, width, height, components

    def _tables(self, body: bytes) -> None:
        at = 0
        while at < len(body):
            size = 128 if body[at] >> 4 else 64
            table = body[at + 1 : at + 1 + size]
            if len(table) != size or body[at] & 15 > 3 or body[at] >> 4 > 1:
                raise CannotCut("a quantization table makes no sense")
            self.quantization[body[at] & 15] = table
            at += 1 + size

    def _codes(self, body: bytes) -> None:
        at = 0
        while at < len(body):
            counts = body[at + 1 : at + 17]
            symbols = body[at + 17 : at + 17 + sum(counts)]
            if body[at] & 15 > 3 or body[at] >> 4 > 1 or not is_complete((counts, symbols)):
                raise CannotCut("a Huffman table makes no sense")
            self.huffman[body[at]] = counts, symbols
            at += 17 + len(symbols)

    def _header(self, body: bytes) -> Header:
        if self.frame is None:
            raise CannotCut("a scan comes before its frame")
        extended, width, height, components = self.frame
        count = len(components)
        if not body or len(body) != 4 + 2 * body[0]:
            raise CannotCut("its scan makes no sense")
        if body[0] != count:
            raise CannotCut("its components are in scans of their own")
        if [body[1 + 2 * i] for i in range(count)] != [component.number for component in components]:
            raise CannotCut("its scan has the components in another order")
        if body[-3:-1] != b"\0\x3f" or body[-1]:
            raise CannotCut("its scan is not sequential")
        if self.adobe is not None and self.adobe > 1:
            raise CannotCut("its color transform is not known")
        places = [body[2 + 2 * i] for i in range(count)]
        try:
            return Header(
                width, height, extended, components,
                tuple((table, self.quantization[table]) for table in dict.fromkeys(c.quantization for c in components)),
                tuple(self.huffman[place >> 4] for place in places),
                tuple(self.huffman[16 | place & 15] for place in places),
                self.restart, self.adobe, self.density, tuple(self.profile),
            )  # fmt: skip
        except KeyError:
            raise CannotCut("a table it uses is missing") from None


_NOTHING = Header(0, 0, False, (), (), (), ())


def header_bytes(header: Header, dc: tuple[Codes, ...]) -> bytes:
    """A file's bytes up to its entropy-coded data, with these DC tables; two tables of a kind at most."""
    parts = [b"\xff\xd8"]
    if header.density is not None:
        parts.append(_segment(0xE0, b"JFIF\0\1\1" + struct.pack(">BHHBB", *header.density, 0, 0)))
    if header.adobe is not None:
        parts.append(_segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([header.adobe])))
    parts += [_segment(0xE2, part) for part in header.profile]
    parts += [
        _segment(_DQT, bytes([(len(table) > 64) << 4 | which]) + table)
        for which, table in header.quantization
    ]
    sampled = header.components if len(header.components) > 1 else [replace(header.components[0], h=1, v=1)]
    frame = struct.pack(">BHHB", 8, header.height, header.width, len(header.components))
    frame += b"".join(bytes([c.number, c.h << 4 | c.v, c.quantization]) for c in sampled)
    parts.append(_segment(0xC1 if header.extended else 0xC0, frame))
    kinds: list[dict[Codes, int]] = []
    for kind, tables in enumerate((dc, header.ac)):
        known = {table: which for which, table in enumerate(dict.fromkeys(tables))}
        kinds.append(known)
        parts += [
            _segment(_DHT, bytes([kind << 4 | which]) + table[0] + table[1]) for table, which in known.items()
        ]
    if header.restart:
        parts.append(_segment(_DRI, header.restart.to_bytes(2, "big")))
    scan = bytes([len(header.components)])
    for component, coarse, fine in zip(header.components, dc, header.ac, strict=True):
        scan += bytes([component.number, kinds[0][coarse] << 4 | kinds[1][fine]])
    parts.append(_segment(_SOS, scan + b"\0\x3f\0"))
    return b"".join(parts)


def _segment(code: int, body: bytes) -> bytes:
    return bytes([0xFF, code]) + (len(body) + 2).to_bytes(2, "big") + body
