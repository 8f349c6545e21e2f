"""Carrying boxes to tiles and back: two passes, count then fill, by binary search on the grid's edges."""

from __future__ import annotations

from typing import Any

from tilekit.boxes.kernels.jit import inlined, kernel


@inlined
def first_above(stops: Any, value: float) -> int:
    """First place whose stop lies past `value`."""
    low, high = 0, len(stops)
    while low < high:
        middle = (low + high) // 2
        if stops[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def shared(low: float, high: float, start: float, stop: float) -> float:
    """Share of a span inside start..stop; a span without length is inside as a point."""
    length = high - low
    if length <= 0.0:
        return 1.0 if start <= low < stop else 0.0
    return max(0.0, min(high, stop) - max(low, start)) / length


@kernel("void(R2,RI,RI,RI,RI,f,I,I)")
def count(
    boxes: Any,
    left: Any,
    right: Any,
    top: Any,
    bottom: Any,
    min_visible: float,
    per_tile: Any,
    spans: Any,
) -> None:
    """Count the outputs of each tile (`per_tile`, one longer than the tiles); keep column and row spans.

    `spans` (4n): first column, end column, first row, end row of each box.
    """
    cols = len(left)
    for i in range(len(boxes)):
        x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        c0, r0 = first_above(right, x0), first_above(bottom, y0)
        c1, r1 = c0, r0
        while c1 < cols and (left[c1] < x1 or left[c1] <= x0):
            c1 += 1
        while r1 < len(top) and (top[r1] < y1 or top[r1] <= y0):
            r1 += 1
        spans[4 * i], spans[4 * i + 1], spans[4 * i + 2], spans[4 * i + 3] = c0, c1, r0, r1
        for r in range(r0, r1):
            down = shared(y0, y1, top[r], bottom[r])
            for c in range(c0, c1):
                share = down * shared(x0, x1, left[c], right[c])
                if share > 0.0 and share >= min_visible:
                    per_tile[r * cols + c + 1] += 1


@kernel("void(R2,RI,RI,RI,RI,f,I,RI,I,I,F2,F,B)")
def fill(
    boxes: Any,
    left: Any,
    right: Any,
    top: Any,
    bottom: Any,
    min_visible: float,
    place: Any,
    spans: Any,
    tile_index: Any,
    source_index: Any,
    out: Any,
    visible: Any,
    cut: Any,
) -> None:
    """Write the outputs at `place` (running start of each tile), so they come by tile, then source."""
    cols = len(left)
    width, height = right[cols - 1], bottom[len(bottom) - 1]
    for i in range(len(boxes)):
        x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        for r in range(spans[4 * i + 2], spans[4 * i + 3]):
            down = shared(y0, y1, top[r], bottom[r])
            for c in range(spans[4 * i], spans[4 * i + 1]):
                share = down * shared(x0, x1, left[c], right[c])
                if share > 0.0 and share >= min_visible:
                    tile = r * cols + c
                    at = place[tile]
                    place[tile] = at + 1
                    tile_index[at] = tile
                    source_index[at] = i
                    visible[at] = share
                    out[at, 0] = max(x0, left[c]) - left[c]
                    out[at, 1] = max(y0, top[r]) - top[r]
                    out[at, 2] = min(x1, right[c]) - left[c]
                    out[at, 3] = min(y1, bottom[r]) - top[r]
                    inside = (
                        (x0 < left[c] and left[c] > 0)
                        or (y0 < top[r] and top[r] > 0)
                        or (x1 > right[c] and right[c] < width)
                        or (y1 > bottom[r] and bottom[r] < height)
                    )
                    cut[at] = 1 if inside else 0
