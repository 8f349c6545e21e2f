"""Carrying: which tiles of a page go into a dataset, with which boxes, and what is painted over in them.

A box is a positive of every tile that shows at least `min_visible` of it (of its polygon or mask, where it has
one; its box is then the one around what is visible). Less is a sliver: neither
a positive nor background, so in training tiles it is painted over, or the tile is left out. Every
object that is not ignored is a positive of at least one tile, or the plan says why it is of none.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import checks
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.remap import remap_to_tiles, shapes_in, shown_through
from tilekit.boxes.shapes import Shapes
from tilekit.datasets.crowding import groups_of, shifts_around, windows_around
from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid, Window
from tilekit.rekognition.belonging import SizeRule
from tilekit.rekognition.limits import LIMITS

Slivers = Literal["mask", "leave", "keep"]
Ignored = Literal["leave", "mask", "keep"]
Elsewhere = Literal["leave", "mask"]
GRID, SHIFTED = 0, -1
_SIZES = SizeRule()

EMPTY = "no object in it"
IGNORED = "touched by an ignore region"
SLIVER = "shows a sliver of an object"
SIDES = f"side under {LIMITS.min_side} px, or over {LIMITS.max_aspect} times as long as wide"
ELSEWHERE = "beyond the regions of its side"
SHARED = "shows an object that regions of two sides share"
CROWDED = "more boxes than an image may have, replaced by shifted or masked tiles"

OUTSIDE = "outside the page"
FLAT = "without width or height"
TOO_LARGE = "too large: no tile shows enough of it"
AT_THE_RIM = "at the rim of a region: no tile in it shows enough of it"
IN_THE_WAY = "every tile that shows it is left out (ignore regions or slivers)"


@dataclass(frozen=True)
class CarryingRules:
    """How labels go to tiles.

    `min_visible`: share of a box's area that makes it a positive of a tile. `slivers`: objects of
    which a tile shows less are painted over ("mask"), or the tile is left out ("leave"), or they
    stay as they are ("keep"). `ignored`: tiles that an ignore region touches are left out
    ("leave"), or the region is painted over ("mask"), or stays ("keep"). `max_boxes`: most boxes
    an image may have. `keep_empty`: tiles without any object to keep, per page. Of several scales:
    `sizes` says which objects belong to which; `elsewhere`: small ones that do not belong to a coarse scale
    stay as they are, unlabeled ("leave"), or are painted over where nothing larger holds them ("mask");
    large ones are never painted over on a fine scale, since small ones may lie in them.

    Raises InvalidArgument for a value that makes no sense.
    """

    min_visible: float = 0.5
    slivers: Slivers = "mask"
    ignored: Ignored = "leave"
    max_boxes: int = LIMITS.max_boxes
    keep_empty: int = 0
    sizes: SizeRule = _SIZES
    elsewhere: Elsewhere = "leave"

    def __post_init__(self) -> None:
        checks.ratio(self.min_visible, "min_visible")
        if self.min_visible <= 0:
            raise InvalidArgument(f"min_visible={self.min_visible!r} must be above 0")
        for name in ("slivers", "ignored"):
            if (value := getattr(self, name)) not in ("mask", "leave", "keep"):
                raise InvalidArgument(f"{name}={value!r} is unknown; choose mask, leave or keep")
        if self.elsewhere not in ("leave", "mask"):
            raise InvalidArgument(f"elsewhere={self.elsewhere!r} is unknown; choose leave or mask")
        for name, least in (("max_boxes", 1), ("keep_empty", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidArgument(f"{name}={value!r} must be a whole number of at least {least}")


@dataclass(frozen=True, eq=False)
class TilePlan:
    """One tile of the dataset. Boxes are in the tile's frame: px of the reduced scan less the window's origin.

    `index`: its place in the grid, or SHIFTED for a window beside the grid. `copy`: 0, or 1, 2, ...
    for further copies of the same window with other objects painted over. `boxes` (n, 4) float64,
    clipped to tile and page; `source` (n,) int64: rows of the page's annotations; `masks` (m, 4)
    float64: rectangles to paint over, save where they overlap `boxes`; `shapes`: those of `boxes`, clipped.
    """

    window: Window
    index: int
    copy: int
    boxes: NDArray[np.float64]
    source: NDArray[np.int64]
    masks: NDArray[np.float64]
    shapes: Shapes | None = None


@dataclass(frozen=True, eq=False)
class PagePlan:
    """What becomes of a page: its tiles in order of top, left, copy; what is left out and why.

    `tiles_left_out`: grid tiles by reason; `objects_left_out`: (row of the annotations, reason);
    `slivers`: how many slivers the tiles show or have painted over; `shifted`, `copies`: how many
    tiles are beside the grid, or further copies of a window.
    """

    tiles: tuple[TilePlan, ...]
    tiles_left_out: Counter[str]
    objects_left_out: tuple[tuple[int, str], ...]
    slivers: int

    @property
    def shifted(self) -> int:
        """Tiles beside the grid."""
        return sum(tile.index == SHIFTED for tile in self.tiles)

    @property
    def copies(self) -> int:
        """Further copies of a window."""
        return sum(tile.copy > 0 for tile in self.tiles)


@dataclass(frozen=True, eq=False)
class Within:
    """Where the tiles of a page may lie: `regions` (m, 4), base px, none over another. `shared` (n,) bool: boxes that
    regions of another side hold a part of; no tile may show any of them."""

    regions: NDArray[np.float64]
    shared: NDArray[np.bool_]


def carry_page(
    annotations: Annotations,
    grid: TileGrid,
    rules: CarryingRules,
    *,
    seed: int | str = 0,
    belongs: NDArray[np.bool_] | None = None,
    within: Within | None = None,
) -> PagePlan:
    """Plan the tiles of a page. Boxes in base pixels; the same input and seed give the same plan.
    `belongs` (n,): the boxes of this scale, all unless given; the others are neither positives nor slivers.
    `within`: where tiles may lie, the whole page unless given.

    O(boxes + outputs); only crowded tiles and objects that no grid tile shows cost more.
    """
    page = _Page(annotations, grid, rules, belongs, within)
    page.take_grid_tiles()
    page.replace_crowded()
    page.rescue()
    page.take_empty(seed)
    return page.plan()


class _View(NamedTuple):
    """What a window shows: rows of boxes it touches, in order; the boxes in its frame, clipped; the
    share of each; which are positives, which slivers (ignored ones are neither)."""

    rows: NDArray[np.int64]
    boxes: NDArray[np.float64]
    share: NDArray[np.float64]
    positive: NDArray[np.bool_]
    sliver: NDArray[np.bool_]


class _Page:
    """The work on one page: boxes on the reduced scan, tiles taken so far."""

    def __init__(
        self,
        annotations: Annotations,
        grid: TileGrid,
        rules: CarryingRules,
        belongs: NDArray[np.bool_] | None,
        within: Within | None = None,
    ) -> None:
        self.grid, self.rules, self.annotations = grid, rules, annotations
        self.within = within
        self.regions = None if within is None else grid.to_reduced(within.regions)
        limit = np.array([grid.width, grid.height] * 2, dtype=np.float64)
        base = np.array([grid.base_width, grid.base_height] * 2, dtype=np.float64)
        self.base = np.clip(annotations.boxes, 0, base)
        self.boxes = np.clip(grid.to_reduced(self.base), 0, limit)
        sides = np.maximum(self.boxes[:, 2:] - self.boxes[:, :2], 0)
        self.area = sides[:, 0] * sides[:, 1]
        self.ignore = annotations.ignore
        self.counts = ~self.ignore if belongs is None else ~self.ignore & belongs
        if within is not None:
            self.counts &= ~within.shared
        self.strange = _alone_and_small(self.boxes, self.area, ~self.ignore, self.counts)
        self.inside = self.area > 0
        flat = (annotations.boxes[:, 2:] <= annotations.boxes[:, :2]).any(axis=1)
        self.without_area = np.where(flat, FLAT, OUTSIDE).tolist()
        self.by_top = np.argsort(self.boxes[:, 1], kind="stable")
        self.tops = self.boxes[self.by_top, 1]
        self.tallest = float(sides[:, 1].max(initial=0))
        self.tiles: list[TilePlan] = []
        self.windows: set[Window] = set()
        self.crowded: list[int] = []
        self.touched: NDArray[np.int64] = np.empty(0, np.int64)
        self.left_out: Counter[str] = Counter()
        self.unplaced: tuple[tuple[int, str], ...] = ()
        self.slivers = 0

    def take_grid_tiles(self) -> None:
        """Every grid tile that shows an object well enough and nothing that keeps it out."""
        inside = np.flatnonzero(self.inside)
        carried = remap_to_tiles(self.annotations.replaced(boxes=self.base)[inside], self.grid, 0.0)
        rows, tiles, clipped = inside[carried.source_index], carried.tile_index, carried.boxes
        share = carried.visible
        positive = self.counts[rows] & (share >= self.rules.min_visible)
        sliver = self.counts[rows] & ~positive
        self.touched, starts = np.unique(tiles, return_index=True)
        ends = np.append(starts, len(tiles))[1:]
        for tile, start, end in zip(self.touched.tolist(), starts.tolist(), ends.tolist(), strict=True):
            part = slice(start, end)
            view = _View(rows[part], clipped[part], share[part], positive[part], sliver[part])
            self._take_grid_tile(tile, view)

    def _take_grid_tile(self, tile: int, view: _View) -> None:
        window = self.grid[tile]
        if reason := self._reason(window, view):
            self.left_out[reason] += 1
        elif int(view.positive.sum()) > self.rules.max_boxes:
            self.left_out[CROWDED] += 1
            self.crowded.append(tile)
        else:
            self._add(window, tile, view)

    def _reason(self, window: Window, view: _View) -> str:
        """Why a window stays out, or nothing."""
        if not _fits(window):
            return SIDES
        if not self._allowed(window):
            return ELSEWHERE
        if self.within is not None and self.within.shared[view.rows].any():
            return SHARED
        if self.rules.ignored == "leave" and self.ignore[view.rows].any():
            return IGNORED
        if self.rules.slivers == "leave" and view.sliver.any():
            return SLIVER
        return "" if view.positive.any() else EMPTY

    def _allowed(self, window: Window) -> bool:
        """Whether the regions hold all of a window that is on the page."""
        if self.regions is None:
            return True
        inside = Window(
            window.x0, window.y0, min(window.x1, self.grid.width), min(window.y1, self.grid.height)
        )
        held = _areas(_clipped(self.regions, np.array([inside], np.float64))).sum()
        return bool(held >= inside.width * inside.height - 0.5)

    def _add(
        self,
        window: Window,
        index: int,
        view: _View,
        hidden: NDArray[np.bool_] | None = None,
        copy: int = 0,
    ) -> None:
        """Take a window; positives in `hidden` are painted over in this copy of it."""
        shown, masked = view.positive, np.zeros(len(view.rows), np.bool_)
        if hidden is not None:
            shown, masked = shown & ~hidden, hidden
        if self.rules.slivers == "mask":
            masked = masked | view.sliver
        if self.rules.elsewhere == "mask":
            masked = masked | self.strange[view.rows]
        if self.rules.ignored == "mask":
            masked = masked | self.ignore[view.rows]
        self.slivers += int(view.sliver.sum())
        self.windows.add(window)
        shapes, rows = self.annotations.shapes, view.rows[shown]
        drawn = None if shapes is None else shapes_in(shapes[rows], window, self.grid)
        self.tiles.append(TilePlan(window, index, copy, view.boxes[shown], rows, view.boxes[masked], drawn))

    def replace_crowded(self) -> None:
        """For a window with too many boxes: shifted windows, then copies with the others painted over."""
        for tile in self.crowded:
            window = self.grid[tile]
            view = self._look(window)
            missing = set(view.rows[view.positive].tolist())
            least = max(1, self.rules.max_boxes // 4)
            candidates = [
                (other, self._shown_as_well(other, view)) for other in shifts_around(window, self.grid)
            ]
            while missing:
                best = max(candidates, key=lambda found: len(missing & found[1]), default=None)
                if best is None or len(missing & best[1]) < min(least, len(missing)):
                    break
                missing -= best[1]
                candidates.remove(best)
                if best[0] not in self.windows:
                    self._add(best[0], SHIFTED, self._look(best[0]))
            self._add_copies(window, tile, view, missing)

    def _shown_as_well(self, window: Window, crowded: _View) -> set[int]:
        """Positives of a crowded tile that another window shows no less of; none where it cannot be taken."""
        view = self._look(window)
        if int(view.positive.sum()) > self.rules.max_boxes or self._reason(window, view):
            return set()
        share = dict(zip(crowded.rows.tolist(), crowded.share.tolist(), strict=True))
        pairs = zip(view.rows[view.positive].tolist(), view.share[view.positive].tolist(), strict=True)
        return {row for row, found in pairs if found >= share.get(row, 2.0)}

    def _add_copies(self, window: Window, index: int, view: _View, wanted: set[int]) -> None:
        """Copies of a window that show `wanted` in groups of neighbors, with the other positives hidden."""
        places = np.flatnonzero(view.positive & np.isin(view.rows, list(wanted)))
        centers = (view.boxes[places, :2] + view.boxes[places, 2:]) / 2
        for copy, group in enumerate(groups_of(centers, self.rules.max_boxes)):
            hidden = view.positive.copy()
            hidden[places[group]] = False
            self._add(window, index, view, hidden, copy)

    def rescue(self) -> None:
        """Objects that no tile so far shows well enough get a window of the same size around them."""
        shown = np.zeros(len(self.boxes), np.bool_)
        for tile in self.tiles:
            shown[tile.source] = True
        unplaced = []
        for row in np.flatnonzero(~shown & self.counts).tolist():
            if shown[row]:
                continue
            if reason := self._rescued(row, shown) if self.inside[row] else self.without_area[row]:
                unplaced.append((row, reason))
        self.unplaced = tuple((row, reason) for row, reason in unplaced if not shown[row])

    def _rescued(self, row: int, shown: NDArray[np.bool_]) -> str:
        """Add a window that shows `row`; else the reason why there is none."""
        reason = TOO_LARGE
        for window in windows_around(self.boxes[row], self.grid):
            view = self._look(window)
            positives = view.rows[view.positive]
            if row not in positives:
                continue
            if window in self.windows or (why := self._reason(window, view)):
                reason = AT_THE_RIM if window not in self.windows and why == ELSEWHERE else IN_THE_WAY
                continue
            if len(positives) <= self.rules.max_boxes:
                self._add(window, SHIFTED, view)
                shown[positives] = True
            else:
                wanted = positives[~shown[positives]]
                self._add_copies(window, SHIFTED, view, set(wanted.tolist()))
                shown[wanted] = True
            return ""
        return reason

    def take_empty(self, seed: int | str) -> None:
        """Up to `keep_empty` tiles that nothing touches, picked by the seed."""
        free = len(self.grid) - len(self.touched)
        self.left_out[EMPTY] += free
        count = min(self.rules.keep_empty, free)
        if not count:
            return
        taken = set(self.touched.tolist())
        if self.regions is not None:
            taken |= {tile for tile, window in enumerate(self.grid) if not self._allowed(window)}
            count = min(count, len(self.grid) - len(taken))
        generator = random.Random(f"empty {seed}")
        if len(self.grid) <= 4 * (len(taken) + count):
            chosen = generator.sample([tile for tile in range(len(self.grid)) if tile not in taken], count)
        else:
            chosen = []
            while len(chosen) < count:
                tile = generator.randrange(len(self.grid))
                if tile not in taken:
                    taken.add(tile)
                    chosen.append(tile)
        none = np.empty(0, np.int64)
        for tile in chosen:
            if _fits(self.grid[tile]):
                self.tiles.append(TilePlan(self.grid[tile], tile, 0, _NO_BOXES, none, _NO_BOXES))
                self.left_out[EMPTY] -= 1

    def plan(self) -> PagePlan:
        """Everything taken, in order of top, left, copy."""
        order = sorted(self.tiles, key=lambda tile: (tile.window.y0, tile.window.x0, tile.copy))
        return PagePlan(tuple(order), +self.left_out, self.unplaced, self.slivers)

    def _look(self, window: Window) -> _View:
        """What any window shows."""
        first, last = np.searchsorted(self.tops, [window.y0 - self.tallest, window.y1])
        rows = np.sort(self.by_top[first:last])
        clipped = _clipped(self.boxes[rows], np.array([window], dtype=np.float64))
        areas = _areas(clipped)
        touched = areas > 0
        rows, clipped, areas = rows[touched], clipped[touched], areas[touched]
        share = areas / self.area[rows]
        positive = self.counts[rows] & (share >= self.rules.min_visible)
        clipped -= np.array([window.x0, window.y0] * 2, dtype=np.float64)
        if self.annotations.shapes is not None:
            clipped, share = shown_through(self.annotations.shapes[rows], clipped, share, window, self.grid)
            seen = share > 0
            rows, clipped, share = rows[seen], clipped[seen], share[seen]
            positive = self.counts[rows] & (share >= self.rules.min_visible)
        return _View(rows, clipped, share, positive, self.counts[rows] & ~positive)


def _alone_and_small(
    boxes: NDArray[np.float64],
    area: NDArray[np.float64],
    real: NDArray[np.bool_],
    counts: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Objects of another scale that are smaller than all of this one and touch nothing larger."""
    strange = real & ~counts
    if not strange.any():
        return strange
    least = float(area[counts].min()) if counts.any() else np.inf
    strange = strange & (area < least)
    rows = np.flatnonzero(strange)
    for row in np.flatnonzero(real & ~strange).tolist():
        box = boxes[row]
        touch = (boxes[rows, :2] < box[2:]).all(axis=1) & (boxes[rows, 2:] > box[:2]).all(axis=1)
        strange[rows[touch]] = False
    return strange


