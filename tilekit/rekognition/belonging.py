"""Which objects belong to which scale: whole there, neither too small nor too large for it.

The one rule behind the plan, the dataset and the weight of finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.remap import remap_to_tiles
from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid
from tilekit.rekognition.limits import LIMITS
from tilekit.scales import Taught

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class SizeRule:
    """What size an object must have on a scale. `enough`: px it keeps as trained on, at least (not asked of
    the finest scale, which takes whatever is small); `share`: of the tile's side that it may take at most
    (not asked of the coarsest). With one scale every object belongs to it."""

    enough: float = 16.0
    share: float = 0.5

    def __post_init__(self) -> None:
        for name, most in (("enough", 1e6), ("share", 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
                raise InvalidArgument(f"{name}={value!r} must be a number above 0, up to {most:g}")


@dataclass(frozen=True)
class WeightRule:
    """What a find counts on a scale where its like was not taught: its score is multiplied. `foreign`: its label was
    taught on other scales of the page only; `outside`: it is more than `margin` times smaller than the
    smallest object of its label taught there, or larger than the largest. Chosen by measurement, see docs/results.md."""

    foreign: float = 0.1
    outside: float = 0.5
    margin: float = 3.0


@dataclass(frozen=True, eq=False)
class Weights:
    """`weight` (n,): what each find counts, 0 to 1. `foreign` (n,): whether its label belongs to other scales."""

    weight: Floats
    foreign: Flags


@dataclass(frozen=True, eq=False)
class Look:
    """How objects look on one scale. `trained` (n,): px as training sees them, after the service's shrink
    (square root of the area); `share` (n,): the part of the tile's side that they take, 0 along a side
    where one tile spans the page."""

    trained: Floats
    share: Floats

    @classmethod
    def on(cls, boxes: Floats, grid: TileGrid) -> Look:
        """Boxes (n, 4) in base px of the page that a grid is bound to."""
        sides = boxes[:, 2:] - boxes[:, :2]
        ratio = max(grid.width, grid.height) / max(grid.base_width, grid.base_height)
        shrink = shrink_of(float(max(grid.columns.tile, grid.lines.tile)))
        share = np.zeros(len(boxes))
        for side, axis in ((0, grid.columns), (1, grid.lines)):
            if axis.count > 1:
                share = np.maximum(share, sides[:, side] * ratio / axis.tile)
        return cls(size_of(boxes) * (ratio * shrink), share)


def size_of(boxes: Floats) -> Floats:
    """(n,) size of objects, everywhere one thing: the square root of the area, in the px of `boxes` (n, 4)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    size: Floats = np.sqrt(np.maximum(sides[:, 0], 0) * np.maximum(sides[:, 1], 0))
    return size


def shrink_of(image: float) -> float:
    """What the service makes of an image whose longer side is `image` px, as a factor."""
    return min(1.0, LIMITS.shrink_side / image)


def fitting(looks: Sequence[Look], rule: SizeRule) -> Flags:
    """(n, scales) whether each object has the size of each scale; `looks` finest first."""
    last = len(looks) - 1
    columns = []
    for place, look in enumerate(looks):
        fits = np.ones(len(look.trained), np.bool_)
        if place:
            fits &= look.trained >= rule.enough
        if place < last:
            fits &= look.share <= rule.share
        columns.append(fits)
    return np.stack(columns, axis=1)


def belonging(boxes: Floats, grids: Sequence[TileGrid], rule: SizeRule) -> Flags:
    """(n, scales) which boxes (base px) belong to which scale of a page: of its size, and whole in some tile."""
    if len(grids) == 1:
        return np.ones((len(boxes), 1), np.bool_)
    fits = fitting([Look.on(boxes, grid) for grid in grids], rule)
    for place, grid in enumerate(grids):
        carried = remap_to_tiles(boxes, grid, 0.0)
        whole = np.zeros(len(boxes), np.bool_)
        whole[carried.source_index[~carried.cut]] = True
        fits[:, place] &= whole
    return fits


_WEIGHTS = WeightRule()


def weights(
    sizes: Floats,
    labels: NDArray[np.int64],
    scale: NDArray[np.int64],
    names: Sequence[str],
    taught: Sequence[Taught],
    rule: WeightRule = _WEIGHTS,
) -> Weights:
    """What finds of several scales count, by what was taught there: `sizes` (n,) px of the page, `labels` (n,) places
    in `names`, `scale` (n,) places in `taught`. A label that none of these scales was taught belongs to each."""
    ends = np.array([[one.get(name, (np.inf, 0.0)) for name in names] for one in taught])
    ends = ends.reshape(-1, len(names), 2)
    known = np.array([[name in one for name in names] for one in taught], np.bool_).reshape(-1, len(names))
    somewhere: Flags = np.logical_or.reduce(known, axis=0)
    here = known[scale, labels]
    foreign = somewhere[labels] & ~here
    small, large = ends[scale, labels, 0] / rule.margin, ends[scale, labels, 1] * rule.margin
    outside = here & ((sizes < small) | (sizes > large))
    return Weights(np.where(foreign, rule.foreign, np.where(outside, rule.outside, 1.0)), foreign)
