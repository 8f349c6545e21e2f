"""A page of a TIFF: which way its blocks go to libvips is chosen here, and only here."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable
from typing import Any, Literal

import pyvips

from tilekit.errors import InvalidArgument, ScanCorrupt, ScanError, ScanNotFound, ScanUnsupported
from tilekit.scans.color import Meaning
from tilekit.scans.faults import one_line
from tilekit.scans.levels import rows_of
from tilekit.scans.request import Request
from tilekit.scans.scan import Scan
from tilekit.scans.source import ByteReader
from tilekit.scans.tiff.blocks import StoredBlocks
from tilekit.scans.tiff.decoding import show_decoded
from tilekit.scans.tiff.directories import (
    DESCRIPTION,
    Directories,
    Directory,
    check_tiles,
    is_vendor_slide,
    read_directories,
)
from tilekit.scans.tiff.layout import JPEG, BlockLayout, layout_of
from tilekit.scans.tiff.showing import show_file
from tilekit.scans.tiff.unpacking import LZMA, ZSTD, show_unpacked
from tilekit.scans.vips import Copy, scan_of
from tilekit.scans.vips_faults import vips_errors

Way = Literal["stored", "unpacked", "decoded"]
_LOGS, _LOG_COMPRESSION = {32844, 32845}, 34676
_BY_LIBTIFF = {1, 2, 3, 4, 5, 7, 8, 32773, 32946, _LOG_COMPRESSION, 50001}
_MIN_IS_WHITE, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB, _ICC_LAB = 0, 2, 3, 5, 6, 8, 9
_KNOWN = {0, 1, _RGB, _PALETTE, 4, _CMYK, _YCBCR, _LAB, _ICC_LAB, *_LOGS}
_COMPLEX, _FLOAT_PREDICTOR, _OLD_JPEG = {5, 6}, 3, 6
_DEPTHS = {(1, 8), (1, 16), (1, 32), (2, 8), (2, 16), (2, 32), (3, 32), (4, 8), (4, 16)}
_UNPACKED = {ZSTD, LZMA}
_LOOKED_AT = 1 << 20
_SAME = (
    "planes",
    "samples",
    "bits",
    "form",
    "compression",
    "photometric",
    "colors",
    "extra",
    "depth",
    "inks",
)
_IMAGEJ = re.compile(rb"ImageJ=[^\n]*\n(?:[^\n]*\n)*?images=([0-9]{1,9})\n")
_FAULTS = (struct.error, ValueError, OverflowError, ZeroDivisionError, KeyError, IndexError)


OldJpeg = Callable[[Request, int, int], Scan]
"""Opens the page at a place of the chain, of so many pages."""


def open_tiff(ask: Request, open_slide: Callable[[Request], Scan], open_old_jpeg: OldJpeg) -> Scan:
    """Open a page, or the slide that the file is; rooms above lend what opens slides and old-style JPEG.

    Raises ScanCorrupt, ScanNotFound, ScanUnsupported (a compression or layout nothing here reads).
    """
    reader = ask.source.reader()
    try:
        found = read_directories(ask.source, reader)
        if is_vendor_slide(found) and ask.source.path is not None:
            from tilekit.scans.slide import is_slide

            check_tiles(found, ask.source.name)
            if is_slide(ask.source):
                return _with_blocks(open_slide(ask), found.pages[0], reader)
        if ask.page >= len(found.pages):
            raise ScanNotFound(f"{ask.key}: the file has {len(found.pages)} page(s)")
        scan = _open_page(ask, found, reader, open_old_jpeg)
    except BaseException:
        reader.close()
        raise
    scan.on_close(reader.close)
    return scan


def _with_blocks(scan: Scan, page: Directory, reader: ByteReader) -> Scan:
    """A slide, and the blocks of its finest level where the file's first page is that."""
    from tilekit.scans.slide import SlideScan

    scan.on_close(reader.close)
    with contextlib.suppress(*_FAULTS, ScanError):
        layout = layout_of(page)
        if isinstance(scan, SlideScan) and (layout.width, layout.height) == (scan.width, scan.height):
            scan.stored = StoredBlocks(str(scan.key), layout, reader, scan.bands)
    return scan


