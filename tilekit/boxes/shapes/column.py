"""What all kinds of shapes have in common, and how columns of different kinds become one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.errors import InvalidArgument

if TYPE_CHECKING:
    from tilekit.boxes.shapes.polygons import Polygons


class Shapes(ABC):
    """One shape a row, all of one `kind`: "polygon", "oriented", "mask" or "keypoints"; a frozen, packed column.

    Coordinates are pixels in the frame of the boxes beside it, half-open pixel edges. `given` says which rows
    have a shape; the others have only their box.
    """

    __slots__ = ()
    kind: ClassVar[str]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: Any) -> Self:
        """Rows by slice, mask or index array (an int gives one row)."""

    @property
    @abstractmethod
    def given(self) -> NDArray[np.bool_]:
        """(n,) bool: rows that have a shape."""

    @property
    @abstractmethod
    def boxes(self) -> NDArray[np.float64]:
        """(n, 4) float64: the box around each shape, zeros where there is none."""

    @property
    @abstractmethod
    def areas(self) -> NDArray[np.float64]:
        """(n,) float64 px: what each shape covers (keypoints: nothing); 0 where there is none."""

    @abstractmethod
    def moved(self, across: ArrayLike, down: ArrayLike) -> Self:
        """Moved by px, one number for all or one a row."""

    @abstractmethod
    def scaled(self, across: float, down: float) -> Self:
        """Coordinates multiplied by factors above 0."""

    @abstractmethod
    def clipped(self, windows: NDArray[np.float64]) -> Self:
        """Each row's part inside its own window (n, 4); what has none inside comes out without a shape."""

    @abstractmethod
    def to_polygons(self) -> Polygons:
        """As polygons; keypoints have none."""

    @abstractmethod
    def to_json(self) -> list[Any]:
        """One plain JSON value a row, None where there is no shape; `from_json` reads them."""

    @classmethod
    @abstractmethod
    def from_json(cls, rows: Sequence[Any]) -> Self:
        """From what `to_json` gives. Raises InvalidArgument naming the row."""

    @classmethod
    @abstractmethod
    def absent(cls, boxes: NDArray[np.float64]) -> Self:
        """A column for rows that have only these boxes."""

    @classmethod
    @abstractmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All rows of all parts, in order."""

    @abstractmethod
    def _fields(self) -> tuple[NDArray[Any], ...]: ...

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} are frozen; make new ones instead of setting {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return False
        assert isinstance(other, Shapes)
        return all(np.array_equal(a, b) for a, b in zip(self._fields(), other._fields(), strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._fields()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self)} rows, {int(self.given.sum())} with a shape>"


def checked(shapes: Any, count: int) -> Shapes | None:
    """A column of `count` rows, or None."""
    if shapes is None:
        return None
    if not isinstance(shapes, Shapes):
        raise InvalidArgument(
            f"shapes must be Polygons, OrientedBoxes, Masks or Keypoints, not a {type(shapes).__name__}"
        )
    if len(shapes) != count:
        raise InvalidArgument(f"shapes has {len(shapes)} rows but there are {count} boxes")
    return shapes


def hulls(shapes: Shapes) -> NDArray[np.float64]:
    """The boxes around shapes; raises InvalidArgument where a row has none."""
    if not isinstance(shapes, Shapes):
        raise InvalidArgument(
            f"shapes must be Polygons, OrientedBoxes, Masks or Keypoints, not a {type(shapes).__name__}"
        )
    bare = ~shapes.given
    if bare.any():
        raise InvalidArgument(
            f"shapes: row {int(bare.argmax())} has no shape, so it has no box; give boxes= too"
        )
    return shapes.boxes


def unite(parts: Sequence[tuple[Shapes | None, NDArray[np.float64]]]) -> Shapes | None:
    """One column from several, each with its boxes; None where no part has one.

    Rows without a column have only their box. Oriented boxes beside polygons become polygons. Other kinds do not
    go together: InvalidArgument names them.
    """
    columns = [column for column, _ in parts if column is not None]
    if not columns:
        return None
    kinds = tuple(dict.fromkeys(column.kind for column in columns))
    if set(kinds) == {"polygon", "oriented"}:
        parts = [(None if column is None else column.to_polygons(), boxes) for column, boxes in parts]
        columns = [column for column, _ in parts if column is not None]
    elif len(kinds) > 1:
        raise InvalidArgument(
            f"shapes of the kinds {' and '.join(kinds)} do not go into one column; turn them into polygons first (to_polygons)"
        )
    made = type(columns[0])
    return made.concat([made.absent(boxes) if column is None else column for column, boxes in parts])


def point_rows(value: ArrayLike, width: int, name: str) -> NDArray[np.float64]:
    """(m, width) float64, finite within 1e100, frozen."""
    from tilekit.boxes import checks
    from tilekit.boxes.shapes.ragged import frozen

    try:
        array = np.asarray(value)
    except ValueError as exc:
        raise InvalidArgument(f"{name} must be an array of numbers; rows differ in length") from exc
    if array.size == 0:
        array = np.empty((0, width))
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] != width:
        raise InvalidArgument(
            f"{name} must be numbers of shape (n, {width}), not {array.dtype} {array.shape}"
        )
    array = np.ascontiguousarray(array, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(array) <= checks.LIMIT).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise InvalidArgument(
            f"{name}[{row}] is {array[row].tolist()}; coordinates are finite numbers, within 1e100"
        )
    return frozen(array)
