"""Keypoints: named places of an object, such as joints or the ends of a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks
from tilekit.boxes.shapes import ragged
from tilekit.boxes.shapes.column import Shapes, point_rows
from tilekit.boxes.shapes.polygons import Polygons
from tilekit.errors import InvalidArgument


class Keypoints(Shapes):
    """Points in a fixed order, as COCO counts them: `points` (m, 3) float64 x, y, visibility; `starts` (n + 1,).

    Visibility is 0 (not labeled: x and y mean nothing), 1 (hidden) or 2 (seen). Raises InvalidArgument naming the point.
    """

    __slots__ = ("points", "starts")
    kind: ClassVar[str] = "keypoints"

    points: NDArray[np.float64]
    starts: NDArray[np.int64]

    def __init__(self, points: ArrayLike, starts: ArrayLike) -> None:
        checked = point_rows(points, 3, "keypoints")
        bad = ~np.isin(checked[:, 2], (0.0, 1.0, 2.0))
        if bad.any():
            row = int(bad.argmax())
            raise InvalidArgument(f"keypoints[{row}] has the visibility {checked[row, 2]}; it is 0, 1 or 2")
        object.__setattr__(self, "points", checked)
        object.__setattr__(self, "starts", ragged.checked_starts(starts, len(checked), "starts"))

    @classmethod
    def of(cls, objects: Sequence[Any]) -> Self:
        """From lists: an object is None, (k, 3) points, (k, 2) points (all seen), or COCO's flat x, y, v list."""
        parts = []
        for row, entry in enumerate(objects):
            part = np.asarray([] if entry is None else entry, dtype=np.float64)
            if part.ndim == 1 and len(part) % 3 == 0:
                part = part.reshape(-1, 3)
            if part.ndim == 2 and part.shape[1] == 2:
                part = np.column_stack([part, np.full(len(part), 2.0)])
            if part.ndim != 2 or part.shape[1] != 3:
                raise InvalidArgument(
                    f"keypoints of row {row} have the shape {part.shape}; give x, y, visibility"
                )
            parts.append(part)
        points = np.concatenate(parts) if parts else np.empty((0, 3))
        return cls(points, ragged.starts_of([len(part) for part in parts]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: Any) -> Self:
        places, starts = ragged.taken(self.starts, checks.rows(index))
        return type(self)(self.points[places], starts)

    @property
    def given(self) -> NDArray[np.bool_]:
        """(n,) bool: rows with at least one labeled point."""
        found: NDArray[np.bool_] = ragged.reduced(np.maximum, self.points[:, 2], self.starts, 0.0) > 0
        return found

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(n, 4) float64: the box around the labeled points."""
        there = (self.points[:, 2] > 0)[:, None]
        low = ragged.reduced(np.minimum, np.where(there, self.points[:, :2], np.inf), self.starts, np.inf)
        high = ragged.reduced(np.maximum, np.where(there, self.points[:, :2], -np.inf), self.starts, -np.inf)
        return np.where(self.given[:, None], np.concatenate([low, high], axis=1), 0.0)

    @property
    def areas(self) -> NDArray[np.float64]:
        """Points cover nothing: zeros."""
        return np.zeros(len(self))

    def moved(self, across: ArrayLike, down: ArrayLike) -> Self:
        """Moved by px, one number for all or one a row."""
        shift = np.broadcast_to(np.stack(np.broadcast_arrays(across, down), axis=-1), (len(self), 2))
        each = np.repeat(shift, np.diff(self.starts), axis=0)
        return self._at(self.points[:, :2] + each, self.points[:, 2])

    def scaled(self, across: float, down: float) -> Self:
        """Coordinates multiplied."""
        return self._at(self.points[:, :2] * np.array([across, down]), self.points[:, 2])

    def clipped(self, windows: NDArray[np.float64]) -> Self:
        """Points outside their row's window become "not labeled"; their places in the order stay."""
        each = np.repeat(windows, np.diff(self.starts), axis=0)
        x, y = self.points[:, 0], self.points[:, 1]
        inside = (each[:, 0] <= x) & (x < each[:, 2]) & (each[:, 1] <= y) & (y < each[:, 3])
        return self._at(self.points[:, :2], np.where(inside, self.points[:, 2], 0.0))

    def _at(self, places: NDArray[np.float64], seen: NDArray[np.float64]) -> Self:
        return type(self)(np.column_stack([np.where((seen > 0)[:, None], places, 0.0), seen]), self.starts)

    def to_polygons(self) -> Polygons:
        """Refused: points have no outline."""
        raise InvalidArgument("keypoints have no outline; they cannot become polygons")

    def to_json(self) -> list[Any]:
        """A row: {"keypoints": [[x, y, visibility], ...]}, None without points."""
        parts = np.split(self.points, self.starts[1:-1]) if len(self) else []
        return [{"keypoints": part.tolist()} if len(part) else None for part in parts]

    @classmethod
    def from_json(cls, rows: Sequence[Any]) -> Self:
        """From what `to_json` gives."""
        return cls.of([None if row is None else row["keypoints"] for row in rows])

    @classmethod
    def absent(cls, boxes: NDArray[np.float64]) -> Self:
        """Rows without points."""
        return cls(np.empty((0, 3)), np.zeros(len(boxes) + 1, np.int64))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All rows of all parts, in order."""
        if not parts:
            return cls.absent(np.empty((0, 4)))
        return cls(
            np.concatenate([part.points for part in parts]), ragged.joined([part.starts for part in parts])
        )

    def _fields(self) -> tuple[NDArray[Any], ...]:
        return self.points, self.starts
