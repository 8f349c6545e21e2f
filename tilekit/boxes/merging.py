"""Merging: detections of overlapping tiles become one set of boxes on the scan."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import checks, deciding, engine, joining
from tilekit.boxes.completing import LabelSizes, completed, grown
from tilekit.boxes.detections import Detections
from tilekit.boxes.joining import Allowance, Pieces
from tilekit.boxes.remap import shapes_to_base, tile_places
from tilekit.boxes.shapes import Shapes, ragged
from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid

_BITS = 33  # of a key in the first sort, which takes 11 at a time: tile, then steps of x0


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """How tiles' detections are merged.

    `threshold`: share above which two boxes are the same object: IoU where both are whole (four fifths of it where two
    tiles saw them, whose edges are off each by itself), part of the smaller one where one is cut. `score_floor`: what
    scores below takes no part. `tolerance`: px of the reduced scan by which an edge may be off, and
    `relative_tolerance`: the share of the box's side where that is more: a box this near to a tile edge inside the scan
    is cut. `class_agnostic`: boxes of different labels are one object too, the best one stays. `join`: join pieces
    of one object longer than the overlap. What a tile missed: `unconfirmed`: least score of a cut box that another tile
    sees all of, and more beyond the cut, and yet did not report; `sizes` of labels, to which what stays cut is completed;
    `growth`: the share of its length by which a piece of another label is made longer over the cut, where the tile beyond
    shows a quarter of it at least (with `join`; boxes only, with shapes the piece stays as seen). `fit_merge` finds tolerance,
    threshold, and what tiles miss.
    """

    threshold: float = 0.5
    score_floor: float = 0.05
    tolerance: float = 2.0
    relative_tolerance: float = 0.05
    class_agnostic: bool = False
    join: bool = True
    unconfirmed: float = 0.0
    growth: float = 0.4
    sizes: tuple[LabelSizes, ...] = ()

    def __post_init__(self) -> None:
        checks.ratio(self.threshold, "threshold")
        checks.ratio(self.score_floor, "score_floor")
        checks.ratio(self.unconfirmed, "unconfirmed")
        checks.ratio(self.growth, "growth")
        checks.length(self.tolerance, "tolerance")
        checks.ratio(self.relative_tolerance, "relative_tolerance")
        object.__setattr__(self, "sizes", tuple(self.sizes))
        for known in self.sizes:
            checks.instance(known, LabelSizes, "sizes")
        for name in ("class_agnostic", "join"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidArgument(f"{name}={getattr(self, name)!r} must be True or False")

    @property
    def allowance(self) -> Allowance:
        """By how much an edge may be off."""
        return Allowance(self.tolerance, self.relative_tolerance)

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_json(cls, values: Any) -> MergePolicy:
        """From what `to_json` gives; InvalidArgument names a field that is unknown or wrong."""
        if not isinstance(values, dict):
            raise InvalidArgument(f"a merge policy is an object of fields, not {type(values).__name__}")
        known = {field.name for field in fields(cls)}
        strange = [name for name in values if name not in known]
        if strange:
            raise InvalidArgument(
                f"a merge policy has no field {strange[0]!r}; it has {', '.join(sorted(known))}"
            )
        given = dict(values)
        try:
            given["sizes"] = tuple(LabelSizes(**one) for one in given.get("sizes", ()))
        except TypeError as exc:
            raise InvalidArgument("sizes of a merge policy are objects of name, widths and heights") from exc
        return cls(**given)


def merge(detections: Detections, grid: TileGrid, policy: MergePolicy | None = None) -> Detections:
    """One box per object from tile-frame detections with `tile_index`; the order they come in is no matter.

    Below the score floor nothing takes part. A box is cut where a tile edge inside the scan touches it.
    Pieces of one label that are cut on the two sides of a seam, both span the strip the tiles share within
    the tolerance, and agree along the seam (each the other's best, 1-d IoU at least 0.5) are joined; two objects
    that meet on a seam look the same and are joined too. Then the best stay: whole boxes before cut ones, whole
    ones by score, cut ones by area (the larger shows more of its object), then by tile, box, class; a whole box loses to
    one it overlaps (IoU), or of another tile with which its edges agree within twice the tolerance; a cut box also to one
    that contains it. Exactly one box per object is left where
    the overlap is at least the largest object + 2 * (tolerance + jitter) and jitter <= tolerance.

    With shapes (all but keypoints) pairs are judged by the area that the shapes share, not their boxes, and the shapes
    of joined pieces are united (oriented boxes: the smallest one around the pieces).

    Gives boxes in base pixels, in grid order, with `tile_index` (where the box, or its first piece, was
    found) and `cut` (still open at a tile edge).
    """
    policy = MergePolicy() if policy is None else policy
    pieces = _joined(_pieces(detections, grid, policy, 0), grid, policy)
    chosen = deciding.decide(pieces, policy) == deciding.KEPT
    chosen &= deciding.confirmed(pieces, grid, policy)
    return _result(pieces, chosen, grid, detections.names, policy)


@dataclass(frozen=True, slots=True, eq=False)
class MergedLabels:
    """Merged boxes, and under which other labels each was found.

    Box i of `detections` was also found as `class_ids[starts[i]:starts[i + 1]]` with `scores[...]`: each label
    once, with its best score, by falling score. `starts` (n + 1,) int64; `class_ids` (m,) int64; `scores` (m,).
    """

    detections: Detections
    starts: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float64]

    def others(self, row: int) -> list[tuple[str, float]]:
        """The other labels of one box with their scores, best first."""
        part = slice(int(self.starts[row]), int(self.starts[row + 1]))
        names = self.detections.names
        return [
            (names[label], float(score))
            for label, score in zip(self.class_ids[part], self.scores[part], strict=True)
        ]


def merge_with_labels(
    detections: Detections, grid: TileGrid, policy: MergePolicy | None = None
) -> MergedLabels:
    """`merge` over labels that keeps the best label of each object and records the others.

    The boxes equal those of `merge` with the same policy, which must be `class_agnostic` (the default here).
    A box that was removed counts for the best box that removes it, and each piece joined over a seam for the box
    it became part of.
    """
    policy = MergePolicy(class_agnostic=True) if policy is None else policy
    checks.instance(policy, MergePolicy, "policy")
    if not policy.class_agnostic:
        raise InvalidArgument(
            "policy.class_agnostic=False: labels do not compete, so there are no others to record; set it to True"
        )
    found = _pieces(detections, grid, policy, 0)
    links: joining.Links = []
    pieces = _joined(found, grid, policy, links)
    state, winner = deciding.decide_owners(pieces, policy)
    chosen = state == deciding.KEPT
    owner = np.arange(len(found))
    for before, after in links:
        became = np.arange(len(found))
        became[before] = after
        owner = became[owner]
    owner = np.searchsorted(pieces.sequence, owner)
    owner = np.where(chosen[owner], owner, winner[owner])
    other = np.flatnonzero(found.labels != pieces.labels[owner])
    home = (np.cumsum(chosen) - 1)[owner[other]]
    labels, scores = found.labels[other], found.scores[other]
    order = np.lexsort((-scores, labels, home))
    home, labels, scores = home[order], labels[order], scores[order]
    first = np.ones(len(home), np.bool_)
    first[1:] = (home[1:] != home[:-1]) | (labels[1:] != labels[:-1])
    home, labels, scores = home[first], labels[first], scores[first]
    order = np.lexsort((labels, -scores, home))
    starts = np.zeros(int(chosen.sum()) + 1, np.int64)
    np.cumsum(np.bincount(home, minlength=len(starts) - 1), out=starts[1:])
    rows = np.flatnonzero(deciding.confirmed(pieces, grid, policy)[chosen])
    places, starts = ragged.taken(starts, rows)
    order = order[places]
    return MergedLabels(
        _result(pieces, chosen, grid, detections.names, policy)[rows], starts, labels[order], scores[order]
    )


def load_kernels() -> None:
    """Load what merging runs on, numba among it: about a second that need not fall on the first row."""
    from tilekit.boxes.kernels import listing, placing, settling, sorting

    del listing, placing, settling, sorting


class StreamingMerge:
    """`merge` for rows of tiles as they come: final boxes go out as soon as no later row can change them.

    All that was given out, in order, equals `merge` of everything at once. Memory: the detections of the
    rows that boxes not yet final reach into, in practice two rows of tiles.
    """

    def __init__(self, grid: TileGrid, policy: MergePolicy | None = None) -> None:
        self._grid = grid
        self._policy = MergePolicy() if policy is None else policy
        checks.instance(grid, TileGrid, "grid")
        checks.instance(self._policy, MergePolicy, "policy")
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
        checks.instance(detections, Detections, "detections")
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
        allowed, any_label = self._policy.allowance, self._policy.class_agnostic
        if self._policy.join:
            pieces = joining.join_across(pieces, self._grid, allowed, any_label)
        pool = pieces if self._pool is None else Pieces.concat(self._pool, pieces)
        if self._policy.join:
            pool = joining.join_down(pool, self._grid, allowed, any_label, self._row)
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
            growing = joining.spans_below(pool, self._grid, self._policy.allowance)
            growing = growing[pool.rows[growing] == self._row]
            horizon = float(pool.boxes[growing, 1].min(initial=horizon))
        state = deciding.decide(pool, self._policy, pool.boxes[:, 3] + slack > horizon)
        waiting = state == 2
        ready = (state == 1) & (pool.sequence > self._given)
        ready &= pool.sequence < pool.sequence[waiting].min(initial=np.iinfo(np.int64).max)
        self._given = int(pool.sequence[ready].max(initial=self._given))
        reach = float(pool.boxes[waiting, 1].min(initial=horizon))
        pending = (state == 1) & (pool.sequence > self._given)
        self._pool = pool.take(waiting | pending | ((state == 1) & (pool.boxes[:, 3] + slack > reach)))
        ready &= deciding.confirmed(pool, self._grid, self._policy)
        return _result(pool, ready, self._grid, self._names, self._policy)

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
    checks.instance(detections, Detections, "detections")
    checks.instance(grid, TileGrid, "grid")
    checks.instance(policy, MergePolicy, "policy")
    if detections.tile_index is None and len(detections):
        raise InvalidArgument("detections have no tile_index; merging needs to know the tile of each")
    index = np.empty(0, np.int64) if detections.tile_index is None else detections.tile_index
    tiles = tile_places(index, len(detections), grid)
    from tilekit.boxes.kernels import placing

    labels = detections.class_ids if mapping is None or not len(tiles) else mapping[detections.class_ids]
    order = _merge_order(detections.boxes, detections.scores, labels, tiles)
    above = detections.scores >= policy.score_floor
    order = order if above.all() else order[above[order]]
    boxes, edges = np.empty((len(order), 4)), np.empty(len(order), np.uint8)
    placing.place(
        detections.boxes,
        tiles,
        order,
        grid.columns.starts(),
        np.minimum(grid.columns.stops(), grid.width),
        grid.lines.starts(),
        np.minimum(grid.lines.stops(), grid.height),
        policy.tolerance,
        policy.relative_tolerance,
        boxes,
        edges,
    )
    tiles = np.take(tiles, order)
    return Pieces(
        boxes,
        np.take(detections.scores, order),
        np.take(labels, order),
        tiles,
        edges,
        first + np.arange(len(boxes)),
        tiles // grid.cols,
        boxes,
        None if detections.shapes is None else _on_scan(detections.shapes[order], tiles, grid),
    )


def _on_scan(shapes: Shapes, tiles: NDArray[np.int64], grid: TileGrid) -> Shapes:
    """Tile-frame shapes on the reduced scan, clipped to their tiles as their boxes are."""
    windows = grid.windows()[tiles].astype(np.float64)
    windows[:, 2:] = np.minimum(windows[:, 2:], [grid.width, grid.height])
    return shapes.moved(windows[:, 0], windows[:, 1]).clipped(windows)


def _joined(
    pieces: Pieces, grid: TileGrid, policy: MergePolicy, links: joining.Links | None = None
) -> Pieces:
    """The pieces, those that meet over seams joined where the policy says so."""
    if policy.join:
        pieces = joining.join_across(pieces, grid, policy.allowance, policy.class_agnostic, links)
        pieces = joining.join_down(pieces, grid, policy.allowance, policy.class_agnostic, links=links)
    return pieces


def _merge_order(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    tiles: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Places by tile, box, class, falling score: by tile and a coarse x0 first, what is equal in those after."""
    if not len(boxes):
        return np.empty(0, np.int64)
    low = boxes[:, 0].min()
    steps = 1 << max(_BITS - int(tiles.max()).bit_length(), 10)
    keys = ((boxes[:, 0] - low) * ((steps - 1) / max(float(boxes[:, 0].max() - low), 1e-9))).astype(np.int64)
    keys += tiles * steps
    order = engine.ascending(keys)
    keys = keys[order]
    tied = np.zeros(len(keys), np.bool_)
    tied[1:] = keys[1:] == keys[:-1]
    tied[:-1] |= tied[1:]
    rows = order[tied]
    part = boxes[rows]
    full = np.lexsort(
        (-scores[rows], labels[rows], part[:, 3], part[:, 2], part[:, 1], part[:, 0], tiles[rows])
    )
    order[tied] = rows[full]
    return order


def _grow(
    boxes: NDArray[np.float64],
    pieces: Pieces,
    rows: NDArray[np.int64],
    grid: TileGrid,
    names: tuple[str, ...],
    policy: MergePolicy,
) -> None:
    """Make longer, in place, those of `boxes` (the `rows` of the pieces) that stay cut and whose sizes are not known."""
    sized = np.array([name in {known.name for known in policy.sizes} for name in names], np.bool_)
    cut = np.flatnonzero(pieces.edges[rows] != 0)
    cut = cut[~sized[pieces.labels[rows[cut]]]]
    boxes[cut] = grown(boxes[cut], pieces.edges[rows[cut]], grid, policy.growth, policy.tolerance)


def _result(
    pieces: Pieces, chosen: NDArray[np.bool_], grid: TileGrid, names: tuple[str, ...], policy: MergePolicy
) -> Detections:
    rows = np.flatnonzero(chosen)
    boxes = np.take(pieces.boxes, rows, axis=0)
    if policy.growth and policy.join and pieces.shapes is None:
        _grow(boxes, pieces, rows, grid, names, policy)
    boxes, labels = grid.to_base(boxes) if grid.is_scaled else boxes, np.take(pieces.labels, rows)
    if policy.sizes and pieces.shapes is None:
        boxes = completed(
            boxes, pieces.edges[rows], labels, names, policy.sizes, (grid.base_width, grid.base_height)
        )
    return Detections(
        boxes,
        np.take(pieces.scores, rows),
        labels,
        names,
        np.take(pieces.tiles, rows),
        np.take(pieces.edges, rows) != 0,
        None if pieces.shapes is None else shapes_to_base(pieces.shapes[rows], grid),
    )
