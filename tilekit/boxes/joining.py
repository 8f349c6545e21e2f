"""Pieces of objects longer than the overlap, joined again where the cut edges of two tiles meet.

An object that runs through a seam between two tiles covers the whole strip the tiles share, in
both. So a piece cut on the right and one cut on the left in the next tile belong together only if
both span the strip and agree across it; objects shorter than the overlap can never be joined.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tilekit.grid import TileGrid

LEFT, TOP, RIGHT, BOTTOM = 1, 2, 4, 8
Links = list[
    tuple[NDArray[np.int64], NDArray[np.int64]]
]  # sequence of pieces before, and of what each became
_AGREE = 0.5  # least 1-d IoU, along the seam, of two pieces of one object


@dataclass(slots=True)
class Pieces:
    """Boxes on the reduced scan in merge order (tile, box, class): what merging works on.

    `boxes` (n, 4); `scores`, `labels` (n,); `tiles` (n,): where the first piece was found; `edges` (n,) uint8:
    sides that a tile edge inside the scan touches; `sequence` (n,): place in merge order; `rows` (n,): row of
    tiles of the last piece; `tails` (n, 4): the box in that row alone.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    tiles: NDArray[np.int64]
    edges: NDArray[np.uint8]
    sequence: NDArray[np.int64]
    rows: NDArray[np.int64]
    tails: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Pieces:
        """Some rows."""
        return Pieces(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def concat(one: Pieces, other: Pieces) -> Pieces:
        """The rows of one, then of the other."""
        if not len(one):
            return other
        return Pieces(
            *(np.concatenate([getattr(one, f.name), getattr(other, f.name)]) for f in fields(Pieces))
        )


def spans_below(pieces: Pieces, grid: TileGrid, tolerance: float) -> NDArray[np.bool_]:
    """Pieces that may go on in the next row: cut at the bottom, across the whole shared strip."""
    starts = np.append(grid.lines.starts()[1:], grid.height)
    found: NDArray[np.bool_] = ((pieces.edges & BOTTOM) != 0) & (
        pieces.tails[:, 1] < starts[pieces.rows] + tolerance
    )
    return found


def spans_above(pieces: Pieces, grid: TileGrid, tolerance: float) -> NDArray[np.bool_]:
    """Pieces that may come from the row above: cut at the top, across the whole shared strip."""
    stops = np.append(0, grid.lines.stops()[:-1])
    found: NDArray[np.bool_] = ((pieces.edges & TOP) != 0) & (
        pieces.tails[:, 3] > stops[pieces.rows] - tolerance
    )
    return found


def join_across(
    pieces: Pieces, grid: TileGrid, tolerance: float, any_label: bool, links: Links | None = None
) -> Pieces:
    """Join pieces over the seams between columns, within each row of tiles; `links` gets who went into whom."""
    cols = pieces.tiles % grid.cols
    starts = np.append(grid.columns.starts()[1:], grid.width)
    stops = np.append(0, grid.columns.stops()[:-1])
    near = ((pieces.edges & RIGHT) != 0) & (pieces.boxes[:, 0] < starts[cols] + tolerance)
    far = ((pieces.edges & LEFT) != 0) & (pieces.boxes[:, 2] > stops[cols] - tolerance)
    labels = np.zeros_like(pieces.labels) if any_label else pieces.labels
    return _join(pieces, labels, np.flatnonzero(near), np.flatnonzero(far), 1, (RIGHT, LEFT), links)


def join_down(
    pieces: Pieces,
    grid: TileGrid,
    tolerance: float,
    any_label: bool,
    row: int | None = None,
    links: Links | None = None,
) -> Pieces:
    """Join pieces over the seams between rows, within each column of tiles: all seams, or the one above `row`."""
    far = spans_above(pieces, grid, tolerance)
    if row is not None:
        far &= pieces.rows == row
    near = np.flatnonzero(spans_below(pieces, grid, tolerance))
    labels = np.zeros_like(pieces.labels) if any_label else pieces.labels
    return _join(pieces, labels, near, np.flatnonzero(far), grid.cols, (BOTTOM, TOP), links)


def _join(
    pieces: Pieces,
    labels: NDArray[np.int64],
    near: NDArray[np.int64],
    far: NDArray[np.int64],
    step: int,
    seam: tuple[int, int],
    links: Links | None,
) -> Pieces:
    """Join near to far pieces that lie `step` tiles on and agree along the seam."""
    if not len(near) or not len(far):
        return pieces
    from tilekit.boxes.kernels import seams

    down = seam[0] == BOTTOM
    along = slice(0, 3, 2) if down else slice(1, 4, 2)
    reached = pieces.rows * step + pieces.tiles % step if down else pieces.tiles
    near = near[np.argsort(reached[near], kind="stable")]
    far = far[np.argsort(reached[far], kind="stable")]
    forth, back = np.empty(len(near), np.int64), np.empty(len(far), np.int64)
    seams.pair_up(
        reached[near] + step,
        np.ascontiguousarray(pieces.tails[near, along]),
        labels[near],
        reached[far],
        np.ascontiguousarray(pieces.tails[far, along]),
        labels[far],
        _AGREE,
        forth,
        back,
    )
    linked = forth >= 0
    return _fold(pieces, near[linked], far[forth[linked]], seam, links)


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
    return out.take(root == np.arange(len(pieces)))
