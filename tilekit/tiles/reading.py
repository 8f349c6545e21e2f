"""read_tiles: the tiles of a scan as numpy arrays, streaming."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument
from tilekit.flow import DEFAULT_BUDGET, Gate, ordered_map
from tilekit.grid import TileGrid, Window
from tilekit.jpeg.markers import CannotCut
from tilekit.scales import AnyTiling, Scales, as_scales
from tilekit.scans.blank import background
from tilekit.scans.scan import Scan, check_open
from tilekit.scans.tiff.blocks import StoredBlocks
from tilekit.tiles.blocks import tiles_of_blocks
from tilekit.tiles.pieces import WHITE, Paper, Piece, RawTile
from tilekit.tiles.rows import corner_of, is_padded, tiles_of_rows
from tilekit.tiles.tile import Tile

_ROWS_BYTES = 192 * 1024 * 1024


def read_tiles(
    scan: Scan,
    tiling: AnyTiling,
    *,
    workers: int | None = None,
    budget: int = DEFAULT_BUDGET,
    only: Iterable[int] | None = None,
) -> Iterator[Tile]:
    """The tiles of an open scan in grid order, each with pixels of its own.

    `workers`: threads that decode and copy (default: one a core; 1 does all in the calling thread).
    `budget`: bytes of finished tiles that may wait for the caller. `only`: indices of the tiles to
    give, any order and number; they come in grid order. Given Scales, each tile says its `scale`,
    those of one scale come in grid order, and a scale that repeats a finer one on this page is left out.

    Memory, beside the budget, for a scan stored in scanlines:
    2 x tile height x width x bands bytes and the decoder's own; for one stored in blocks: what `tiles_of_blocks` says, whatever the width.
    Raises ScanError for damage, naming file and page; InvalidArgument for an index not in the grid.
    """
    check_open(scan)
    scales = as_scales(tiling)
    if len(scales) > 1:
        return _read_scales(scan, scales, worker_count(workers), budget, only)
    grid = scan.grid(scales[0])
    threads = worker_count(workers)
    if budget < 1:
        raise InvalidArgument(f"budget={budget!r} must be at least 1 byte")
    rows = chosen_rows(grid, only)
    return _read(scan, grid, rows, threads, budget)


def _read_scales(
    scan: Scan, scales: Scales, threads: int, budget: int, only: Iterable[int] | None
) -> Iterator[Tile]:
    if only is not None:
        raise InvalidArgument("only= is for one tiling; read each of several scales by itself")
    scales.grids(scan.width, scan.height, dpi=scan.dpi)
    for place in expected(scan, scales):
        for tile in read_tiles(scan, scales[place], workers=threads, budget=budget):
            yield replace(tile, scale=place)


def expected(scan: Scan, scales: Scales) -> tuple[int, ...]:
    """Places of the scales that the scan is cut at; it is told the later ones, which one pass may give with the first."""
    places = scales.on(scan.width, scan.height, dpi=scan.dpi)
    expect_after(scan, [scan.grid(scales[place]) for place in places])
    return places


def expect_after(scan: Scan, grids: Sequence[TileGrid]) -> None:
    """Tell the scan that tiles of these grids are read one after the other, so that one pass may give the later ones too."""
    for grid in grids[1:]:
        if grid.is_scaled:
            scan.expect((grid.width, grid.height))


def _read(
    scan: Scan, grid: TileGrid, rows: dict[int, Collection[int]], threads: int, budget: int
) -> Iterator[Tile]:
    with raw_tiles(scan, grid, rows, workers=threads) as tiles:
        yield from ordered_map(
            RawTile.tile, tiles, workers=threads, cost=lambda tile: tile.nbytes, budget=budget
        )


@contextlib.contextmanager
def raw_tiles(
    scan: Scan,
    grid: TileGrid,
    rows: dict[int, Collection[int]],
    *,
    workers: int,
    gate: Gate | None = None,
) -> Iterator[Iterator[RawTile]]:
    """Tiles not yet put together, by the path that suits how the scan is stored.

    `gate`: held by a decoding thread beside the pool, if there is one.
    """
    with contextlib.ExitStack() as stack:
        tiles: Iterator[RawTile] | None = None
        if not grid.is_scaled and (blocks := _decodable(scan)) is not None:
            tiles = tiles_of_blocks(blocks, grid, rows, workers=workers)
        elif _has_cheap_windows(scan, grid) and _by_rectangle(scan, grid, rows):
            tiles = _tiles_of_rectangles(scan, grid, rows)
        else:
            tiles = tiles_of_rows(scan, grid, rows, gate, workers=workers)
        stack.callback(_close, tiles)
        yield tiles


def _decodable(scan: Scan) -> StoredBlocks | None:
    """The scan's blocks where decoding them gives its pixels."""
    if not scan.as_stored or scan.info.access != "block":
        return None
    blocks = scan.blocks()
    usable = blocks is not None and blocks.decodes and blocks.layout.tiled
    return blocks if usable else None


