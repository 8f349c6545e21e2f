"""Carrying boxes to tiles: list the tiles of each box and count, place the sources, then write tile by tile.

Only the source's number is written out of order; all else is written in the order it lies in memory.
The boxes are fetched without a branch, so that many are on their way at once, and clipped after.
"""

from __future__ import annotations

import math
from typing import Any

from tilekit.compiled import inlined, kernel


@inlined
def shared(low: float, high: float, start: float, stop: float) -> float:
    """Share of a span inside start..stop; a span without length is inside as a point."""
    if high <= low:
        return 1.0 if start <= low < stop else 0.0
    return max(0.0, min(high, stop) - max(low, start)) / (high - low)


@inlined
def span(low: float, high: float, start: float, stop: float) -> float:
    """Length of low..high inside start..stop."""
    return max(min(high, stop) - max(low, start), 0.0)


@inlined
def past(edges: Any, value: float, first: float, rate: float, last: int) -> int:
    """First of `last` places whose edge lies past `value`; `rate` places per px from the `first` edge on give the guess."""
    at = int(min(max((value - first) * rate + 1.0, 0.0), last + 0.0))
    while at > 0 and edges[at - 1] > value:
        at -= 1
    while at < last and edges[at] <= value:
        at += 1
    return at


@inlined
def pace(edges: Any) -> float:
    """Places per px; the last edge may stand nearer, and two more stand beyond the scan."""
    steps = max(len(edges) - 4, 0)
    return steps / max(edges[steps] - edges[0], 1.0)


@kernel("i(R2,RF,RF,RF,RF,f,I,S,S)")
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

    The axes end with two edges at infinity. `places`, a row and four longer than the tiles: where each tile's
    outputs begin, from 1 on. `number` (n,): outputs of each box. `tiles`: the tile of each output, box by box, while
    there is room, which is four less than its length.
    """
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    cols, rows, room = len(left) - 2, len(top) - 2, len(tiles) - 4
    first_x, first_y = right[0], bottom[0]
    rate_x, rate_y = pace(right), pace(bottom)
    below, above = (
        min_visible * (1.0 - 1e-14),
        min_visible * (1.0 + 1e-14),
    )  # between them shares are divided out
    for t in range(len(places)):
        places[t] = 0
    total = 0
    for i in range(len(boxes)):
        x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        if not (x0 >= -1e100 and y0 >= -1e100 and x1 <= 1e100 and y1 <= 1e100 and x0 <= x1 and y0 <= y1):
            return -1
        before = total
        col, row = past(right, x0, first_x, rate_x, cols), past(bottom, y0, first_y, rate_y, rows)
        if col >= cols or row >= rows:
            number[i] = 0
            continue
        size = (x1 - x0) * (y1 - y0)
        maybe, sure = max(size * below, 5e-324), max(size * above, 1e-100)
        wide, wide_2 = span(x0, x1, left[col], right[col]), span(x0, x1, left[col + 1], right[col + 1])
        high, high_2 = span(y0, y1, top[row], bottom[row]), span(y0, y1, top[row + 1], bottom[row + 1])
        nw, ne, sw, se = high * wide, high * wide_2, high_2 * wide, high_2 * wide_2
        one, two, three, four = int(nw > sure), int(ne > sure), int(sw > sure), int(se > sure)
        inside = one + two + three + four
        told = inside == int(nw >= maybe) + int(ne >= maybe) + int(sw >= maybe) + int(se >= maybe)
        if told & (size >= 1.0) & (total < room) & (left[col + 2] > x1) & (top[row + 2] > y1):
            tile = row * cols + col
            tiles[total] = tile
            places[tile + 2] += one
            total += one
            tiles[total] = tile + 1
            places[tile + 3] += two
            total += two
            tiles[total] = tile + cols
            places[tile + cols + 2] += three
            total += three
            tiles[total] = tile + cols + 1
            places[tile + cols + 3] += four
            total += four
        else:
            for r in range(row, rows):
                if top[r] > y1:
                    break
                part = shared(y0, y1, top[r], bottom[r])
                for c in range(col, cols):
                    if left[c] > x1:
                        break
                    share = part * shared(x0, x1, left[c], right[c])
                    if share > 0.0 and share >= min_visible:
                        tile = r * cols + c
                        places[tile + 2] += 1
                        if total < room:
                            tiles[total] = tile
                        total += 1
        number[i] = total - before
    for t in range(2, cols * rows + 2):
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
