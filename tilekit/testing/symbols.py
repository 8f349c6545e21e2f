"""Symbols that scenes show: the four of the demo, look-alikes, and more for tests of other classes."""

from __future__ import annotations

import math
from collections.abc import Callable

from tilekit.testing.shapes import BLACK, Color, Fill, Point, Shape, Stroke

Maker = Callable[[float, float, float, Color], list[Shape]]


def _pen(size: float) -> float:
    return max(1.2, size * 0.11)


def _placed(points: list[Point], x: float, y: float, size: float) -> tuple[Point, ...]:
    return tuple((x + px * size, y + py * size) for px, py in points)


def _outline(points: list[Point]) -> Maker:
    def make(x: float, y: float, size: float, color: Color) -> list[Shape]:
        placed = _placed(points, x, y, size)
        return [Stroke((*placed, placed[0]), _pen(size), color)]

    return make


def _solid(points: list[Point]) -> Maker:
    return lambda x, y, size, color: [Fill(_placed(points, x, y, size), color)]


def _lines(*parts: list[Point]) -> Maker:
    return lambda x, y, size, color: [Stroke(_placed(part, x, y, size), _pen(size), color) for part in parts]


def _arrow(turn: int) -> Maker:
    """A shaft with a filled head; `turn` quarter turns clockwise from up."""

    def rotated(point: Point) -> Point:
        px, py = point
        for _ in range(turn):
            px, py = 1 - py, px
        return px, py

    def make(x: float, y: float, size: float, color: Color) -> list[Shape]:
        shaft = [rotated((0.5, 0.4)), rotated((0.5, 0.95))]
        head = [rotated((0.5, 0.0)), rotated((0.88, 0.46)), rotated((0.12, 0.46))]
        return [
            Stroke(_placed(shaft, x, y, size), _pen(size) * 1.5, color),
            Fill(_placed(head, x, y, size), color),
        ]

    return make


def _double_arrow(x: float, y: float, size: float, color: Color) -> list[Shape]:
    """Two heads, tip up and tip down."""
    up, down = [(0.5, 0.0), (0.85, 0.4), (0.15, 0.4)], [(0.5, 1.0), (0.85, 0.6), (0.15, 0.6)]
    return [Fill(_placed(head, x, y, size), color) for head in (up, down)]


def _circle(sides: int = 20) -> list[Point]:
    turns = [2 * math.pi * place / sides for place in range(sides)]
    return [(0.5 + 0.45 * math.cos(turn), 0.5 + 0.45 * math.sin(turn)) for turn in turns]


_UP: list[Point] = [(0.5, 0.06), (0.96, 0.92), (0.04, 0.92)]
_DOWN: list[Point] = [(0.04, 0.08), (0.96, 0.08), (0.5, 0.94)]
_SQUARE: list[Point] = [(0.08, 0.08), (0.92, 0.08), (0.92, 0.92), (0.08, 0.92)]
_DIAMOND: list[Point] = [(0.5, 0.02), (0.98, 0.5), (0.5, 0.98), (0.02, 0.5)]

SYMBOLS: dict[str, Maker] = {
    "empty_triangle": _outline(_UP),
    "solid_triangle": _solid(_UP),
    "up_arrow": _arrow(0),
    "down_arrow": _arrow(2),
    "double_arrow": _double_arrow,
    "open_up_arrow": _lines([(0.5, 0.06), (0.5, 0.95)], [(0.14, 0.44), (0.5, 0.06), (0.86, 0.44)]),
    "open_down_arrow": _lines([(0.5, 0.05), (0.5, 0.94)], [(0.14, 0.56), (0.5, 0.94), (0.86, 0.56)]),
    "right_arrow": _arrow(1),
    "left_arrow": _arrow(3),
    "empty_square": _outline(_SQUARE),
    "solid_square": _solid(_SQUARE),
    "empty_circle": _outline(_circle()),
    "solid_circle": _solid(_circle()),
    "empty_diamond": _outline(_DIAMOND),
    "solid_diamond": _solid(_DIAMOND),
    "inverted_triangle": _outline(_DOWN),
    "solid_inverted": _solid(_DOWN),
    "cross": _lines([(0.1, 0.1), (0.9, 0.9)], [(0.9, 0.1), (0.1, 0.9)]),
    "plus": _lines([(0.5, 0.05), (0.5, 0.95)], [(0.05, 0.5), (0.95, 0.5)]),
    "chevron": _lines([(0.08, 0.85), (0.5, 0.12), (0.92, 0.85)]),
    "ground": _lines(
        [(0.5, 0.05), (0.5, 0.45)],
        [(0.08, 0.45), (0.92, 0.45)],
        [(0.25, 0.68), (0.75, 0.68)],
        [(0.42, 0.9), (0.58, 0.9)],
    ),
    "capacitor": _lines(
        [(0.02, 0.5), (0.4, 0.5)],
        [(0.4, 0.1), (0.4, 0.9)],
        [(0.6, 0.1), (0.6, 0.9)],
        [(0.6, 0.5), (0.98, 0.5)],
    ),
    "valve": _outline([(0.05, 0.2), (0.95, 0.8), (0.95, 0.2), (0.05, 0.8)]),
}
"""Every symbol by name."""

DEMO_SYMBOLS = ("empty_triangle", "solid_triangle", "up_arrow", "down_arrow")
"""The four that the demo labels."""

LOOK_ALIKES = (
    "double_arrow",
    "open_up_arrow",
    "open_down_arrow",
    "right_arrow",
    "left_arrow",
    "inverted_triangle",
    "solid_inverted",
    "chevron",
    "solid_diamond",
    "empty_diamond",
    "solid_circle",
    "empty_square",
    "plus",
)
"""Shapes like them that are not labeled."""


def symbol(name: str, x: float, y: float, size: float, color: Color = BLACK) -> list[Shape]:
    """Shapes of a symbol whose square of `size` px has its top left corner at (x, y)."""
    return SYMBOLS[name](x, y, size, color)
