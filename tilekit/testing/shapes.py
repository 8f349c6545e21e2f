"""Drawing without a graphics library: strokes and filled polygons, anti-aliased by exact distance.

Coordinates are pixels, y down, and may be fractional; a pixel's center is at +0.5. The same shapes can be
written to a PDF (`tilekit.testing.pdf`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Color = tuple[int, int, int]
BLACK: Color = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Stroke:
    """A polyline drawn with a round pen of `width` px."""

    points: tuple[Point, ...]
    width: float = 2.0
    color: Color = BLACK


@dataclass(frozen=True, slots=True)
class Fill:
    """A filled convex polygon."""

    points: tuple[Point, ...]
    color: Color = BLACK


Shape = Stroke | Fill


def shape_bounds(shapes: Iterable[Shape]) -> tuple[float, float, float, float]:
    """The box x0, y0, x1, y1 of the ink of all shapes."""
    low, high = [np.inf, np.inf], [-np.inf, -np.inf]
    for shape in shapes:
        half = shape.width / 2 if isinstance(shape, Stroke) else 0.0
        for point in shape.points:
            for axis in (0, 1):
                low[axis] = min(low[axis], point[axis] - half)
                high[axis] = max(high[axis], point[axis] + half)
    return low[0], low[1], high[0], high[1]


def draw(canvas: NDArray[np.uint8], shapes: Iterable[Shape]) -> None:
    """Draw shapes, in order, on a (h, w, 1 or 3) uint8 canvas; on a gray one by luminance."""
    for shape in shapes:
        ink = np.array(shape.color if canvas.shape[2] == 3 else [luminance(shape.color)], dtype=np.float32)
        if isinstance(shape, Fill):
            _fill(canvas, shape, ink)
            continue
        for start, stop in zip(shape.points, shape.points[1:], strict=False):
            _segment(canvas, start, stop, shape.width, ink)


def luminance(color: Color) -> int:
    """The gray of a color (Rec. 601 weights)."""
    return round(0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2])


def _segment(
    canvas: NDArray[np.uint8], start: Point, stop: Point, width: float, ink: NDArray[np.float32]
) -> None:
    half = width / 2
    window = _window(canvas, (start, stop), half + 1)
    if window is None:
        return
    x, y = _centers(window)
    dx, dy = stop[0] - start[0], stop[1] - start[1]
    length = dx * dx + dy * dy
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / length if length else np.zeros_like(x)
    along = np.clip(along, 0, 1)
    distance = np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)
    _blend(canvas, window, np.clip(half + 0.5 - distance, 0, 1), ink)


def _fill(canvas: NDArray[np.uint8], shape: Fill, ink: NDArray[np.float32]) -> None:
    window = _window(canvas, shape.points, 1)
    if window is None:
        return
    x, y = _centers(window)
    points = shape.points
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, (*points[1:], points[0]), strict=True))
    side = 1.0 if area > 0 else -1.0
    inside = np.full(np.broadcast_shapes(x.shape, y.shape), np.inf)
    for a, b in zip(points, (*points[1:], points[0]), strict=True):
        dx, dy = b[0] - a[0], b[1] - a[1]
        length = max(float(np.hypot(dx, dy)), 1e-9)
        inside = np.minimum(inside, side * (dx * (y - a[1]) - dy * (x - a[0])) / length)
    _blend(canvas, window, np.clip(inside + 0.5, 0, 1), ink)


def _window(
    canvas: NDArray[np.uint8], points: Iterable[Point], margin: float
) -> tuple[int, int, int, int] | None:
    xs, ys = zip(*points, strict=True)
    x0, y0 = max(0, int(min(xs) - margin)), max(0, int(min(ys) - margin))
    x1, y1 = min(canvas.shape[1], int(max(xs) + margin) + 2), min(canvas.shape[0], int(max(ys) + margin) + 2)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _centers(window: tuple[int, int, int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x0, y0, x1, y1 = window
    x: NDArray[np.float64] = np.arange(x0, x1, dtype=np.float64)[None, :] + 0.5
    y: NDArray[np.float64] = np.arange(y0, y1, dtype=np.float64)[:, None] + 0.5
    return x, y


def _blend(
    canvas: NDArray[np.uint8],
    window: tuple[int, int, int, int],
    coverage: NDArray[np.float64],
    ink: NDArray[np.float32],
) -> None:
    x0, y0, x1, y1 = window
    part = canvas[y0:y1, x0:x1]
    share = coverage[:, :, None].astype(np.float32)
    part[:] = np.rint(part + (ink - part) * share).astype(np.uint8)
