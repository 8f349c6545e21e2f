"""Carry boxes from the scan to its tiles and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks
from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid

_ROOM = 8  # tiles a box that are listed at once; memory that is not needed is never touched


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """Boxes of a scan as its tiles see them, by tile, then by source.

    `tile_index`, `source_index` (m,) int64: the tile in grid order, the row of the box given;
    `boxes` (m, 4) float64, tile frame, clipped to the tile; `visible` (m,) float64: share of the
    box's area inside the tile; `cut` (m,) bool: a tile edge inside the scan goes through the box.
    """

    tile_index: NDArray[np.int64]
    source_index: NDArray[np.int64]
    boxes: NDArray[np.float64]
    visible: NDArray[np.float64]
    cut: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.boxes)


def remap_to_tiles(boxes: ArrayLike, grid: TileGrid, min_visible: float = 0.5) -> Carried:
    """Give every tile the boxes of which it shows at least `min_visible` of the area.

    `boxes`: (n, 4) float64 in base pixels of the scan. `min_visible`: 0..1; 0 gives every tile a
    box touches with more than nothing. Padding outside the scan shows nothing, and what reaches
    over the scan's border is no tile's. A box without width or height is in a tile as a line or
    point: its share is measured along what length it has. Time and memory: O(boxes + outputs).
    """
    checks.instance(grid, TileGrid, "grid")
    share = checks.ratio(min_visible, "min_visible")
    given = checks.box_rows(boxes)
    reduced = grid.to_reduced(checks.boxes(given)) if grid.is_scaled else given
    from tilekit.boxes.kernels import carrying

    left, right = grid.columns.starts(), np.minimum(grid.columns.stops(), grid.width)
    top, bottom = grid.lines.starts(), np.minimum(grid.lines.stops(), grid.height)
    x0, x1, y0, y1 = (np.append(axis, [np.inf, np.inf]) for axis in (left, right, top, bottom))
    places, number = np.empty(len(grid) + grid.cols + 4, np.int64), np.empty(len(reduced), np.int32)
    total, room = _ROOM + 1, 0
    while total > room:
        room = max(total, _ROOM * (len(reduced) + 1))
        tiles = np.empty(room + 4, np.int32)
        total = carrying.lay(reduced, x0, x1, y0, y1, share, places, number, tiles)
        if total < 0:
            checks.boxes(given)
    sources = np.empty(total, np.int32)
    carrying.place(places, number, tiles, sources)
    tile_index, source_index = np.empty(total, np.int64), np.empty(total, np.int64)
    out, visible, cut = np.empty((total, 4)), np.empty(total), np.empty(total, np.uint8)
    carrying.fetch(reduced, sources, source_index, out)
    carrying.clip(left, right, top, bottom, places, tile_index, out, visible, cut)
    return Carried(tile_index, source_index, out, visible, cut.view(np.bool_))


def remap_to_scan(tile_boxes: ArrayLike, tile_index: ArrayLike, grid: TileGrid) -> NDArray[np.float64]:
    """Move tile-frame boxes to base pixels of the scan: exact inverse of carrying for whole boxes.

    `tile_boxes`: (n, 4); `tile_index`: (n,) places in grid order, one per box. Returns (n, 4) float64.
    """
    checks.instance(grid, TileGrid, "grid")
    boxes = checks.boxes(tile_boxes, "tile_boxes")
    return grid.to_base(on_scan(boxes, tile_places(tile_index, len(boxes), grid), grid))


def tile_places(tile_index: ArrayLike, count: int, grid: TileGrid) -> NDArray[np.int64]:
    """`tile_index` checked: (count,) int64, each a tile of the grid."""
    index = checks.indices(tile_index, count, "tile_index")
    if count and int(index.max()) >= len(grid):
        row = int((index >= len(grid)).argmax())
        raise InvalidArgument(f"tile_index[{row}] is {index[row]} but the grid has {len(grid)} tiles")
    return index


def on_scan(boxes: NDArray[np.float64], index: NDArray[np.int64], grid: TileGrid) -> NDArray[np.float64]:
    """Tile-frame boxes on the reduced scan: window origins added."""
    rows, cols = np.divmod(index, grid.cols)
    across, down = grid.columns.starts()[cols], grid.lines.starts()[rows]
    moved: NDArray[np.float64] = boxes + np.column_stack([across, down, across, down])
    return moved