def _open_page(ask: Request, found: Directories, reader: ByteReader, open_old_jpeg: OldJpeg) -> Scan:
    page, pages = found.pages[ask.page], len(found.pages)
    try:
        layout = layout_of(page)
        if layout.compression == _OLD_JPEG and not _unreadable(layout):
            return open_old_jpeg(ask, page.place, pages)
        show = _show(ask, page, layout, reader)
    except _FAULTS as exc:
        if isinstance(exc, ScanError | InvalidArgument):
            raise
        raise ScanCorrupt(f"{ask.source.name}: its TIFF directory makes no sense ({one_line(exc)})") from exc
    alive: list[Any] = []  # libvips calls back into these for as long as an image of theirs is read

    def load(access: str) -> Any:
        alive.append(show())
        return pyvips.Image.tiffload_source(alive[-1], access=access, fail_on="warning")

    meaning = _meaning(layout)
    warnings = layout.faults + _doubts(ask, layout, meaning, load, pages, page)
    scan = scan_of(load, ask, meaning=meaning, pages=pages, warnings=warnings)
    scan.stored = StoredBlocks(str(scan.key), layout, reader, scan.bands)
    swapped = (scan.width, scan.height) != (layout.width, layout.height)
    for level in found.levels(ask.page):
        with contextlib.suppress(*_FAULTS):
            scan.copies += _copies(page, layout, layout_of(level), reader, swapped)
    return scan


def _copies(
    page: Directory, layout: BlockLayout, level: BlockLayout, reader: ByteReader, swapped: bool
) -> tuple[Copy, ...]:
    """A level as a copy to reduce from, where it is stored as the page is and so is its pixels' kind."""
    same = all(getattr(level, name) == getattr(layout, name) for name in _SAME)
    steps = layout.photometric == _PALETTE or min(layout.bits) < 8  # what is reduced by leaving out pixels
    if not same or steps or level.faults or not level.counts.all() or way_of(layout, "") != "stored":
        return ()
    show = show_file(page.fields, level, reader)  # colors and the way up are the page's
    alive: list[Any] = []

    def load(access: str) -> Any:
        alive.append(show())
        return pyvips.Image.tiffload_source(alive[-1], access=access, fail_on="warning")

    size = (level.height, level.width) if swapped else (level.width, level.height)
    return (Copy(*size, load),)


def _meaning(layout: BlockLayout) -> Meaning:
    bits = max(layout.bits)
    if layout.photometric == _PALETTE:
        return Meaning(3, layout.extra)
    if layout.photometric in (_LAB, _ICC_LAB):
        return Meaning(3, layout.extra, lab="signed" if layout.photometric == _LAB else "offset")
    most = (1 << max(bits, 8)) - 1 if layout.form == 1 else 0
    # whole numbers too long for libvips, which come as floats
    stored = {1: "", 2: "signed "}[layout.form] + f"{bits}-bit" if layout.form in (1, 2) and bits > 32 else ""
    if layout.inks:
        return Meaning(layout.samples, (), most, inks=True, stored=stored)
    inverted = layout.photometric == _MIN_IS_WHITE
    return Meaning(layout.colors, layout.extra, most, inverted=inverted, stored=stored)


def _doubts(
    ask: Request,
    layout: BlockLayout,
    meaning: Meaning,
    load: Callable[[str], Any],
    pages: int,
    page: Directory,
) -> tuple[str, ...]:
    """What the file says that its pixels do not bear out."""
    found: tuple[str, ...] = ()
    if pages == 1 and (more := _IMAGEJ.match(page.fields.text(DESCRIPTION, 4096))) and int(more[1]) > 1:
        found += (f"it says that it holds {int(more[1])} pictures, and has a directory for one of them only",)
    laid = ask.rendition is not None and ask.rendition.bands is None
    if laid and any(meaning.extra) and layout.form == 1:
        place = (meaning.colors or 0) + next(at for at, kind in enumerate(meaning.extra) if kind)
        with vips_errors(ask.key):
            band = load("sequential")
            if place < band.bands and not _is_opacity(band[place], meaning.most):
                found += (
                    "its alpha is hardly anywhere whole, as an infrared band would be; it was laid over white as the file "
                    f"says, bands={tuple(range(meaning.colors or 1))} leaves it out",
                )
    return found


