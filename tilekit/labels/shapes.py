"""Shapes of label formats: the points of rotated boxes and ellipses, and columns of what is drawn on a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.shapes import Keypoints, Masks, OrientedBoxes, Shapes
from tilekit.boxes.shapes.reading import from_json
from tilekit.errors import InvalidArgument
from tilekit.labels.entries import Wrong

Point = tuple[float, float]
_ROUND = 64  # points of the outline of an ellipse: a 600th of its area is missing
_RECTANGLE = 0.5  # px by which corners may be off those of a rectangle: what rounding does


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


def ellipse_outline(center: Point, radii: Point, degrees: float = 0.0) -> dict[str, Any]:
    """An ellipse turned clockwise by `degrees` as an outline of 64 points."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    steps = [2 * math.pi * place / _ROUND for place in range(_ROUND)]
    ends = [(radii[0] * math.cos(step), radii[1] * math.sin(step)) for step in steps]
    return {"polygon": [[[center[0] + x * cos - y * sin, center[1] + x * sin + y * cos] for x, y in ends]]}


def outline(points: Sequence[Point], *holes: Sequence[Point]) -> dict[str, Any]:
    """A polygon, with holes in it."""
    rings = [[list(point) for point in ring] for ring in (points, *holes)]
    return {"polygon": rings, "holes": list(range(1, len(rings)))} if holes else {"polygon": rings}


def corners(points: Sequence[Point]) -> dict[str, Any]:
    """Four corners: an oriented box where they are one and so are all of its page, else a polygon."""
    return {"corners": [list(point) for point in points]}


def oriented(sides: Sequence[float], degrees: float, center: Point) -> dict[str, Any]:
    """A box turned clockwise by `degrees` about `center`."""
    x0, y0, x1, y1 = sides
    points = np.array(turned_corners([x0, y0, x1, y1], degrees, center))
    cx, cy = points.mean(axis=0).tolist()
    return {"oriented": [cx, cy, x1 - x0, y1 - y0, degrees]}


def mask_of(picture: NDArray[Any], left: int = 0, top: int = 0) -> dict[str, Any] | None:
    """A picture (height, width) of a mask whose corner lies at `left`, `top`."""
    found: Any = Masks.from_arrays([picture], np.array([[left, top]])).to_json()[0]
    return found  # type: ignore[no-any-return]


def one_kind(drawn: Sequence[Any], boxes: NDArray[np.float64]) -> tuple[Shapes | None, int]:
    """A column of the shapes of one page, rows of None without one; where kinds mix, all become polygons.

    Corners of which all are rectangles, to half a px, are oriented boxes, with boxes alone as upright ones among
    them; where all stand upright there is no shape to speak of. The number of keypoints that stood among others
    comes with it: those rows keep only their box.
    """
    kinds = {next(iter(row)) for row in drawn if row is not None}
    if kinds <= {"oriented", "corners"}:
        found = _rectangles(drawn, boxes)
        if found is not None:
            turned_by = np.abs((found.rows[:, 4] + 45) % 90 - 45)
            upright = (turned_by < 1e-6).all() and "oriented" not in kinds
            return (None if upright else found), 0
    if len(kinds) <= 1 and not kinds & {"oriented", "corners"}:
        return from_json(drawn), 0
    rows: list[Any] = []
    lost = 0
    for row in drawn:
        plain = {"polygon": [row["corners"]]} if row is not None and "corners" in row else row
        made = None if plain is None else from_json([plain])
        if isinstance(made, Keypoints):
            lost += 1
            rows.append(None)
        else:
            rows += [None] if made is None else made.to_polygons().to_json()
    return from_json(rows), lost


def _rectangles(drawn: Sequence[Any], boxes: NDArray[np.float64]) -> OrientedBoxes | None:
    """Oriented boxes and corners as oriented boxes; None where some corners are no rectangle."""
    found = OrientedBoxes.absent(boxes).rows.copy()
    for place, row in enumerate(drawn):
        if row is None:
            continue
        if "oriented" in row:
            found[place] = row["oriented"]
            continue
        points = np.array(row["corners"], dtype=np.float64)
        box = OrientedBoxes.from_corners(points[None])
        away = np.abs(box.corners[0][:, None] - points[None]).max(axis=2).min(axis=0)
        if away.max() > _RECTANGLE:
            return None
        found[place] = box.rows[0]
    return OrientedBoxes(found)


def tried(row: Any) -> Shapes | None:
    """A row as `Shapes.from_json` takes it, or corners, as a column of one; None without area; Wrong where it is none."""
    if row is None:
        return None
    try:
        made = from_json([{"polygon": [row["corners"]]} if "corners" in row else row])
    except InvalidArgument as exc:
        raise Wrong(f"is no shape: {exc}") from exc
    return made if made is not None and made.given.any() else None


def sound(row: Any) -> Any:
    """The row itself, tried; None without area; Wrong where it is none."""
    return None if tried(row) is None else row
