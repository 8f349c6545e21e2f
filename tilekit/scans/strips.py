"""Pages made strip by strip: always the same strips, so every way of reading gives the same pixels."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tilekit.scans.scan import Scan, ScanInfo

STRIP_PIXELS = 16_000_000
_KEPT = 2
Size = tuple[int, int]


class StripScan(Scan):
    """A page whose decoder makes full-width strips at fixed places.

    Memory: the two strips used last (each at most 16 Mpx x bands bytes, or one row), the band
    being filled, and the decoder's own.
    """

    def __init__(self, info: ScanInfo) -> None:
        super().__init__(info)
        self._lock = threading.Lock()
        self._strips: OrderedDict[tuple[Size, int], NDArray[np.uint8]] = OrderedDict()

    @abstractmethod
    def _make(self, size: Size, y0: int, y1: int) -> NDArray[np.uint8]:
        """Rows y0 to y1 of the page at `size`, (y1-y0, width, bands) uint8."""

    def _rows(self, size: Size) -> int:
        """Height of the strips at `size`."""
        return max(1, STRIP_PIXELS // size[0])

    def bands_of_rows(self, heights: list[int], *, scale: Size | None = None) -> Iterator[NDArray[np.uint8]]:
        """See Scan."""
        size, y0 = self._check_bands(heights, scale), 0
        for height in heights:
            yield self.read(0, y0, size[0], y0 + height, scale=size)
            y0 += height

    def read(self, x0: int, y0: int, x1: int, y1: int, *, scale: Size | None = None) -> NDArray[np.uint8]:
        """See Scan. Whole strips are made for it; the two used last are kept."""
        size = self._check_window(x0, y0, x1, y1, scale)
        rows = self._rows(size)
        pixels = np.empty((y1 - y0, x1 - x0, self.bands), np.uint8)
        for top in range(y0 - y0 % rows, y1, rows):
            strip = self._strip(size, top, min(top + rows, size[1]))
            first, last = max(y0, top), min(y1, top + rows)
            pixels[first - y0 : last - y0] = strip[first - top : last - top, x0:x1]
        pixels.flags.writeable = False
        return pixels

    def _strip(self, size: Size, top: int, bottom: int) -> NDArray[np.uint8]:
        with self._lock:
            strip = self._strips.get((size, top))
            if strip is None:
                if len(self._strips) >= _KEPT:
                    self._strips.popitem(last=False)
                strip = self._strips[size, top] = self._make(size, top, bottom)
            self._strips.move_to_end((size, top))
            return strip

    def close(self) -> None:
        """See Scan."""
        with self._lock:
            self._strips.clear()
        super().close()
