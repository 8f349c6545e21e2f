"""COCO's run-length codes of masks: column by column, runs of 0 and 1 in turn, plain or as text."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument


def read(code: Any, name: str) -> tuple[NDArray[np.int64], int, int]:
    """(spans, width, height) of one code {"size": [h, w], "counts": list or text}; spans (m, 3) are x, y0, y1.

    Raises InvalidArgument where the runs are not as long as the size says.
    """
    try:
        height, width = (int(side) for side in code["size"])
        counts = code["counts"]
    except (TypeError, KeyError, ValueError) as exc:
        raise InvalidArgument(f'{name} must be {{"size": [height, width], "counts": runs}}') from exc
    if height < 0 or width < 0:
        raise InvalidArgument(f"{name} has the size {[height, width]}; sides are not below 0")
    runs = _from_text(counts, name) if isinstance(counts, (str, bytes)) else _plain(counts, name)
    if (runs < 0).any():
        raise InvalidArgument(f"{name} has the run {int(runs.min())}; runs are not below 0")
    if int(runs.sum()) != width * height:
        raise InvalidArgument(
            f"{name} has runs of {int(runs.sum())} px in all but its size {[height, width]} has {width * height}"
        )
    ends = np.cumsum(runs)
    begin, stop = ends[0 : len(ends) - 1 : 2], ends[1::2]
    full = stop > begin
    return in_columns(begin[full], stop[full], height), width, height


def write(spans: NDArray[np.int64], width: int, height: int, text: bool = True) -> dict[str, Any]:
    """One code of a mask on a page of this size, its runs as text or as a list."""
    begin, stop = spans[:, 0] * height + spans[:, 1], spans[:, 0] * height + spans[:, 2]
    apart = np.append(True, begin[1:] > stop[:-1]) if len(begin) else np.empty(0, np.bool_)
    begin, stop = begin[apart], stop[np.append(apart[1:], True)] if len(begin) else stop
    ends = np.column_stack([begin, stop]).ravel()
    runs = np.diff(ends, prepend=0)
    if not len(ends) or ends[-1] < width * height:
        runs = np.append(runs, width * height - (int(ends[-1]) if len(ends) else 0))
    return {"size": [height, width], "counts": _to_text(runs) if text else runs.tolist()}


def in_columns(begin: NDArray[np.int64], stop: NDArray[np.int64], height: int) -> NDArray[np.int64]:
    """Runs over columns of this height laid end to end, as spans x, y0, y1."""
    if not len(begin):
        return np.empty((0, 3), np.int64)
    first, last = begin // height, (stop - 1) // height
    number = last - first + 1
    run = np.repeat(np.arange(len(begin)), number)
    x = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(number) - number, number)
    return np.column_stack(
        [x, np.maximum(begin[run] - x * height, 0), np.minimum(stop[run] - x * height, height)]
    )


def _plain(counts: Any, name: str) -> NDArray[np.int64]:
    try:
        runs = np.asarray(counts)
    except (ValueError, OverflowError) as exc:
        raise InvalidArgument(f"{name} has counts that are no list of whole numbers") from exc
    if runs.size == 0:
        return np.empty(0, np.int64)
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise InvalidArgument(f"{name} has counts that are no list of whole numbers")
    return runs.astype(np.int64)


def _from_text(counts: str | bytes, name: str) -> NDArray[np.int64]:
    """COCO's text: five bits a character, the sixth says that more come; from the third on, differences."""
    try:
        raw = counts.encode("ascii") if isinstance(counts, str) else counts
    except UnicodeEncodeError as exc:
        raise InvalidArgument(f"{name} has counts with letters that COCO's code does not use") from exc
    codes = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if not len(codes):
        return np.empty(0, np.int64)
    if (codes < 0).any() or (codes > 63).any():
        raise InvalidArgument(f"{name} has counts with letters that COCO's code does not use")
    final = (codes & 0x20) == 0
    if not final[-1]:
        raise InvalidArgument(f"{name} has counts that are cut short")
    ends = np.flatnonzero(final)
    begins = np.append(0, ends[:-1] + 1)
    place = np.arange(len(codes)) - np.repeat(begins, ends - begins + 1)
    if int(place.max()) > 11:
        raise InvalidArgument(f"{name} has counts with a run that no mask has")
    values = np.add.reduceat((codes & 0x1F) << (5 * place), begins)
    values -= np.where((codes[ends] & 0x10) != 0, np.int64(1) << (5 * (ends - begins + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _to_text(runs: NDArray[np.int64]) -> str:
    values = runs.copy()
    values[3:] -= runs[1:-2]
    out = np.zeros((len(values), 13), np.uint8)
    open_ = np.ones(len(values), np.bool_)
    for place in range(13):
        bits = values & 0x1F
        values >>= 5
        more = np.where((bits & 0x10) != 0, values != -1, values != 0)
        out[:, place] = np.where(open_, bits + 32 * more + 48, 0)
        open_ &= more
        if not open_.any():
            break
    return out[out > 0].tobytes().decode("ascii")
