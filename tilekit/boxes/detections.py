"""Detections: what a detector says is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks, interop
from tilekit.boxes.labeled import LabeledBoxes
from tilekit.boxes.shapes import column
from tilekit.boxes.shapes.column import Shapes
from tilekit.errors import InvalidArgument


class Detections(LabeledBoxes):
    """Found boxes of one page or of many tiles: a frozen struct of arrays, checked once.

    `boxes` (n, 4) float64 xyxy; `scores` (n,) float64 in 0..1; `class_ids` (n,) int64, places in
    `names`; `tile_index` (n,) int64 or None: the tile each came from; `cut` (n,) bool or None:
    whether a tile edge inside the scan touches it; `shapes`: Polygons, OrientedBoxes, Masks or Keypoints, a row a
    box, in the same frame, or None.
    Raises InvalidArgument with the index of the first bad row.
    """

    __slots__ = ("boxes", "class_ids", "cut", "names", "scores", "shapes", "tile_index")

    scores: NDArray[np.float64]
    tile_index: NDArray[np.int64] | None
    cut: NDArray[np.bool_] | None
    shapes: Shapes | None

    def __init__(
        self,
        boxes: ArrayLike,
        scores: ArrayLike,
        class_ids: ArrayLike | None = None,
        names: Sequence[str] = (),
        tile_index: ArrayLike | None = None,
        cut: ArrayLike | None = None,
        shapes: Shapes | None = None,
    ) -> None:
        checked = checks.boxes(boxes)
        count = len(checked)
        labels = checks.names(names)
        object.__setattr__(self, "boxes", checked)
        object.__setattr__(self, "scores", checks.scores(scores, count))
        object.__setattr__(self, "names", labels)
        object.__setattr__(self, "class_ids", checks.class_ids(class_ids, count, labels))
        index = None if tile_index is None else checks.indices(tile_index, count, "tile_index")
        object.__setattr__(self, "tile_index", index)
        object.__setattr__(self, "cut", None if cut is None else checks.flags(cut, count, "cut"))
        object.__setattr__(self, "shapes", column.checked(shapes, count))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Detections are frozen; make new ones instead of setting {name!r}")

    def __getitem__(self, index: Any) -> Self:
        """Rows by slice, mask or index array (an int gives one row)."""
        rows = checks.rows(index)
        return type(self)(
            self.boxes[rows],
            self.scores[rows],
            self.class_ids[rows],
            self.names,
            None if self.tile_index is None else self.tile_index[rows],
            None if self.cut is None else self.cut[rows],
            None if self.shapes is None else self.shapes[rows],
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Detections)
            and self.names == other.names
            and np.array_equal(self.boxes, other.boxes)
            and np.array_equal(self.scores, other.scores)
            and np.array_equal(self.class_ids, other.class_ids)
            and checks.same(self.tile_index, other.tile_index)
            and checks.same(self.cut, other.cut)
            and self.shapes == other.shapes
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        fields = self.boxes, self.scores, self.class_ids, self.names, self.tile_index, self.cut, self.shapes
        return type(self), fields

    def __repr__(self) -> str:
        return f"<Detections {len(self)} boxes, {len(self.names)} labels>"

    @classmethod
    def from_shapes(
        cls,
        shapes: Shapes,
        scores: ArrayLike,
        class_ids: ArrayLike | None = None,
        names: Sequence[str] = (),
        tile_index: ArrayLike | None = None,
    ) -> Self:
        """Shapes with the boxes around them; every row must have a shape."""
        return cls(column.hulls(shapes), scores, class_ids, names, tile_index, None, shapes)

    def to_supervision(self, size: tuple[int, int] | None = None) -> Any:
        """As `supervision.Detections`, shapes too; masks need the page's `size` (width, height)."""
        return interop.to_supervision(self, size)

    @classmethod
    def from_supervision(cls, found: Any, names: Sequence[str] | None = None) -> Self:
        """From a `supervision.Detections`; `names`: what its class ids point to, by default its `class_name`."""
        return cls(**interop.read_supervision(found, names))

    def to_fiftyone(self, size: tuple[int, int]) -> Any:
        """As `fiftyone.Detections` of a page of `size` (width, height); shapes stay behind."""
        return interop.to_fiftyone(self, size)

    @classmethod
    def from_fiftyone(cls, found: Any, size: tuple[int, int], names: Sequence[str] | None = None) -> Self:
        """From a `fiftyone.Detections` of a page of `size` (width, height)."""
        fields = interop.read_fiftyone(found, size, names)
        return cls(**{name: value for name, value in fields.items() if name != "ignore"})

    def to_pandas(self) -> Any:
        """As a DataFrame, a row a box."""
        return interop.to_pandas(self)

    @classmethod
    def from_pandas(cls, table: Any, names: Sequence[str] | None = None) -> Self:
        """From a DataFrame as `to_pandas` writes it. Raises InvalidArgument where it has no score column."""
        fields = interop.read_pandas(table, names)
        if "scores" not in fields:
            raise InvalidArgument("the table has no column 'score'; Annotations.from_pandas takes it without")
        return cls(**{name: value for name, value in fields.items() if name != "ignore"})

    def to_coco(self, image_id: int = 1, size: tuple[int, int] | None = None) -> list[dict[str, Any]]:
        """COCO's entries as `loadRes` takes them; `size` (width, height) of the page is needed for masks."""
        return interop.to_coco(self, image_id, size)

    def to_geojson(self) -> dict[str, Any]:
        """A GeoJSON FeatureCollection in image pixels, as QuPath takes it."""
        return {"type": "FeatureCollection", "features": interop.to_geojson(self)}

    @classmethod
    def empty(cls, names: Sequence[str] = ()) -> Self:
        """No boxes."""
        return cls(np.empty((0, 4)), np.empty(0), None, names)

    @classmethod
    def concat(cls, parts: Sequence[Detections]) -> Self:
        """All rows of all parts, in order; names are united in order of first appearance.

        `tile_index` and `cut` are kept where every non-empty part has them, else dropped. Where some parts have shapes,
        rows of the others have only their box (oriented: an upright one); kinds that do not go together are refused.
        """
        checks.instances(parts, Detections, "parts")
        names, maps = checks.unite([part.names for part in parts])
        if not parts:
            return cls.empty()
        full = [part for part in parts if len(part)]
        indices = [part.tile_index for part in full if part.tile_index is not None]
        cuts = [part.cut for part in full if part.cut is not None]
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([mapping[part.class_ids] for mapping, part in zip(maps, parts, strict=True)]),
            names,
            np.concatenate(indices) if full and len(indices) == len(full) else None,
            np.concatenate(cuts) if full and len(cuts) == len(full) else None,
            column.unite([(part.shapes, part.boxes) for part in parts]),
        )
