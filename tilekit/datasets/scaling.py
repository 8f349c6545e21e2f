"""The cheapest set of scales on which every label is seen: small enough tiles for its small objects, large
enough ones for its large objects, the whole page among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.merging import MergePolicy
from tilekit.boxes.tallying import PagedBoxes, reduced_sizes, tile_counts
from tilekit.grid import Tiling
from tilekit.rekognition.belonging import Flags, Floats, Look, SizeRule, size_of
from tilekit.rekognition.limits import LIMITS

SMALL, LARGE = 0.10, 0.95  # percentiles of a label that must have a scale
PAGE = Tiling.whole(LIMITS.shrink_side)
_VIEWS = tuple(LIMITS.shrink_side * factor for factor in (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256))
_MOST_TILED = 3  # scales of tiles beside the page
_STEP = 8  # px; overlaps are rounded up to a multiple of it, which leaves some room for unsteady boxes
_FREE = 0.05  # a longer overlap that costs no more than this is taken
_SAMPLES = 18  # objects by which a label is judged, evenly spread from its small to its large ones


@dataclass(frozen=True, eq=False)
class Objects:
    """Every object of every page: `sides` (n, 2), `size` (n,) square root of the area, `longest` (n,), all base
    px; `base` (n, 2) px of its page. `usual`: not an outlier."""

    paged: PagedBoxes
    usual: Flags

    def part(self, rows: NDArray[np.int64]) -> Objects:
        """Some of them."""
        paged = self.paged
        some = PagedBoxes(paged.boxes[rows], paged.labels[rows], paged.page[rows], paged.sizes, paged.names)
        return Objects(some, self.usual[rows])

    @cached_property
    def sides(self) -> Floats:
        """(n, 2) width and height, base px."""
        return self.paged.boxes[:, 2:] - self.paged.boxes[:, :2]

    @cached_property
    def size(self) -> Floats:
        """(n,) square root of the area."""
        return size_of(self.paged.boxes)

    @cached_property
    def longest(self) -> Floats:
        """(n,) longer side."""
        return np.maximum(self.sides[:, 0], self.sides[:, 1])

    def trained(self, tiling: Tiling) -> Floats:
        """(n,) px as training sees them, after the service's shrink; see `belonging.Look`."""
        if tiling not in self._trained:
            reduced = reduced_sizes(self.paged.sizes, tiling).max(axis=1)
            image = reduced if tiling.is_whole else np.minimum(reduced, tiling.tile_size[0])
            factor = reduced / self.paged.sizes.max(axis=1) * np.minimum(1, LIMITS.shrink_side / image)
            plain = bool((factor == 1).all())
            self._trained[tiling] = self.size if plain else self.size * factor[self.paged.page]
        return self._trained[tiling]

    def share(self, tiling: Tiling) -> Floats:
        """(n,) part of the tile's side that they take; see `belonging.Look`."""
        if tiling.is_whole:
            return np.zeros(len(self.paged))
        reduced = reduced_sizes(self.paged.sizes, tiling)
        tile = tiling.tile_size[0]
        ratio = reduced.max(axis=1) / self.paged.sizes.max(axis=1) / tile
        factor = np.where(reduced > tile, ratio[:, None], 0.0)[self.paged.page]
        taken: Floats = np.maximum(self.sides[:, 0] * factor[:, 0], self.sides[:, 1] * factor[:, 1])
        return taken

    def look(self, tiling: Tiling) -> Look:
        """How all objects look on a scale."""
        return Look(self.trained(tiling), self.share(tiling))

    def needed(self, own: Flags) -> Floats:
        """(4,) base px that the 95th, 98th, 99th percentile and the longest of some objects take, each label by itself."""
        shares = [LARGE, 0.98, 0.99, 1.0]
        found = np.zeros(len(shares))
        for rows in self.by_label.values():
            if len(some := rows[own[rows]]):
                found = np.maximum(found, np.quantile(self.longest[some], shares))
        return found

    @cached_property
    def needed_by_all(self) -> Floats:
        """The same, of all usual objects."""
        return self.needed(self.usual)

    @cached_property
    def _trained(self) -> dict[Tiling, Floats]:
        return {}

    @cached_property
    def by_label(self) -> dict[int, NDArray[np.int64]]:
        """Rows of the usual objects of each label that has any."""
        rows = np.flatnonzero(self.usual)
        rows = rows[np.argsort(self.paged.labels[rows].astype(np.uint16), kind="stable")]
        labels, starts = np.unique(self.paged.labels[rows], return_index=True)
        parts = np.split(rows, starts[1:])
        return dict(zip(labels.tolist(), parts, strict=True))


def samples(objects: Objects) -> NDArray[np.int64]:
    """Rows of a few objects of every label, from its 10th percentile in size to its 95th in length."""
    found = []
    for rows in objects.by_label.values():
        size, longest = objects.size[rows], objects.longest[rows]
        inner = rows[(size >= np.quantile(size, SMALL)) & (longest <= np.quantile(longest, LARGE))]
        inner = inner if len(inner) else rows
        order = inner[np.argsort(objects.longest[inner], kind="stable")]
        found.append(order[np.unique(np.linspace(0, len(order) - 1, _SAMPLES).round().astype(np.int64))])
    return np.concatenate(found)


