"""Pieces whose other part no tile reported, completed to the size that things of their label have.

Where a tile border cuts an object and the tile beyond missed it, what stays is a piece: too small to count as found,
too much to count as nothing. How far the object goes on beyond the border is not seen; but sizes of its label are
known from labeled pages, and of those that are larger than the piece one overlaps best with all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import checks
from tilekit.boxes.joining import BOTTOM, LEFT, RIGHT, TOP
from tilekit.errors import InvalidArgument


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


def _likeliest(seen: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each extent seen, the one to expect: at least as large."""
    tried = np.concatenate([np.broadcast_to(given, (len(seen), len(given))), seen[:, None]], axis=1)
    likely = given > seen[:, None]  # (pieces, sizes)
    match = np.minimum(tried[:, :, None], given) / np.maximum(np.maximum(tried[:, :, None], given), 1e-300)
    value = (match * likely[:, None, :]).sum(axis=2)
    value[tried < seen[:, None]] = -1.0
    best = np.take_along_axis(tried, value.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(likely.any(axis=1), best, seen)
