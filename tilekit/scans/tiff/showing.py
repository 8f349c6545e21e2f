"""The TIFF that libvips is shown: one page, a directory of fields checked here, and its blocks.

libtiff warns of many harmless things (tags out of order, a text without its NUL, lengths that are missing),
and of damage too; so it gets to see nothing harmless, and every warning left is damage. The blocks are the
file's own, or unpacked when they are read and stored in a form that libvips knows; nothing is copied to disk.
"""

from __future__ import annotations

import bisect
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import pyvips

from tilekit.scans.source import ByteReader
from tilekit.scans.tiff.directories import XMP
from tilekit.scans.tiff.fields import Fields
from tilekit.scans.tiff.layout import (
    EXTRA_SAMPLES,
    FILL_ORDER,
    JPEG_TABLES,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    STRIP_COUNTS,
    STRIP_OFFSETS,
    TILE_COUNTS,
    TILE_OFFSETS,
    YCBCR,
    BlockLayout,
)
from tilekit.scans.xmp import orientation_of

Value = tuple[int, int, bytes]  # type, count, bytes
_SHORT, _RATIONAL, _UNDEFINED, _LONG8 = 3, 5, 7, 16
_ORIENTATION, _XRES, _YRES, _UNIT, _COLORMAP, _INKSET, _ICC = 274, 282, 283, 296, 320, 332, 34675
_T4, _T6, _COEFFICIENTS, _SITING, _BLACK_WHITE = 292, 293, 529, 531, 532
_LABS = (8, 9)
_WHITE_AT_ZERO, _BLACK_AT_ZERO = 0, 1
_PREDICTED = {5, 8, 32946, 34925, 50000}
_MOST_RESOLUTION = 1e6
_MOST_XMP = 1 << 20


@dataclass(frozen=True)
class Shown:
    """What the shown page is stored as, where that differs from the file: see `show`."""

    compression: int
    bits: tuple[int, ...]
    form: int
    photometric: int
    predictor: int
    planes: int
    samples: int
    extra: tuple[int, ...]
    colormap: bytes | None = None


def shown_as_stored(layout: BlockLayout) -> Shown:
    """The page as its file has it."""
    return Shown(
        layout.compression, layout.bits, layout.form, layout.photometric, layout.predictor,
        layout.planes, layout.samples, layout.extra,
    )  # fmt: skip


def show_file(fields: Fields, layout: BlockLayout, reader: ByteReader) -> Callable[[], Any]:
    """A maker of libvips sources over the file's own blocks."""
    shown = shown_as_stored(layout)
    start = len(head_of(fields, layout, shown, layout.offsets.tolist(), layout.counts.tolist()))
    head = head_of(
        fields, layout, shown, (layout.offsets + np.uint64(start)).tolist(), layout.counts.tolist()
    )

    def at(place: int, size: int) -> bytes:
        return reader.at(place, size)

    return lambda: _source(head, at, reader.size)


def show_blocks(
    fields: Fields, layout: BlockLayout, shown: Shown, sizes: Sequence[int], block: Callable[[int], bytes]
) -> Callable[[], Any]:
    """A maker of libvips sources over blocks of known sizes that `block(index)` gives when asked."""
    start = len(head_of(fields, layout, shown, [0] * len(sizes), sizes))
    places = list(accumulate([start, *sizes]))
    head = head_of(fields, layout, shown, places[:-1], sizes)
    starts = [place - start for place in places]

    def make() -> Any:
        held: list[tuple[int, bytes]] = [(-1, b"")]

        def at(place: int, size: int) -> bytes:
            if place >= starts[-1]:
                return b""
            index = bisect.bisect_right(starts, place) - 1
            if held[0][0] != index:
                data = block(index)
                if len(data) != sizes[index]:
                    raise ValueError(f"block {index} is cut short")
                held[0] = (index, data)
            inside = place - starts[index]
            return held[0][1][inside : inside + size]

        return _source(head, at, starts[-1])

    return make


def _source(head: bytes, at: Callable[[int, int], bytes], size: int) -> Any:
    stream = _Stream(head, at, size)
    custom = pyvips.SourceCustom()
    custom.on_read(stream.read)
    custom.on_seek(stream.seek)
    return custom


class _Stream:
    """A head and what follows, as a stream. An error ends the stream, which libvips then reports."""

    def __init__(self, head: bytes, at: Callable[[int, int], bytes], size: int) -> None:
        self._head, self._at, self._size = head, at, len(head) + size
        self._place = 0
        self._lock = threading.Lock()

    def read(self, size: int) -> bytes | None:
        """Called by libvips; nothing may be raised through it."""
        with self._lock:
            try:
                data = self._read(size)
            except Exception:  # noqa: BLE001 - libvips sees the end of the file, and says where it broke off
                return None
            self._place += len(data)
            return data or None

    def seek(self, offset: int, whence: int) -> int:
        """Called by libvips."""
        with self._lock:
            self._place = max(0, (0, self._place, self._size)[whence] + offset)
            return self._place

    def _read(self, size: int) -> bytes:
        if self._place < len(self._head):
            return self._head[self._place : self._place + size]
        return self._at(self._place - len(self._head), size)