_NO_BOXES: NDArray[np.float64] = np.empty((0, 4), np.float64)


def outward(boxes: NDArray[np.float64], width: int, height: int) -> NDArray[np.int64]:
    """Whole-pixel rectangles around boxes of a width x height tile: inside it, at least 1 px, error below 1 px."""
    limit = np.array([width, height], dtype=np.int64)
    low = np.clip(np.floor(np.round(boxes[:, :2], 6)).astype(np.int64), 0, limit - 1)
    high = np.clip(np.ceil(np.round(boxes[:, 2:], 6)).astype(np.int64), low + 1, limit)
    return np.concatenate([low, high], axis=1)


def painted(
    pixels: NDArray[np.uint8],
    masks: NDArray[np.float64],
    kept: NDArray[np.float64],
    color: Sequence[int],
    *,
    own: bool = False,
) -> NDArray[np.uint8]:
    """A tile's pixels with `masks` painted over, save where they overlap the `kept` boxes.

    A copy, unless `own` says that the pixels are the caller's and nobody else looks at them.
    """
    if not len(masks):
        return pixels
    height, width = pixels.shape[:2]
    spared = [
        ((slice(y0, y1), slice(x0, x1)), pixels[y0:y1, x0:x1].copy() if own else pixels[y0:y1, x0:x1])
        for x0, y0, x1, y1 in outward(kept, width, height).tolist()
    ]
    result = pixels if own else pixels.copy()
    for x0, y0, x1, y1 in outward(masks, width, height).tolist():
        result[y0:y1, x0:x1] = color
    for place, part in spared:
        result[place] = part
    return result


def _fits(window: Window) -> bool:
    short, long = sorted((window.width, window.height))
    return short >= LIMITS.min_side and long <= LIMITS.max_aspect * short


def _clipped(boxes: NDArray[np.float64], windows: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(boxes[:, :2], windows[:, :2])
    return np.concatenate([low, np.maximum(np.minimum(boxes[:, 2:], windows[:, 2:]), low)], axis=1)


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    sides: NDArray[np.float64] = boxes[:, 2:] - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]
