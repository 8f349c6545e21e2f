"""Which tiles of a JPEG scan keep its bits, and those tiles: `quality="keep"`."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from tilekit.grid import TileGrid, Tiling, Window
from tilekit.jpeg.cutting import Stretch, reason_against
from tilekit.jpeg.markers import CannotCut, Header
from tilekit.scans.blockbits import OWN_TABLES, BlockBits
from tilekit.scans.encoding import JpegTables
from tilekit.scans.formats import ImageFormat, Subsampling
from tilekit.scans.jpegbits import JpegBits
from tilekit.scans.scan import Scan, check_open
from tilekit.tiles.pieces import WHITE, Piece, RawTile
from tilekit.tiles.reading import Rectangle, page_paper
from tilekit.tiles.recipe import KEEP, Quality, TilesRecipe
from tilekit.tiles.rows import is_padded

Bits = JpegBits | BlockBits


@dataclass(frozen=True)
class KeepPlan:
    """Which tiles are cut from the scan's own bits. `reason`: why none is, or None.

    `kept` of `total` tiles are; `why(i)` tells of one. `some`: why some more are not, which are not known before. The data itself is read only when tiles are
    made: where it proves damaged, all are decoded, and the damage is an error as ever.
    """

    grid: TileGrid
    reason: str | None
    header: Header | None = None
    some: str | None = None

    @property
    def total(self) -> int:
        """Tiles in all."""
        return len(self.grid)

    @property
    def kept(self) -> int:
        """Tiles that keep the scan's bits."""
        if self.reason is not None or self.header is None:
            return 0
        header, columns, lines = self.header, self.grid.columns, self.grid.lines
        cols = [
            reason_against(header, start, 0, stop - start) is None and stop <= columns.size
            for start, stop in zip(columns.starts().tolist(), columns.stops().tolist(), strict=True)
        ]
        rows = [
            start % header.mcu[1] == 0 and stop <= lines.size
            for start, stop in zip(lines.starts().tolist(), lines.stops().tolist(), strict=True)
        ]
        return cols.count(True) * rows.count(True)

    def why(self, index: int) -> str | None:
        """Why a tile is decoded and encoded; None where it keeps the scan's bits."""
        window = self.grid[index]
        if self.reason is not None or self.header is None:
            return self.reason
        if window.x1 > self.grid.width or window.y1 > self.grid.height:
            return "it reaches over the scan and is filled up"
        return reason_against(self.header, window.x0, window.y0, window.width)

    @property
    def why_not_all(self) -> str | None:
        """Why the first tile that is decoded is; None where all keep the scan's bits."""
        edges = [*range(self.grid.cols), *range(0, self.total, self.grid.cols)]
        return next((reason for reason in map(self.why, edges) if reason is not None), self.some)


def keep_plan(
    scan: Scan,
    tiling: Tiling,
    *,
    format: ImageFormat = "jpeg",
    quality: Quality = KEEP,
    subsampling: Subsampling | None = None,
) -> KeepPlan:
    """Whether tiles of an open scan can keep its bits, and if not why; settings as in `encode_tiles`.

    Raises InvalidArgument for a tiling that does not fit the scan.
    """
    check_open(scan)
    return _plan(scan, scan.grid(tiling), format, quality, subsampling)[0]


def _plan(
    scan: Scan, grid: TileGrid, format: str, quality: Quality | None, subsampling: str | None
) -> tuple[KeepPlan, Bits | None]:
    try:
        if format != "jpeg":
            raise CannotCut(f"{format} is asked for")
        if quality != KEEP:
            raise CannotCut(f"quality={quality} is asked for")
        bits = scan.bits()
        if grid.is_scaled:
            raise CannotCut("the scan is reduced or enlarged")
        if (
            subsampling is not None
            and subsampling != bits.header.subsampling
            and len(bits.header.components) > 1
        ):
            raise CannotCut(f"subsampling={subsampling} is asked for; the scan has {bits.header.subsampling}")
        odd, seen = bits.odd_blocks() if isinstance(bits, BlockBits) else (0, 0)
        if odd == seen > 0:
            raise CannotCut(OWN_TABLES)
    except CannotCut as exc:
        return KeepPlan(grid, str(exc)), None
    some = "some of its blocks have tables of their own; tiles that need those are decoded" if odd else None
    return KeepPlan(grid, None, bits.header, some), bits


