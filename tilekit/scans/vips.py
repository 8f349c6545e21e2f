"""JPEG, PNG, TIFF, WebP, AVIF, GIF and SVG, read by libvips."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from tilekit.errors import ScanCorrupt, ScanTooLarge
from tilekit.flow import Gate
from tilekit.jpeg.markers import CannotCut
from tilekit.scans.bitbands import Rows, rows_for, spans_of_bits
from tilekit.scans.blockbits import BlockBits
from tilekit.scans.blockpages import BlockEighth
from tilekit.scans.color import AS_LOADED, Look, Meaning, look_at, plan_of, to_page
from tilekit.scans.faults import check_size
from tilekit.scans.forking import check_not_cut_off
from tilekit.scans.jpegbits import JpegBits, bits_of
from tilekit.scans.levels import NUMPY
from tilekit.scans.ontheway import OnTheWay
from tilekit.scans.pushing import decode_spans
from tilekit.scans.reducing import calm, held, image_of, reduced
from tilekit.scans.request import Request
from tilekit.scans.scan import Access, Scan, ScanInfo
from tilekit.scans.source import Source
from tilekit.scans.spans import Span, without_gaps
from tilekit.scans.tiff.blocks import StoredBlocks
from tilekit.scans.vips_faults import vips_errors
from tilekit.scans.xmp import orientation_of

if TYPE_CHECKING:
    from tilekit.scans.jpegmending import Mended

# What counts as damage. libjpeg reports broken data as warnings and paints it gray, and libvips paints
# a broken tile of a TIFF black, unless warnings count; libpng warns about harmless things.
_FAIL_ON = {"jpegload": "warning"}


_DCT_SHRINKS = (8, 4, 2)
_MOST_SHIFT = 1 / 8
# Up to here a page is decoded whole, which spares small scans a thread and half their time.
SMALL_BYTES = 1 << 24
_TURNED_BY_XMP = {"jpeg", "png", "webp"}
# rows that libvips holds, times it holds them, bytes of a pixel that are many
_STRIP_ROWS, _COPIES, _WIDE = 200, 6, 16
_PULLED = {"png", "tiff"}  # cheaper by regions than pushed; see pushing.py
Loader = Callable[..., Any]


@dataclass(frozen=True)
class Copy:
    """A smaller copy of the page that its file holds, upright `width` x `height` px; `load(access)` gives it as stored."""

    width: int
    height: int
    load: Loader


class VipsScan(Scan):
    """A page that libvips decodes.

    Memory of `bands_of_rows`: the page if that is at most 16 MB, else two bands, plus libvips' own
    strips (about 200 rows), or for a page whose orientation turns it the whole decoded page (on disk
    above 100 MB). `read` keeps a decoded copy of a scanline format likewise; a tiled TIFF is read by
    its tiles.
    """

    def __init__(
        self,
        info: ScanInfo,
        loader: Loader,
        to_page: Callable[[Any], Any],
        *,
        source: Source | None,
        look: Look,
        first: Any,
    ) -> None:
        super().__init__(info)
        self.source = source
        self.as_stored = look.as_stored
        self.stored: StoredBlocks | None = None
        self.copies: tuple[Copy, ...] = ()
        self._turned = look.turned
        self._first = first
        self._loader = loader
        self._to_page = to_page
        self._lock = threading.Lock()
        self._random: dict[tuple[int, int], Any] = {}
        self._on_the_way = OnTheWay((info.width, info.height), info.bands, self.bits)
        self._bits: JpegBits | BlockBits | None = None
        self._random_bits = (
            info.kind == "jpeg" and look.as_stored and info.width * info.height * info.bands > SMALL_BYTES
        )

    def bands_of_rows(
        self, heights: list[int], *, scale: tuple[int, int] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """See Scan."""
        self._check_bands(heights, scale)
        stops = list(accumulate(heights))
        return self.spans_of_rows(list(zip([0, *stops], stops, strict=False)), scale=scale)

    def spans_of_rows(
        self,
        spans: Sequence[Span],
        *,
        scale: tuple[int, int] | None = None,
        gate: Gate | None = None,
        workers: int = 1,
    ) -> Iterator[NDArray[np.uint8]]:
        """See Scan. A large JPEG is decoded by all `workers`, in bands that are found by a parse of its bits."""
        size = self._check_scale(scale)
        if size != (self.width, self.height) or not self._on_the_way.watches_rows or not spans:
            return self._spans_of_rows(spans, size, gate, workers)
        every = without_gaps(spans, self.height)
        found = self._spans_of_rows([span for span, _ in every], size, gate, workers)
        return self._on_the_way.watched(found, every)

    def expect(self, size: tuple[int, int]) -> None:
        """See Scan. Where a JPEG's DCT or a smaller copy in the file give the size, they are cheaper.

        Of a JPEG, or JPEG blocks, whose tiles are cut from its bits, the parse for those makes an eighth of the size.
        """
        self._check_scale(size)
        if self._copy(size) is not None:
            return
        shrink = self._shrink(size)
        if shrink == 1:
            decoded = self.as_stored and self.stored is not None and self.stored.decodes
            self._on_the_way.expect(size, self.stored if decoded else None)
        elif shrink == 8:
            self._on_the_way.expect_eighth(self._shrunk_blocks())

    def _spans_of_rows(
        self, spans: Sequence[Span], size: tuple[int, int], gate: Gate | None, workers: int
    ) -> Iterator[NDArray[np.uint8]]:
        if size == (self.width, self.height) and self._random_bits:
            bits, rows = self._rows_of_bits(spans, workers / 2 if gate is not None else workers)
            if bits is not None and rows is not None:
                found, done = spans_of_bits(bits, rows, spans, workers=workers, gate=gate), 0
                try:
                    for kept in map(held, found):  # no name here keeps a span that is given
                        done += 1
                        yield kept.pop()
                    return
                except ScanCorrupt:  # damage is judged by the decoder of the whole
                    self._random_bits, spans = False, spans[done:]
        with vips_errors(self.key):
            image = self._page("random" if self._turned else "sequential", size)
            if size[0] * size[1] * self.bands <= SMALL_BYTES:
                stored = self.as_stored and size == (self.width, self.height)
                page = self._plain_jpeg() if stored and self.info.kind == "jpeg" else None
                yield from _slices(_whole(image) if page is None else page, spans)
            else:
                stored = self.as_stored and size == (self.width, self.height)
                pull = stored and self.info.access == "scanline" and self.info.kind in _PULLED
                yield from decode_spans(image, spans, pull=pull, gate=gate)

    def read(
        self, x0: int, y0: int, x1: int, y1: int, *, scale: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """See Scan. A JPEG is parsed once, then only the window's rows of blocks are decoded.

        The first call of another scanline format decodes the page (a disk file above 100 MB).
        """
        size = self._check_window(x0, y0, x1, y1, scale)
        if size == (self.width, self.height) and self._random_bits and size not in self._random:
            try:
                pixels = self.bits().pixels(x0, y0, x1, y1)
                pixels.flags.writeable = False
                return pixels
            except CannotCut:
                self._random_bits = False
        with vips_errors(self.key):
            with self._lock:
                if size not in self._random:
                    self._random = {size: self._page("random", size)}
                image = self._random[size]
            buffer = pyvips.Region.new(image).fetch(x0, y0, x1 - x0, y1 - y0)
        pixels = np.frombuffer(buffer, np.uint8).reshape(y1 - y0, x1 - x0, self.bands)
        pixels.flags.writeable = False
        return pixels

    def _rows_of_bits(self, spans: Sequence[Span], threads: float) -> tuple[JpegBits | None, Rows | None]:
        """A large JPEG by its bits, where that is quicker; damage is left to the decoder, which tells of it.

        What encodes beside it has use for the threads, so half of them count.
        """
        try:
            bits = self.bits()
            if isinstance(bits, JpegBits):
                return bits, rows_for(bits, spans, threads)
        except CannotCut:
            self._random_bits = False
        return None, None

    def blocks(self) -> StoredBlocks | None:
        """See Scan."""
        return self.stored

    def bits(self) -> JpegBits | BlockBits:
        """The bits of a JPEG, or of JPEG blocks, that need no conversion; raises CannotCut with the reason."""
        with self._lock:
            if self._bits is None:
                self._bits = bits_of(self)
            return self._bits

    def close(self) -> None:
        """See Scan."""
        self._on_the_way.close()
        self._random, self._bits, self._first = {}, None, None
        super().close()

    def _plain_jpeg(self) -> NDArray[np.uint8] | None:
        """A small page by simplejpeg, in two thirds of libvips' time; None where libvips must judge it."""
        if self.source is None:
            return None
        import simplejpeg

        try:
            with self.source.open() as file:
                data = file.read()
            height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
            known = {"Gray": 1, "YCbCr": 3}.get(colors) == self.bands
            if not known or (width, height) != (self.width, self.height):
                return None
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
                data, colorspace="GRAY" if self.bands == 1 else "RGB"
            )
            return pixels
        except (ValueError, OSError):
            return None

    def _page(self, access: str, size: tuple[int, int]) -> Any:
        if (image := self._on_the_way.image(size)) is not None:
            return calm(image)
        copy, shrink = self._copy(size), self._shrink(size)
        base = (self.width // shrink, self.height // shrink) if copy is None else (copy.width, copy.height)
        image = None
        if access == "sequential" and shrink == 1 and copy is None:
            with self._lock:  # the image opened for its header serves the first pass
                image, self._first = self._first, None
        if shrink == 8:
            pixels = self._on_the_way.eighth(self._shrunk_blocks(), self._bits)
            image = None if pixels is None else image_of(pixels)
        if image is None:
            more = {"shrink": shrink} if shrink > 1 else {}
            image = self._to_page((self._loader if copy is None else copy.load)(access, **more))
        if (image.width, image.height) != base:
            raise ScanCorrupt(f"{self.key}: changed while it was open")
        if size != (self.width, self.height):
            extent = base if copy is not None else (self.width / shrink, self.height / shrink)
            image = reduced(image, size, extent)
        return calm(image)

    def _copy(self, size: tuple[int, int]) -> Copy | None:
        """The smallest copy that is no smaller than `size`, and whose pixels lie where the page's do.

        Its sides are the page's, divided by one whole number. What does not divide out is left out, or covered by
        some pixel: which of both a file does not tell, so it must be little in pixels of `size`.
        """
        for copy in sorted(self.copies, key=lambda copy: copy.width):
            if copy.width < size[0] or copy.height < size[1]:
                continue
            factor = round(self.width / copy.width)
            left = (abs(self.width - factor * copy.width), abs(self.height - factor * copy.height))
            shift = max(left[0] * size[0] / self.width, left[1] * size[1] / self.height)
            if factor > 1 and shift <= _MOST_SHIFT and not (self._turned and any(left)):
                return copy
        return None

    def _shrunk_blocks(self) -> StoredBlocks | None:
        """The page's blocks, where those are JPEG and decoded at an eighth."""
        return self.stored if self.as_stored and BlockEighth.suits(self.stored) else None

    def _shrink(self, size: tuple[int, int]) -> int:
        """How many base pixels a side the decoder itself may make one of: 8, 4 or 2 in a JPEG's DCT, 8 of JPEG blocks, else 1.

        libvips leaves out the part of such a pixel in which sides that are no multiple end, on the right and
        below as stored; where the page is then turned it would be missing elsewhere, so it is decoded whole.
        """
        blocks = self._shrunk_blocks() is not None
        if self.info.kind != "jpeg" and not blocks:
            return 1
        for shrink in _DCT_SHRINKS[: 1 if blocks else None]:
            shift = max(_shift(self.width, shrink, size[0]), _shift(self.height, shrink, size[1]))
            if shift <= _MOST_SHIFT and not (self._turned and (self.width % shrink or self.height % shrink)):
                return shrink
        return 1


def _whole(image: Any) -> NDArray[np.uint8]:
    return np.frombuffer(image.write_to_memory(), np.uint8).reshape(image.height, image.width, image.bands)


def _slices(page: NDArray[np.uint8], spans: Sequence[Span]) -> Iterator[NDArray[np.uint8]]:
    """The spans of a small page, as views of the whole."""
    page.flags.writeable = False
    for start, stop in spans:
        yield page[start:stop]


def _shift(base: int, shrink: int, wanted: int) -> float:
    """How far, in reduced pixels, an axis decoded at 1 / shrink would lie from its place; infinite where too small.

    libvips' reduce leaves what does not divide out in equal parts on both sides.
    """
    if base < shrink * wanted:
        return math.inf
    missing = base / shrink % 1
    return min(missing, 1 - missing) / 2 * wanted * shrink / base


def open_vips(ask: Request) -> VipsScan:
    """Open a page by the loader the format names.

    `dpi` is what a vector picture is rendered at; of a raster it replaces the claimed resolution.
    A JPEG with bytes that do not belong in it is mended, and a warning kept.
    Raises ScanCorrupt where the header makes no sense, ScanTooLarge above `max_pixels`.
    """
    warnings: tuple[str, ...] = ()
    if ask.form.kind == "jpeg":
        from tilekit.scans.jpegmending import mended

        found = mended(ask.source)
        if found is not None and found.is_needed:
            return _open_mended(ask, found)
        warnings = found.warnings if found is not None else ()
    form, source = ask.form, ask.source
    options: dict[str, Any] = {"fail_on": _FAIL_ON.get(form.loader, "error")}
    options["revalidate"] = True  # libvips remembers files by name; this one may have changed
    if form.kind in {"gif", "webp", "avif"}:
        options["page"] = ask.page
    if form.kind == "svg" and ask.number is not None:
        options["dpi"] = ask.number

    def load(access: str, **more: Any) -> Any:
        if source.path is not None:
            return pyvips.Operation.call(
                form.loader, os.fsencode(source.path), access=access, **options, **more
            )
        return pyvips.Operation.call(form.loader + "_buffer", source.data, access=access, **options, **more)

    return scan_of(load, ask, warnings=warnings)


def _open_mended(ask: Request, found: Mended) -> VipsScan:
    from tilekit.scans.jpegmending import source_of

    alive: list[Any] = []  # libvips calls back into these for as long as an image of theirs is read

    def load(access: str, **more: Any) -> Any:
        alive.append(source_of(found, ask.source))
        return pyvips.Image.jpegload_source(alive[-1][0], access=access, fail_on="warning", **more)

    def close() -> None:
        for _, reader in alive:
            reader.close()

    try:
        scan = scan_of(load, ask, warnings=found.warnings)
    except BaseException:
        close()
        raise
    scan.source = None  # its bytes are not those that are decoded
    scan.on_close(close)
    return scan


def scan_of(
    load: Loader,
    ask: Request,
    *,
    meaning: Meaning = AS_LOADED,
    kind: str | None = None,
    pages: int | None = None,
    access: Access | None = None,
    warnings: tuple[str, ...] = (),
) -> VipsScan:
    """A scan of what `load(access)` gives (of a JPEG also `load(access, shrink=8)`).

    What is not told is read from the image and the request.
    """
    key, kind = ask.key, kind or ask.form.kind
    check_not_cut_off(str(key))
    if kind in _TURNED_BY_XMP:
        load = _turned_by_xmp(load)
    with vips_errors(key):
        image = load("sequential")
        check_size(key, image.width, image.height, ask.max_pixels)
        wide = image.bands * np.dtype(NUMPY.get(image.format, np.complex128)).itemsize
        _check_samples(ask, image, wide)
        plan = plan_of(image, lambda: load("sequential"), str(key), meaning, ask.rendition)
        look = look_at(image, meaning, plan)
        final = to_page(image, str(key), meaning, plan)
        info = ScanInfo(
            key=key,
            width=final.width,
            height=final.height,
            bands=final.bands,
            kind=kind,
            pages=pages or _pages(image),
            dpi=ask.number or _dpi(image),
            access=access or _access(image, kind),
            warnings=warnings,
        )

    def make(image: Any) -> Any:
        return to_page(image, str(key), meaning, plan)

    scan = VipsScan(info, load, make, source=ask.source, look=look, first=None if look.turned else final)
    scan.wide = wide
    return scan


def _check_samples(ask: Request, image: Any, wide: int) -> None:
    """Raises ScanTooLarge where so many samples a pixel are stored that libvips' strips go over the budget."""
    wanted = _COPIES * min(image.height, _STRIP_ROWS) * image.width * wide
    if wide > _WIDE and wanted > ask.budget:
        raise ScanTooLarge(
            f"{ask.key}: has {image.bands} samples a pixel, which take {wanted:,} bytes to decode, over the budget of "
            f"{ask.budget:,}; pass a larger budget if you trust it"
        )


def _turned_by_xmp(load: Loader) -> Loader:
    """Images with the orientation that their XMP has, where nothing else says one."""

    def turned(access: str, **more: Any) -> Any:
        image = load(access, **more)
        if image.get_typeof("orientation") or not image.get_typeof("xmp-data"):
            return image
        turn = orientation_of(bytes(image.get("xmp-data")))
        if turn > 1:
            image = image.copy()
            image.set_type(pyvips.GValue.gint_type, "orientation", turn)
        return image

    return turned


def _pages(image: Any) -> int:
    return int(image.get("n-pages")) if image.get_typeof("n-pages") else 1


def _dpi(image: Any) -> float | None:
    """libvips gives pixels per millimetre, 1.0 where the file does not say."""
    if image.xres <= 0 or image.xres == 1.0:
        return None
    return round(float(image.xres) * 25.4, 4)


def _access(image: Any, kind: str) -> Access:
    if kind == "tiff" and image.get_typeof("tile-width"):
        return "block"
    return "whole" if kind in {"webp", "avif", "gif"} else "scanline"
