"""Pieces whose other part no tile reported, completed to the size that things of their label have.

Where a tile border cuts an object and the tile beyond missed it, what stays is a piece: too small to count as found,
too much to count as nothing. How far the object goes on beyond the border is not seen; but sizes of its label are
known from labeled pages, and of those that are larger than the piece one overlaps best with all of them. Where no
size is known a piece may be any share of its object, and two fifths more of it overlap better than the bare piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import checks
from tilekit.boxes.joining import BOTTOM, LEFT, RIGHT, TOP
from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid

_SHOWN = (
    0.25  # of the piece, that the tile beyond shows: with less it may have seen too little to say anything
)


@dataclass(frozen=True, slots=True)
class LabelSizes:
    """Sizes that objects of a label have: `widths` and `heights`, a few of each that stand for equally many objects, in
    base pixels. `measure_sizes` makes them from truth."""

    name: str
    widths: tuple[float, ...]
    heights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InvalidArgument(f"name={self.name!r} must be a label")
        for field in ("widths", "heights"):
            values = getattr(self, field)
            if not isinstance(values, (tuple, list)):
                raise InvalidArgument(f"{field}={values!r} of {self.name!r} must be a tuple of px")
            object.__setattr__(self, field, tuple(checks.length(value, field) for value in values))


def completed(
    boxes: NDArray[np.float64],
    edges: NDArray[np.uint8],
    labels: NDArray[np.int64],
    names: Sequence[str],
    sizes: Sequence[LabelSizes],
    limits: tuple[int, int],
) -> NDArray[np.float64]:
    """Boxes (n, 4) made larger over the `edges` that cut them, inside a page of `limits` width and height.

    A piece grows to the size with the best expected overlap (shorter over longer) with those of its label's sizes
    that are larger than it; it stays where none is.
    """
    out = boxes
    for known in sizes:
        if known.name not in names:
            continue
        own = labels == names.index(known.name)
        for axis, (before, after) in enumerate(((LEFT, RIGHT), (TOP, BOTTOM))):
            rows = np.flatnonzero(own & ((edges & (before | after)) != 0))
            given = np.array(known.widths if axis == 0 else known.heights, np.float64)
            if not len(rows) or not len(given):
                continue
            out = out.copy() if out is boxes else out
            low, high = boxes[rows, axis], boxes[rows, axis + 2]
            more = _likeliest(high - low, given) - (high - low)
            at_low, at_high = (edges[rows] & before) != 0, (edges[rows] & after) != 0
            part = np.where(at_low & at_high, 0.5, 1.0) * more
            out[rows, axis] = np.maximum(low - part * at_low, np.minimum(low, 0.0))
            out[rows, axis + 2] = np.minimum(high + part * at_high, np.maximum(high, limits[axis]))
    return out


def grown(
    boxes: NDArray[np.float64],
    edges: NDArray[np.uint8],
    grid: TileGrid,
    growth: float,
    tolerance: float,
) -> NDArray[np.float64]:
    """Pieces (n, 4) on the reduced scan made longer by the share `growth` of their length over the one edge that cuts
    them, inside the scan: of what is cut twice a box says too little.

    Only where the edge is within `tolerance` of a tile's, not merely near for its size, and where the tile beyond shows
    a quarter of the piece at least, so that it can be said to have missed it.
    """
    out = boxes.copy()
    for axis, (line, size, before, after) in enumerate(
        ((grid.columns, grid.width, LEFT, RIGHT), (grid.lines, grid.height, TOP, BOTTOM))
    ):
        # border i: tile i stops, and tile i + 1, which shows what is beyond, has started
        stops, starts = np.minimum(line.stops()[:-1], size), line.starts()[1:]
        if not len(starts):
            continue
        low, high = boxes[:, axis], boxes[:, axis + 2]
        least, more = _SHOWN * (high - low), growth * (high - low)
        at = _nearest(stops, high)
        missed = (np.abs(stops[at] - high) <= tolerance) & (high - np.maximum(low, starts[at]) >= least)
        out[:, axis + 2] = np.where((edges == after) & missed, np.minimum(high + more, size), high)
        at = _nearest(starts, low)
        missed = (np.abs(starts[at] - low) <= tolerance) & (np.minimum(high, stops[at]) - low >= least)
        out[:, axis] = np.where((edges == before) & missed, np.maximum(low - more, 0.0), low)
    return out


def _nearest(borders: NDArray[np.int64], places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of the borders, in rising order, lies nearest to each place."""
    after = np.minimum(np.searchsorted(borders, places), len(borders) - 1)
    before = np.maximum(after - 1, 0)
    closer = np.abs(borders[before] - places) <= np.abs(borders[after] - places)
    return np.where(closer, before, after)


def _likeliest(seen: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each extent seen, the one to expect: at least as large."""
    tried = np.concatenate([np.broadcast_to(given, (len(seen), len(given))), seen[:, None]], axis=1)
    likely = given > seen[:, None]  # (pieces, sizes)
    match = np.minimum(tried[:, :, None], given) / np.maximum(np.maximum(tried[:, :, None], given), 1e-300)
    value = (match * likely[:, None, :]).sum(axis=2)
    value[tried < seen[:, None]] = -1.0
    best = np.take_along_axis(tried, value.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(likely.any(axis=1), best, seen)
