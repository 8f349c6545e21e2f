"""Carrying boxes to tiles: count the outputs of each tile, place the sources, then write tile by tile.

Only the source's number is written out of order; all else is written in the order it lies in memory.
"""

from __future__ import annotations

from typing import Any

from tilekit.boxes.kernels.jit import inlined, kernel


@inlined
def first_above(stops: Any, value: float, rate: float) -> int:
    """First place whose stop lies past `value`; `rate` places per px give the guess."""
    last = len(stops)
    at = int(min(max(value * rate, 0.0), last - 1.0))
    while at > 0 and stops[at - 1] > value:
        at -= 1
    while at < last and stops[at] <= value:
        at += 1
    return at


@inlined
def shared(low: float, high: float, start: float, stop: float) -> float:
    """Share of a span inside start..stop; a span without length is inside as a point."""
    if high <= low:
        return 1.0 if start <= low < stop else 0.0
    if low >= start and high <= stop:
        return 1.0
    return max(0.0, min(high, stop) - max(low, start)) / (high - low)


@kernel("i(R2,RI,RI,RI,RI,f,I,S)")
def count(
    boxes: Any, left: Any, right: Any, top: Any, bottom: Any, min_visible: float, places: Any, spans: Any
) -> int:
    """Where each tile's outputs begin (`places`, two longer than the tiles, filled from 2); gives their number.

    `spans` (4n): first column, end column, first row, end row of each box.
    """
    cols, rows = len(left), len(top)
    across, down = cols / right[cols - 1], rows / bottom[rows - 1]
    for t in range(len(places)):
        places[t] = 0
    for i in range(len(boxes)):
        x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        c0, r0 = first_above(right, x0, across), first_above(bottom, y0, down)
        c1, r1 = c0, r0
        while c1 < cols and (left[c1] < x1 or left[c1] <= x0):
            c1 += 1
        while r1 < rows and (top[r1] < y1 or top[r1] <= y0):
            r1 += 1
        spans[4 * i], spans[4 * i + 1], spans[4 * i + 2], spans[4 * i + 3] = c0, c1, r0, r1
        for r in range(r0, r1):
            high = shared(y0, y1, top[r], bottom[r])
            for c in range(c0, c1):
                share = high * shared(x0, x1, left[c], right[c])
                if share > 0.0 and share >= min_visible:
                    places[r * cols + c + 2] += 1
    for t in range(2, len(places)):
        places[t] += places[t - 1]
    return places[len(places) - 1]


@kernel("void(R2,RI,RI,RI,RI,f,I,RS,I,I,F2,F,B)")
def fill(
    boxes: Any,
    left: Any,
    right: Any,
    top: Any,
    bottom: Any,
    min_visible: float,
    places: Any,
    spans: Any,
    tile_index: Any,
    source_index: Any,
    out: Any,
    visible: Any,
    cut: Any,
) -> None:
    """Write the outputs by tile, then source, after `count`."""
    cols, rows = len(left), len(top)
    width, height = right[cols - 1], bottom[rows - 1]
    for i in range(len(boxes)):
        x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        for r in range(spans[4 * i + 2], spans[4 * i + 3]):
            high = shared(y0, y1, top[r], bottom[r])
            for c in range(spans[4 * i], spans[4 * i + 1]):
                share = high * shared(x0, x1, left[c], right[c])
                if share > 0.0 and share >= min_visible:
                    at = places[r * cols + c + 1]
                    places[r * cols + c + 1] = at + 1
                    source_index[at] = i
    for r in range(rows):
        start_y, stop_y = top[r], bottom[r]
        for c in range(cols):
            tile = r * cols + c
            start_x, stop_x = left[c], right[c]
            for at in range(places[tile], places[tile + 1]):
                i = source_index[at]
                x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
                tile_index[at] = tile
                visible[at] = shared(y0, y1, start_y, stop_y) * shared(x0, x1, start_x, stop_x)
                out[at, 0] = max(x0, start_x) - start_x
                out[at, 1] = max(y0, start_y) - start_y
                out[at, 2] = min(x1, stop_x) - start_x
                out[at, 3] = min(y1, stop_y) - start_y
                inside = (
                    (x0 < start_x and start_x > 0)
                    or (y0 < start_y and start_y > 0)
                    or (x1 > stop_x and stop_x < width)
                    or (y1 > stop_y and stop_y < height)
                )
                cut[at] = 1 if inside else 0
