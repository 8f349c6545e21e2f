"""Shapes of the entries of a file, kept till their boxes and pages are known, and then held against both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.shapes.reading import from_json
from tilekit.labels.label_set import Size
from tilekit.labels.shapes import one_kind, tried
from tilekit.pages import PageKey

_BOXES = ("oriented", "corners")  # kinds that stay whole at an edge: what is left of a rectangle is none


@dataclass(frozen=True)
class Misplaced:
    """A shape that is not where its box is: the place of its row, and why."""

    row: int
    why: str


class Drawn:
    """What is drawn of each entry, by the number of its arrival."""

    def __init__(self) -> None:
        self._rows: dict[int, Any] = {}
        self._hulls: dict[int, list[float]] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def take(self, origin: int, drawn: Any) -> bool:
        """Keep a shape, or what a function gives of one; False where it has no area. Raises Wrong where it is none."""
        row = drawn() if callable(drawn) else drawn
        made = tried(row)
        if made is None:
            return False
        self._rows[origin], self._hulls[origin] = row, made.boxes[0].tolist()
        return True

    def fit(
        self,
        origins: NDArray[np.int64],
        boxes: NDArray[np.float64],
        size_of: Callable[[int], Size | None],
        overhang: float,
        clip: bool,
    ) -> tuple[list[Misplaced], int]:
        """Shapes that lie off their page or apart from their box, and how many others were clipped to the page.

        A shape may pass the edge by `overhang` px, by more only with `clip`; what passes is clipped, but for oriented
        boxes and where the size of the page is not known (`size_of` a row).
        """
        faults, clipped = [], 0
        for row, origin in enumerate(origins.tolist()):
            hull = self._hulls.get(origin)
            if hull is None:
                continue
            size = size_of(row)
            why = _fault(next(iter(self._rows[origin])), hull, boxes[row].tolist(), size, overhang, clip)
            if why:
                faults.append(Misplaced(row, why))
            elif size is not None and (over := _over(hull, size)) > 0:
                clipped += over > overhang
                self._clip(origin, size)
        return faults, clipped

    def _clip(self, origin: int, size: Size) -> None:
        row = self._rows[origin]
        if next(iter(row)) in _BOXES:
            return
        made = from_json([row])
        assert made is not None
        self._rows[origin] = made.clipped(np.array([[0.0, 0.0, *size]])).to_json()[0]

    def put(self, pages: dict[PageKey, Annotations], origins: Sequence[NDArray[np.int64]]) -> int:
        """Put the shapes beside their boxes, page by page; masks among polygons become polygons. Gives the number of
        keypoints that stood among other kinds and keep only their box."""
        lost = 0
        for (key, page), rows in zip(list(pages.items()), origins, strict=True):
            drawn = [self._rows.get(row) for row in rows.tolist()]
            if any(shape is not None for shape in drawn):
                shapes, without = one_kind(drawn, page.boxes)
                pages[key] = page.replaced(shapes=shapes)
                lost += without
        return lost


def _over(hull: list[float], size: Size) -> float:
    """Px by which a hull passes the edge of its page."""
    return max(-hull[0], -hull[1], hull[2] - size[0], hull[3] - size[1])


def _fault(
    kind: str, hull: list[float], box: list[float], size: Size | None, overhang: float, clip: bool
) -> str:
    said = f"has its {'shape' if kind in _BOXES else kind} at {_sides(hull)}"
    if size is not None:
        off = hull[0] >= size[0] or hull[1] >= size[1] or hull[2] <= 0 or hull[3] <= 0
        if off or (not clip and _over(hull, size) > overhang):
            way = "correct it" if off else "clip it with clip=True (--clip), correct it"
            return f"{said}, outside the page of {size[0]} x {size[1]} px; {way}, or correct the page's size"
    apart = max(hull[0] - box[2], hull[1] - box[3], box[0] - hull[2], box[1] - hull[3])
    if apart > overhang and kind != "keypoints":  # points may stand beside the box, areas may not
        return f"{said}, apart from its box at {_sides(box)}; correct the one that is wrong"
    return ""


def _sides(box: list[float]) -> str:
    x0, y0, x1, y1 = box
    return f"{x0:g}, {y0:g} to {x1:g}, {y1:g}"
