"""Shapes of label formats: the points of rotated boxes and ellipses, and columns of what is drawn on a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tilekit.boxes.shapes import Keypoints, Shapes
from tilekit.boxes.shapes.reading import from_json
from tilekit.errors import InvalidArgument
from tilekit.labels.entries import Wrong

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


def one_kind(drawn: Sequence[Any]) -> tuple[Shapes | None, int]:
    """A column of the shapes of one page, rows of None without one; where kinds mix, all become polygons.

    The number of keypoints that stood among others comes with it: those rows keep only their box.
    """
    kinds = {next(iter(row)) for row in drawn if row is not None}
    if len(kinds) <= 1 and not (kinds == {"oriented"} and None in drawn):
        return from_json(drawn), 0
    rows: list[Any] = []
    lost = 0
    for row in drawn:
        made = None if row is None else from_json([row])
        if isinstance(made, Keypoints):
            lost += 1
            rows.append(None)
        else:
            rows += [None] if made is None else made.to_polygons().to_json()
    return from_json(rows), lost


def sound(row: Any) -> Any:
    """A row as `Shapes.from_json` takes it, tried; Wrong where it is none."""
    try:
        from_json([row])
    except InvalidArgument as exc:
        raise Wrong(f"is no shape: {exc}") from exc
    return row
