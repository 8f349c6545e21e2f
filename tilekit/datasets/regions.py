"""Regions: parts of pages for training, tuning and testing, where there are too few pages to split.

A page is cut into blocks; each block goes to one side, and gives way on the edges that it shares with blocks of another
side, so that at least a tile and its overlap lies between any two sides. What is left of a block is a region: tiles of a
side lie in its regions, and only what its regions hold counts there.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.splitting import SIDES, Rectangle, Side, Split, checked_ratios, stratified
from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid
from tilekit.pages import PageKey

ENOUGH_REGIONS = 4  # an interval needs as many; see evaluation.intervals
_BLOCKS = (2, 3, 4, 6, 9, 14, 21, 32, 48)  # sides of blocks that are tried, in guard bands
_MOST = 400  # blocks: more of them only lose more to guard bands, and take time
_TRIES = 8
_NO_SYMBOL = ""


@dataclass(frozen=True)
class Room:
    """A page to split: its size, the largest tile on it, and that tile with its overlap; base px (x, y)."""

    size: tuple[int, int]
    tile: tuple[int, int]
    guard: tuple[int, int]


def room_of(key: PageKey, grids: Sequence[TileGrid]) -> Room:
    """The room that a page has for regions, at all of its scales. Raises InvalidArgument where a tile is the page."""
    tile, guard = (1, 1), (1, 1)
    for grid in grids:
        if len(grid) == 1:
            raise InvalidArgument(
                f"{key}: one tile of {grid.tiling!r} shows the whole page, so no part of it can be kept for testing; "
                "use smaller tiles, or split_by='page'"
            )
        windows = grid.windows()
        sides = (windows[:, 2:] - windows[:, :2]).max(axis=0)
        overlap = np.array(grid.tiling.overlap_px if grid.tiling.division is None else _overlap(windows))
        ratio = np.array([grid.base_width / grid.width, grid.base_height / grid.height])
        mine = np.ceil(sides * ratio).astype(int).tolist()
        more = np.ceil((sides + overlap) * ratio).astype(int).tolist()
        tile = (max(tile[0], mine[0]), max(tile[1], mine[1]))
        guard = (max(guard[0], more[0]), max(guard[1], more[1]))
    return Room((grids[0].base_width, grids[0].base_height), tile, guard)


def _overlap(windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest overlap of neighbors in x and y, of a page cut into equal parts."""
    found = []
    for low, high in ((0, 2), (1, 3)):
        spans = np.unique(windows[:, [low, high]], axis=0)
        found.append(int(np.maximum(spans[:-1, 1] - spans[1:, 0], 0).max(initial=0)))
    return np.array(found)


def split_regions(
    labels: Mapping[PageKey, Annotations],
    rooms: Mapping[PageKey, Room],
    ratios: Sequence[float] = (0.7, 0.15, 0.15),
    *,
    seed: int = 0,
) -> Split:
    """Split parts of pages into train, tune and test, the same for the same seed.

    Blocks of several sizes are shared out both scattered, by label, and in one piece a side; the layout is taken in which most
    labels are on every side, testing has ENOUGH_REGIONS, and the guard bands take the fewest objects, in the shares
    asked for. The split's `regions` say which rectangles of a page (base px) are on which side.
    Raises InvalidArgument where the pages are too small for a region of each side.
    """
    shares = checked_ratios(ratios)
    keys = sorted(labels)
    if not keys:
        raise InvalidArgument("labels holds no pages, so there is nothing to split")
    objects = _Objects.of(labels, keys)
    best: tuple[tuple[float, ...], _Layout] | None = None
    for layout in _layouts(keys, rooms, objects, shares, seed):
        value = layout.judged(objects, shares)
        if best is None or value < best[0]:
            best = (value, layout)
    wanted: list[Side] = [side for side in SIDES if shares[side] > 0]
    if best is None or any(not best[1].regions(place) for place, side in enumerate(SIDES) if side in wanted):
        key = max(keys, key=lambda one: rooms[one].size[0] * rooms[one].size[1])
        room = rooms[key]
        raise InvalidArgument(
            f"{key}: {room.size[0]} x {room.size[1]} px are too few for regions of {len(wanted)} sides with "
            f"{room.guard[0]} x {room.guard[1]} px (a tile and its overlap) between them; use smaller tiles, or leave "
            "a side out (split 0.8,0,0.2)"
        )
    return best[1].split(labels, keys, objects, rooms)


