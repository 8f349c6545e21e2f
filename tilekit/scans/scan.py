"""Scan: one raster page as opened, upright, 8-bit gray or sRGB."""

from __future__ import annotations

import os
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument
from tilekit.flow import Gate
from tilekit.grid import TileGrid, Tiling
from tilekit.jpeg.markers import CannotCut
from tilekit.pages import PageKey
from tilekit.scans.source import Source
from tilekit.scans.spans import Span, spans_of_bands
from tilekit.scans.tiff.blocks import StoredBlocks

if TYPE_CHECKING:
    from tilekit.scans.blockbits import BlockBits
    from tilekit.scans.jpegbits import JpegBits

Access = Literal["scanline", "block", "whole"]
_SPAN_ROWS = 128


@dataclass(frozen=True)
class ScanInfo:
    """What is known of a page before its pixels are read.

    `width`, `height`: base pixels of the upright page. `bands`: 1 (gray) or 3 (sRGB).
    `kind`: format family, such as "jpeg", "png", "tiff", "pdf", "slide", "jp2", "heif".
    `pages`: pages in the file. `dpi`: pixels per inch, or None where the file does not say.
    `access`: how it is stored: "scanline" (read once, top to bottom), "block" (any rectangle,
    cheaply), "whole" (decoded at once). `mpp`: microns per pixel, slides only. `warnings`: what is wrong with
    the file though all its pixels are there.
    """

    key: PageKey
    width: int
    height: int
    bands: int
    kind: str
    pages: int = 1
    dpi: float | None = None
    access: Access = "scanline"
    mpp: float | None = None
    warnings: tuple[str, ...] = ()


