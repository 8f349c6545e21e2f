"""A page of a TIFF: which way its blocks go to libvips is chosen here, and only here."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Literal

import pyvips

from tilekit.errors import ScanCorrupt, ScanNotFound, ScanUnsupported
from tilekit.scans.color import Meaning
from tilekit.scans.faults import one_line
from tilekit.scans.request import Request
from tilekit.scans.scan import Scan
from tilekit.scans.source import ByteReader
from tilekit.scans.tiff.blocks import StoredBlocks
from tilekit.scans.tiff.directories import Directory, check_tiles, is_vendor_slide, read_directories
from tilekit.scans.tiff.layout import BlockLayout, layout_of
from tilekit.scans.tiff.showing import show_file
from tilekit.scans.tiff.unpacking import LZMA, ZSTD, show_unpacked
from tilekit.scans.vips import VipsScan, scan_of

Way = Literal["stored", "unpacked"]
_BY_LIBTIFF = {1, 2, 3, 4, 5, 7, 8, 32773, 32946, 50001}
_PALETTE = 3
_UNPACKED = {ZSTD, LZMA}
_NAMES = {
    6: "old-style JPEG", 33003: "JPEG 2000 (YCbCr)",
    33005: "JPEG 2000 (RGB)", 34712: "JPEG 2000", 34887: "LERC", 52546: "JPEG XL", 34661: "JBIG",
}  # fmt: skip
_FAULTS = (struct.error, ValueError, OverflowError, ZeroDivisionError, KeyError, IndexError)


def open_tiff(ask: Request, open_slide: Callable[[Request], Scan]) -> Scan:
    """Open a page, or the slide that the file is.

    Raises ScanCorrupt, ScanNotFound, ScanUnsupported (a compression or layout nothing here reads).
    """
    reader = ask.source.reader()
    try:
        found = read_directories(ask.source, reader)
        if is_vendor_slide(found) and ask.source.path is not None:
            from tilekit.scans.slide import is_slide

            check_tiles(found, ask.source.name)
            if is_slide(ask.source):
                reader.close()
                return open_slide(ask)
        if ask.page >= len(found.pages):
            raise ScanNotFound(f"{ask.key}: the file has {len(found.pages)} page(s)")
        scan = _open_page(ask, found.pages[ask.page], reader, len(found.pages))
    except BaseException:
        reader.close()
        raise
    scan.on_close(reader.close)
    return scan


def _open_page(ask: Request, page: Directory, reader: ByteReader, pages: int) -> VipsScan:
    try:
        layout = layout_of(page)
        show = _SHOWN[way_of(layout, str(ask.key))](page.fields, layout, reader)
    except _FAULTS as exc:
        if isinstance(exc, ScanUnsupported | ScanCorrupt):
            raise
        raise ScanCorrupt(f"{ask.source.name}: its TIFF directory makes no sense ({one_line(exc)})") from exc
    alive: list[Any] = []  # libvips calls back into these for as long as an image of theirs is read

    def load(access: str) -> Any:
        alive.append(show())
        return pyvips.Image.tiffload_source(alive[-1], access=access, fail_on="warning")

    meaning = Meaning(3 if layout.photometric == _PALETTE else layout.colors, layout.extra)
    scan = scan_of(load, ask, meaning=meaning, pages=pages)
    scan.stored = StoredBlocks(str(scan.key), layout, reader, scan.bands)
    return scan


def way_of(layout: BlockLayout, name: str) -> Way:
    """How a page is read. Raises ScanUnsupported for what no reader here decodes."""
    if layout.compression not in _BY_LIBTIFF | _UNPACKED:
        what = _NAMES.get(layout.compression, f"scheme {layout.compression}")
        raise ScanUnsupported(
            f"{name}: its pixels are compressed by {what}, which cannot be read; "
            "write it with deflate, LZW or JPEG compression"
        )
    if layout.planes > 1 and layout.tiled:
        raise ScanUnsupported(
            f"{name}: its color planes are stored apart and in tiles, which cannot be read; "
            "write them together, or in strips"
        )
    return "unpacked" if layout.compression in _UNPACKED else "stored"


_SHOWN: dict[Way, Callable[..., Callable[[], Any]]] = {"stored": show_file, "unpacked": show_unpacked}
