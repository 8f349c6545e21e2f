"""What a tiling makes of all pages at once: which boxes are whole in a tile, how many tiles hold how much."""

from __future__ import annotations

import math
from typing import Any

from tilekit.compiled import inlined, kernel


@inlined
def count_of(size: int, tile: int, stride: int) -> int:
    """Tiles along a side whose last one is shifted inward."""
    return 1 if size <= tile else -((tile - size) // stride) + 1


@inlined
def share_of(low: float, high: float, start: float, stop: float) -> float:
    """Share of a span inside start..stop; a span without length is inside as a point."""
    if high <= low:
        return 1.0 if start <= low < stop else 0.0
    return max(0.0, min(high, stop) - max(low, start)) / (high - low)


@kernel("void(R2,RI,RI,RI,i,i,f,i,I,I,B,I)")
def tally(
    boxes: Any,
    pages: Any,
    labels: Any,
    sizes: Any,
    tile: int,
    overlap: int,
    min_visible: float,
    most: int,
    seen: Any,
    held: Any,
    whole: Any,
    counts: Any,
) -> None:
    """Carry the boxes of all pages to their tiles and count.

    `boxes` in base px, by page, then by label; `pages`: where each page's boxes begin, and the end;
    `labels` of the boxes; `sizes`: four a page, base and reduced. `seen`, `held`: scratch, two
    and one a tile of the largest page, `seen` below zero. `whole`: per box, whether it is whole in a tile.
    `counts`: tiles that show each label, then tiles with a box, then tiles with more than `most`.
    """
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    total = len(counts) - 2
    stride = tile - overlap
    run = 0
    for p in range(len(pages) - 1):
        begin, end = pages[p], pages[p + 1]
        if begin == end:
            continue
        width, height = sizes[4 * p + 2], sizes[4 * p + 3]
        across, down = width / sizes[4 * p], height / sizes[4 * p + 1]
        cols, rows = count_of(width, tile, stride), count_of(height, tile, stride)
        last_x, last_y = max(0, width - tile), max(0, height - tile)
        for i in range(begin, end):
            if i == begin or labels[i] != labels[i - 1]:
                run += 1
            x0, x1 = boxes[i, 0] * across, boxes[i, 2] * across
            y0, y1 = boxes[i, 1] * down, boxes[i, 3] * down
            left = max(0, min(math.floor((x0 - tile) / stride), cols - 1))
            right = min(cols, max(1, math.ceil(x1 / stride) + 1))
            top = max(0, min(math.floor((y0 - tile) / stride), rows - 1))
            bottom = min(rows, max(1, math.ceil(y1 / stride) + 1))
            inside = 0
            for col in range(left, right):
                start = min(col * stride, last_x)
                stop = min(start + tile, width)
                if (
                    share_of(x0, x1, start, stop) > 0.0
                    and (x0 >= start or start == 0)
                    and (x1 <= stop or stop == width)
                ):
                    inside |= 1
            for row in range(top, bottom):
                start = min(row * stride, last_y)
                stop = min(start + tile, height)
                high = share_of(y0, y1, start, stop)
                if high <= 0.0:
                    continue
                if (y0 >= start or start == 0) and (y1 <= stop or stop == height):
                    inside |= 2
                for col in range(left, right):
                    start = min(col * stride, last_x)
                    visible = high * share_of(x0, x1, start, min(start + tile, width))
                    if visible <= 0.0 or visible < min_visible:
                        continue
                    place = row * cols + col
                    if seen[2 * place] != p:
                        seen[2 * place] = p
                        held[place] = 0
                        counts[total] += 1
                    held[place] += 1
                    if held[place] == most + 1:
                        counts[total + 1] += 1
                    if seen[2 * place + 1] != run:
                        seen[2 * place + 1] = run
                        counts[labels[i]] += 1
            whole[i] = inside == 3
