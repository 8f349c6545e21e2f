"""Checking of arrays: what comes in is named in one sentence, with the first bad index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.errors import InvalidArgument

LIMIT = 1e100  # areas of larger boxes would overflow


def box_rows(value: ArrayLike, name: str = "boxes") -> NDArray[np.float64]:
    """(n, 4) float64, C-contiguous; the values are not looked at."""
    array = _floats(value, name)
    if array.size == 0 and array.ndim <= 2:
        array = array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise InvalidArgument(f"{name} must have shape (n, 4) as x0, y0, x1, y1, not {array.shape}")
    return array


def boxes(value: ArrayLike, name: str = "boxes") -> NDArray[np.float64]:
    """(n, 4) float64, C-contiguous, read-only view or copy; within 1e100, x0 <= x1, y0 <= y1."""
    array = box_rows(value, name)
    if not len(array) or (
        (array[:, 2:] >= array[:, :2]).all() and array.max() <= LIMIT and array.min() >= -LIMIT
    ):
        return _frozen(array)
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(array) <= LIMIT).all(axis=1) | (array[:, 2:] < array[:, :2]).any(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise InvalidArgument(
            f"{name}[{row}] is {array[row].tolist()}; a box is x0, y0, x1, y1, finite (within 1e100), with x0 <= x1 and y0 <= y1"
        )
    return _frozen(array)


def scores(value: ArrayLike, count: int, name: str = "scores") -> NDArray[np.float64]:
    """(n,) float64 in 0..1."""
    array = _length(_floats(value, name), count, name)
    bad = ~((array >= 0) & (array <= 1))
    if bad.any():
        row = int(bad.argmax())
        raise InvalidArgument(f"{name}[{row}] is {array[row]}; scores are numbers from 0 to 1")
    return _frozen(array)


def finite(value: ArrayLike, count: int, name: str) -> NDArray[np.float64]:
    """(n,) float64, any finite numbers."""
    array = _length(_floats(value, name), count, name)
    bad = ~np.isfinite(array)
    if bad.any():
        row = int(bad.argmax())
        raise InvalidArgument(f"{name}[{row}] is {array[row]}; it must be a finite number")
    return _frozen(array)


def labels(value: ArrayLike | None, count: int, name: str = "class_ids") -> NDArray[np.int64] | None:
    """(n,) int64, any whole numbers; None stays None."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise InvalidArgument(f"{name} must be whole numbers, not {array.dtype}")
    return _frozen(_length(np.ascontiguousarray(array, dtype=np.int64), count, name))


def names(value: Sequence[str]) -> tuple[str, ...]:
    """Labels as a tuple; one bare string is a mistake, not a list of letters."""
    if isinstance(value, str):
        raise InvalidArgument(f"names={value!r} must be a list of labels, such as [{value!r}]")
    try:
        labels = tuple(value)
    except TypeError as exc:
        raise InvalidArgument(f"names={value!r} must be a list of labels") from exc
    for place, label in enumerate(labels):
        if not isinstance(label, str):
            raise InvalidArgument(f"names[{place}] is {label!r}; a label is text")
    return labels


def class_ids(value: ArrayLike | None, count: int, names: Sequence[str] | None) -> NDArray[np.int64]:
    """(n,) int64, places in `names` where those are given; all 0 for None."""
    array = np.zeros(count, np.int64) if value is None else indices(value, count, "class_ids")
    if names is None or count == 0:
        return _frozen(array)
    if not names:
        raise InvalidArgument("names= is empty but there are boxes; give the labels that class_ids point to")
    bad = array >= len(names)
    if bad.any():
        row = int(bad.argmax())
        raise InvalidArgument(f"class_ids[{row}] is {array[row]} but there are only {len(names)} names")
    return _frozen(array)


def indices(value: ArrayLike, count: int, name: str) -> NDArray[np.int64]:
    """(n,) int64, none negative."""
    array = np.asarray(value)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise InvalidArgument(f"{name} must be whole numbers, not {array.dtype}")
    array = _length(array.astype(np.int64), count, name)
    if count and int(array.min()) < 0:
        row = int((array < 0).argmax())
        raise InvalidArgument(f"{name}[{row}] is {array[row]}; it must not be negative")
    return _frozen(array)


def flags(value: ArrayLike | None, count: int, name: str) -> NDArray[np.bool_]:
    """(n,) bool; all False for None."""
    if value is None:
        return _frozen(np.zeros(count, np.bool_))
    array = np.asarray(value)
    if array.size and array.dtype.kind != "b":
        raise InvalidArgument(f"{name} must be booleans, not {array.dtype}")
    return _frozen(_length(array.astype(np.bool_), count, name))


def ratio(value: Any, name: str) -> float:
    """A number from 0 to 1."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.number))
        or not 0 <= float(value) <= 1
    ):
        raise InvalidArgument(f"{name}={value!r} must be a number from 0 to 1")
    return float(value)


def length(value: Any, name: str) -> float:
    """A finite number of px, not negative."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.number))
        or not 0 <= float(value) <= LIMIT
    ):
        raise InvalidArgument(f"{name}={value!r} must be a number of px, 0 or more")
    return float(value)


def instance(value: Any, kind: type, name: str) -> None:
    """What is passed where `kind` is asked for is one."""
    if not isinstance(value, kind):
        raise InvalidArgument(f"{name} must be a {kind.__name__}, not a {type(value).__name__}")


def instances(value: Any, kind: type, name: str) -> None:
    """What is passed where a list of `kind` is asked for is one; an iterator would be used up."""
    if not isinstance(value, Sequence):
        raise InvalidArgument(f"{name} must be a list of {kind.__name__}, not a {type(value).__name__}")
    for place, item in enumerate(value):
        instance(item, kind, f"{name}[{place}]")


def rows(index: Any) -> Any:
    """An index that keeps the row axis: an int becomes a one-row index."""
    return (
        np.array([index]) if isinstance(index, (int, np.integer)) and not isinstance(index, bool) else index
    )


def same(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    """Whether two optional arrays are equal."""
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def unite(lists: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], list[NDArray[np.int64]]]:
    """Unite name lists in order of first appearance; gives the map old id -> new id of each."""
    places: dict[str, int] = {}
    maps = [
        np.array([places.setdefault(name, len(places)) for name in names], dtype=np.int64) for names in lists
    ]
    return tuple(places), maps


def _floats(value: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(value)
    except ValueError as exc:
        raise InvalidArgument(f"{name} must be an array of numbers; rows differ in length") from exc
    if array.dtype.kind not in "iuf" and array.size:
        raise InvalidArgument(f"{name} must be an array of numbers, not {array.dtype}")
    return np.ascontiguousarray(array, dtype=np.float64) if array.ndim else array.astype(np.float64)


def _length(array: NDArray[Any], count: int, name: str) -> NDArray[Any]:
    if array.size == 0 and count == 0:
        return array.reshape(0)
    if array.ndim != 1 or len(array) != count:
        raise InvalidArgument(f"{name} must have one value per box: shape ({count},), not {array.shape}")
    return array


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
