"""Carry boxes from the scan to its tiles and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.shapes import Shapes
from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid

_ROOM = 8  # tiles a box that are listed at once; memory that is not needed is never touched


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """Boxes of a scan as its tiles see them, by tile, then by source.

    `tile_index`, `source_index` (m,) int64: the tile in grid order, the row of the box given;
    `boxes` (m, 4) float64, tile frame, clipped to the tile; `visible` (m,) float64: share of the
    box's area inside the tile; `cut` (m,) bool: a tile edge inside the scan goes through the box. `shapes`: those of
    the objects given, clipped, in the tile's frame; share, box and cut are then the shape's.
    """

    tile_index: NDArray[np.int64]
    source_index: NDArray[np.int64]
    boxes: NDArray[np.float64]
    visible: NDArray[np.float64]
    cut: NDArray[np.bool_]
    shapes: Shapes | None = None

    def __len__(self) -> int:
        return len(self.boxes)


def remap_to_tiles(
    boxes: ArrayLike | Annotations | Detections, grid: TileGrid, min_visible: float = 0.5
) -> Carried:
    """Give every tile the boxes of which it shows at least `min_visible` of the area.

    `boxes`: (n, 4) float64 in base pixels of the scan, or Annotations or Detections, whose shapes go along.
    `min_visible`: 0..1; 0 gives every tile a box touches with more than nothing. Padding outside the scan shows
    nothing, and what reaches over the scan's border is no tile's. A box without width or height is in a tile as a line
    or point: its share is measured along what length it has. Time and memory: O(boxes + outputs).

    Polygons and masks are clipped to the tile, `visible` is the share of their own area, and the box is the one
    around what is visible. Oriented boxes stay whole (their visible part is no rectangle), measured the same way;
    turn them into polygons first to have them clipped. Keypoints outside the tile become "not labeled", their
    objects go by their boxes.
    """
    checks.instance(grid, TileGrid, "grid")
    share = checks.ratio(min_visible, "min_visible")
    if not isinstance(boxes, (Annotations, Detections)):
        return _carry_boxes(boxes, grid, share)
    if boxes.shapes is None:
        return _carry_boxes(boxes.boxes, grid, share)
    return _carry_shapes(boxes.boxes, boxes.shapes, grid, share)


def _carry_shapes(boxes: NDArray[np.float64], shapes: Shapes, grid: TileGrid, share: float) -> Carried:
    dotted = shapes.kind == "keypoints"
    drawn = shapes.given & (not dotted)
    hulls = np.where(drawn[:, None], shapes.boxes, boxes)
    found = _carry_boxes(hulls, grid, share if dotted else 0.0)
    source, tile = found.source_index, found.tile_index
    column = _to_reduced(shapes, grid)[source]
    origin = grid.windows()[tile, :2]
    column = column.moved(-origin[:, 0], -origin[:, 1])
    stops = np.minimum(grid.windows()[tile, 2:], [grid.width, grid.height])
    windows = np.concatenate([np.zeros_like(origin), stops - origin], axis=1).astype(np.float64)
    out, visible, column = shown_in(column, found.boxes, found.visible, windows)
    if (
        not dotted and not grid.is_scaled
    ):  # a box that is drawn larger than its shape stays, where the tile shows it
        given = boxes[source] - np.tile(origin, 2)
        within = (given[:, :2] >= 0).all(axis=1) & (given[:, 2:] <= windows[:, 2:]).all(axis=1)
        out = np.where(within[:, None], given, out)
    keep = (visible > 0) & (visible >= share)
    return Carried(tile[keep], source[keep], out[keep], visible[keep], found.cut[keep], column[keep])


def shown_in(
    shapes: Shapes, boxes: NDArray[np.float64], visible: NDArray[np.float64], windows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], Shapes]:
    """Boxes, shares of area and shapes as each row's window (n, 4) shows them.

    `boxes`, `visible`: those of the boxes around the shapes, clipped; they stand for rows without a shape, for
    keypoints, and for shapes that cover nothing.
    """
    if shapes.kind == "keypoints":
        return boxes, visible, shapes.clipped(windows)
    rows = np.flatnonzero(shapes.given & (visible < 1))
    if not len(rows):
        return boxes, visible, shapes
    part = shapes[rows] if shapes.kind != "oriented" else shapes[rows].to_polygons()
    whole, shown = part.areas, part.clipped(windows[rows])
    full = whole > 0
    boxes, visible = boxes.copy(), visible.copy()
    visible[rows[full]] = np.minimum(shown.areas[full] / whole[full], 1.0)
    seen = full & shown.given
    boxes[rows[seen]] = shown.boxes[seen]
    if shapes.kind == "oriented":
        return boxes, visible, shapes
    every = type(shapes).concat([shapes, shown])
    order = np.arange(len(shapes))
    order[rows] = len(shapes) + np.arange(len(rows))
    return boxes, visible, every[order]


def shown_through(
    shapes: Shapes,
    boxes: NDArray[np.float64],
    visible: NDArray[np.float64],
    window: tuple[int, int, int, int],
    grid: TileGrid,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes and shares of area of objects in one window of the reduced scan; `shapes` in base pixels, the rest in its frame."""
    x0, y0, x1, y1 = window
    frame = np.array([[0, 0, min(x1, grid.width) - x0, min(y1, grid.height) - y0]], np.float64)
    moved = _to_reduced(shapes, grid).moved(-x0, -y0)
    out, share, _ = shown_in(moved, boxes, visible, np.repeat(frame, len(shapes), axis=0))
    return out, share


