"""Values of label files, taken at their word or refused in one sentence: numbers, texts, lists, objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a label file: field or JSON path, line (from one, 0 = none), file where it is another one."""

    field: str = ""
    line: int = 0
    file: str = ""

    def at(self, part: str) -> Where:
        """A part of this place: `shapes[3]` and `points` are `shapes[3].points`."""
        if not part:
            return self
        return Where(f"{self.field}.{part}" if self.field else part, self.line, self.file)


NOWHERE = Where()
FAR = 1e9
"""Px beyond which no page reaches, where its size is not known."""


class Wrong(Exception):
    """An entry cannot be taken; `field` is the part of it that is at fault."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


def number(value: Any, field: str) -> float:
    """A finite number, also written as text; Wrong for anything else."""
    found = as_number(value)
    if found is None:
        raise Wrong(f"is {shown(value)}; a number is needed", field)
    return found


def as_number(value: Any) -> float | None:
    """A finite number, also written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def numbers(values: Any, count: int, field: str) -> list[float]:
    """A list of just so many numbers."""
    if not isinstance(values, (list, tuple)) or len(values) != count:
        raise Wrong(f"is {shown(values)}; {count} numbers are needed", field)
    found = [as_number(value) for value in values]
    if None in found:
        raise Wrong(f"is {shown(values)}; {count} numbers are needed", field)
    return found  # type: ignore[return-value]


def whole(value: Any, field: str) -> int:
    """A whole number, also written as text or as 3.0."""
    found = as_number(value)
    if found is None or found != int(found):
        raise Wrong(f"is {shown(value)}; a whole number is needed", field)
    return int(found)


def text(value: Any, field: str) -> str:
    """A text that is not empty, without NUL."""
    if not isinstance(value, str) or not value.strip():
        raise Wrong(f"is {shown(value)}; a text is needed", field)
    if "\0" in value:
        raise Wrong(f"is {shown(value)}, which holds a NUL; no file has such a name", field)
    return value


def an_object(value: Any, field: str = "") -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise Wrong(f"is {shown(value)}; an object is needed", field)
    return value


def a_list(value: Any, field: str = "") -> list[Any]:
    """A JSON list."""
    if not isinstance(value, list):
        raise Wrong(f"is {shown(value)}; a list is needed", field)
    return value


def points_of(values: Any, field: str) -> list[tuple[float, float]]:
    """Points as [[x, y], ...] or [{"x":, "y":}, ...]."""
    found = []
    for point in a_list(values, field):
        pair = (point.get("x"), point.get("y")) if isinstance(point, dict) else point
        pair = pair[:2] if isinstance(pair, (list, tuple)) else pair
        x, y = numbers(pair, 2, field)
        found.append((x, y))
    return found


def pairs_of(values: Any, field: str) -> list[tuple[float, float]]:
    """Points as x, y, x, y, ..."""
    if not isinstance(values, (list, tuple)) or len(values) % 2:
        raise Wrong(f"is {shown(values)}; pairs of numbers are needed", field)
    found = numbers(list(values), len(values), field)
    return list(zip(found[::2], found[1::2], strict=True))


def around(points: Sequence[tuple[float, float]], field: str, least: int = 2) -> list[float]:
    """The box around points; Wrong for fewer than `least`."""
    if len(points) < least:
        raise Wrong(f"has {len(points)} points; at least {least} are needed", field)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return [min(xs), min(ys), max(xs), max(ys)]


def true(value: Any) -> bool:
    """Whether a flag of a label file is raised: true, 1, "1", "true", "yes"."""
    return value is True or (
        not isinstance(value, bool) and str(value).strip().lower() in ("1", "1.0", "true", "yes")
    )


def shown(value: Any) -> str:
    """A value in a message, cut to a readable length."""
    try:
        said = repr(value)
    except (ValueError, RecursionError):  # an int of more than 4,300 digits, a list nested without end
        return "a value too long to show"
    return said if len(said) <= 80 else f"{said[:77]}..."


def checked_label(label: Any) -> str:
    """A label as text; Wrong for none."""
    if not isinstance(label, str) or not label:
        raise Wrong(f"has the label {shown(label)}; a text is needed")
    return label


def checked_score(score: Any) -> float:
    """A confidence 0..1."""
    found = as_number(score)
    if found is None or not 0 <= found <= 1:
        raise Wrong(f"has the score {shown(score)}; 0 to 1 is needed")
    return found


def page_size(width: Any, height: Any) -> tuple[int, int] | None:
    """(width, height) px of a page as its file says; None where it does not, or says 0."""
    if type(width) is int and type(height) is int and 0 < width < FAR and 0 < height < FAR:
        return width, height
    if _unknown(width) and _unknown(height):
        return None
    sides = as_number(width), as_number(height)
    if any(side is None or side < 1 or side != int(side) for side in sides):
        raise Wrong(f"width and height are {shown(width)}, {shown(height)}; whole px are needed")
    return int(sides[0] or 0), int(sides[1] or 0)


def _unknown(side: Any) -> bool:
    return side is None or side == "" or as_number(side) == 0


def number_text(value: float) -> str:
    """A number as text: whole where it is, else with every digit."""
    return str(int(value)) if value == int(value) else repr(float(value))
