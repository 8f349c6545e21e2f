"""Tiles out of rows: one pass over a scan, a row of tiles at a time; tiles are views of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tilekit.flow import Gate
from tilekit.grid import TileGrid
from tilekit.scans.blank import background
from tilekit.scans.scan import Scan
from tilekit.tiles.pieces import WHITE, Piece, RawTile


def tiles_of_rows(
    scan: Scan,
    grid: TileGrid,
    rows: dict[int, Collection[int]],
    gate: Gate | None = None,
    *,
    workers: int = 1,
) -> Iterator[RawTile]:
    """Tiles of a scan that is read once, top to bottom, in grid order.

    `rows`: row of tiles -> its columns to give. Reading ends with the last row asked for.
    Memory: the rows of tiles the caller holds and one more, tile height x width x bands bytes each,
    plus the decoder's own. `workers`: threads it may use.
    """
    if not rows:
        return
    padded = is_padded(grid)
    wanted = sorted({0, *rows} if padded else rows)
    scale = (grid.width, grid.height) if grid.is_scaled else None
    spans = [(grid.lines.start(row), min(grid.lines.stop(row), grid.height)) for row in wanted]
    paper, places = WHITE, iter(wanted)
    found = scan.spans_of_rows(spans, scale=scale, gate=gate, workers=workers)
    try:
        for pixels in found:  # to the end of the reader's pass: damage after the last row is damage
            row = next(places)
            if padded and row == 0:
                paper = background(pixels[:, : corner_of(grid)[1]])
            for col in rows.get(row, ()):
                window = grid.window(row, col)
                part = pixels[:, window.x0 : min(window.x1, grid.width)]
                yield RawTile(row * grid.cols + col, row, col, window, part.shape, [Piece(0, 0, part)], paper)
                del part
            del pixels
    finally:
        close = getattr(found, "close", None)
        if close is not None:
            close()


def is_padded(grid: TileGrid) -> bool:
    """Whether some tile reaches over the scan."""
    return grid.columns.stop(grid.cols - 1) > grid.width or grid.lines.stop(grid.rows - 1) > grid.height


def corner_of(grid: TileGrid) -> tuple[int, int]:
    """(height, width) of the part of the first tile that is on the scan: its background is the page's."""
    return min(grid.lines.stop(0), grid.height), min(grid.columns.stop(0), grid.width)