def shapes_in(shapes: Shapes, window: tuple[int, int, int, int], grid: TileGrid) -> Shapes:
    """Shapes in base pixels as one window of the reduced scan shows them, in its frame."""
    x0, y0, x1, y1 = window
    frame = np.array([[0, 0, min(x1, grid.width) - x0, min(y1, grid.height) - y0]], np.float64)
    return _to_reduced(shapes, grid).moved(-x0, -y0).clipped(np.repeat(frame, len(shapes), axis=0))


def _to_reduced(shapes: Shapes, grid: TileGrid) -> Shapes:
    if not grid.is_scaled:
        return shapes
    return shapes.scaled(grid.width / grid.base_width, grid.height / grid.base_height)


def _carry_boxes(boxes: ArrayLike, grid: TileGrid, share: float) -> Carried:
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


@overload
def remap_to_scan(tile_boxes: Shapes, tile_index: ArrayLike, grid: TileGrid) -> Shapes: ...
@overload
def remap_to_scan(tile_boxes: ArrayLike, tile_index: ArrayLike, grid: TileGrid) -> NDArray[np.float64]: ...
def remap_to_scan(
    tile_boxes: ArrayLike | Shapes, tile_index: ArrayLike, grid: TileGrid
) -> NDArray[np.float64] | Shapes:
    """Move tile-frame boxes, or shapes, to base pixels of the scan: exact inverse of carrying for whole ones.

    `tile_boxes`: (n, 4), or Shapes; `tile_index`: (n,) places in grid order, one per box. Returns (n, 4) float64, or
    Shapes.
    """
    checks.instance(grid, TileGrid, "grid")
    if isinstance(tile_boxes, Shapes):
        origin = grid.windows()[tile_places(tile_index, len(tile_boxes), grid), :2]
        return shapes_to_base(tile_boxes.moved(origin[:, 0], origin[:, 1]), grid)
    boxes = checks.boxes(tile_boxes, "tile_boxes")
    return grid.to_base(on_scan(boxes, tile_places(tile_index, len(boxes), grid), grid))


def shapes_to_base(shapes: Shapes, grid: TileGrid) -> Shapes:
    """Shapes from the reduced scan to base pixels."""
    if not grid.is_scaled:
        return shapes
    return shapes.scaled(grid.base_width / grid.width, grid.base_height / grid.height)


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
