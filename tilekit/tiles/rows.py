"""Tiles out of rows: one pass over a scan in bands; rows that two tile rows share are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tilekit.grid import TileGrid
from tilekit.scans.blank import background
from tilekit.scans.scan import Scan
from tilekit.tiles.pieces import WHITE, Paper, Piece, RawTile

_BAND_ROWS = 128


def tiles_of_rows(scan: Scan, grid: TileGrid, rows: dict[int, Collection[int]]) -> Iterator[RawTile]:
    """Tiles of a scan that is read once, top to bottom, in grid order.

    `rows`: row of tiles -> its columns to give. Reading ends with the last row asked for.
    Memory: (tile height + 2 x stride + 3 x 128) x width x bands bytes, plus the decoder's own.
    """
    if not rows:
        return
    heights = band_heights(grid)
    scale = (grid.width, grid.height) if grid.is_scaled else None
    waiting = deque(sorted(rows))
    kept: deque[tuple[int, NDArray[np.uint8]]] = deque()
    top, corner, paper = 0, [], WHITE
    bands = scan.bands_of_rows(heights, scale=scale)
    try:
        for band in bands:
            kept.append((top, band))
            top += band.shape[0]
            if is_padded(grid) and top <= corner_of(grid)[0]:
                corner.append(band[:, : corner_of(grid)[1]])
                if top == corner_of(grid)[0]:
                    paper, corner = background(np.concatenate(corner)), []
            del band
            while waiting and min(grid.lines.stop(waiting[0]), grid.height) <= top:
                row = waiting.popleft()
                first = grid.lines.start(row)
                while kept and kept[0][0] + kept[0][1].shape[0] <= first:
                    kept.popleft()
                yield from _tiles_of_row(grid, row, rows[row], [*kept], paper)
            if not waiting:
                if top >= grid.height:  # let the reader end its pass: damage after the last row is damage
                    continue
                return
            following = grid.lines.start(waiting[0])
            while kept and kept[0][0] + kept[0][1].shape[0] <= following:
                kept.popleft()
    finally:
        close = getattr(bands, "close", None)
        if close is not None:
            close()


def is_padded(grid: TileGrid) -> bool:
    """Whether some tile reaches over the scan."""
    return grid.columns.stop(grid.cols - 1) > grid.width or grid.lines.stop(grid.rows - 1) > grid.height


def corner_of(grid: TileGrid) -> tuple[int, int]:
    """(height, width) of the part of the first tile that is on the scan: its background is the page's."""
    return min(grid.lines.stop(0), grid.height), min(grid.columns.stop(0), grid.width)


def band_heights(grid: TileGrid) -> list[int]:
    """Heights of bands such that every row of tiles is made of whole bands, none above 128 rows."""
    edges = {0, grid.height}
    edges.update(min(int(value), grid.height) for value in grid.lines.starts())
    edges.update(min(int(value), grid.height) for value in grid.lines.stops())
    heights: list[int] = []
    ordered = sorted(edges)
    for first, last in pairwise(ordered):
        count = -(-(last - first) // _BAND_ROWS)
        cuts = [first + (last - first) * i // count for i in range(count + 1)]
        heights += [b - a for a, b in pairwise(cuts)]
    return heights


def _tiles_of_row(
    grid: TileGrid,
    row: int,
    columns: Collection[int],
    kept: list[tuple[int, NDArray[np.uint8]]],
    paper: Paper,
) -> Iterator[RawTile]:
    y0 = grid.lines.start(row)
    y1 = min(grid.lines.stop(row), grid.height)
    spans = [
        (max(y0, top) - y0, band[max(y0 - top, 0) : y1 - top])
        for top, band in kept
        if top < y1 and top + band.shape[0] > y0
    ]
    for col in columns:
        window = grid.window(row, col)
        x0, x1 = window.x0, min(window.x1, grid.width)
        pieces = [Piece(y, 0, band[:, x0:x1]) for y, band in spans]
        shape = (y1 - y0, x1 - x0, spans[0][1].shape[2])
        yield RawTile(row * grid.cols + col, row, col, window, shape, pieces, paper)
