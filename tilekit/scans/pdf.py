"""PDF pages by pdfium: rendered strip by strip, or, on request, the one scanned image a page is."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import MissingExtra, ScanCorrupt, ScanNotFound
from tilekit.pages import PageKey
from tilekit.scans.faults import check_size, one_line
from tilekit.scans.request import Request
from tilekit.scans.scan import Scan, ScanInfo
from tilekit.scans.source import Source
from tilekit.scans.strips import Size, StripScan

try:
    import pypdfium2 as pdfium
    from pypdfium2 import raw
except ImportError as _exc:
    raise MissingExtra("reading PDF needs pypdfium2", "pdf") from _exc

DEFAULT_DPI = 150.0
_TAIL = 65536
# pdfium may be entered by one thread of a process at a time; its own documentation says so.
_PDFIUM = threading.RLock()
_TURNED = {0: 1, 90: 6, 180: 3, 270: 8}  # page rotation -> the EXIF orientation that does the same
_INVISIBLE = 3


class PdfScan(StripScan):
    """A page rendered by pdfium, always sRGB. A `scale` is rendered at that size, not resampled.

    Memory: StripScan's, plus what pdfium holds of the page (its images decoded).
    """

    def __init__(self, info: ScanInfo, page: Any, forms: Any, source: Source) -> None:
        super().__init__(info)
        self.source = source
        self._page = page
        self._forms = forms

    def _make(self, size: Size, y0: int, y1: int) -> NDArray[np.uint8]:
        pixels = np.full((y1 - y0, size[0], 3), 255, np.uint8)
        flags = raw.FPDF_ANNOT | raw.FPDF_REVERSE_BYTE_ORDER
        with _PDFIUM:
            bitmap = raw.FPDFBitmap_CreateEx(
                size[0], y1 - y0, raw.FPDFBitmap_BGR, pixels.ctypes.data, size[0] * 3
            )
            if not bitmap:
                raise ScanCorrupt(f"{self.key}: pdfium cannot render {size[0]} x {size[1]} px")
            try:
                where = (0, -y0, size[0], size[1], 0, flags)
                raw.FPDF_RenderPageBitmap(bitmap, self._page, *where)
                if self._forms is not None:
                    raw.FPDF_FFLDraw(self._forms, bitmap, self._page, *where)
            finally:
                raw.FPDFBitmap_Destroy(bitmap)
        return pixels


def open_pdf(ask: Request) -> Scan:
    """Open a page, to be rendered at `dpi` (150 unless told).

    "native": a page that is nothing but one upright image (and invisible text, as text recognition
    leaves it) gives that image at its own size; any other page is rendered at 150 dpi.
    Raises ScanCorrupt (damaged, encrypted), ScanNotFound (no such page), ScanTooLarge.
    """
    key, source, dpi = ask.key, ask.source, ask.dpi
    _check_end(source)
    with contextlib.ExitStack() as stack, _PDFIUM:
        document = _document(source, stack)
        pages = len(document)
        if ask.page >= pages:
            raise ScanNotFound(f"{key}: the file has {pages} page(s)")
        forms = _forms(document)
        found = _page(document, key, stack)
        points = found.get_size()
        if dpi == "native":
            native = _native(found, ask, points, pages)
            if native is not None:
                return native
            dpi = None
        dpi = dpi or DEFAULT_DPI
        width, height = (max(1, round(side * dpi / 72)) for side in points)
        check_size(key, width, height, ask.max_pixels)
        info = ScanInfo(
            key=key, width=width, height=height, bands=3, kind="pdf", pages=pages, dpi=dpi, access="scanline"
        )
        scan = PdfScan(info, found, forms, source)
        scan.on_close(stack.pop_all().close)
        return scan


def _check_end(source: Source) -> None:
    """pdfium mends a cut file by guessing, and pages go missing; a whole one ends in a mark."""
    with source.open() as file:
        file.seek(max(0, source.size - _TAIL))
        if b"%%EOF" not in file.read():
            raise ScanCorrupt(f"{source.name}: is cut short (a PDF ends in %%EOF, this one does not)")


def _document(source: Source, stack: contextlib.ExitStack) -> Any:
    try:
        document = pdfium.PdfDocument(str(source.path) if source.path is not None else source.data)
        stack.callback(_locked, document.close)
        if len(document) < 1:
            raise ScanCorrupt(f"{source.name}: has no pages, or none that can be found")
    except pdfium.PdfiumError as exc:
        if "assword" in str(exc):
            raise ScanCorrupt(
                f"{source.name}: is encrypted with a password; save it without one and try again"
            ) from exc
        raise ScanCorrupt(f"{source.name}: is damaged ({one_line(exc)})") from exc
    return document


def _page(document: Any, key: PageKey, stack: contextlib.ExitStack) -> Any:
    try:
        page = document[key.page]
    except pdfium.PdfiumError as exc:
        raise ScanCorrupt(f"{key}: this page is damaged ({one_line(exc)})") from exc
    stack.callback(_locked, page.close)
    return page


def _forms(document: Any) -> Any:
    with contextlib.suppress(pdfium.PdfiumError):
        document.init_forms()
    return document.formenv


def _locked(close: Any) -> None:
    with _PDFIUM:
        close()


def _native(page: Any, ask: Request, points: tuple[float, float], pages: int) -> Scan | None:
    """The one image the page is, or None."""
    key = ask.key
    image = _only_image(page)
    if image is None:
        return None
    try:
        width, height = image.get_px_size()
        check_size(key, width, height, ask.max_pixels)
        turn = _TURNED[page.get_rotation()]
        wide = points[1] if turn in (6, 8) else points[0]
        return _image_scan(image, ask, turn, round(width / wide * 72, 4), pages)
    except pdfium.PdfiumError as exc:
        raise ScanCorrupt(f"{key}: its image is damaged ({one_line(exc)})") from exc


def _only_image(page: Any) -> Any:
    images = []
    for item in page.get_objects(max_depth=3):
        if item.type == raw.FPDF_PAGEOBJ_IMAGE:
            images.append(item)
        elif item.type == raw.FPDF_PAGEOBJ_FORM:
            continue
        elif not _is_invisible(item):
            return None
    if len(images) != 1 or page.get_rotation() not in _TURNED:
        return None
    return images[0] if _fills(images[0], page) else None


def _is_invisible(item: Any) -> bool:
    return bool(item.type == raw.FPDF_PAGEOBJ_TEXT and raw.FPDFTextObj_GetTextRenderMode(item) == _INVISIBLE)


def _fills(image: Any, page: Any) -> bool:
    """Whether an image lies upright over the whole page, to within 1 % of its size."""
    a, b, c, d, _, _ = image.get_matrix().get()
    if b or c or a <= 0 or d <= 0:
        return False
    left, bottom, right, top = image.get_bounds()
    x0, y0, x1, y1 = page.get_cropbox()
    slack = 0.01 * max(x1 - x0, y1 - y0)
    return all(abs(p - q) <= slack for p, q in zip((left, bottom, right, top), (x0, y0, x1, y1), strict=True))


def _image_scan(image: Any, ask: Request, turn: int, dpi: float, pages: int) -> Scan:
    from tilekit.scans.memory import scan_of_array, scan_of_jpeg

    meta = image.get_metadata()
    plain = {1: raw.FPDF_COLORSPACE_DEVICEGRAY, 3: raw.FPDF_COLORSPACE_DEVICERGB}
    bands = meta.bits_per_pixel // 8
    if image.get_filters() == ["DCTDecode"] and plain.get(bands) == meta.colorspace:
        data = bytes(image.get_data(decode_simple=True))
        return scan_of_jpeg(data, ask, turn=turn, dpi=dpi, pages=pages)
    pixels = _pixels(image.get_bitmap(render=False))  # the bitmap goes here, while the lock is held
    return scan_of_array(pixels, ask, turn=turn, dpi=dpi, pages=pages)


def _pixels(bitmap: Any) -> NDArray[np.uint8]:
    """A copy of a bitmap as (h, w, 1 or 3) RGB."""
    view = bitmap.to_numpy()
    if view.ndim == 2:
        view = view[..., None]
    if view.shape[2] == 1:
        return np.ascontiguousarray(view)
    return np.ascontiguousarray(view[..., 2::-1])
