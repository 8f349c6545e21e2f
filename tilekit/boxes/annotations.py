"""Annotations: what a person says is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks, interop
from tilekit.boxes.labeled import LabeledBoxes
from tilekit.boxes.shapes import column
from tilekit.boxes.shapes.column import Shapes


class Annotations(LabeledBoxes):
    """Labeled boxes of one page or tile: a frozen struct of arrays, checked once.

    `boxes` (n, 4) float64 xyxy, half-open pixel edges; `class_ids` (n,) int64, places in `names`;
    `names` tuple of labels; `ignore` (n,) bool: neither truth nor false alarm; `shapes`: Polygons, OrientedBoxes,
    Masks or Keypoints, a row a box, in the same frame, or None. The box stays what it is called with.
    Raises InvalidArgument with the index of the first bad row.
    """

    __slots__ = ("boxes", "class_ids", "ignore", "names", "shapes")

    ignore: NDArray[np.bool_]
    shapes: Shapes | None

    def __init__(
        self,
        boxes: ArrayLike,
        class_ids: ArrayLike | None = None,
        names: Sequence[str] = (),
        ignore: ArrayLike | None = None,
        shapes: Shapes | None = None,
    ) -> None:
        checked = checks.boxes(boxes)
        count = len(checked)
        labels = checks.names(names)
        object.__setattr__(self, "boxes", checked)
        object.__setattr__(self, "names", labels)
        object.__setattr__(self, "class_ids", checks.class_ids(class_ids, count, labels))
        object.__setattr__(self, "ignore", checks.flags(ignore, count, "ignore"))
        object.__setattr__(self, "shapes", column.checked(shapes, count))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Annotations are frozen; make new ones instead of setting {name!r}")

    def __getitem__(self, index: Any) -> Self:
        """Rows by slice, mask or index array (an int gives one row)."""
        rows = checks.rows(index)
        return type(self)(
            self.boxes[rows],
            self.class_ids[rows],
            self.names,
            self.ignore[rows],
            None if self.shapes is None else self.shapes[rows],
        )

    def split(self, counts: Sequence[int]) -> list[Self]:
        """Parts of so many rows each, one after the other, as views: what is checked is not checked again."""
        parts, start = [], 0
        put, boxes, ids, ignore = object.__setattr__, self.boxes, self.class_ids, self.ignore
        for count in counts:
            part = object.__new__(type(self))
            rows = slice(start, start + count)
            put(part, "boxes", boxes[rows])
            put(part, "names", self.names)
            put(part, "class_ids", ids[rows])
            put(part, "ignore", ignore[rows])
            put(part, "shapes", None if self.shapes is None else self.shapes[rows])
            parts.append(part)
            start += count
        return parts

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Annotations)
            and self.names == other.names
            and np.array_equal(self.boxes, other.boxes)
            and np.array_equal(self.class_ids, other.class_ids)
            and np.array_equal(self.ignore, other.ignore)
            and self.shapes == other.shapes
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.boxes, self.class_ids, self.names, self.ignore, self.shapes)

    def __repr__(self) -> str:
        return f"<Annotations {len(self)} boxes, {len(self.names)} labels, {int(self.ignore.sum())} ignored>"

    @classmethod
    def from_shapes(
        cls,
        shapes: Shapes,
        class_ids: ArrayLike | None = None,
        names: Sequence[str] = (),
        ignore: ArrayLike | None = None,
    ) -> Self:
        """Shapes with the boxes around them; every row must have a shape."""
        return cls(column.hulls(shapes), class_ids, names, ignore, shapes)

    def to_supervision(self, size: tuple[int, int] | None = None) -> Any:
        """As `supervision.Detections` without confidence; masks need the page's `size` (width, height)."""
        return interop.to_supervision(self, size)

    @classmethod
    def from_supervision(cls, found: Any, names: Sequence[str] | None = None) -> Self:
        """From a `supervision.Detections`, whose confidence is left out; `names` as in `Detections.from_supervision`."""
        fields = interop.read_supervision(found, names)
        return cls(**{name: value for name, value in fields.items() if name in cls.__slots__})

    def to_fiftyone(self, size: tuple[int, int]) -> Any:
        """As `fiftyone.Detections` of a page of `size` (width, height); shapes stay behind."""
        return interop.to_fiftyone(self, size)

    @classmethod
    def from_fiftyone(cls, found: Any, size: tuple[int, int], names: Sequence[str] | None = None) -> Self:
        """From a `fiftyone.Detections` of a page of `size` (width, height); confidences are left out."""
        fields = interop.read_fiftyone(found, size, names)
        return cls(**{name: value for name, value in fields.items() if name in cls.__slots__})

    def to_pandas(self) -> Any:
        """As a DataFrame, a row a box."""
        return interop.to_pandas(self)

    @classmethod
    def from_pandas(cls, table: Any, names: Sequence[str] | None = None) -> Self:
        """From a DataFrame as `to_pandas` writes it; scores are left out."""
        fields = interop.read_pandas(table, names)
        return cls(**{name: value for name, value in fields.items() if name in cls.__slots__})

    def to_coco(self, image_id: int = 1, size: tuple[int, int] | None = None) -> list[dict[str, Any]]:
        """COCO's annotations; `size` (width, height) of the page is needed for masks."""
        return interop.to_coco(self, image_id, size)

    def to_geojson(self) -> dict[str, Any]:
        """A GeoJSON FeatureCollection in image pixels, as QuPath takes it."""
        return {"type": "FeatureCollection", "features": interop.to_geojson(self)}

    @classmethod
    def empty(cls, names: Sequence[str] = ()) -> Self:
        """No boxes."""
        return cls(np.empty((0, 4)), None, names)

    @classmethod
    def concat(cls, parts: Sequence[Annotations]) -> Self:
        """All rows of all parts, in order; names are united in order of first appearance.

        Where some parts have shapes, rows of the others have only their box (oriented: an upright one). Raises
        InvalidArgument for shapes of kinds that do not go together.
        """
        checks.instances(parts, Annotations, "parts")
        names, maps = checks.unite([part.names for part in parts])
        if not parts:
            return cls.empty()
        ids = [mapping[part.class_ids] for mapping, part in zip(maps, parts, strict=True)]
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate(ids),
            names,
            np.concatenate([part.ignore for part in parts]),
            column.unite([(part.shapes, part.boxes) for part in parts]),
        )