def head_of(
    fields: Fields, layout: BlockLayout, shown: Shown, places: Sequence[int], sizes: Sequence[int]
) -> bytes:
    """A BigTIFF header with one directory of checked fields, then the values that do not fit in it."""
    order = fields.header.order
    kept = _kept(fields, layout, shown)
    tags = (TILE_OFFSETS, TILE_COUNTS) if layout.tiled else (STRIP_OFFSETS, STRIP_COUNTS)
    for tag, values in zip(tags, (places, sizes), strict=True):
        packed = np.array(values, np.uint64).astype(np.dtype(order + "u8")).tobytes()
        kept[tag] = (_LONG8, len(values), packed)
    table, after = [], []
    end = 16 + 8 + 20 * len(kept) + 8
    for number in sorted(kept):
        kind, count, data = kept[number]
        if len(data) > 8:
            inline = struct.pack(order + "Q", end)
            after += [data, bytes(-len(data) % 8)]
            end += len(data) + -len(data) % 8
        else:
            inline = data.ljust(8, b"\0")
        table.append(struct.pack(order + "HHQ", number, kind, count) + inline)
    mark = b"II" if order == "<" else b"MM"
    start = mark + struct.pack(order + "HHHQ", 43, 8, 0, 16) + struct.pack(order + "Q", len(kept))
    return b"".join([start, *table, bytes(8), *after])


def _kept(fields: Fields, layout: BlockLayout, shown: Shown) -> dict[int, Value]:
    """The fields that decide about pixels, each in the form libtiff expects."""
    order = fields.header.order

    def numbers(*values: int) -> Value:
        if max(values) > 0xFFFF:
            return 4, len(values), struct.pack(f"{order}{len(values)}I", *values)
        return _SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values)

    kept = {
        256: numbers(layout.width),
        257: numbers(layout.height),
        258: numbers(*shown.bits),
        259: numbers(shown.compression),
        262: numbers(_photometric(shown.photometric)),
        277: numbers(shown.samples),
        284: numbers(1 if shown.planes == 1 else 2),
        SAMPLE_FORMAT: numbers(*[1 if shown.form == 4 else shown.form] * shown.samples),
    }
    if layout.tiled:
        kept |= {322: numbers(layout.block[0]), 323: numbers(layout.block[1])}
    else:
        kept[ROWS_PER_STRIP] = numbers(layout.block[1])
    if shown.extra:
        # libvips divides by alpha that is associated; here it is laid over white as it stands
        kept[EXTRA_SAMPLES] = numbers(*(2 if kind == 1 else kind for kind in shown.extra))
    if shown.predictor > 1 and shown.compression in _PREDICTED:
        kept[317] = numbers(shown.predictor)
    if shown.compression == layout.compression:
        kept |= _of_compression(fields, layout, numbers)
    return kept | _of_color(fields, shown, numbers) | _of_view(fields, numbers)


def _photometric(stored: int) -> int:
    """What libvips is told: Lab is RGB to it and white at zero black at zero; `color` makes of them what they are."""
    return 2 if stored in _LABS else _BLACK_AT_ZERO if stored == _WHITE_AT_ZERO else stored


def _of_compression(fields: Fields, layout: BlockLayout, numbers: Callable[..., Value]) -> dict[int, Value]:
    found: dict[int, Value] = {}
    if layout.fill == 2:
        found[FILL_ORDER] = numbers(layout.fill)
    if layout.tables and layout.compression == 7:
        found[JPEG_TABLES] = (_UNDEFINED, len(layout.tables), layout.tables)
    for compression, tag in ((3, _T4), (4, _T6)):
        if layout.compression == compression and (options := fields.one(tag, 0)):
            found[tag] = (4, 1, struct.pack(fields.header.order + "I", options & 0xFFFFFFFF))
    if layout.photometric == YCBCR:
        found[530] = numbers(*layout.subsampling)
        for tag, count in ((_COEFFICIENTS, 3), (_BLACK_WHITE, 6)):
            if tag in fields and fields.entries[tag][:2] == (_RATIONAL, count):
                found[tag] = (_RATIONAL, count, fields.raw(tag))
        if (siting := fields.one(_SITING, 1)) in (1, 2):
            found[_SITING] = numbers(siting)
    return found


def _of_color(fields: Fields, shown: Shown, numbers: Callable[..., Value]) -> dict[int, Value]:
    found: dict[int, Value] = {}
    if shown.photometric == 3:
        raw = shown.colormap or fields.raw(_COLORMAP)
        found[_COLORMAP] = (_SHORT, len(raw) // 2, raw)
    if shown.photometric == 5 and _INKSET in fields:
        found[_INKSET] = numbers(fields.one(_INKSET, 1))
    if _ICC in fields and fields.entries[_ICC][1]:
        try:
            profile = fields.raw(_ICC)
        except ValueError:
            return found
        found[_ICC] = (_UNDEFINED, len(profile), profile)
    return found


def _of_view(fields: Fields, numbers: Callable[..., Value]) -> dict[int, Value]:
    """How the page lies and how large it is on paper; what makes no sense there is left out."""
    found: dict[int, Value] = {}
    turn = fields.one(_ORIENTATION, 1)
    if _ORIENTATION not in fields and XMP in fields:
        turn = orientation_of(fields.text(XMP, _MOST_XMP))
    if 1 <= turn <= 8:
        found[_ORIENTATION] = numbers(turn)
    across, down = fields.ratio(_XRES), fields.ratio(_YRES)
    unit = fields.one(_UNIT, 2)
    if across and unit in (2, 3) and across < _MOST_RESOLUTION:
        for tag, value in ((_XRES, across), (_YRES, down or across)):
            packed = struct.pack(fields.header.order + "II", min(round(value * 1000), 0xFFFFFFFF), 1000)
            found[tag] = (_RATIONAL, 1, packed)
        found[_UNIT] = numbers(unit)
    return found