def candidates(tiles: Iterable[int], sizes: NDArray[np.int64]) -> list[Tiling]:
    """Tilings without overlap to choose from, finest first: tiles of the scan itself, of the reduced scan, the page."""
    longest = int(sizes.max())
    native = [Tiling(side) for side in sorted(set(tiles)) if side < longest]
    reduced = [
        Tiling(LIMITS.shrink_side, scale=LIMITS.shrink_side / view) for view in _VIEWS if view < longest
    ]
    return [*native, *reduced, PAGE]


class Search:
    """Which scales each sampled object may be seen on, and what a set of scales costs."""

    def __init__(self, objects: Objects, choices: Sequence[Tiling], rule: SizeRule) -> None:
        self.objects, self.choices, self.rule = objects, list(choices), rule
        self.rows = samples(objects)
        native = objects.size[self.rows]
        least = np.minimum(rule.enough, 0.99 * native)
        some = objects.part(self.rows)
        self.seen = np.stack(
            [(some.trained(one) >= least) & (some.share(one) <= rule.share) for one in self.choices], axis=1
        )
        self._sizes, self._count = np.unique(objects.paged.sizes, axis=0, return_counts=True)
        self._calls: dict[Tiling, float] = {}

    def calls(self, tiling: Tiling) -> float:
        """Tiles a page."""
        if tiling not in self._calls:
            counts = tile_counts(self._sizes, tiling)
            self._calls[tiling] = float((counts * self._count).sum() / self._count.sum())
        return self._calls[tiling]

    def covers(self, places: Sequence[int]) -> bool:
        """Whether every sampled object has a scale among these."""
        return bool(self.seen[:, list(places)].any(axis=1).all())

    def with_overlaps(self, places: Sequence[int]) -> tuple[Tiling, ...]:
        """The choices with the overlap that the sampled objects need which no coarser one of them shows."""
        found: list[Tiling] = []
        later = np.zeros(len(self.rows), np.bool_)
        for place in reversed(places):
            one = self.choices[place]
            if not one.is_whole:
                own = self.rows[self.seen[:, place] & ~later]
                longest = float(self.objects.longest[own].max(initial=0.0)) * one.scale
                one = with_overlap(one, longest)
            later |= self.seen[:, place]
            found.append(one)
        return tuple(reversed(found))

    def cheapest(self, allowed: Callable[[int], bool] = lambda place: True) -> tuple[Tiling, ...] | None:
        """The set of scales with the fewest calls; of equal ones that of fewer scales, then the finer."""
        best: tuple[tuple[float, int], tuple[Tiling, ...]] | None = None
        tiled = [place for place, one in enumerate(self.choices) if not one.is_whole and allowed(place)]
        pages = [place for place, one in enumerate(self.choices) if one.is_whole]
        for count in range(1, _MOST_TILED + 1):
            for some in combinations(tiled, count):
                for places in (some, (*some, *pages)):
                    if not self.covers(places):
                        continue
                    scales = self.with_overlaps(places)
                    key = round(sum(map(self.calls, scales)), 6), len(scales)
                    if best is None or key < best[0]:
                        best = key, scales
        return None if best is None else best[1]


def with_overlap(tiling: Tiling, longest: float) -> Tiling:
    """The tiling with an overlap that holds objects of `longest` px on the reduced scan, half a tile at most."""
    tile = tiling.tile_size[0]
    return Tiling(tile, min(rounded(longest + 2 * MergePolicy().tolerance), tile // 2), scale=tiling.scale)


def rounded(value: float) -> int:
    """A whole number of px, up to the next multiple of 8."""
    return math.ceil(value / _STEP) * _STEP


def generous(
    objects: Objects, scales: Sequence[Tiling], rule: SizeRule, calls: Callable[[Tiling], float]
) -> tuple[Tiling, ...]:
    """Scales with overlaps for all objects of each: the 95th percentile of every label, more where it costs
    next to nothing. An object that a coarser scale shows as well does not count at the finer."""
    later = ~objects.usual
    found: list[Tiling] = []
    for place in range(len(scales) - 1, -1, -1):
        one = scales[place]
        own = ~later
        if len(scales) > 1:
            fits = objects.share(one) <= rule.share
            if place:
                fits &= objects.trained(one) >= rule.enough
            own, later = own & fits, later | fits
        if not one.is_whole and own.any():
            needed = objects.needed(own) if len(scales) > 1 else objects.needed_by_all
            one = _generous(one, needed, calls)
        found.append(one)
    return tuple(reversed(found))


def _generous(one: Tiling, needed: Floats, calls: Callable[[Tiling], float]) -> Tiling:
    options = [with_overlap(one, value * one.scale) for value in needed.tolist()]
    limit = calls(options[0]) * (1 + _FREE)
    return next(option for option in reversed(options) if calls(option) <= limit)
