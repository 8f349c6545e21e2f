"""A scan of 8-bit pixels with other bands or levels: for readers that make sRGB themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument
from tilekit.rendition import Levels, Rendition
from tilekit.scans.levels import Range, level_table
from tilekit.scans.memory import gray_of
from tilekit.scans.scan import Scan

Pixels = NDArray[np.uint8]
_ROWS = 256
_SHARE = 0.005


def shown(scan: Scan, rendition: Rendition) -> Scan:
    """The scan itself, or with the bands and levels asked for. Raises InvalidArgument for bands it has not."""
    if rendition == Rendition() or (
        rendition.bands == "gray" and scan.bands == 1 and rendition.levels is None
    ):
        return scan
    bands = rendition.bands
    if isinstance(bands, tuple) and max(bands) >= scan.bands:
        scan.close()
        raise InvalidArgument(f"{scan.key}: bands={bands} must be from 0 to {scan.bands - 1}")
    return ShownScan(scan, rendition)


class ShownScan(Scan):
    """Another scan's pixels, bands picked and values mapped. Memory: the other's, and one copy of each band."""

    def __init__(self, scan: Scan, rendition: Rendition) -> None:
        bands = rendition.bands
        count = scan.bands if bands is None else 1 if bands == "gray" else len(bands)
        super().__init__(replace(scan.info, bands=count))
        self.source = scan.source
        self._scan, self._bands = scan, bands
        self._table: Pixels | None = None
        self._table = None if rendition.levels is None else level_table(self._range(rendition.levels), 256)
        self.on_close(scan.close)

    def bands_of_rows(
        self, heights: list[int], *, scale: tuple[int, int] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """See Scan."""
        for pixels in self._scan.bands_of_rows(heights, scale=scale):
            yield self._made(pixels)

    def read(
        self, x0: int, y0: int, x1: int, y1: int, *, scale: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """See Scan."""
        return self._made(self._scan.read(x0, y0, x1, y1, scale=scale))

    def _range(self, levels: Levels) -> Range:
        if not isinstance(levels, str):
            return levels
        if levels == "full":
            return 0, 255
        full, rest = divmod(self.height, _ROWS)
        counts = np.zeros(256, np.int64)
        for pixels in self.bands_of_rows([_ROWS] * full + [rest] * bool(rest)):
            counts += np.bincount(pixels.ravel(), minlength=256)
        share = _SHARE if levels == "percentile" else 0.0
        total = np.cumsum(counts)
        low = int(np.searchsorted(total, total[-1] * share, side="right"))
        high = int(np.searchsorted(total, total[-1] * (1 - share), side="left"))
        return (low, high) if low < high else (low - 1, low)

    def _made(self, pixels: Pixels) -> Pixels:
        if self._bands == "gray" and pixels.shape[2] == 3:
            pixels = gray_of(pixels)
        elif isinstance(self._bands, tuple):
            pixels = np.ascontiguousarray(pixels[..., list(self._bands)])
        if self._table is not None:
            pixels = self._table[pixels]
        pixels.flags.writeable = False
        return pixels
