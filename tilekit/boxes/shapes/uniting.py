"""Pieces of objects united: one shape from several."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.shapes import ragged
from tilekit.boxes.shapes.column import Shapes
from tilekit.boxes.shapes.keypoints import Keypoints
from tilekit.boxes.shapes.masks import Masks
from tilekit.boxes.shapes.oriented import OrientedBoxes
from tilekit.boxes.shapes.polygons import Polygons


def united(shapes: Shapes, root: NDArray[np.int64]) -> Shapes:
    """The column with every row that others have as `root` united with them; the others stay as they are.

    Polygons and masks: all that any piece covers. Oriented boxes: the smallest one around the pieces. Keypoints: the
    root's, with what only the others see.
    """
    heads = np.unique(root[root != np.arange(len(root))])
    if not len(heads):
        return shapes
    member = np.flatnonzero(np.isin(root, heads))
    member = member[np.argsort(root[member], kind="stable")]
    group = np.searchsorted(heads, root[member])
    if isinstance(shapes, Masks):
        fresh: Shapes = _masks(shapes[member], group, len(heads))
    elif isinstance(shapes, Keypoints):
        fresh = _keypoints(shapes[member], group, len(heads))
    else:
        outlines = _polygons(shapes.to_polygons()[member], group, len(heads))
        fresh = OrientedBoxes.around(outlines) if isinstance(shapes, OrientedBoxes) else outlines
    every = type(shapes).concat([shapes, fresh])
    order = np.arange(len(shapes))
    order[heads] = len(shapes) + np.arange(len(heads))
    return every[order]


def _polygons(members: Polygons, group: NDArray[np.int64], count: int) -> Polygons:
    import shapely

    solid = members.geometries()
    bounds = np.searchsorted(group, np.arange(count + 1))
    made = np.empty(count, dtype=object)
    for place in range(count):
        made[place] = shapely.union_all(solid[bounds[place] : bounds[place + 1]])
    return Polygons.from_geometries(made)


def _masks(members: Masks, group: NDArray[np.int64], count: int) -> Masks:
    """Spans of each group, overlaps melted: by a running end, as sorted spans of one column come."""
    owner = group[ragged.row_of(members.starts)]
    spans = members.spans.astype(np.int64)
    order = np.lexsort((spans[:, 1], spans[:, 0], owner))
    spans, owner = spans[order], owner[order]
    if not len(spans):
        return Masks([], np.zeros(count + 1, np.int64))
    fresh = np.ones(len(spans), np.bool_)
    fresh[1:] = (owner[1:] != owner[:-1]) | (spans[1:, 0] != spans[:-1, 0])
    column = np.cumsum(fresh)
    low = int(spans[:, 1].min())
    height = int(spans[:, 2].max()) - low + 2
    ends = np.maximum.accumulate(
        spans[:, 2] - low + column * height
    )  # a column's ends lie above all before it
    fresh[1:] |= (spans[1:, 1] - low + column[1:] * height) > ends[:-1]
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(spans)) - 1
    made = np.column_stack([spans[first, :2], ends[last] - column[last] * height + low])
    return Masks(made, ragged.starts_of(np.bincount(owner[first], minlength=count)))


def _keypoints(members: Keypoints, group: NDArray[np.int64], count: int) -> Keypoints:
    bounds = np.searchsorted(group, np.arange(count + 1))
    made = []
    for place in range(count):
        own = [
            members.points[members.starts[row] : members.starts[row + 1]]
            for row in range(bounds[place], bounds[place + 1])
        ]
        best = own[0].copy()
        for other in own[1:]:
            if len(other) == len(best):
                seen = (best[:, 2] == 0) & (other[:, 2] > 0)
                best[seen] = other[seen]
            elif not (best[:, 2] > 0).any():
                best = other.copy()
        made.append(best)
    return Keypoints.of(made)
