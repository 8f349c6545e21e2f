"""Oriented boxes: rectangles turned about their centers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks
from tilekit.boxes.shapes.column import Shapes, point_rows
from tilekit.boxes.shapes.polygons import Polygons
from tilekit.errors import InvalidArgument

_UNIT = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


class OrientedBoxes(Shapes):
    """Turned rectangles, `rows` (n, 5) float64: cx, cy, w, h, angle.

    The angle is in degrees, clockwise as seen on the page (x to the right, y down); `w` runs along it: at angle 0 the
    box is cx - w/2, cy - h/2, cx + w/2, cy + h/2, at 90 its width points down. Any angle may stand, it is not changed.
    Raises InvalidArgument naming the row.
    """

    __slots__ = ("rows",)
    kind: ClassVar[str] = "oriented"

    rows: NDArray[np.float64]

    def __init__(self, rows: ArrayLike) -> None:
        checked = point_rows(rows, 5, "oriented")
        bad = (checked[:, 2:4] < 0).any(axis=1)
        if bad.any():
            row = int(bad.argmax())
            raise InvalidArgument(
                f"oriented[{row}] is {checked[row].tolist()}; it is cx, cy, w, h, angle in degrees, with w and h not below 0"
            )
        object.__setattr__(self, "rows", checked)

    @classmethod
    def from_corners(cls, corners: ArrayLike) -> Self:
        """From (n, 4, 2) corners in order around each rectangle, the first two along its width.

        Corners that are no rectangle give the one with their center, mean sides and mean direction; `Polygons` keep
        them exactly. Corners named against the clock are turned round.
        """
        points = np.asarray(corners, dtype=np.float64)
        if points.size == 0:
            points = points.reshape(0, 4, 2)
        if points.ndim != 3 or points.shape[1:] != (4, 2):
            raise InvalidArgument(f"corners must have shape (n, 4, 2), not {points.shape}")
        x, y = points[..., 0], points[..., 1]
        turned = (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1) < 0
        points = np.where(turned[:, None, None], points[:, [1, 0, 3, 2]], points)
        along = (points[:, 1] - points[:, 0] + points[:, 2] - points[:, 3]) / 2
        aside = (points[:, 3] - points[:, 0] + points[:, 2] - points[:, 1]) / 2
        wide, high = np.hypot(*along.T), np.hypot(*aside.T)
        flat = wide == 0
        angle = np.where(flat, np.arctan2(-aside[:, 0], aside[:, 1]), np.arctan2(along[:, 1], along[:, 0]))
        return cls(np.column_stack([points.mean(axis=1), wide, high, np.degrees(angle)]))

    @classmethod
    def around(cls, polygons: Polygons) -> Self:
        """The smallest rotated rectangle around each outline; every row must have one."""
        import shapely

        if not polygons.given.all():
            raise InvalidArgument(
                f"polygon {int((~polygons.given).argmax())} has no outline to turn into a box"
            )
        corners = np.zeros((len(polygons), 4, 2))
        for row, around in enumerate(shapely.oriented_envelope(polygons.geometries())):
            found = shapely.get_coordinates(around)[:4]
            corners[row] = np.resize(found, (4, 2)) if len(found) < 4 else found
        return cls.from_corners(corners)

    @property
    def corners(self) -> NDArray[np.float64]:
        """(n, 4, 2) float64: corners clockwise, from the one that is top left at angle 0."""
        turn = np.radians(self.rows[:, 4] % 360.0)
        cos, sin = np.cos(turn), np.sin(turn)
        quarter = self.rows[:, 4] % 90.0 == 0  # exact where the box stands straight
        cos, sin = np.where(quarter, np.round(cos), cos), np.where(quarter, np.round(sin), sin)
        x = _UNIT[:, 0] * self.rows[:, 2:3]
        y = _UNIT[:, 1] * self.rows[:, 3:4]
        turned = [x * cos[:, None] - y * sin[:, None], x * sin[:, None] + y * cos[:, None]]
        return np.asarray(np.stack(turned, axis=-1) + self.rows[:, None, :2], dtype=np.float64)

    def canonical(self) -> Self:
        """The same rectangles with the angle from 0 to below 90, width and height exchanged where needed."""
        rows = self.rows.copy()
        swap = (rows[:, 4] // 90).astype(np.int64) % 2 == 1
        rows[swap, 2:4] = rows[swap, 3:1:-1]
        rows[:, 4] %= 90.0
        return type(self)(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Self:
        return type(self)(self.rows[checks.rows(index)])

    @property
    def given(self) -> NDArray[np.bool_]:
        """All rows are."""
        return np.ones(len(self), np.bool_)

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(n, 4) float64: the upright box around each."""
        corners = self.corners
        return np.asarray(np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1))

    @property
    def areas(self) -> NDArray[np.float64]:
        """(n,) float64: width times height."""
        out: NDArray[np.float64] = self.rows[:, 2] * self.rows[:, 3]
        return out

    def moved(self, across: ArrayLike, down: ArrayLike) -> Self:
        """Moved by px, one number for all or one a row."""
        rows = self.rows.copy()
        rows[:, 0] += np.asarray(across, dtype=np.float64)
        rows[:, 1] += np.asarray(down, dtype=np.float64)
        return type(self)(rows)

    def scaled(self, across: float, down: float) -> Self:
        """Coordinates multiplied; with two different factors a turned rectangle becomes the nearest one."""
        if across == down:
            return type(self)(self.rows * np.array([across, across, across, across, 1.0]))
        return type(self).from_corners(self.corners * np.array([across, down]))

    def clipped(self, windows: NDArray[np.float64]) -> Self:
        """Kept whole: a rectangle cut by a window is none any more. `to_polygons().clipped(...)` shows the part."""
        return self

    def to_polygons(self) -> Polygons:
        """The four corners of each."""
        count = len(self)
        return Polygons(self.corners.reshape(-1, 2), 4 * np.arange(count + 1), np.arange(count + 1))

    def to_json(self) -> list[Any]:
        """A row: {"oriented": [cx, cy, w, h, angle]}."""
        return [{"oriented": row} for row in self.rows.tolist()]

    @classmethod
    def from_json(cls, rows: Sequence[Any]) -> Self:
        """From what `to_json` gives; rows of None are not possible."""
        return cls([row["oriented"] for row in rows])

    @classmethod
    def absent(cls, boxes: NDArray[np.float64]) -> Self:
        """Upright boxes as they are."""
        sides = boxes[:, 2:] - boxes[:, :2]
        return cls(np.column_stack([boxes[:, :2] + sides / 2, sides, np.zeros(len(boxes))]))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All rows of all parts, in order."""
        return cls(np.concatenate([part.rows for part in parts]) if parts else np.empty((0, 5)))

    def _fields(self) -> tuple[NDArray[Any], ...]:
        return (self.rows,)
