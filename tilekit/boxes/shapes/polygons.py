"""Polygons: outlines with holes, several parts an object, packed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks
from tilekit.boxes.shapes import ragged
from tilekit.boxes.shapes.column import Shapes, point_rows
from tilekit.errors import InvalidArgument


class Polygons(Shapes):
    """Outlines: an object is rings of points; a ring is a part of it, or a hole in the part before.

    `points` (m, 2) float64 x, y, no point repeated to close a ring; `rings` (r + 1,) int64: where each ring begins
    in `points`; `objects` (n + 1,) int64: where each object begins in `rings`; `holes` (r,) bool. An object covers
    the union of its parts; where a ring crosses itself, all that it goes around. A ring has at least 3 points.
    Raises InvalidArgument naming the object and the ring.
    """

    __slots__ = ("holes", "objects", "points", "rings")
    kind: ClassVar[str] = "polygon"

    points: NDArray[np.float64]
    rings: NDArray[np.int64]
    objects: NDArray[np.int64]
    holes: NDArray[np.bool_]

    def __init__(
        self,
        points: ArrayLike,
        rings: ArrayLike,
        objects: ArrayLike,
        holes: ArrayLike | None = None,
    ) -> None:
        checked = point_rows(points, 2, "points")
        ring_starts = ragged.checked_starts(rings, len(checked), "rings")
        count = len(ring_starts) - 1
        object_starts = ragged.checked_starts(objects, count, "objects")
        hollow = checks.flags(holes, count, "holes")
        short = np.diff(ring_starts) < 3
        if short.any():
            ring = int(short.argmax())
            row = int(np.searchsorted(object_starts, ring, side="right")) - 1
            raise InvalidArgument(
                f"polygon {row}, ring {ring - int(object_starts[row])} has {int(np.diff(ring_starts)[ring])} points; an outline needs at least 3"
            )
        first = object_starts[:-1][np.diff(object_starts) > 0]
        if hollow[first].any():
            row = int(np.searchsorted(object_starts, first[hollow[first]][0], side="right")) - 1
            raise InvalidArgument(f"polygon {row} begins with a hole; its outline comes first")
        object.__setattr__(self, "points", checked)
        object.__setattr__(self, "rings", ring_starts)
        object.__setattr__(self, "objects", object_starts)
        object.__setattr__(self, "holes", hollow)

    @classmethod
    def of(cls, objects: Sequence[Any]) -> Self:
        """From lists: an object is None (no outline), or a list of its parts, each (k, 2) points or a flat x, y, x, y list.

        A point repeated at the end to close a ring is taken away.
        """
        parts: list[NDArray[np.float64]] = []
        counts = []
        for row, entry in enumerate(objects):
            found = [] if entry is None else list(entry)
            counts.append(len(found))
            parts += [_ring(part, row, place) for place, part in enumerate(found)]
        points = np.concatenate(parts) if parts else np.empty((0, 2))
        return cls(points, ragged.starts_of([len(part) for part in parts]), ragged.starts_of(counts))

    @classmethod
    def from_geometries(cls, geometries: ArrayLike) -> Self:
        """From shapely geometries: polygons and multipolygons, None or empty for no outline; other parts are dropped."""
        import shapely

        given = np.atleast_1d(np.asarray(geometries, dtype=object))
        # a collection may hold polygons beside the lines and points where clipping only touched
        parts, row = shapely.get_parts(given, return_index=True)
        inner, index = shapely.get_parts(parts, return_index=True)
        row = row[index]
        flat = shapely.get_type_id(inner) == shapely.GeometryType.POLYGON
        flat &= ~shapely.is_empty(inner)
        inner, row = inner[flat], row[flat]
        rings, part = shapely.get_rings(inner, return_index=True)
        coordinates, ring = shapely.get_coordinates(rings, return_index=True)
        counts = np.bincount(ring, minlength=len(rings))
        last = np.cumsum(counts) - 1
        keep = np.ones(len(coordinates), np.bool_)
        keep[last] = False
        holes = np.zeros(len(rings), np.bool_)
        holes[1:] = part[1:] == part[:-1]
        objects = ragged.starts_of(np.bincount(row[part], minlength=len(given)))
        return cls(coordinates[keep], ragged.starts_of(counts - 1), objects, holes)

    def geometries(self) -> NDArray[Any]:
        """(n,) shapely multipolygons, valid: parts united, crossings resolved; empty where there is no outline."""
        made, bad = self._as_drawn()
        return _mended(made, bad)

    def resolved(self) -> Self:
        """The same areas by rings that neither cross nor overlap: rows that are so already as they are."""
        rows = self._maybe_crossing()
        if not len(rows):
            return self
        made, bad = self[rows]._as_drawn()
        if not bad.any():
            return self
        rows, made = rows[bad], _mended(made, bad)[bad]
        both = type(self).concat([self, type(self).from_geometries(made)])
        order = np.arange(len(self))
        order[rows] = len(self) + np.arange(len(rows))
        return both[order]

    def edges(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Edges (m, 6) of `resolved` outlines as the kernel `shared.outlines` takes them, where each row's begin (n + 1,),
        and the area of each row (n,)."""
        from tilekit.boxes.kernels import rings, shared

        made, starts, areas = (
            np.empty((len(self.points), 6)),
            np.empty(len(self) + 1, np.int64),
            np.empty(len(self)),
        )
        holes = self.holes.view(np.uint8)
        rings.edges(self.points, self.rings, self.objects, holes, made, starts, areas)
        made = made[: starts[-1]]
        for row in np.flatnonzero(np.diff(starts) > rings.FEW).tolist():
            part = made[starts[row] : starts[row + 1]]
            part[:] = part[np.argsort(part[:, 0], kind="stable")]
        shared.reach(made, starts)
        return made, starts, areas

    def _maybe_crossing(self) -> NDArray[np.int64]:
        """Rows of which it is not sure at a glance that their rings neither cross nor overlap."""
        from tilekit.boxes.kernels import rings

        sure = np.empty(len(self.rings) - 1, np.uint8)
        rings.simple(self.points, self.rings, sure)
        count, before = np.diff(self.objects), np.append(0, np.cumsum(sure, dtype=np.int64))
        alone = (count == 1) & (before[self.objects[1:]] > before[self.objects[:-1]])
        return np.flatnonzero(~alone & (count > 0))

    def _as_drawn(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Multipolygons of the rings as they are, and which of them are not valid."""
        import shapely

        counts = np.diff(self.rings)
        closed = np.empty((len(self.points) + len(counts), 2))
        shift = np.arange(len(counts))
        closed[np.arange(len(self.points)) + np.repeat(shift, counts)] = self.points
        closed[self.rings[1:] + shift] = self.points[self.rings[:-1]]
        outlines = np.flatnonzero(~self.holes)
        parts = np.append(outlines, len(counts)).astype(np.int64)
        before = np.append(0, np.cumsum(~self.holes))
        made = shapely.from_ragged_array(
            shapely.GeometryType.MULTIPOLYGON,
            closed,
            (self.rings + np.arange(len(counts) + 1), parts, before[self.objects]),
        )
        return np.asarray(made, dtype=object), ~shapely.is_valid(made)

    def __len__(self) -> int:
        return len(self.objects) - 1

    def __getitem__(self, index: Any) -> Self:
        places, objects = ragged.taken(self.objects, checks.rows(index))
        points, rings = ragged.taken(self.rings, places)
        return type(self)(self.points[points], rings, objects, self.holes[places])

    @property
    def given(self) -> NDArray[np.bool_]:
        """(n,) bool: rows with an outline."""
        found: NDArray[np.bool_] = np.diff(self.objects) > 0
        return found

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(n, 4) float64: the box around each outline."""
        starts = self.rings[self.objects]
        low = ragged.reduced(np.minimum, self.points, starts, 0.0)
        return np.concatenate([low, ragged.reduced(np.maximum, self.points, starts, 0.0)], axis=1)

    @property
    def areas(self) -> NDArray[np.float64]:
        """(n,) float64 px covered, right also where parts overlap or a ring crosses itself."""
        import shapely

        return np.asarray(shapely.area(self.geometries()), dtype=np.float64)

    @property
    def crossing(self) -> NDArray[np.bool_]:
        """(n,) bool: outlines that cross themselves; what they cover is then all that they go around."""
        import shapely

        single = type(self)(self.points, self.rings, np.arange(len(self.rings)))
        simple = shapely.is_valid(single._raw())
        out = np.zeros(len(self), np.bool_)
        out[ragged.row_of(self.objects)[~simple]] = True
        return out

    def _raw(self) -> NDArray[Any]:
        """One shapely polygon a ring, as it is."""
        import shapely

        index = ragged.row_of(self.rings)
        return np.asarray(shapely.polygons(shapely.linearrings(self.points, indices=index)), dtype=object)

    def moved(self, across: ArrayLike, down: ArrayLike) -> Self:
        """Moved by px, one number for all or one a row."""
        shift = np.broadcast_to(np.stack(np.broadcast_arrays(across, down), axis=-1), (len(self), 2))
        each = np.repeat(shift, np.diff(self.rings[self.objects]), axis=0)
        return type(self)(self.points + each, self.rings, self.objects, self.holes)

    def scaled(self, across: float, down: float) -> Self:
        """Coordinates multiplied."""
        return type(self)(self.points * np.array([across, down]), self.rings, self.objects, self.holes)

    def clipped(self, windows: NDArray[np.float64]) -> Self:
        """Each row's part inside its window; rows that lie inside whole keep their points exactly."""
        hulls = self.boxes
        cut = self.given & ~((hulls[:, :2] >= windows[:, :2]) & (hulls[:, 2:] <= windows[:, 2:])).all(axis=1)
        if not cut.any():
            return self
        import shapely

        rows = np.flatnonzero(cut)
        shown = shapely.intersection(self[rows].geometries(), shapely.box(*windows[rows].T))
        fresh = type(self).from_geometries(shown)
        both = type(self).concat([self, fresh])
        order = np.arange(len(self))
        order[rows] = len(self) + np.arange(len(rows))
        return both[order]

    def to_polygons(self) -> Polygons:
        """Itself."""
        return self

    def to_json(self) -> list[Any]:
        """A row: {"polygon": [ring, ...]}, with "holes": places of rings that are holes; None without an outline."""
        rings = [part.tolist() for part in np.split(self.points, self.rings[1:-1])] if len(self.holes) else []
        rows: list[Any] = []
        for begin, end in zip(self.objects[:-1].tolist(), self.objects[1:].tolist(), strict=True):
            row: dict[str, Any] | None = {"polygon": rings[begin:end]} if end > begin else None
            hollow = np.flatnonzero(self.holes[begin:end]).tolist()
            if row is not None and hollow:
                row["holes"] = hollow
            rows.append(row)
        return rows

    @classmethod
    def from_json(cls, rows: Sequence[Any]) -> Self:
        """From what `to_json` gives."""
        made = cls.of([None if row is None else row["polygon"] for row in rows])
        holes = np.zeros(len(made.holes), np.bool_)
        for place, row in enumerate(rows):
            if row is not None:
                holes[made.objects[place] + np.array(row.get("holes", []), np.int64)] = True
        return cls(made.points, made.rings, made.objects, holes)

    @classmethod
    def absent(cls, boxes: NDArray[np.float64]) -> Self:
        """Rows without an outline."""
        return cls(np.empty((0, 2)), [0], np.zeros(len(boxes) + 1, np.int64))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All rows of all parts, in order."""
        if not parts:
            return cls.absent(np.empty((0, 4)))
        return cls(
            np.concatenate([part.points for part in parts]),
            ragged.joined([part.rings for part in parts]),
            ragged.joined([part.objects for part in parts]),
            np.concatenate([part.holes for part in parts]),
        )

    def _fields(self) -> tuple[NDArray[Any], ...]:
        return self.points, self.rings, self.objects, self.holes


def _mended(made: NDArray[Any], bad: NDArray[np.bool_]) -> NDArray[Any]:
    if bad.any():
        import shapely

        made[bad] = shapely.make_valid(made[bad], method="structure", keep_collapsed=False)
    return made


def _ring(part: Any, row: int, place: int) -> NDArray[np.float64]:
    try:
        ring = np.asarray(part, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise InvalidArgument(f"polygon {row}, ring {place} must be numbers: x, y of each point") from exc
    if ring.ndim == 1 and len(ring) % 2 == 0:
        ring = ring.reshape(-1, 2)
    if ring.ndim != 2 or ring.shape[1] != 2:
        raise InvalidArgument(
            f"polygon {row}, ring {place} has the shape {ring.shape}; it must be points (k, 2) or a flat list x, y, x, y"
        )
    return ring[:-1] if len(ring) > 3 and (ring[0] == ring[-1]).all() else ring
