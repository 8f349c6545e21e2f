"""Merging: detections of overlapping tiles become one set of boxes on the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import checks, engine, joining
from tilekit.boxes.detections import Detections
from tilekit.boxes.joining import Pieces
from tilekit.boxes.remap import on_scan, tile_places
from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid

_MERGE_METRIC = 2


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """How tiles' detections are merged.

    `threshold`: share above which two boxes are the same object: IoU where both are whole, part of
    the smaller one where one is cut. `score_floor`: what scores below takes no part. `tolerance`: px of the
    reduced scan by which an edge may be off: a box this near to a tile edge inside the scan is cut.
    `class_agnostic`: boxes of different labels are one object too, the best one stays. `join`: join pieces
    of one object longer than the overlap.
    """

    threshold: float = 0.5
    score_floor: float = 0.05
    tolerance: float = 2.0
    class_agnostic: bool = False
    join: bool = True

    def __post_init__(self) -> None:
        checks.ratio(self.threshold, "threshold")
        checks.ratio(self.score_floor, "score_floor")
        checks.length(self.tolerance, "tolerance")
        for name in ("class_agnostic", "join"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidArgument(f"{name}={getattr(self, name)!r} must be True or False")


def merge(detections: Detections, grid: TileGrid, policy: MergePolicy | None = None) -> Detections:
    """One box per object from tile-frame detections with `tile_index`; the order they come in is no matter.

    Below the score floor nothing takes part. A box is cut where a tile edge inside the scan touches it.
    Pieces that meet over a seam are joined. Then the best stay: whole boxes before cut ones, then by
    score, then by tile, box, class; a whole box loses to one it overlaps (IoU), or of another tile with which
    its edges agree within twice the tolerance; a cut box also to one that contains it. Exactly one box per object is left where
    the overlap is at least the largest object + 2 * (tolerance + jitter) and jitter <= tolerance.

    Gives boxes in base pixels, in grid order, with `tile_index` (where the box, or its first piece, was
    found) and `cut` (still open at a tile edge).
    """
    policy = MergePolicy() if policy is None else policy
    pieces = _pieces(detections, grid, policy, 0)
    if policy.join:
        pieces = joining.join_across(pieces, grid, policy.tolerance, policy.class_agnostic)
        pieces = joining.join_down(pieces, grid, policy.tolerance, policy.class_agnostic)
    state = _decide(pieces, policy, np.zeros(len(pieces), np.uint8))
    return _result(pieces.take(state == 1), grid, policy, detections)


class StreamingMerge:
    """`merge` for rows of tiles as they come: final boxes go out as soon as no later row can change them.

    All that was given out, in order, equals `merge` of everything at once. Memory: the detections of the
    rows that boxes not yet final reach into, in practice two rows of tiles.
    """

    def __init__(self, grid: TileGrid, policy: MergePolicy | None = None) -> None:
        self._grid = grid
        self._policy = MergePolicy() if policy is None else policy
        self._row = -1
        self._count = 0
        self._names: tuple[str, ...] = ()
        self._pool: Pieces | None = None
        self._given = -1

    def add(self, row: int, detections: Detections) -> Detections:
        """Take all detections of one row of tiles (tile frame, `tile_index`); gives what became final.

        Rows come in rising order; rows without detections may be left out.
        """
        if (
            isinstance(row, bool)
            or not isinstance(row, (int, np.integer))
            or not self._row < row < self._grid.rows
        ):
            raise InvalidArgument(
                f"row={row!r} must be a row of tiles after {self._row}, below {self._grid.rows}; rows come in order"
            )
        if detections.tile_index is not None and len(detections):
            strange = detections.tile_index // self._grid.cols != row
            if strange.any():
                place = int(strange.argmax())
                raise InvalidArgument(
                    f"detections.tile_index[{place}] is {detections.tile_index[place]}, not a tile of row {row}"
                )
        self._unite(detections.names)
        mapping = np.array([self._names.index(name) for name in detections.names], np.int64)
        pieces = _pieces(detections, self._grid, self._policy, self._count, mapping)
        self._count += len(pieces)
        self._row = int(row)
        tolerance, any_label = self._policy.tolerance, self._policy.class_agnostic
        if self._policy.join:
            pieces = joining.join_across(pieces, self._grid, tolerance, any_label)
        pool = pieces if self._pool is None else Pieces.concat(self._pool, pieces)
        if self._policy.join:
            pool = joining.join_down(pool, self._grid, tolerance, any_label, self._row)
        last = self._row + 1 >= self._grid.rows
        return self._settle(pool, np.inf if last else float(self._grid.lines.start(self._row + 1)))

    def finish(self) -> Detections:
        """Give the rest: no more rows come."""
        pool = self._pool
        self._row = self._grid.rows
        return Detections.empty(self._names) if pool is None else self._settle(pool, np.inf)

    def _settle(self, pool: Pieces, horizon: float) -> Detections:
        slack = 2 * self._policy.tolerance
        if self._policy.join and np.isfinite(horizon) and len(pool):
            growing = joining.spans_below(pool, self._grid, self._policy.tolerance) & (pool.rows == self._row)
            horizon = float(pool.boxes[growing, 1].min(initial=horizon))
        unsettled = (pool.boxes[:, 3] + slack > horizon).astype(np.uint8)
        state = _decide(pool, self._policy, unsettled)
        waiting = state == 2
        ready = (state == 1) & (pool.sequence > self._given)
        ready &= pool.sequence < pool.sequence[waiting].min(initial=np.iinfo(np.int64).max)
        out = pool.take(ready)
        self._given = int(out.sequence.max(initial=self._given))
        reach = float(pool.boxes[waiting, 1].min(initial=horizon))
        pending = (state == 1) & (pool.sequence > self._given)
        self._pool = pool.take(waiting | pending | ((state == 1) & (pool.boxes[:, 3] + slack > reach)))
        return _result(out, self._grid, self._policy, Detections.empty(self._names))

    def _unite(self, names: tuple[str, ...]) -> None:
        self._names += tuple(name for name in names if name not in self._names)


def _pieces(
    detections: Detections,
    grid: TileGrid,
    policy: MergePolicy,
    first: int,
    mapping: NDArray[np.int64] | None = None,
) -> Pieces:
    """Detections above the floor on the reduced scan, clipped to their tiles, in merge order."""
    if detections.tile_index is None and len(detections):
        raise InvalidArgument("detections have no tile_index; merging needs to know the tile of each")
    index = np.empty(0, np.int64) if detections.tile_index is None else detections.tile_index
    tiles = tile_places(index, len(detections), grid)
    keep = detections.scores >= policy.score_floor
    tiles, scores, labels = tiles[keep], detections.scores[keep], detections.class_ids[keep]
    if mapping is not None and len(labels):
        labels = mapping[labels]
    boxes = on_scan(detections.boxes[keep], tiles, grid)
    rows, cols = np.divmod(tiles, grid.cols)
    left, right = grid.columns.starts()[cols], np.minimum(grid.columns.stops(), grid.width)[cols]
    top, bottom = grid.lines.starts()[rows], np.minimum(grid.lines.stops(), grid.height)[rows]
    np.clip(boxes[:, 0::2], left[:, None], right[:, None], out=boxes[:, 0::2])
    np.clip(boxes[:, 1::2], top[:, None], bottom[:, None], out=boxes[:, 1::2])
    order = np.lexsort((-scores, labels, boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], tiles))
    boxes, tiles = boxes[order], tiles[order]
    return Pieces(
        boxes,
        scores[order],
        labels[order],
        tiles,
        joining.touched(boxes, tiles, grid, policy.tolerance),
        first + np.arange(len(boxes)),
        rows[order],
        boxes,
    )


def _decide(pieces: Pieces, policy: MergePolicy, unsettled: NDArray[np.uint8]) -> NDArray[np.uint8]:
    cut = (pieces.edges != 0).view(np.uint8)
    order = engine.descending(pieces.scores)
    order = np.concatenate([order[cut[order] == 0], order[cut[order] == 1]])
    labels = np.zeros(len(pieces), np.int64) if policy.class_agnostic else pieces.labels
    state, _ = engine.greedy(
        pieces.boxes,
        order,
        labels,
        _MERGE_METRIC,
        policy.threshold,
        tiles=pieces.tiles,
        cut=cut,
        unsettled=unsettled,
        slack=2 * policy.tolerance,
    )
    return state


def _result(pieces: Pieces, grid: TileGrid, policy: MergePolicy, named: Detections) -> Detections:
    return Detections(
        grid.to_base(pieces.boxes),
        pieces.scores,
        pieces.labels,
        named.names,
        pieces.tiles,
        pieces.edges != 0,
    )