def _has_cheap_windows(scan: Scan, grid: TileGrid) -> bool:
    """Whether a rectangle costs what it holds: blocks, and a JPEG by an index of its bits."""
    if scan.info.access == "block":
        return True
    if scan.info.kind != "jpeg" or grid.is_scaled:
        return False
    try:
        scan.bits()
    except CannotCut:
        return False
    return True


def _by_rectangle(scan: Scan, grid: TileGrid, rows: dict[int, Collection[int]]) -> bool:
    """Whether single rectangles are cheaper than whole rows: few tiles asked for, or very wide rows."""
    row_bytes = grid.width * scan.bands * (grid.lines.tile + grid.lines.stride)
    asked = sum(len(columns) for columns in rows.values())
    return row_bytes > _ROWS_BYTES or 4 * asked < len(grid)


def _tiles_of_rectangles(scan: Scan, grid: TileGrid, rows: dict[int, Collection[int]]) -> Iterator[RawTile]:
    paper = page_paper(scan, grid) if rows and is_padded(grid) else WHITE
    for row in sorted(rows):
        for col in rows[row]:
            window = grid.window(row, col)
            shape = (
                min(window.y1, grid.height) - window.y0,
                min(window.x1, grid.width) - window.x0,
                scan.bands,
            )
            yield Rectangle(row * grid.cols + col, row, col, window, shape, paper, scan, grid)


def page_paper(scan: Scan, grid: TileGrid) -> Paper:
    """What fills tiles beyond the scan: the background of the page's first tile, for every tile."""
    return background(_rectangle(scan, grid, 0, 0, *corner_of(grid)))


class Rectangle(RawTile):
    """A tile read on its own, in the worker that wants its pixels."""

    __slots__ = ("_grid", "_scan")

    def __init__(
        self,
        index: int,
        row: int,
        col: int,
        window: Window,
        shape: tuple[int, int, int],
        paper: Paper,
        scan: Scan,
        grid: TileGrid,
    ) -> None:
        super().__init__(index, row, col, window, shape, (), paper)
        self._scan, self._grid = scan, grid

    def gather(self) -> Sequence[Piece]:
        """The one piece, read now."""
        height, width, _ = self.shape
        return [
            Piece(0, 0, _rectangle(self._scan, self._grid, self.window.x0, self.window.y0, height, width))
        ]


def _rectangle(scan: Scan, grid: TileGrid, x0: int, y0: int, height: int, width: int) -> NDArray[np.uint8]:
    scale = (grid.width, grid.height) if grid.is_scaled else None
    return scan.read(x0, y0, x0 + width, y0 + height, scale=scale)


def chosen_rows(grid: TileGrid, only: Iterable[int] | None) -> dict[int, Collection[int]]:
    """Row -> columns for the indices asked for; all of them where `only` is None."""
    if only is None:
        return dict.fromkeys(range(grid.rows), range(grid.cols))
    indices = np.unique(np.fromiter(only, np.int64))
    if indices.size and (indices[0] < 0 or indices[-1] >= len(grid)):
        wrong = indices[0] if indices[0] < 0 else indices[-1]
        raise InvalidArgument(f"only: tile {wrong} is not in a grid of {len(grid)} tiles")
    rows: dict[int, Collection[int]] = {}
    for row in np.unique(indices // grid.cols):
        inside = indices[(indices >= row * grid.cols) & (indices < (row + 1) * grid.cols)]
        rows[int(row)] = [int(index) % grid.cols for index in inside]
    return rows


def worker_count(workers: int | None) -> int:
    """Threads to use: one for every core this process may run on, unless told."""
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise InvalidArgument(f"workers={workers!r} must be a whole number of 0 or more")
    return workers


def _close(tiles: Iterator[RawTile]) -> None:
    close = getattr(tiles, "close", None)
    if close is not None:
        close()
