"""Carrying boxes to tiles: list the tiles of each box and count, place the sources, then write tile by tile.

Only the source's number is written out of order; all else is written in the order it lies in memory.
The boxes are fetched without a branch, so that many are on their way at once, and clipped after.
"""

from __future__ import annotations

import math
from typing import Any

from tilekit.boxes.kernels.jit import inlined, kernel


@inlined
def shared(low: float, high: float, start: float, stop: float) -> float:
    """Share of a span inside start..stop; a span without length is inside as a point."""
    if high <= low:
        return 1.0 if start <= low < stop else 0.0
    return max(0.0, min(high, stop) - max(low, start)) / (high - low)


@inlined
def past(edges: Any, value: float, rate: float) -> int:
    """First place whose edge lies past `value`; `rate` places per px from the first edge on give the guess."""
    last = len(edges)
    at = int(min(max(math.floor((value - edges[0]) * rate) + 1.0, 0.0), last + 0.0))
    while at > 0 and edges[at - 1] > value:
        at -= 1
    while at < last and edges[at] <= value:
        at += 1
    return at


@inlined
def pace(edges: Any) -> float:
    """Places per px; the last edge may stand nearer."""
    steps = max(len(edges) - 2, 0)
    return steps / max(edges[steps] - edges[0], 1)


@kernel("i(R2,RI,RI,RI,RI,f,I,S,S)")
def lay(
    boxes: Any,
    left: Any,
    right: Any,
    top: Any,
    bottom: Any,
    min_visible: float,
    places: Any,
    number: Any,
    tiles: Any,
) -> int:
    """List the tiles of each box; gives the number of outputs, or -1 for a box that is not one.

    `places`, two longer than the tiles: where each tile's outputs begin, from 1 on. `number` (n,): outputs
    of each box. `tiles`: the tile of each output, box by box, while there is room.
    """
    cols, rows, room = len(left), len(top), len(tiles)
    rate_x, rate_y = pace(right), pace(bottom)
    for t in range(len(places)):
        places[t] = 0
    total = 0
    for i in range(len(boxes)):
        x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        if not (x0 >= -1e100 and y0 >= -1e100 and x1 <= 1e100 and y1 <= 1e100 and x0 <= x1 and y0 <= y1):
            return -1
        before = total
        col, row = past(right, x0, rate_x), past(bottom, y0, rate_y)
        if col >= cols or row >= rows:
            number[i] = 0
            continue
        col_2, row_2 = min(col + 1, cols - 1), min(row + 1, rows - 1)
        far_col, far_row = min(col + 2, cols - 1), min(row + 2, rows - 1)
        if (
            total + 4 > room
            or (far_col > col_2 and left[far_col] <= x1)
            or (far_row > row_2 and top[far_row] <= y1)
        ):
            for r in range(row, rows):
                if top[r] > y1:
                    break
                high = shared(y0, y1, top[r], bottom[r])
                for c in range(col, cols):
                    if left[c] > x1:
                        break
                    share = high * shared(x0, x1, left[c], right[c])
                    if share > 0.0 and share >= min_visible:
                        tile = r * cols + c
                        places[tile + 2] += 1
                        if total < room:
                            tiles[total] = tile
                        total += 1
        else:
            wide, wide_2 = shared(x0, x1, left[col], right[col]), shared(x0, x1, left[col_2], right[col_2])
            high, high_2 = shared(y0, y1, top[row], bottom[row]), shared(y0, y1, top[row_2], bottom[row_2])
            wide_2 = wide_2 if col_2 > col else 0.0
            high_2 = high_2 if row_2 > row else 0.0
            tile, below = row * cols + col, row_2 * cols + col
            step = col_2 - col
            one = 1 if (high * wide > 0.0) & (high * wide >= min_visible) else 0
            tiles[total] = tile
            places[tile + 2] += one
            total += one
            one = 1 if (high * wide_2 > 0.0) & (high * wide_2 >= min_visible) else 0
            tiles[total] = tile + step
            places[tile + step + 2] += one
            total += one
            one = 1 if (high_2 * wide > 0.0) & (high_2 * wide >= min_visible) else 0
            tiles[total] = below
            places[below + 2] += one
            total += one
            one = 1 if (high_2 * wide_2 > 0.0) & (high_2 * wide_2 >= min_visible) else 0
            tiles[total] = below + step
            places[below + step + 2] += one
            total += one
        number[i] = total - before
    for t in range(2, len(places)):
        places[t] += places[t - 1]
    return total


@kernel("void(I,RS,RS,S)")
def place(places: Any, number: Any, tiles: Any, sources: Any) -> None:
    """Write the source of each output to its place, by tile, then source; `places` end one tile further."""
    first = 0
    for i in range(len(number)):
        last = first + number[i]
        for p in range(first, last):
            slot = tiles[p] + 1
            at = places[slot]
            places[slot] = at + 1
            sources[at] = i
        first = last


@kernel("void(R2,RS,I,F2)")
def fetch(boxes: Any, sources: Any, source_index: Any, out: Any) -> None:
    """Copy the boxes of the outputs; nothing but loads, so that many are on their way at once."""
    for at in range(len(sources)):
        i = sources[at]
        source_index[at] = i
        out[at, 0] = boxes[i, 0]
        out[at, 1] = boxes[i, 1]
        out[at, 2] = boxes[i, 2]
        out[at, 3] = boxes[i, 3]


@kernel("void(RI,RI,RI,RI,RI,I,F2,F,B)")
def clip(
    left: Any,
    right: Any,
    top: Any,
    bottom: Any,
    places: Any,
    tile_index: Any,
    out: Any,
    visible: Any,
    cut: Any,
) -> None:
    """Write the other columns, tile by tile, and move the boxes of `out` to their tiles."""
    cols, rows = len(left), len(top)
    width, height = right[cols - 1], bottom[rows - 1]
    for tile in range(cols * rows):
        r = tile // cols
        c = tile - r * cols
        start_x, stop_x, start_y, stop_y = left[c] + 0.0, right[c] + 0.0, top[r] + 0.0, bottom[r] + 0.0
        least_x = start_x if start_x > 0.0 else -math.inf
        least_y = start_y if start_y > 0.0 else -math.inf
        most_x = stop_x if stop_x < width else math.inf
        most_y = stop_y if stop_y < height else math.inf
        for at in range(places[tile], places[tile + 1]):
            x0, y0, x1, y1 = out[at, 0], out[at, 1], out[at, 2], out[at, 3]
            low_x, high_x = max(x0, start_x), min(x1, stop_x)
            low_y, high_y = max(y0, start_y), min(y1, stop_y)
            w, h = x1 - x0, y1 - y0
            tile_index[at] = tile
            visible[at] = ((high_y - low_y) / h if h > 0.0 else 1.0) * (
                (high_x - low_x) / w if w > 0.0 else 1.0
            )
            out[at, 0] = low_x - start_x
            out[at, 1] = low_y - start_y
            out[at, 2] = high_x - start_x
            out[at, 3] = high_y - start_y
            cut[at] = (x0 < least_x) | (y0 < least_y) | (x1 > most_x) | (y1 > most_y)
