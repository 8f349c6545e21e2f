"""Rows of differing length packed into one array: `starts` (n + 1,) says where each row begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.errors import InvalidArgument


def checked_starts(value: ArrayLike, total: int, name: str) -> NDArray[np.int64]:
    """`starts` as (n + 1,) int64: from 0, never falling, to `total`."""
    array = np.asarray(value)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu":
        raise InvalidArgument(f"{name} must be whole numbers, one more than rows, beginning with 0")
    array = np.ascontiguousarray(array, dtype=np.int64)
    if array[0] != 0 or array[-1] != total:
        raise InvalidArgument(f"{name} runs from {array[0]} to {array[-1]}; it must run from 0 to {total}")
    if (np.diff(array) < 0).any():
        place = int((np.diff(array) < 0).argmax()) + 1
        raise InvalidArgument(f"{name}[{place}] is {array[place]}, less than what stands before it")
    return frozen(array)


def starts_of(counts: ArrayLike) -> NDArray[np.int64]:
    """Where rows of these lengths begin, and where the last one ends."""
    lengths = np.asarray(counts, dtype=np.int64)
    out = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=out[1:])
    return out


def taken(starts: NDArray[np.int64], rows: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the items of some rows, in their order, and the starts then."""
    begin, lengths = starts[:-1][rows], np.diff(starts)[rows]
    after = starts_of(lengths)
    places = np.arange(after[-1]) + np.repeat(begin - after[:-1], lengths)
    return places, after


def joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The starts of packed rows put one after the other."""
    return starts_of(np.concatenate([np.diff(part) for part in parts]) if parts else [])


def row_of(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of each item."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def reduced(
    ufunc: Any, values: NDArray[np.float64], starts: NDArray[np.int64], empty: float
) -> NDArray[np.float64]:
    """`ufunc` over the items of each row: (n, ...) float64; `empty` for rows without any."""
    out = np.full((len(starts) - 1, *values.shape[1:]), empty)
    full = np.flatnonzero(np.diff(starts))
    if len(full):
        out[full] = ufunc.reduceat(values, starts[:-1][full], axis=0)
    return out


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view
