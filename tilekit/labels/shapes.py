"""Shapes of label formats: the points of rotated boxes and ellipses."""

from __future__ import annotations

import math

Point = tuple[float, float]


def turned_corners(sides: tuple[float, ...] | list[float], degrees: float, center: Point) -> list[Point]:
    """The corners of a box turned clockwise (y points down) by `degrees` about `center`, from the top left one on."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x0, y0, x1, y1 = sides
    away = [(x - center[0], y - center[1]) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    return [(center[0] + x * cos - y * sin, center[1] + x * sin + y * cos) for x, y in away]


def hull_of(points: list[Point]) -> list[float]:
    """The box around points."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return [min(xs), min(ys), max(xs), max(ys)]


def turned(sides: tuple[float, ...] | list[float], degrees: float, center: Point) -> list[float]:
    """The box around a box turned clockwise by `degrees` about `center`."""
    if not degrees % 360:
        return list(sides)
    # a quarter turn's cosine is not quite 0: what is within a billionth of a px of whole is whole
    return [round(side, 9) for side in hull_of(turned_corners(sides, degrees, center))]


def turned_ellipse(center: Point, radii: Point, degrees: float) -> list[float]:
    """The box around an ellipse turned clockwise by `degrees`."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    wide, tall = math.hypot(radii[0] * cos, radii[1] * sin), math.hypot(radii[0] * sin, radii[1] * cos)
    return [
        round(side, 9) for side in (center[0] - wide, center[1] - tall, center[0] + wide, center[1] + tall)
    ]
