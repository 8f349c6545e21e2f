"""Whole-slide images by OpenSlide: read by blocks, with levels and microns per pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import MissingExtra, ScanCorrupt, ScanNotFound, ScanUnsupported
from tilekit.scans.faults import check_size, one_line
from tilekit.scans.request import Request
from tilekit.scans.resampling import box_reduced
from tilekit.scans.scan import Scan, ScanInfo, check_open
from tilekit.scans.source import Source
from tilekit.scans.tiff.blocks import StoredBlocks

if TYPE_CHECKING:
    from tilekit.scans.blockbits import BlockBits

try:
    import openslide
except ImportError as _exc:
    raise MissingExtra("reading slides needs openslide", "slides") from _exc

_MICRONS_PER_INCH = 25400.0


class SlideScan(Scan):
    """A slide at its finest level. Safe from any number of threads.

    Memory: the band or rectangle asked for at four bytes a pixel, and OpenSlide's cache (32 MB).
    A `scale` is taken from the coarsest level that is not smaller, by the exact mean of areas.
    `levels`: (width, height) of each level.
    """

    def __init__(self, info: ScanInfo, slide: Any) -> None:
        super().__init__(info)
        self._slide = slide
        self.on_close(slide.close)
        self.levels: tuple[tuple[int, int], ...] = tuple(slide.level_dimensions)
        self.stored: StoredBlocks | None = None
        self._bits: BlockBits | None = None

    def bands_of_rows(
        self, heights: list[int], *, scale: tuple[int, int] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """See Scan."""
        size, y0 = self._check_bands(heights, scale), 0
        for height in heights:
            yield self.read(0, y0, size[0], y0 + height, scale=scale)
            y0 += height

    def read(
        self, x0: int, y0: int, x1: int, y1: int, *, scale: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """See Scan."""
        size = self._check_window(x0, y0, x1, y1, scale)
        if size == (self.width, self.height):
            pixels = self._level(0, x0, y0, x1, y1)
        else:
            level = max(
                number
                for number, have in enumerate(self.levels)
                if number == 0 or (have[0] >= size[0] and have[1] >= size[1])
            )

            def read(*window: int) -> NDArray[np.uint8]:
                return self._level(level, *window)

            pixels = box_reduced(read, self.levels[level], size, (x0, y0, x1, y1))
        pixels.flags.writeable = False
        return pixels

    def blocks(self) -> StoredBlocks | None:
        """See Scan."""
        return self.stored

    def bits(self) -> BlockBits:
        """See Scan."""
        from tilekit.scans.blockbits import slide_bits_of

        check_open(self)
        if self._bits is None:
            self._bits = slide_bits_of(self)
        return self._bits

    def _level(self, level: int, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.uint8]:
        """A rectangle in the pixels of a level; OpenSlide takes its place in those of level 0."""
        down = self._slide.level_downsamples[level]
        try:
            place = (round(x0 * down), round(y0 * down))
            picture = self._slide.read_region(place, level, (x1 - x0, y1 - y0))
        except openslide.OpenSlideError as exc:
            raise ScanCorrupt(f"{self.key}: is damaged or cut short ({one_line(exc)})") from exc
        return _over_white(np.asarray(picture))


def is_slide(source: Source) -> bool:
    """Whether a file is a slide of a vendor OpenSlide knows; a plain pyramid TIFF is not."""
    if source.path is None:
        return False
    vendor = openslide.OpenSlide.detect_format(str(source.path))
    return vendor is not None and vendor != "generic-tiff"


def open_slide(ask: Request) -> SlideScan:
    """Open a slide. Raises ScanCorrupt, ScanNotFound (a slide has one page), ScanTooLarge."""
    key, source = ask.key, ask.source
    if ask.page:
        raise ScanNotFound(f"{key}: the file has 1 page")
    try:
        slide = openslide.OpenSlide(str(source.path))
    except openslide.OpenSlideUnsupportedFormatError as exc:
        raise ScanUnsupported(f"{key}: OpenSlide does not know this slide") from exc
    except (openslide.OpenSlideError, OSError) as exc:
        raise ScanCorrupt(f"{key}: is damaged ({one_line(exc)})") from exc
    width, height = slide.dimensions
    check_size(key, width, height, ask.max_pixels)
    mpp = _mpp(slide)
    info = ScanInfo(
        key=key,
        width=width,
        height=height,
        bands=3,
        kind="slide",
        access="block",
        mpp=mpp,
        dpi=ask.number or (round(_MICRONS_PER_INCH / mpp, 4) if mpp else None),
    )
    scan = SlideScan(info, slide)
    scan.source = source
    return scan


def _mpp(slide: Any) -> float | None:
    try:
        value = float(slide.properties[openslide.PROPERTY_NAME_MPP_X])
    except (KeyError, ValueError):
        return None
    return value if 0 < value < 1e6 else None


def _over_white(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGBA to RGB; nothing was scanned where a slide is transparent."""
    alpha = pixels[..., 3:]
    if (alpha == 255).all():
        return np.ascontiguousarray(pixels[..., :3])
    wide = alpha.astype(np.uint32)
    return ((pixels[..., :3] * wide + 255 * (255 - wide) + 127) // 255).astype(np.uint8)