def part_of(
    page: Annotations, regions: Mapping[Side, Sequence[Rectangle]], side: Side
) -> tuple[Annotations, NDArray[np.bool_], NDArray[np.bool_]]:
    """The annotations that a side's regions touch; of these, which lie on another side too, and which have their
    center in a region of this one."""
    here = touching(page.boxes, regions.get(side, ()))
    others = np.zeros(len(page), np.bool_)
    for other in SIDES:
        if other != side:
            others |= touching(page.boxes, regions.get(other, ()))
    rows = np.flatnonzero(here)
    return page[rows], others[rows] & ~page.ignore[rows], centered(page.boxes[rows], regions.get(side, ()))


def truth_of(page: Annotations, regions: Mapping[Side, Sequence[Rectangle]], side: Side) -> Annotations:
    """What counts on a side: objects with their center in its regions; others that reach into them are ignored."""
    found, shared, inside = part_of(page, regions, side)
    return found.replaced(ignore=found.ignore | shared | ~inside)


def touching(boxes: NDArray[np.float64], regions: Sequence[Rectangle]) -> NDArray[np.bool_]:
    """(n,) bool: boxes that share area with a region, or lie in it without area."""
    found = np.zeros(len(boxes), np.bool_)
    for x0, y0, x1, y1 in regions:
        found |= (boxes[:, 0] < x1) & (boxes[:, 1] < y1) & (boxes[:, 2] > x0) & (boxes[:, 3] > y0)
    return found | centered(boxes, regions)