class KeptTile(RawTile):
    """A tile that can be cut out of the scan's bits, or read from the scan where pixels are needed."""

    __slots__ = ("_bits", "_scan", "_shared")

    def __init__(
        self, place: tuple[int, int, int], window: Window, scan: Scan, bits: Bits, shared: Stretch | None
    ) -> None:
        super().__init__(*place, window, (window.height, window.width, scan.bands), (), WHITE)
        self._scan, self._bits, self._shared = scan, bits, shared

    def gather(self) -> Sequence[Piece]:
        """The one piece, decoded now."""
        return [Piece(0, 0, self._bits.pixels(*self.window))]

    def cut(self) -> bytes:
        """The tile's file, made of the scan's bits; raises CannotCut."""
        return self._bits.tile(self.window, self._shared)


def kept_tiles(
    scan: Scan, grid: TileGrid, rows: dict[int, Collection[int]], plan: KeepPlan, bits: Bits, workers: int
) -> Generator[RawTile, None, None]:
    """Tiles in grid order, most of them KeptTile. Raises CannotCut before the first one is given.

    Memory: the bytes of one row of tiles in the file, where they are at most 32 MB, and the index.
    """
    bits.prepare(_columns(grid, bits.header), workers=workers)
    return _tiles(scan, grid, rows, plan, bits)


def _tiles(
    scan: Scan,
    grid: TileGrid,
    rows: dict[int, Collection[int]],
    plan: KeepPlan,
    bits: Bits,
) -> Generator[RawTile, None, None]:
    paper = page_paper(scan, grid) if rows and is_padded(grid) else WHITE
    for row in sorted(rows):
        stop = min(grid.lines.stop(row), grid.height)
        shared = bits.row(grid.lines.start(row), stop) if len(rows[row]) > 1 else None
        for col in rows[row]:
            place, window = row * grid.cols + col, grid.window(row, col)
            if plan.why(place) is None:
                yield KeptTile((place, row, col), window, scan, bits, shared)
            else:
                shape = (
                    min(window.y1, grid.height) - window.y0,
                    min(window.x1, grid.width) - window.x0,
                    scan.bands,
                )
                yield Rectangle(place, row, col, window, shape, paper, scan, grid)


def _columns(grid: TileGrid, header: Header) -> list[int]:
    """The columns of MCUs where tiles begin and end, and those beside them where a window must be decoded."""
    unit, wanted = header.mcu[0], set()
    for start, stop in zip(grid.columns.starts().tolist(), grid.columns.stops().tolist(), strict=True):
        first, last = start // unit, -(-min(stop, grid.width) // unit)
        wanted |= {first, last}
        if start % unit and header.upsampled:
            wanted |= {max(0, first - 1), min(header.across, last + 1)}
    return sorted(wanted)


@dataclass(frozen=True)
class Kept:
    """A JPEG scan's own tables, and its tiles where they can keep its bits."""

    tables: JpegTables
    tiles: Generator[RawTile, None, None] | None


def keeping(
    scan: Scan, grid: TileGrid, rows: dict[int, Collection[int]], recipe: TilesRecipe, workers: int
) -> Kept | None:
    """What `quality="keep"` means for a scan; None where there is nothing to keep."""
    plan, bits = _plan(scan, grid, recipe.format, recipe.quality, recipe.subsampling)
    if plan.reason is not None or bits is None:
        return None
    tables = own_tables(bits.header)
    try:
        return Kept(tables, kept_tiles(scan, grid, rows, plan, bits, workers))
    except CannotCut:  # damage, most likely: the ordinary way finds it, and says so as ever
        return Kept(tables, None)


def own_tables(header: Header) -> JpegTables:
    """The scan's quantization tables and sampling, to encode what cannot keep its bits."""
    tables = dict(header.quantization)
    steps = []
    for component in header.components[:2]:
        data = tables[component.quantization]
        values = np.frombuffer(data, ">u2" if len(data) > 64 else np.uint8)
        steps.append(tuple(int(value) for value in values))
    return JpegTables(tuple(steps), header.subsampling)  # type: ignore[arg-type]
