"""Collector: what every reader fills: pages, boxes, names; and says what is wrong with file, line and field."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from tilekit.boxes.annotations import Annotations
from tilekit.labels.label_set import BadLabel, ImageLabel, LabelSet, Problem, Size
from tilekit.labels.sources import PathLike
from tilekit.pages import PageKey

OVERHANG = 1.0
"""Px by which a box may pass the edge of its page, as rounding does; it is clipped. More is an error."""


class Collector:
    """Gathers pages and boxes. `strict`: the first problem raises BadLabel; else it is kept and the box left out.

    `names` given first keep their order; others follow as they come.
    """

    def __init__(self, file: PathLike, strict: bool, names: Sequence[str] = ()) -> None:
        self.file = os.fspath(file)
        self.strict = strict
        self.problems: list[Problem] = []
        self._names: dict[str, int] = {}
        self._rows: dict[PageKey, list[tuple[float, float, float, float]]] = {}
        self._ids: dict[PageKey, list[int]] = {}
        self._ignore: dict[PageKey, list[bool]] = {}
        self._sizes: dict[PageKey, Size] = {}
        self._labels: dict[PageKey, list[ImageLabel]] = {}
        self._unlabeled: dict[PageKey, str] = {}
        for name in names:
            self.name(name)

    def problem(self, field: str, message: str, line: int = 0, file: PathLike | None = None) -> None:
        """Something is wrong: raise it, or keep it."""
        problem = Problem(self.file if file is None else os.fspath(file), line, field, message)
        if self.strict:
            raise BadLabel(problem)
        self.problems.append(problem)

    def name(self, label: str) -> int:
        """The place of a label among the names."""
        return self._names.setdefault(label, len(self._names))

    def page(
        self, key: PageKey, width: Any = None, height: Any = None, field: str = "", line: int = 0
    ) -> bool:
        """A labeled page; its size where it is known. False where the size makes no sense."""
        self._unlabeled.pop(key, None)
        if width is not None or height is not None:
            size = _sides(width, height)
            if size is None:
                self.problem(field, f"width and height are {width!r}, {height!r}; whole px are needed", line)
                return False
            if self._sizes.setdefault(key, size) != size:
                self.problem(field, f"{key} is {size} px here but {self._sizes[key]} px before", line)
                return False
        self._rows.setdefault(key, [])
        self._ids.setdefault(key, [])
        self._ignore.setdefault(key, [])
        return True

    def unlabeled(self, key: PageKey, reason: str) -> None:
        """A page that nobody labeled."""
        if key not in self._rows:
            self._unlabeled[key] = reason

    def image_label(self, key: PageKey, label: str, confidence: float = 1.0) -> None:
        """A label of the page as a whole."""
        self._labels.setdefault(key, []).append(ImageLabel(label, confidence))

    def box(
        self,
        key: PageKey,
        label: Any,
        sides: Sequence[Any],
        *,
        ignore: bool = False,
        field: str = "",
        line: int = 0,
        file: PathLike | None = None,
    ) -> None:
        """A box x0, y0, x1, y1 in px of its page."""
        wrong = self._wrong(key, label, sides)
        if wrong:
            self.problem(field, wrong, line, file)
            return
        x0, y0, x1, y1 = (float(side) for side in sides)
        size = self._sizes.get(key)
        if size is not None:
            x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1]))
        self._rows[key].append((x0, y0, x1, y1))
        self._ids[key].append(self.name(label))
        self._ignore[key].append(ignore)

    def _wrong(self, key: PageKey, label: Any, sides: Sequence[Any]) -> str:
        if not isinstance(label, str) or not label:
            return f"has the label {label!r}; a text is needed"
        try:
            numbers = [float(side) for side in sides]
        except (TypeError, ValueError):
            return f"has the sides {list(sides)!r:.100}; four numbers are needed"
        if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
            return f"has the sides {numbers}; four finite numbers are needed"
        x0, y0, x1, y1 = numbers
        if x1 <= x0 or y1 <= y0:
            return f"is {x1 - x0:g} x {y1 - y0:g} px; both sides must be greater than 0"
        size = self._sizes.get(key, (math.inf, math.inf))
        over = max(-x0, -y0, x1 - size[0], y1 - size[1])
        if over > OVERHANG or min(size[0] - x0, size[1] - y0, x1, y1) <= 0:
            where = "the page" if key not in self._sizes else f"the page of {size[0]} x {size[1]} px"
            return (
                f"is {x0:g}, {y0:g} to {x1:g}, {y1:g}, outside {where}; clip it, or correct the page's size"
            )
        return ""

    def finish(self, format: str) -> LabelSet:
        """Everything gathered."""
        names = tuple(self._names)
        pages = {
            key: Annotations(rows, self._ids[key], names, self._ignore[key])
            if rows
            else Annotations.empty(names)
            for key, rows in self._rows.items()
        }
        return LabelSet(
            pages,
            sizes={key: size for key, size in self._sizes.items() if key in pages},
            names=names,
            image_labels={key: tuple(value) for key, value in self._labels.items()},
            unlabeled=self._unlabeled,
            problems=tuple(self.problems),
            format=format,
        )


def hull(points: Any) -> tuple[float, float, float, float] | None:
    """The box around points [[x, y], ...]; None where they are none."""
    try:
        xs, ys = [float(point[0]) for point in points], [float(point[1]) for point in points]
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    return (min(xs), min(ys), max(xs), max(ys)) if xs else None


def snapped(sides: Sequence[float]) -> list[float]:
    """Sides from ratios or points: to a millionth of a px, so that whole px come back whole."""
    return [round(side, 6) for side in sides]


def number_text(value: float) -> str:
    """A number as text: whole where it is, else with every digit."""
    return str(int(value)) if value == int(value) else repr(float(value))


def _sides(width: Any, height: Any) -> Size | None:
    try:
        size = float(width), float(height)
    except (TypeError, ValueError):
        return None
    whole = all(math.isfinite(side) and side >= 1 and side == int(side) for side in size)
    return (int(size[0]), int(size[1])) if whole else None
