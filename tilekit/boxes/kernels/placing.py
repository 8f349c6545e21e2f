"""Tile-frame boxes put on the scan, clipped to their tiles, with the edges that cut them."""

from __future__ import annotations

from typing import Any

from tilekit.compiled import kernel


@kernel("void(R2,RI,RI,RI,RI,RI,RI,f,f,F2,B)")
def place(
    boxes: Any,
    tiles: Any,
    order: Any,
    left: Any,
    right: Any,
    top: Any,
    bottom: Any,
    tolerance: float,
    share: float,
    out: Any,
    edges: Any,
) -> None:
    """Write box `order[r]` to row r of `out`, and to `edges` the sides (left 1, top 2, right 4, bottom 8) that a
    tile edge inside the scan touches within `tolerance` or the `share` of the box's side. `right`, `bottom` end with the scan.
    """
    cols = len(left)
    width, height = right[cols - 1], bottom[len(bottom) - 1]
    for r in range(len(order)):
        i = order[r]
        row = tiles[i] // cols
        col = tiles[i] - row * cols
        start_x, stop_x, start_y, stop_y = left[col], right[col], top[row], bottom[row]
        x0 = min(max(boxes[i, 0] + start_x, start_x), stop_x)
        y0 = min(max(boxes[i, 1] + start_y, start_y), stop_y)
        x1 = min(max(boxes[i, 2] + start_x, start_x), stop_x)
        y1 = min(max(boxes[i, 3] + start_y, start_y), stop_y)
        out[r, 0], out[r, 1], out[r, 2], out[r, 3] = x0, y0, x1, y1
        touched = 0
        slack_x, slack_y = max(tolerance, share * (x1 - x0)), max(tolerance, share * (y1 - y0))
        if start_x > 0 and x0 <= start_x + slack_x:
            touched += 1
        if start_y > 0 and y0 <= start_y + slack_y:
            touched += 2
        if stop_x < width and x1 >= stop_x - slack_x:
            touched += 4
        if stop_y < height and y1 >= stop_y - slack_y:
            touched += 8
        edges[r] = touched