def centered(boxes: NDArray[np.float64], regions: Sequence[Rectangle]) -> NDArray[np.bool_]:
    """(n,) bool: boxes with their center in a region."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    found = np.zeros(len(boxes), np.bool_)
    for x0, y0, x1, y1 in regions:
        found |= (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return found


@dataclass(frozen=True)
class _Objects:
    """All objects that count: page and label places, boxes."""

    page: NDArray[np.int64]
    label: NDArray[np.int64]
    boxes: NDArray[np.float64]
    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: Mapping[PageKey, Annotations], keys: Sequence[PageKey]) -> _Objects:
        every = Annotations.concat([labels[key] for key in keys])
        page = np.repeat(np.arange(len(keys)), [len(labels[key]) for key in keys])
        real = ~every.ignore
        return cls(page[real], every.class_ids[real], every.boxes[real], every.names)


@dataclass(frozen=True)
class _Layout:
    """Blocks of all pages: their page, the side each is on (a place in SIDES), the region each is left with (empty: none);
    the block each object has its center in."""

    page: NDArray[np.int64]
    side: NDArray[np.int64]
    rectangles: NDArray[np.int64]
    block: NDArray[np.int64]

    def regions(self, side: int) -> int:
        """How many regions a side has."""
        return int(((self.side == side) & (self.rectangles[:, 2] > 0)).sum())

    def kept(self, objects: _Objects) -> NDArray[np.int64]:
        """(objects,): the side that holds each, -1 for none."""
        area = self.rectangles[self.block]
        x, y = (objects.boxes[:, ::2].sum(axis=1) / 2, objects.boxes[:, 1::2].sum(axis=1) / 2)
        inside = (x >= area[:, 0]) & (x < area[:, 2]) & (y >= area[:, 1]) & (y < area[:, 3])
        return np.where(inside, self.side[self.block], -1)

    def judged(self, objects: _Objects, shares: Mapping[Side, float]) -> tuple[float, ...]:
        """Small is good: sides without a region, labels missing on a side, test regions lacking, objects lost and
        shares missed."""
        wanted = [place for place, side in enumerate(SIDES) if shares[side] > 0]
        bare = sum(not self.regions(place) for place in wanted)
        kept = self.kept(objects)
        here = kept >= 0
        count = np.zeros((len(objects.names), len(SIDES)), np.int64)
        np.add.at(count, (objects.label[here], kept[here]), 1)
        shown = np.bincount(objects.label, minlength=len(objects.names)) > 0
        missing = int((count[shown][:, wanted] == 0).sum())
        lacking = max(0, ENOUGH_REGIONS - self.regions(SIDES.index("test"))) if shares["test"] else 0
        total = max(1, int(here.sum()))
        off = sum(abs(int(count[:, place].sum()) / total - shares[SIDES[place]]) for place in wanted)
        return bare, missing, lacking, off - total / max(1, len(here))

    def split(
        self,
        labels: Mapping[PageKey, Annotations],
        keys: Sequence[PageKey],
        objects: _Objects,
        rooms: Mapping[PageKey, Room],
    ) -> Split:
        """The split that this is, with what a person should know."""
        regions: dict[PageKey, dict[Side, tuple[Rectangle, ...]]] = {}
        for place, key in enumerate(keys):
            own = (self.page == place) & (self.rectangles[:, 2] > 0)
            found: dict[Side, tuple[Rectangle, ...]] = {}
            for number, side in enumerate(SIDES):
                rows = self.rectangles[own & (self.side == number)].tolist()
                if rows:
                    found[side] = tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in rows)
            regions[key] = found
        ordered = list(labels)
        pages = {side: tuple(key for key in ordered if side in regions[key]) for side in SIDES}
        return Split(
            pages["train"],
            pages["tune"],
            pages["test"],
            tuple(key for key in ordered if not regions[key]),
            tuple(self._notes(labels, regions, objects, rooms)),
            {key: regions[key] for key in ordered if regions[key]},
        )

    def _notes(
        self,
        labels: Mapping[PageKey, Annotations],
        regions: Mapping[PageKey, Mapping[Side, Sequence[Rectangle]]],
        objects: _Objects,
        rooms: Mapping[PageKey, Room],
    ) -> list[str]:
        counts = [self.regions(place) for place in range(len(SIDES))]
        guard = max((room.guard for room in rooms.values()), key=max)
        parts = ", ".join(f"{side} {count}" for side, count in zip(SIDES, counts, strict=True))
        notes = [f"split by regions: {parts}, with {guard[0]} x {guard[1]} px or more between the sides"]
        kept = self.kept(objects)
        if lost := int((kept < 0).sum()):
            notes.append(f"{lost} of {len(kept)} objects lie in the guard bands and are on no side")
        shared = 0
        for key, found in regions.items():
            touched = np.sum([touching(labels[key].boxes, found[side]) for side in found], axis=0)
            shared += int(((touched > 1) & ~labels[key].ignore).sum())
        if shared:
            notes.append(
                f"{shared} objects reach over regions of two sides; tiles that show any of them are left out"
            )
        for place, name in enumerate(objects.names):
            own = kept[objects.label == place]
            absent = [
                side for number, side in enumerate(SIDES) if counts[number] and not (own == number).any()
            ]
            if len(own) and absent:
                notes.append(f"label {name!r} is in no {' or '.join(absent)} region; it is in too few places")
        if 0 < counts[2] < ENOUGH_REGIONS:
            notes.append(f"{counts[2]} test regions are too few for an interval; it takes {ENOUGH_REGIONS}")
        return notes


def _layouts(
    keys: Sequence[PageKey],
    rooms: Mapping[PageKey, Room],
    objects: _Objects,
    shares: Mapping[Side, float],
    seed: int,
) -> Iterator[_Layout]:
    """The layouts that are looked at, coarse blocks last."""
    every = dict.fromkeys(tuple(_blocks(rooms[key], many) for key in keys) for many in _BLOCKS)
    few = [counts for counts in every if sum(across * down for across, down in counts) <= _MOST]
    for counts in few or list(every)[-1:]:
        lattice = _Lattice.of([rooms[key] for key in keys], counts, objects)
        strata = lattice.strata(objects)
        for number in range(_TRIES):
            for side in (
                _scattered(strata, shares, seed * _TRIES + number),
                _together(lattice, shares, seed * _TRIES + number, number),
            ):
                yield _Layout(lattice.page, side, lattice.regions(side), lattice.block)


def _blocks(room: Room, many: int) -> tuple[int, int]:
    """Columns and rows of blocks."""
    return (
        max(1, room.size[0] // (many * room.guard[0])),
        max(1, room.size[1] // (many * room.guard[1])),
    )


@dataclass(frozen=True)
class _Lattice:
    """The blocks of all pages, row by row, and the block of each object."""

    rooms: Sequence[Room]
    counts: Sequence[tuple[int, int]]
    starts: NDArray[np.int64]
    page: NDArray[np.int64]
    block: NDArray[np.int64]

    @classmethod
    def of(cls, rooms: Sequence[Room], counts: Sequence[tuple[int, int]], objects: _Objects) -> _Lattice:
        starts = np.cumsum([0, *(across * down for across, down in counts)])
        page = np.repeat(np.arange(len(rooms)), np.diff(starts))
        size = np.array([room.size for room in rooms], np.float64)[objects.page]
        many = np.array(counts, np.int64)[objects.page]
        center = (objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2
        cell = np.clip(np.floor(center / size * many).astype(np.int64), 0, many - 1)
        return cls(rooms, counts, starts, page, starts[objects.page] + cell[:, 1] * many[:, 0] + cell[:, 0])

    def strata(self, objects: _Objects) -> list[Counter[str]]:
        """Objects by label of each block; blocks without any count under the empty label."""
        table = np.zeros((len(self.page), len(objects.names)), np.int64)
        np.add.at(table, (self.block, objects.label), 1)
        found = []
        for row in table:
            counts = Counter({objects.names[place]: int(row[place]) for place in np.flatnonzero(row)})
            found.append(counts or Counter({_NO_SYMBOL: 1}))
        return found

    def regions(self, side: NDArray[np.int64]) -> NDArray[np.int64]:
        """(blocks, 4) what is left of each block: it gives way by half a guard band where a neighbor is on another
        side, corners too; zeros where no tile fits any more."""
        out = np.zeros((len(self.page), 4), np.int64)
        for room, (across, down), start in zip(self.rooms, self.counts, self.starts.tolist(), strict=False):
            own = np.pad(side[start : start + across * down].reshape(down, across), 1, constant_values=-1)
            other = np.zeros((4, down, across), np.bool_)  # left, top, right, bottom
            for dy in (0, 1, 2):
                for dx in (0, 1, 2):
                    near = own[dy : dy + down, dx : dx + across]
                    differs = (near >= 0) & (near != own[1:-1, 1:-1])
                    for edge, at in ((0, dx == 0), (1, dy == 0), (2, dx == 2), (3, dy == 2)):
                        if at:
                            other[edge] |= differs
            # An edge of a block is the first whole px of it: floor on one side, ceil on the other meet there.
            xs = np.ceil(np.arange(across + 1) * room.size[0] / across).astype(np.int64)
            ys = np.ceil(np.arange(down + 1) * room.size[1] / down).astype(np.int64)
            gap = [-(-room.guard[0] // 2), -(-room.guard[1] // 2)]
            x0 = xs[None, :-1] + other[0] * gap[0]
            y0 = ys[:-1, None] + other[1] * gap[1]
            x1 = xs[None, 1:] - other[2] * gap[0]
            y1 = ys[1:, None] - other[3] * gap[1]
            fits = (x1 - x0 >= room.tile[0]) & (y1 - y0 >= room.tile[1])
            found = np.stack(np.broadcast_arrays(x0, y0, x1, y1), axis=-1) * fits[..., None]
            out[start : start + across * down] = found.reshape(-1, 4)
        return out


def _scattered(strata: Sequence[Counter[str]], shares: Mapping[Side, float], seed: int) -> NDArray[np.int64]:
    """Blocks shared out by label, wherever they lie."""
    groups = {("", place): counts for place, counts in enumerate(strata)}
    assigned = stratified(groups, dict.fromkeys(groups, 1), shares, seed)
    return np.array([SIDES.index(assigned["", place]) for place in range(len(strata))], np.int64)


def _together(lattice: _Lattice, shares: Mapping[Side, float], seed: int, turn: int) -> NDArray[np.int64]:
    """Every side in one piece: the blocks in rows (or columns), from some block on, cut where the shares are full."""
    order: list[int] = []
    for start, (across, down) in zip(lattice.starts.tolist(), lattice.counts, strict=False):
        cells = np.arange(start, start + across * down).reshape(down, across)
        cells = cells.T.copy() if turn % 2 else cells.copy()
        cells[1::2] = cells[1::2, ::-1]
        order += cells.ravel().tolist()
    weight = np.bincount(lattice.block, minlength=len(order))[order] + 1e-3
    offset = random.Random(seed).randrange(len(order)) if turn > 1 else 0
    order, weight = order[offset:] + order[:offset], np.roll(weight, -offset)
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()
    bounds = np.cumsum([shares[side] for side in SIDES])[:-1]
    side = np.empty(len(order), np.int64)
    side[order] = np.searchsorted(bounds, middle, side="right")
    return side
