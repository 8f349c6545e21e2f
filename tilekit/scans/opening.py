"""open_scan, scan_pages, scan_info: any scan, by what its bytes are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from tilekit.errors import InvalidArgument, ScanNotFound, ScanUnsupported
from tilekit.rendition import Bands, Levels, Rendition
from tilekit.scans.request import DEFAULT_BUDGET, Dpi, Request
from tilekit.scans.scan import Scan, ScanInfo
from tilekit.scans.sniffing import sniff
from tilekit.scans.source import ScanSource, Source, in_utf8, on_disk, resolve_source

DEFAULT_MAX_PIXELS = 20_000_000_000


def open_scan(
    source: ScanSource,
    *,
    page: int = 0,
    dpi: Dpi = None,
    bands: Bands | None = None,
    levels: Levels | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    budget: int = DEFAULT_BUDGET,
    untrusted: bool = False,
) -> Scan:
    """Open one page of a scan: a path, an s3:// URL, bytes, or a binary file object.

    The format is found by content. `page` counts from zero. `dpi`: what a PDF or SVG page is
    rendered at (PDF: 150 unless told; "native" gives a page that is one scanned image at that
    image's own size); for a raster it replaces the resolution the file claims and changes no pixel.

    `bands`: the stored samples to be seen, one or three, such as (0, 1, 2), or "gray". `levels`: the
    values that become 0 and 255: (low, high), "full" (all the type holds), "minmax" (the page's own) or
    "percentile" (all but half a percent at each end); straight between, clipped beyond. Without it,
    samples whose values have no 8-bit meaning (floats, signed, 32 bit, 16 bit that never use the upper
    half) are refused with their range.

    `max_pixels` guards against decompression bombs; `budget` is how many bytes a page may take that
    can only be decoded whole. `untrusted` allows readers that are not hardened against hostile files (SVG).

    Raises ScanNotFound, ScanUnsupported, ScanCorrupt, ScanTooLarge, MissingExtra, InvalidArgument.
    """
    _check(page, dpi, max_pixels, budget)
    rendition = Rendition(bands, levels)
    with contextlib.ExitStack() as stack:
        found = resolve_source(source, stack)
        scan = _open(Request(found, sniff(found), page, dpi, max_pixels, rendition, budget), untrusted)
        scan.on_close(stack.pop_all().close)
    scan.reopen = _again(
        source,
        page,
        dpi=dpi,
        bands=bands,
        levels=levels,
        max_pixels=max_pixels,
        budget=budget,
        untrusted=untrusted,
    )
    return scan


def _again(source: ScanSource, page: int, **options: Any) -> Callable[[], Scan] | None:
    """What opens a page as it was opened, in any process; None for a file object, which only this one has."""
    if not isinstance(source, (str, bytes, os.PathLike)):
        return None
    return partial(open_scan, source, page=page, **options)


def scan_pages(
    source: ScanSource,
    *,
    dpi: Dpi = None,
    bands: Bands | None = None,
    levels: Levels | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    budget: int = DEFAULT_BUDGET,
    untrusted: bool = False,
) -> Iterator[Scan]:
    """Every page of a file in order, each opened before it is given and closed after.

    Arguments and errors as in `open_scan`; an error on one page ends the iteration.
    """
    _check(0, dpi, max_pixels, budget)
    rendition = Rendition(bands, levels)
    with contextlib.ExitStack() as stack:
        found = resolve_source(source, stack)
        ask, pages = Request(found, sniff(found), 0, dpi, max_pixels, rendition, budget), 1
        while ask.page < pages:
            with _open(ask, untrusted) as scan:
                pages = scan.pages
                scan.reopen = _again(
                    source,
                    ask.page,
                    dpi=dpi,
                    bands=bands,
                    levels=levels,
                    max_pixels=max_pixels,
                    budget=budget,
                    untrusted=untrusted,
                )
                yield scan
            ask = replace(ask, page=ask.page + 1)


def scan_info(source: ScanSource, page: int = 0, *, dpi: Dpi = None, untrusted: bool = False) -> ScanInfo:
    """What is known of a page before its pixels are read, also of one that `open_scan` opens only with `levels`."""
    _check(page, dpi, DEFAULT_MAX_PIXELS, DEFAULT_BUDGET)
    with contextlib.ExitStack() as stack:
        found = resolve_source(source, stack)
        ask = Request(found, sniff(found), page, dpi, DEFAULT_MAX_PIXELS, None)
        with _open(ask, untrusted) as scan:
            return scan.info


def _open(ask: Request, untrusted: bool) -> Scan:
    if ask.form.untrusted and not untrusted:
        raise ScanUnsupported(
            f"{ask.source.name}: its reader ({ask.form.kind}) is not hardened against hostile files; "
            "pass untrusted=True (--untrusted) if you trust where it is from"
        )
    scan = _READERS.get(ask.form.kind, _open_vips)(ask)
    if ask.page >= scan.pages:
        scan.close()
        raise ScanNotFound(f"{scan.key}: the file has {scan.pages} page(s)")
    if ask.rendition is not None:
        if ask.form.kind in _MAKES_8_BIT and scan.info.kind != "tiff":
            from tilekit.scans.shown import shown

            scan = shown(scan, ask.rendition)
        scan.shown = {"bands": ask.rendition.bands, "levels": ask.rendition.levels}
    return scan


def _open_vips(ask: Request) -> Scan:
    if ask.form.kind == "jpeg" and _is_mirax(ask.source):
        return _open_slide(ask)
    from tilekit.scans.vips import open_vips

    return open_vips(ask)


def _open_animation(ask: Request) -> Scan:
    """The first frame, or what is known of another, costs nothing; another is one of a row."""
    if ask.page == 0 or ask.rendition is None:
        return _open_vips(ask)
    from tilekit.scans.frames import open_frame

    return open_frame(ask)


def _open_tiff(ask: Request) -> Scan:
    from tilekit.scans.tiffpage import open_tiff

    return open_tiff(ask, _open_slide, _open_old_jpeg)


def _open_old_jpeg(ask: Request, place: int, pages: int) -> Scan:
    from tilekit.scans.pillow import open_old_jpeg

    return open_old_jpeg(ask, place, pages)


def _open_netpbm(ask: Request) -> Scan:
    from tilekit.scans.netpbm import open_netpbm

    return open_netpbm(ask)


def _open_pdf(ask: Request) -> Scan:
    from tilekit.scans.pdf import open_pdf

    return open_pdf(ask)


def _open_by_pillow(ask: Request) -> Scan:
    from tilekit.scans.pillow import open_by_pillow

    return open_by_pillow(ask)


def _open_heif(ask: Request) -> Scan:
    from tilekit.scans.heif import open_heif

    return open_heif(ask)


def _open_jp2(ask: Request) -> Scan:
    from tilekit.scans.jp2 import open_jp2

    with contextlib.ExitStack() as stack:
        scan = open_jp2(replace(ask, source=in_utf8(on_disk(ask.source, stack), stack)))
        scan.on_close(stack.pop_all().close)
    return scan


def _open_slide(ask: Request) -> Scan:
    from tilekit.scans.slide import open_slide

    return open_slide(ask)


def _is_mirax(source: Source) -> bool:
    """A MIRAX slide is a JPEG with a folder of the same name beside it, which holds the slide."""
    path = source.path
    return path is not None and path.suffix.lower() == ".mrxs" and path.with_suffix("").is_dir()


# Readers whose pages come as 8-bit sRGB or gray, whatever the file has.
_MAKES_8_BIT = {"jp2", "pdf", "slide", "tiff"}
_READERS: dict[str, Callable[[Request], Scan]] = {
    "bmp": _open_by_pillow,
    "gif": _open_animation,
    "heif": _open_heif,
    "jp2": _open_jp2,
    "pdf": _open_pdf,
    "pcx": _open_by_pillow,
    "ppm": _open_netpbm,
    "psd": _open_by_pillow,
    "slide": _open_slide,
    "tga": _open_by_pillow,
    "tiff": _open_tiff,
    "webp": _open_animation,
}


def _check(page: int, dpi: float | str | None, max_pixels: int, budget: int) -> None:
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise InvalidArgument(f"budget={budget!r} must be a whole number of bytes above 0")
    if isinstance(page, bool) or not isinstance(page, int) or page < 0:
        raise InvalidArgument(f"page={page!r} must be a whole number from 0")
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int) or max_pixels < 1:
        raise InvalidArgument(f"max_pixels={max_pixels!r} must be a whole number above 0")
    if dpi is None or dpi == "native":
        return
    if isinstance(dpi, (bool, str)) or not isinstance(dpi, (int, float)) or not 1 <= dpi <= 100_000:
        raise InvalidArgument(f'dpi={dpi!r} must be a number from 1 to 100000, or "native" for PDFs')