def _is_opacity(band: Any, most: int) -> bool:
    """Whether half of the samples above zero, of those looked at, are the largest there is."""
    above = whole = seen = 0
    for rows in rows_of(band):
        above += int((rows > 0).sum())
        whole += int((rows >= most).sum())
        seen += rows.size
        if seen > _LOOKED_AT:
            break
    return whole * 2 >= above


def _show(ask: Request, page: Directory, layout: BlockLayout, reader: ByteReader) -> Callable[[], Any]:
    way = way_of(layout, str(ask.key))
    if way == "unpacked":
        return show_unpacked(page.fields, layout, reader)
    if way == "decoded":
        return show_decoded(ask.source, page, layout, reader, ask.budget)
    return show_file(page.fields, layout, reader)


def way_of(layout: BlockLayout, name: str) -> Way:
    """How a page is read. Raises ScanUnsupported for what no reader here decodes."""
    if why := _unreadable(layout):
        raise ScanUnsupported(f"{name}: {why}")
    if _suits_libvips(layout):
        if layout.compression in _BY_LIBTIFF:
            return "stored"
        if layout.compression in _UNPACKED:
            return "unpacked"
    return "decoded"


def _unreadable(layout: BlockLayout) -> str:
    """Why no reader here gives the right pixels; "" where one does."""
    bits, kind = max(layout.bits), layout.photometric
    if layout.form in _COMPLEX:
        return "has complex samples, which are no picture"
    if kind not in _KNOWN:
        return f"its samples are of photometric interpretation {kind}, which cannot be read; write them as gray or RGB"
    if layout.depth > 1:
        return f"holds volumes {layout.depth} px deep, which are no picture; write each plane as a page"
    if layout.samples < (least := {_RGB: 3, _CMYK: 4, _YCBCR: 3, _LAB: 3, _ICC_LAB: 3}.get(kind, 1)):
        return f"says that its pixels have {least} colors and that they have {layout.samples} sample(s); write it again as gray or RGB"
    if layout.compression == _OLD_JPEG and (bits != 8 or layout.planes > 1 or kind != _YCBCR):
        return "its old-style JPEG is not YCbCr of 8 bits in one plane, and cannot be read; write it with deflate, LZW or JPEG compression"
    if kind == _YCBCR and layout.compression not in (JPEG, _OLD_JPEG):
        return f"its YCbCr pixels are compressed by scheme {layout.compression}, which cannot be read; write them as JPEG or RGB"
    if kind in (_LAB, _ICC_LAB) and (layout.form, bits) not in {(1, 8), (1, 16), (3, 32)}:
        return f"its Lab samples have {bits} bits, which cannot be read; write 8 or 16, or RGB"
    if (kind in _LOGS) != (layout.compression == _LOG_COMPRESSION):
        return f"its pixels of photometric interpretation {kind} are compressed by scheme {layout.compression}, which cannot be read; write them as RGB"
    return ""


def _suits_libvips(layout: BlockLayout) -> bool:
    """Whether libvips reads samples laid out like this."""
    bits, form = set(layout.bits), layout.form
    if len(bits) > 1:
        return False
    if layout.planes > 1 and (layout.tiled or layout.photometric not in (_RGB, _CMYK)):
        return False
    depth = bits.pop()
    if layout.predictor == _FLOAT_PREDICTOR and (form, depth) != (3, 32):
        return False
    if depth < 8:
        return form in (1, 4) and layout.samples == 1 and depth in (1, 2, 4)
    return (form, depth) in _DEPTHS
