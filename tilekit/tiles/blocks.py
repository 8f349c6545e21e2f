"""Tiles out of stored blocks: decoded in the pool, column by column; width costs no memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tilekit.flow import ordered_map
from tilekit.grid import TileGrid
from tilekit.scans.blank import background
from tilekit.scans.tiff.blocks import StoredBlocks
from tilekit.tiles.pieces import WHITE, Paper, Piece, RawTile
from tilekit.tiles.rows import corner_of, is_padded

Pixels = NDArray[np.uint8]
_KEPT_BYTES = 24 * 1024 * 1024


class _Column:
    """Blocks of one column for one row of tiles: block rows `top` to `stop`.

    `above` is the same column for the row of tiles before: blocks both need are taken from it, if
    it has kept them (`keep_from` on). It was submitted earlier to the same pool, so waiting for it
    inside a worker always ends.
    """

    __slots__ = ("above", "col", "done", "keep_from", "kept", "stop", "top")

    def __init__(self, col: int, top: int, stop: int, keep_from: int, above: _Column | None) -> None:
        self.col, self.top, self.stop, self.keep_from, self.above = col, top, stop, keep_from, above
        self.kept: dict[int, Pixels] = {}
        self.done = threading.Event()


class _Decoded:
    """A column's blocks, top to bottom, from block row `top` on."""

    __slots__ = ("blocks", "col", "top")

    def __init__(self, col: int, top: int, blocks: Sequence[Pixels]) -> None:
        self.col, self.top, self.blocks = col, top, blocks


def tiles_of_blocks(
    blocks: StoredBlocks, grid: TileGrid, rows: dict[int, Collection[int]], *, workers: int
) -> Iterator[RawTile]:
    """Tiles of a scan stored in blocks, in grid order, at the stored size.

    Blocks that two rows of tiles share are kept up to 24 MB and decoded again beyond.
    Memory: 24 MB + (tile width + (4 x workers + 2) x block width) x (tile height + block height)
    x bands bytes, whatever the scan's size.
    """
    paper = _paper(blocks, grid) if is_padded(grid) else WHITE
    columns = _columns(blocks, grid, rows)
    size = blocks.block[0] * blocks.block[1] * blocks.bands
    decoded = ordered_map(
        lambda column: _decode(blocks, column),
        columns,
        workers=workers,
        cost=lambda column: size * (column.stop - column.top),
    )
    try:
        for row in sorted(rows):
            yield from _tiles_of_row(blocks, grid, row, rows[row], decoded, paper)
    finally:
        close = getattr(decoded, "close", None)
        if close is not None:
            close()


def _tiles_of_row(
    blocks: StoredBlocks,
    grid: TileGrid,
    row: int,
    columns: Collection[int],
    decoded: Iterator[_Decoded],
    paper: Paper,
) -> Iterator[RawTile]:
    block_w, block_h = blocks.block
    y0, y1 = grid.lines.start(row), min(grid.lines.stop(row), grid.height)
    live: deque[_Decoded] = deque()
    for col in columns:
        window = grid.window(row, col)
        x0, x1 = window.x0, min(window.x1, grid.width)
        while live and (live[0].col + 1) * block_w <= x0:
            live.popleft()
        while not live or (live[-1].col + 1) * block_w < x1:
            live.append(next(decoded))
        pieces = []
        for part in live:
            left = part.col * block_w
            if left >= x1:
                break
            across = slice(max(x0 - left, 0), min(x1 - left, block_w))
            for place, block in enumerate(part.blocks, part.top):
                top = place * block_h
                down = slice(max(y0 - top, 0), min(y1 - top, block_h))
                pieces.append(Piece(max(top - y0, 0), max(left - x0, 0), block[down, across]))
        shape = (y1 - y0, x1 - x0, blocks.bands)
        yield RawTile(row * grid.cols + col, row, col, window, shape, pieces, paper)


def _paper(blocks: StoredBlocks, grid: TileGrid) -> Paper:
    height, width = corner_of(grid)
    block_w, block_h = blocks.block
    rows = [
        np.concatenate([blocks.decode(row, col) for col in range(-(-width // block_w))], axis=1)
        for row in range(-(-height // block_h))
    ]
    return background(np.concatenate(rows)[:height, :width])


def _columns(blocks: StoredBlocks, grid: TileGrid, rows: dict[int, Collection[int]]) -> Iterator[_Column]:
    """The columns of blocks that tiles need, in the order in which tiles need them."""
    block_w, block_h = blocks.block
    ordered = sorted(rows)
    spans = [
        (grid.lines.start(row) // block_h, -(-min(grid.lines.stop(row), grid.height) // block_h))
        for row in ordered
    ]
    before: dict[int, _Column] = {}
    for place, row in enumerate(ordered):
        top, stop = spans[place]
        following = spans[place + 1][0] if place + 1 < len(spans) else stop
        shared = max(0, stop - following)
        keepable = _KEPT_BYTES // max(1, shared * block_w * block_h * blocks.bands) if shared else 0
        current: dict[int, _Column] = {}
        for col in _needed(grid, rows[row], block_w):
            keep_from = following if len(current) < keepable else stop
            column = _Column(col, top, stop, keep_from, before.pop(col, None))
            if keep_from < stop:
                current[col] = column
            yield column
        before = current


def _needed(grid: TileGrid, columns: Collection[int], block_w: int) -> Iterator[int]:
    following = 0
    for col in columns:
        first = grid.columns.start(col) // block_w
        stop = -(-min(grid.columns.stop(col), grid.width) // block_w)
        yield from range(max(first, following), stop)
        following = max(following, stop)


def _decode(blocks: StoredBlocks, column: _Column) -> _Decoded:
    try:
        known: dict[int, Pixels] = {}
        if column.above is not None:
            column.above.done.wait()
            known, column.above.kept, column.above = column.above.kept, {}, None
        found = []
        for row in range(column.top, column.stop):
            block = known.get(row)
            found.append(blocks.decode(row, column.col) if block is None else block)
        column.kept = {row: block for row, block in enumerate(found, column.top) if row >= column.keep_from}
    finally:
        column.done.set()
    return _Decoded(column.col, column.top, found)
