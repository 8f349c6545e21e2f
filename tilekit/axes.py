"""One side of a scan: where tiles begin and end along it.

For `grid`, which lays two of them across each other; who looks at one side alone may ask it too. It knows nothing of
scales, recipes or boxes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tilekit.errors import InvalidArgument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Edge = Literal["shift", "clip", "pad"]


@dataclass(frozen=True, slots=True)
class Axis:
    """Where tiles begin and end along one side of a scan.

    `size` px of the reduced scan, `tile` px, `stride` px between starts, `count` tiles.
    `even` spreads tiles evenly (equal parts) instead of by stride. `align`: all starts are multiples of it.
    Starts and stops never decrease, so a lookup is a division or a binary search.
    """

    size: int
    tile: int
    stride: int
    count: int
    edge: Edge
    even: bool = False
    align: int = 1

    def start(self, index: int) -> int:
        """First pixel of tile `index`."""
        if self.even:
            if self.stride:  # parts with overlap: all the same length, spread evenly
                start = index * (self.size - self.tile) // max(1, self.count - 1)
            else:
                start = index * self.size // self.count
            return start // self.align * self.align
        start = index * self.stride
        return min(start, self._last_start()) if self.edge == "shift" else start

    def _last_start(self) -> int:
        """Where a tile moved inward begins: on the next multiple of `align`, so it may be smaller."""
        return -(-max(0, self.size - self.tile) // self.align) * self.align

    def stop(self, index: int) -> int:
        """One past the last pixel of tile `index`; over `size` only where the edge is padded."""
        if self.even:
            if not self.stride:
                return self.size if index + 1 == self.count else self.start(index + 1)
            return index * (self.size - self.tile) // max(1, self.count - 1) + self.tile
        stop = self.start(index) + self.tile
        return stop if self.edge == "pad" else min(stop, self.size)

    def starts(self) -> NDArray[np.int64]:
        """All starts, (count,) int64."""
        import numpy as np

        index = np.arange(self.count, dtype=np.int64)
        if self.even:
            if self.stride:
                starts = index * (self.size - self.tile) // max(1, self.count - 1)
            else:
                starts = index * self.size // self.count
            return starts // self.align * self.align
        starts = index * self.stride
        return np.minimum(starts, self._last_start()) if self.edge == "shift" else starts

    def stops(self) -> NDArray[np.int64]:
        """All stops, (count,) int64."""
        import numpy as np

        if self.even:
            if not self.stride:
                return np.append(self.starts()[1:], self.size)
            index = np.arange(self.count, dtype=np.int64)
            return index * (self.size - self.tile) // max(1, self.count - 1) + self.tile
        stops = self.starts() + self.tile
        return stops if self.edge == "pad" else np.minimum(stops, self.size)

    def covering(self, position: float) -> range:
        """Indices of the tiles that cover a position in reduced pixels (none outside the scan)."""
        if not 0 <= position < self.size:
            return range(0)
        low, high = 0, self.count  # first tile whose stop is past the position
        while low < high:
            middle = (low + high) // 2
            if self.stop(middle) <= position:
                low = middle + 1
            else:
                high = middle
        end = low
        while end < self.count and self.start(end) <= position:
            end += 1
        return range(low, end)


def strided(size: int, tile: int, overlap: int, edge: Edge, align: int) -> Axis:
    """Tiles of one size at every `tile - overlap` px, the last one as `edge` says."""
    stride = (tile - overlap) // align * align
    count = 1 if size <= tile else -(-(size - tile) // stride) + 1
    return Axis(size, tile if edge == "pad" else min(tile, size), stride, count, edge, align=align)


def aligned(axis: Axis, align: int) -> Axis:
    """The axis with all starts at multiples of `align`; InvalidArgument where parts would coincide."""
    gap = (axis.size - axis.tile) // max(1, axis.count - 1) if axis.stride else axis.size // axis.count
    if align > 1 and axis.count > 1 and align > gap:
        raise InvalidArgument(f"align={align} leaves no room for {axis.count} parts on {axis.size} px")
    return replace(axis, align=align)


def spread(size: int, count: int, overlap: int | float) -> Axis:
    """`count` equal parts that share at least `overlap`: px, or a ratio of a part (a float)."""
    if count > size:
        raise InvalidArgument(f"{count} parts do not fit on {size} px; a part needs at least 1 px")
    if count == 1:
        return Axis(size, size, 0, 1, "clip", even=True)
    if isinstance(overlap, float):  # a ratio r of the part t: n*t - (n-1)*r*t = size
        tile = math.ceil(size / (count - (count - 1) * overlap))
        shared = round(overlap * tile)
    else:
        shared = overlap
        tile = -(-(size + (count - 1) * shared) // count)
    if shared <= 0:
        return Axis(size, -(-size // count), 0, count, "clip", even=True)
    # starts are floored, so neighbors may lie one pixel further apart than (size - tile) / (n - 1)
    while tile < size and tile - -(-(size - tile) // (count - 1)) < shared:
        tile += 1
    if tile >= size:
        raise InvalidArgument(f"overlap={overlap!r} leaves no room for {count} different parts on {size} px")
    return Axis(size, tile, tile - shared, count, "clip", even=True)
