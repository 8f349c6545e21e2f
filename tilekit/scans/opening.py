"""open_scan, scan_pages, scan_info: any scan, by what its bytes are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from tilekit.errors import InvalidArgument, ScanNotFound, ScanUnsupported
from tilekit.scans.scan import Scan, ScanInfo
from tilekit.scans.sniffing import Format, sniff
from tilekit.scans.source import ScanSource, Source, resolve_source

DEFAULT_MAX_PIXELS = 20_000_000_000


def open_scan(
    source: ScanSource,
    *,
    page: int = 0,
    dpi: float | Literal["native"] | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    untrusted: bool = False,
) -> Scan:
    """Open one page of a scan: a path, an s3:// URL, bytes, or a binary file object.

    The format is found by content. `page` counts from zero. `dpi`: what a PDF or SVG page is
    rendered at (PDF: 150 unless told; "native" gives a page that is one scanned image at that
    image's own size); for a raster it replaces the resolution the file claims and changes no pixel.
    `max_pixels` guards against decompression bombs. `untrusted` allows readers that are not hardened
    against hostile files (SVG).

    Raises ScanNotFound, ScanUnsupported, ScanCorrupt, ScanTooLarge, MissingExtra, InvalidArgument.
    """
    _check(page, dpi, max_pixels)
    with contextlib.ExitStack() as stack:
        found = resolve_source(source, stack)
        scan = _open(found, sniff(found), page, dpi, max_pixels, untrusted)
        scan.on_close(stack.pop_all().close)
    return scan


def scan_pages(
    source: ScanSource,
    *,
    dpi: float | Literal["native"] | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    untrusted: bool = False,
) -> Iterator[Scan]:
    """Every page of a file in order, each opened before it is given and closed after.

    Arguments and errors as in `open_scan`; an error on one page ends the iteration.
    """
    _check(0, dpi, max_pixels)
    with contextlib.ExitStack() as stack:
        found = resolve_source(source, stack)
        form, page, pages = sniff(found), 0, 1
        while page < pages:
            with _open(found, form, page, dpi, max_pixels, untrusted) as scan:
                pages = scan.pages
                yield scan
            page += 1


def scan_info(source: ScanSource, page: int = 0) -> ScanInfo:
    """What is known of a page before its pixels are read. Errors as in `open_scan`."""
    with open_scan(source, page=page) as scan:
        return scan.info


def _open(
    source: Source,
    form: Format,
    page: int,
    dpi: float | Literal["native"] | None,
    max_pixels: int,
    untrusted: bool,
) -> Scan:
    if form.untrusted and not untrusted:
        raise ScanUnsupported(
            f"{source.name}: its reader ({form.kind}) is not hardened against hostile files; "
            "pass untrusted=True if you trust where it is from"
        )
    if not form.loader:
        raise ScanUnsupported(f"{source.name}: no reader for {form.kind} is installed")
    from tilekit.scans.vips import open_vips

    scan = open_vips(source, form, page=page, dpi=None if dpi == "native" else dpi, max_pixels=max_pixels)
    if page >= scan.pages:
        raise ScanNotFound(f"{scan.key}: the file has {scan.pages} page(s)")
    return scan


def _check(page: int, dpi: float | str | None, max_pixels: int) -> None:
    if isinstance(page, bool) or not isinstance(page, int) or page < 0:
        raise InvalidArgument(f"page={page!r} must be a whole number from 0")
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int) or max_pixels < 1:
        raise InvalidArgument(f"max_pixels={max_pixels!r} must be a whole number above 0")
    if dpi is None or dpi == "native":
        return
    if isinstance(dpi, (bool, str)) or not isinstance(dpi, (int, float)) or not 1 <= dpi <= 100_000:
        raise InvalidArgument(f'dpi={dpi!r} must be a number from 1 to 100000, or "native" for PDFs')