class Scan(ABC):
    """One page, open. A context manager; `info` never changes.

    Readers implement `bands_of_rows` (one pass, flat memory) and `read` (any rectangle, from any
    thread). Both give exactly the same pixels. `source`: the bytes the page is in; `as_stored`: the
    decoded samples are given as they are stored (uint8 gray or sRGB, upright, no profile to follow),
    so a decoder of the stored segments gives the same pixels.
    """

    source: Source | None = None
    as_stored: bool = False
    wide: int = 0  # bytes of a pixel as the decoder gives it, where they are more than `bands`

    def __init__(self, info: ScanInfo) -> None:
        self.info = info
        self.shown: dict[str, Any] = {"bands": None, "levels": None}
        self.reopen: Callable[[], Scan] | None = None  # opens it again as it was, in any process
        self._closers: list[Callable[[], None]] = []
        self._closed = False

    @property
    def key(self) -> PageKey:
        """Which page this is."""
        return self.info.key

    @property
    def width(self) -> int:
        """Width in base pixels."""
        return self.info.width

    @property
    def height(self) -> int:
        """Height in base pixels."""
        return self.info.height

    @property
    def bands(self) -> int:
        """1 (gray) or 3 (sRGB)."""
        return self.info.bands

    @property
    def pages(self) -> int:
        """Pages in the file this page is from."""
        return self.info.pages

    @property
    def dpi(self) -> float | None:
        """Pixels per inch, or None where the file does not say."""
        return self.info.dpi

    def grid(self, tiling: Tiling) -> TileGrid:
        """The tiling bound to this scan's size and resolution, with the bands and levels it was opened with."""
        if not isinstance(tiling, Tiling):
            raise InvalidArgument(f"tiling={tiling!r} must be a Tiling")
        if tiling.shown != self.shown:
            if any(value is not None for value in tiling.shown.values()):
                raise InvalidArgument(
                    f"{self.key}: was opened with {_words(self.shown)}, the tiling says {_words(tiling.shown)}; "
                    "open it with what the tiling says (open_scan(..., **tiling.shown))"
                )
            tiling = replace(tiling, **self.shown)
        return tiling.grid(self.width, self.height, dpi=self.dpi)

    def cost(self, grid: TileGrid) -> int:
        """Peak bytes that cutting this page by `grid` takes beside the interpreter: the one estimate there is.

        Scanlines: two rows of tiles, and the decoder's strips at the size its samples have; a scan decoded at once:
        all of it; blocks: a bounded cache and some tiles, whatever the width. Two more tiles are on their way to the
        encoder.
        """
        wide = max(self.wide, self.bands)
        tile = grid.columns.tile * grid.lines.tile * self.bands
        rows = (
            min(2, grid.rows) * min(grid.lines.tile, grid.height) * grid.width * self.bands
            + 200 * grid.width * wide
        )
        if self.info.access == "block" and not grid.is_scaled and self.as_stored:
            return min(rows, 64 * 1024 * 1024 + 16 * tile)
        whole = grid.base_width * grid.base_height * wide if self.info.access == "whole" else 0
        return whole + min(rows, grid.width * grid.height * wide) + 8 * tile

    @abstractmethod
    def bands_of_rows(
        self, heights: list[int], *, scale: tuple[int, int] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """The whole page, top to bottom, in bands of the given heights (their sum is the height).

        Each (rows, width, bands) uint8, C-contiguous, read-only. `scale`: (width, height) px of the
        reduced scan to deliver instead of the base size; heights then count its rows.
        May be called again: each call is a fresh pass. Memory: two bands, plus the decoder's own.
        """

    def spans_of_rows(
        self,
        spans: Sequence[Span],
        *,
        scale: tuple[int, int] | None = None,
        gate: Gate | None = None,
        workers: int = 1,
    ) -> Iterator[NDArray[np.uint8]]:
        """Rows `start` to `stop` for each of `spans`, in one pass; starts and stops both rise.

        Each (stop - start, width, bands) uint8, C-contiguous, read-only; rows may be in several.
        `gate`: what a reader with threads of its own holds while it decodes; `workers`: how many those may be.
        Memory: the spans the caller holds and one more, plus the decoder's own.
        """
        height = self._check_scale(scale)[1]
        heights = [_SPAN_ROWS] * (height // _SPAN_ROWS) + [height % _SPAN_ROWS] * bool(height % _SPAN_ROWS)
        return spans_of_bands(self.bands_of_rows(heights, scale=scale), spans)

    def expect(self, size: tuple[int, int]) -> None:  # noqa: B027 - readers need not heed it
        """Say that the page at `size` (as `scale` of `spans_of_rows`) is wanted after a pass over all its rows.

        A reader may make it on the way, of the same bytes, and then need no second pass. Memory: at most 64 MB.
        """

    @abstractmethod
    def read(
        self, x0: int, y0: int, x1: int, y1: int, *, scale: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """The rectangle (half-open, inside the scan) as (y1-y0, x1-x0, bands) uint8.

        `scale` as in `bands_of_rows`; the rectangle is then in pixels of the reduced scan.
        """

    def blocks(self) -> StoredBlocks | None:
        """The page's stored blocks (tiles or strips of a TIFF), or None where it has none.

        They are as stored, not turned upright, and usable while the scan is open. Their `decode` gives the
        scan's pixels where `as_stored` and `decodes` hold.
        """
        return None

    def bits(self) -> JpegBits | BlockBits:
        """The page's bits, where it is stored as JPEG and given as that says; raises CannotCut."""
        raise CannotCut("it is not a JPEG")

    def thumbnail(self, side: int = 1000) -> NDArray[np.uint8]:
        """The whole page with its longer side reduced to `side` px at most: fresh (h, w, 1 or 3) pixels."""
        from tilekit.scans.picture import thumbnail

        return thumbnail(self, side)

    def to_dask(self, chunk: int | Sequence[int] | None = None) -> Any:
        """The page as a lazy dask array (height, width, bands) uint8; a chunk is one rectangle read when computed.

        `chunk`: px of a side, or (width, height); default 2048, and whole rows where the page can only be read from
        its top (PNG, strips), for which a chunk costs all rows above it. The array outlives this scan and goes to
        other processes: each opens the scan for itself. Raises MissingExtra without dask (the extra `dask`),
        InvalidArgument for a scan from a file object.
        """
        from tilekit.scans.reopening import dask_array

        check_open(self)
        return dask_array(self, chunk)

    def plot(self, tiling: Tiling | None = None, *, path: str | os.PathLike[str] | None = None) -> Any:
        """The page as a matplotlib figure, axes in its own px; with a tiling its tiles, and in orange what they share.

        `path`: also write it there. Raises MissingExtra without matplotlib (the extra `report`).
        """
        from tilekit.scans.picture import plot_scan

        return plot_scan(self, tiling, path=path)

    def _repr_html_(self) -> str:
        from tilekit.scans.picture import scan_html

        return repr(self) if self._closed else scan_html(self)

    def on_close(self, closer: Callable[[], None]) -> None:
        """Call `closer` when the scan is closed, last added first."""
        self._closers.append(closer)

    def close(self) -> None:
        """Let go of files and memory; closing twice, in any order, is harmless."""
        self._closed = True
        while self._closers:
            self._closers.pop()()

    def _check_bands(self, heights: list[int], scale: tuple[int, int] | None) -> tuple[int, int]:
        """The size to deliver; raises InvalidArgument unless the heights fill it."""
        size = self._check_scale(scale)
        if min(heights, default=0) < 1 or sum(heights) != size[1]:
            raise InvalidArgument(
                f"heights: sum {sum(heights)}, must be positive and fill the page's {size[1]} rows"
            )
        return size

    def _check_window(
        self, x0: int, y0: int, x1: int, y1: int, scale: tuple[int, int] | None
    ) -> tuple[int, int]:
        """The size to deliver from; raises InvalidArgument for a rectangle outside it."""
        size = self._check_scale(scale)
        if not (0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]):
            raise InvalidArgument(f"rectangle {(x0, y0, x1, y1)} must lie inside {size[0]} x {size[1]} px")
        return size

    def _check_scale(self, scale: tuple[int, int] | None) -> tuple[int, int]:
        check_open(self)
        if scale is None:
            return self.width, self.height
        if len(scale) != 2 or min(scale) < 1:
            raise InvalidArgument(f"scale={scale!r} must be (width, height) in px, at least 1 each")
        return int(scale[0]), int(scale[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Scan {self.key} {self.width} x {self.height} px, {self.bands} band(s), {self.info.kind}{', closed' * self._closed}>"


def _words(shown: dict[str, Any]) -> str:
    said = [f"{name}={value!r}" for name, value in shown.items() if value is not None]
    return " and ".join(said) or "no bands or levels"


def check_open(scan: object) -> None:
    """Raise InvalidArgument unless `scan` is a scan, and open."""
    if not isinstance(scan, Scan):
        raise InvalidArgument(f"scan={reprlib.repr(scan)} must be what open_scan() gives, not a name")
    if scan._closed:
        raise InvalidArgument(f"scan={scan!r} must be open; read it inside its with block")
