"""Windows beside the grid: for tiles with too many boxes, and for objects that no grid tile shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tilekit.axes import Axis
from tilekit.grid import TileGrid, Window

_STEPS = (0.0, -0.5, 0.5, -0.25, 0.25)


def shifts_around(window: Window, grid: TileGrid) -> list[Window]:
    """Windows of the same size, moved by a quarter or half of it within the scan; each once, never itself."""
    found: dict[Window, None] = {}
    for down in _STEPS:
        for across in _STEPS:
            moved = _moved(window, round(across * window.width), round(down * window.height), grid)
            if moved != window:
                found[moved] = None
    return list(found)


def windows_around(box: NDArray[np.float64], grid: TileGrid) -> Iterator[Window]:
    """Windows of the grid's tile size around a box (reduced frame): centered, then pushed to each side."""
    spans = [_spans(float(box[side]), float(box[side + 2]), axis) for side, axis in _axes(grid)]
    seen = set()
    for top, bottom in spans[1]:
        for left, right in spans[0]:
            window = Window(left, top, right, bottom)
            if window not in seen:
                seen.add(window)
                yield window


def groups_of(centers: NDArray[np.float64], most: int) -> list[NDArray[np.int64]]:
    """Split points (n, 2) into groups of at most `most` neighbors: halved along the longer side of their extent."""
    groups = []
    todo = [np.arange(len(centers))] if len(centers) else []
    while todo:
        group = todo.pop()
        if len(group) <= most:
            groups.append(group)
            continue
        extent = np.ptp(centers[group], axis=0)
        order = group[np.argsort(centers[group, int(extent[1] > extent[0])], kind="stable")]
        half = len(order) // 2
        todo += [np.sort(order[half:]), np.sort(order[:half])]
    return groups


def _axes(grid: TileGrid) -> tuple[tuple[int, Axis], tuple[int, Axis]]:
    return (0, grid.columns), (1, grid.lines)


def _moved(window: Window, across: int, down: int, grid: TileGrid) -> Window:
    left = min(max(0, window.x0 + across), max(0, grid.width - window.width))
    top = min(max(0, window.y0 + down), max(0, grid.height - window.height))
    return Window(left, top, left + window.width, top + window.height)


def _spans(low: float, high: float, axis: Axis) -> list[tuple[int, int]]:
    """(start, stop) along one side: centered on low..high, then as far left and right as it stays whole."""
    last = max(0, axis.size - axis.tile)
    starts = ((low + high - axis.tile) / 2, high - axis.tile + 0.5, low - 0.5)
    return [
        (start, start + axis.tile)
        for start in dict.fromkeys(min(max(0, round(value)), last) for value in starts)
    ]
