"""How much shapes overlap, pair by pair: the area two of them share, and what follows from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.shapes.column import Shapes
from tilekit.boxes.shapes.masks import Masks
from tilekit.boxes.shapes.oriented import OrientedBoxes
from tilekit.boxes.shapes.polygons import Polygons
from tilekit.errors import InvalidArgument


class Measure:
    """Areas of two columns, and of what pairs of their rows share; rows without a shape are their boxes.

    Polygons that cross themselves are mended by shapely first; all are measured by kernels. Two masks, or two columns of oriented boxes,
    are measured as they are; any other two as polygons.
    """

    def __init__(
        self,
        one: Shapes,
        boxes: NDArray[np.float64],
        other: Shapes | None = None,
        others: NDArray[np.float64] | None = None,
    ) -> None:
        for column in (one, other):
            if column is not None and column.kind == "keypoints":
                raise InvalidArgument("keypoints have no outline; their objects overlap by their boxes")
        twin = other is None
        second = one if other is None else other
        self._kind = one.kind if one.kind == second.kind else "polygon"
        if self._kind == "mask" and not (one.given.all() and second.given.all()):
            self._kind = "polygon"
        self._one: Shapes = _as(one, boxes, self._kind)
        self._other: Shapes = (
            self._one if twin else _as(second, boxes if others is None else others, self._kind)
        )
        self._edges: tuple[tuple[NDArray[np.float64], NDArray[np.int64]], ...] = ()
        self.areas: NDArray[np.float64]
        self.other_areas: NDArray[np.float64]
        if isinstance(self._one, Polygons) and isinstance(self._other, Polygons):
            here = self._one.resolved().edges()
            there = here if twin else self._other.resolved().edges()
            self._edges = (here[:2], there[:2])
            self.areas, self.other_areas = here[2], there[2]
        else:
            self.areas, self.other_areas = self._one.areas, self._other.areas

    def shared(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """(m,) float64 px that row `first` of one and row `second` of the other share; never more than either covers."""
        out = self._clipped(first, second)
        # what has no area cannot be cut with: a side of no length keeps whatever it is to clip
        np.minimum(out, self.areas[first], out=out)
        return np.minimum(out, self.other_areas[second], out=out)

    def _clipped(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        out = np.zeros(len(first))
        first, second = np.ascontiguousarray(first, np.int64), np.ascontiguousarray(second, np.int64)
        from tilekit.boxes.kernels import shared

        if self._edges:
            (edges, starts), (others, other_starts) = self._edges
            shared.outlines(edges, starts, others, other_starts, first, second, out)
        elif isinstance(self._one, Masks) and isinstance(self._other, Masks):
            one, other = self._one, self._other
            shared.spans(one.spans, one.starts, other.spans, other.starts, first, second, out)
        elif isinstance(self._one, OrientedBoxes) and isinstance(self._other, OrientedBoxes):
            quads = np.ascontiguousarray(self._one.corners.reshape(-1, 8))
            facing = (
                quads
                if self._other is self._one
                else np.ascontiguousarray(self._other.corners.reshape(-1, 8))
            )
            shared.quads(quads, facing, first, second, np.empty((4, 16)), out)
        return out

    def overlap(
        self, first: NDArray[np.int64], second: NDArray[np.int64], ios: bool = False
    ) -> NDArray[np.float64]:
        """(m,) float64 IoU, or the share of the smaller one, of each pair; 0 where nothing is shared."""
        both = self.shared(first, second)
        one, other = self.areas[first], self.other_areas[second]
        whole = np.minimum(one, other) if ios else one + other - both
        return np.divide(both, whole, out=np.zeros_like(both), where=both > 0)


def _as(column: Shapes, boxes: NDArray[np.float64], kind: str) -> Shapes:
    if kind != "polygon":
        return column
    outlines = column.to_polygons()
    bare = ~column.given
    if not bare.any():
        return outlines
    plain = OrientedBoxes.absent(boxes[bare]).to_polygons()
    every = Polygons.concat([outlines, plain])
    order = np.arange(len(column))
    order[bare] = len(column) + np.arange(int(bare.sum()))
    return every[order]
