"""Pieces of objects longer than the overlap, joined again where the cut edges of two tiles meet.

An object that runs through a seam between two tiles covers the whole strip the tiles share, in
both. So a piece cut on the right and one cut on the left in the next tile belong together only if
both span the strip and agree across it; objects shorter than the overlap can never be joined.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.shapes import Shapes, column
from tilekit.boxes.shapes.uniting import united
from tilekit.grid import TileGrid

LEFT, TOP, RIGHT, BOTTOM = 1, 2, 4, 8
Links = list[
    tuple[NDArray[np.int64], NDArray[np.int64]]
]  # sequence of pieces before, and of what each became
_AGREE = 0.5  # least 1-d IoU, along the seam, of two pieces of one object


class Allowance(NamedTuple):
    """By how much an edge may be off: `px`, or the `share` of the box's side where that is more."""

    px: float
    share: float

    def of(self, boxes: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        """px for each box (n, 4) along an axis, 0 across and 1 down."""
        return np.maximum(self.px, self.share * (boxes[:, axis + 2] - boxes[:, axis]))


@dataclass(slots=True)
class Pieces:
    """Boxes on the reduced scan in merge order (tile, box, class): what merging works on.

    `boxes` (n, 4); `scores`, `labels` (n,); `tiles` (n,): where the first piece was found; `edges` (n,) uint8:
    sides that a tile edge inside the scan touches; `sequence` (n,): place in merge order; `rows` (n,): row of
    tiles of the last piece; `tails` (n, 4): the box in that row alone; `shapes`: those on the scan, or None.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    tiles: NDArray[np.int64]
    edges: NDArray[np.uint8]
    sequence: NDArray[np.int64]
    rows: NDArray[np.int64]
    tails: NDArray[np.float64]
    shapes: Shapes | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Pieces:
        """Some rows."""
        taken = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return Pieces(**taken, shapes=None if self.shapes is None else self.shapes[rows])

    @staticmethod
    def concat(one: Pieces, other: Pieces) -> Pieces:
        """The rows of one, then of the other."""
        if not len(one):
            return other
        both = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in _ARRAYS}
        return Pieces(**both, shapes=column.unite([(one.shapes, one.boxes), (other.shapes, other.boxes)]))


_ARRAYS = tuple(field.name for field in fields(Pieces) if field.name != "shapes")


def spans_below(pieces: Pieces, grid: TileGrid, allowed: Allowance) -> NDArray[np.int64]:
    """Places of pieces that may go on in the next row: cut at the bottom, across the whole shared strip."""
    starts = np.append(grid.lines.starts()[1:], grid.height)
    cut = np.flatnonzero((pieces.edges & BOTTOM) != 0)
    tails = pieces.tails[cut]
    return cut[tails[:, 1] < starts[pieces.rows[cut]] + allowed.of(tails, 1)]


def spans_above(pieces: Pieces, grid: TileGrid, allowed: Allowance) -> NDArray[np.int64]:
    """Places of pieces that may come from the row above: cut at the top, across the whole shared strip."""
    stops = np.append(0, grid.lines.stops()[:-1])
    cut = np.flatnonzero((pieces.edges & TOP) != 0)
    tails = pieces.tails[cut]
    return cut[tails[:, 3] > stops[pieces.rows[cut]] - allowed.of(tails, 1)]


def join_across(
    pieces: Pieces, grid: TileGrid, allowed: Allowance, any_label: bool, links: Links | None = None
) -> Pieces:
    """Join pieces over the seams between columns, within each row of tiles; `links` gets who went into whom."""
    starts = np.append(grid.columns.starts()[1:], grid.width)
    stops = np.append(0, grid.columns.stops()[:-1])
    near, far = np.flatnonzero((pieces.edges & RIGHT) != 0), np.flatnonzero((pieces.edges & LEFT) != 0)
    boxes = pieces.boxes[near]
    near = near[boxes[:, 0] < starts[pieces.tiles[near] % grid.cols] + allowed.of(boxes, 0)]
    boxes = pieces.boxes[far]
    far = far[boxes[:, 2] > stops[pieces.tiles[far] % grid.cols] - allowed.of(boxes, 0)]
    return _join(pieces, any_label, near, far, grid, (RIGHT, LEFT), links)


def join_down(
    pieces: Pieces,
    grid: TileGrid,
    allowed: Allowance,
    any_label: bool,
    row: int | None = None,
    links: Links | None = None,
) -> Pieces:
    """Join pieces over the seams between rows, within each column of tiles: all seams, or the one above `row`."""
    far = spans_above(pieces, grid, allowed)
    if row is not None:
        far = far[pieces.rows[far] == row]
    near = spans_below(pieces, grid, allowed)
    return _join(pieces, any_label, near, far, grid, (BOTTOM, TOP), links)


def _join(
    pieces: Pieces,
    any_label: bool,
    near: NDArray[np.int64],
    far: NDArray[np.int64],
    grid: TileGrid,
    seam: tuple[int, int],
    links: Links | None,
) -> Pieces:
    """Join near to far pieces that lie one tile on and agree along the seam; shapes must agree in the strip the tiles share."""
    if not len(near) or not len(far):
        return pieces
    from tilekit.boxes.kernels import seams

    down = seam[0] == BOTTOM
    step = grid.cols if down else 1
    along = slice(0, 3, 2) if down else slice(1, 4, 2)

    def reached(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The tile each ends in; what runs askew goes on below in another column of tiles, its shape says where."""
        if not down:
            return pieces.tiles[rows]
        return pieces.rows[rows] * step + (0 if _shaped(pieces) else pieces.tiles[rows] % step)

    near = near[np.argsort(reached(near), kind="stable")]
    far = far[np.argsort(reached(far), kind="stable")]
    labels = [np.zeros_like(rows) if any_label else pieces.labels[rows] for rows in (near, far)]
    forth, back = np.empty(len(near), np.int64), np.empty(len(far), np.int64)
    ends, others = _in_strips(pieces, near, 0, grid, down), _in_strips(pieces, far, 1, grid, down)
    seams.pair_up(
        reached(near) + step,
        np.ascontiguousarray(ends[:, along]),
        labels[0],
        reached(far),
        np.ascontiguousarray(others[:, along]),
        labels[1],
        _AGREE,
        forth,
        back,
    )
    linked = forth >= 0
    return _fold(pieces, near[linked], far[forth[linked]], seam, links)


def _shaped(pieces: Pieces) -> bool:
    return pieces.shapes is not None and pieces.shapes.kind != "keypoints"


def _in_strips(
    pieces: Pieces, rows: NDArray[np.int64], before: int, grid: TileGrid, down: bool
) -> NDArray[np.float64]:
    """The boxes that must agree: a piece's own, or what the strip that its tile shares with the next
    (the one `before` it) shows of its shape.

    A thing that crosses a border askew is in two tiles at two heights; only where both tiles see it can they agree.
    """
    shapes = pieces.shapes
    if shapes is None or not _shaped(pieces):
        return pieces.tails[rows]
    axis = grid.lines if down else grid.columns
    starts, stops = np.append(axis.starts()[1:], axis.size), axis.stops()
    seam = (pieces.rows if down else pieces.tiles % grid.cols)[rows] - before
    strips = np.tile([-1e9, -1e9, 1e9, 1e9], (len(rows), 1))
    strips[:, 1 if down else 0], strips[:, 3 if down else 2] = starts[seam] - 1.0, stops[seam] + 1.0
    part = shapes[rows] if shapes.kind != "oriented" else shapes[rows].to_polygons()
    shown = part.clipped(strips)
    return np.where(shown.given[:, None], shown.boxes, pieces.tails[rows])


def _fold(
    pieces: Pieces,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    seam: tuple[int, int],
    links: Links | None,
) -> Pieces:
    """Unite every first with its second; chains end up in their first piece."""
    if not len(first):
        return pieces
    out = pieces.take(np.arange(len(pieces)))
    root = np.arange(len(pieces))
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        head = root[one]
        root[other] = head
        out.boxes[head, :2] = np.minimum(out.boxes[head, :2], pieces.boxes[other, :2])
        out.boxes[head, 2:] = np.maximum(out.boxes[head, 2:], pieces.boxes[other, 2:])
        if pieces.scores[other] > out.scores[head]:
            out.scores[head], out.labels[head] = pieces.scores[other], pieces.labels[other]
        out.edges[head] = (out.edges[head] & ~np.uint8(seam[0])) | (pieces.edges[other] & ~np.uint8(seam[1]))
        out.rows[head] = pieces.rows[other]
        if seam[0] == BOTTOM:
            out.tails[head] = pieces.tails[other]
        else:
            out.tails[head] = out.boxes[head]
    if links is not None:
        links.append((pieces.sequence, pieces.sequence[root]))
    if pieces.shapes is not None:
        out.shapes = united(pieces.shapes, root)
    return out.take(root == np.arange(len(pieces)))
