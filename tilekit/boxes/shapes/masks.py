"""Masks: the pixels of objects as spans of columns, never as a picture of the scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks
from tilekit.boxes.shapes import ragged, rastering, rle
from tilekit.boxes.shapes.column import Shapes
from tilekit.boxes.shapes.polygons import Polygons
from tilekit.errors import InvalidArgument

_FAR = 2**31 - 2  # px; coordinates are kept as int32


class Masks(Shapes):
    """Pixels of each object: `spans` (m, 3) int32 x, y0, y1, rows y0 to y1 (half open) of column x; `starts` (n + 1,).

    Spans of an object rise by x, then y0, and do not overlap. That is COCO's run-length code without the page's
    height in it, so that moving and clipping cost what the mask is, not what the scan is. Raises InvalidArgument
    naming the mask.
    """

    __slots__ = ("spans", "starts")
    kind: ClassVar[str] = "mask"

    spans: NDArray[np.int32]
    starts: NDArray[np.int64]

    def __init__(self, spans: ArrayLike, starts: ArrayLike) -> None:
        array = np.asarray(spans)
        if array.size == 0:
            array = np.empty((0, 3), np.int32)
        if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != 3:
            raise InvalidArgument(f"spans must be whole numbers (n, 3), not {array.dtype} {array.shape}")
        if len(array) and (int(array.max()) > _FAR or int(array.min()) < -_FAR):
            raise InvalidArgument(f"spans reach beyond {_FAR} px")
        array = np.ascontiguousarray(array, dtype=np.int32)
        begin = ragged.checked_starts(starts, len(array), "starts")
        bad = array[:, 2] <= array[:, 1]
        if len(array) > 1:
            x, y0, y1 = array.T
            bad[1:] |= (x[1:] < x[:-1]) | ((x[1:] == x[:-1]) & (y0[1:] < y1[:-1]))
            inner = begin[1:-1][begin[1:-1] < len(array)]
            bad[inner] = array[inner, 2] <= array[inner, 1]
        if bad.any():
            place = int(bad.argmax())
            row = int(np.searchsorted(begin, place, side="right")) - 1
            raise InvalidArgument(
                f"mask {row} has the span {array[place].tolist()}; spans are x, y0, y1 with y0 < y1, rising by x, then y, apart"
            )
        object.__setattr__(self, "spans", ragged.frozen(array))
        object.__setattr__(self, "starts", begin)

    @classmethod
    def from_rle(cls, codes: Sequence[Any]) -> Self:
        """From COCO's codes, {"size": [h, w], "counts": list or text} each, None for no mask."""
        parts = [
            np.empty((0, 3), np.int64) if code is None else rle.read(code, f"mask {row}")[0]
            for row, code in enumerate(codes)
        ]
        return cls(np.concatenate(parts) if parts else [], ragged.starts_of([len(part) for part in parts]))

    @classmethod
    def from_arrays(cls, arrays: Sequence[Any], origins: ArrayLike | None = None) -> Self:
        """From pictures (h, w) of booleans, or numbers where above 0 counts; `origins` (n, 2): x, y of each one's corner."""
        corners = np.zeros((len(arrays), 2)) if origins is None else np.asarray(origins)
        if corners.size == 0:
            corners = corners.reshape(0, 2)
        if corners.shape != (len(arrays), 2) or (corners != np.floor(corners)).any():
            raise InvalidArgument(f"origins must be whole numbers of shape ({len(arrays)}, 2)")
        parts = []
        for row, (array, corner) in enumerate(zip(arrays, corners.astype(np.int64), strict=True)):
            picture = np.asarray(array)
            if picture.ndim != 2:
                raise InvalidArgument(
                    f"mask {row} has the shape {picture.shape}; a picture is (height, width)"
                )
            high = picture.shape[0] + 1
            lines = np.zeros((picture.shape[1], high), np.int8)
            lines[:, :-1] = (picture > 0).T
            steps = np.diff(lines.ravel(), prepend=0)
            spans = rle.in_columns(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), high)
            parts.append(spans + corner[[0, 1, 1]])
        return cls(np.concatenate(parts) if parts else [], ragged.starts_of([len(part) for part in parts]))

    @classmethod
    def from_polygons(cls, outlines: Polygons) -> Self:
        """The pixels whose centers the outlines go around."""
        spans, row = rastering.filled(outlines)
        return cls(spans, ragged.starts_of(np.bincount(row, minlength=len(outlines))))

    def to_arrays(self, width: int, height: int) -> NDArray[np.bool_]:
        """(n, height, width) pictures of a page of this size; pixels outside it are left out."""
        out = np.zeros((len(self), width, height + 1), np.int8)
        page = np.tile(np.array([0.0, 0.0, width, height]), (len(self), 1))
        inside = self.clipped(page)
        row, (x, y0, y1) = ragged.row_of(inside.starts), inside.spans.T
        np.add.at(out, (row, x, y0), 1)
        np.subtract.at(out, (row, x, y1), 1)
        np.cumsum(out, axis=2, out=out)
        return np.ascontiguousarray(out[:, :, :height].transpose(0, 2, 1).astype(np.bool_))

    def to_rle(self, width: int, height: int, text: bool = True) -> list[Any]:
        """COCO's codes on a page of this size, None where there is no mask. Raises InvalidArgument where one reaches over it."""
        hulls = self.boxes
        out = (hulls[:, 0] < 0) | (hulls[:, 1] < 0) | (hulls[:, 2] > width) | (hulls[:, 3] > height)
        if out.any():
            row = int(out.argmax())
            raise InvalidArgument(
                f"mask {row} reaches over the page: it lies within {hulls[row].tolist()}, the page is {width} x {height} px"
            )
        spans = self.spans.astype(np.int64)
        return [
            rle.write(spans[begin:end], width, height, text) if end > begin else None
            for begin, end in zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)
        ]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: Any) -> Self:
        places, starts = ragged.taken(self.starts, checks.rows(index))
        return type(self)(self.spans[places], starts)

    @property
    def given(self) -> NDArray[np.bool_]:
        """(n,) bool: rows with any pixel."""
        found: NDArray[np.bool_] = np.diff(self.starts) > 0
        return found

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(n, 4) float64: the box around the pixels of each."""
        spans = self.spans.astype(np.float64)
        low = ragged.reduced(np.minimum, spans[:, :2], self.starts, 0.0)
        high = ragged.reduced(np.maximum, spans[:, [0, 2]] + np.array([1.0, 0.0]), self.starts, 0.0)
        return np.concatenate([low, high], axis=1)

    @property
    def areas(self) -> NDArray[np.float64]:
        """(n,) float64: pixels of each."""
        lengths = (self.spans[:, 2] - self.spans[:, 1]).astype(np.float64)
        return ragged.reduced(np.add, lengths, self.starts, 0.0)

    def moved(self, across: ArrayLike, down: ArrayLike) -> Self:
        """Moved by whole px, one number for all or one a row. Raises InvalidArgument for parts of px."""
        shift = np.broadcast_to(np.stack(np.broadcast_arrays(across, down), axis=-1), (len(self), 2))
        if (shift != np.floor(shift)).any():
            row = int((shift != np.floor(shift)).any(axis=1).argmax())
            raise InvalidArgument(
                f"mask {row} cannot be moved by {shift[row].tolist()}; masks move by whole px"
            )
        each = np.repeat(shift.astype(np.int64), np.diff(self.starts), axis=0)
        return type(self)(self.spans + each[:, [0, 1, 1]], self.starts)

    def scaled(self, across: float, down: float) -> Self:
        """Each pixel of the new raster takes the old one under its center; a mask thinner than that may vanish."""
        spans, row = self.spans.astype(np.int64), ragged.row_of(self.starts)
        first = np.ceil(spans[:, 0] * across - 0.5).astype(np.int64)
        columns = np.maximum(np.ceil((spans[:, 0] + 1) * across - 0.5).astype(np.int64) - first, 0)
        source = np.repeat(np.arange(len(spans)), columns)
        x = first[source] + np.arange(len(source)) - np.repeat(np.cumsum(columns) - columns, columns)
        top = np.ceil(spans[source, 1] * down - 0.5).astype(np.int64)
        bottom = np.ceil(spans[source, 2] * down - 0.5).astype(np.int64)
        return self._sorted(np.column_stack([x, top, bottom]), row[source])

    def clipped(self, windows: NDArray[np.float64]) -> Self:
        """Pixels inside each row's window; what lies half in is out."""
        row = ragged.row_of(self.starts)
        x0, y0, x1, y1 = np.clip(
            np.stack(
                [
                    np.ceil(windows[:, 0]),
                    np.ceil(windows[:, 1]),
                    np.floor(windows[:, 2]),
                    np.floor(windows[:, 3]),
                ]
            ),
            -_FAR,
            _FAR,
        ).astype(np.int64)[:, row]
        spans = self.spans
        fresh = np.column_stack([spans[:, 0], np.maximum(spans[:, 1], y0), np.minimum(spans[:, 2], y1)])
        keep = (x0 <= spans[:, 0]) & (spans[:, 0] < x1) & (fresh[:, 2] > fresh[:, 1])
        return type(self)(fresh[keep], ragged.starts_of(np.bincount(row[keep], minlength=len(self))))

    def _sorted(self, spans: NDArray[np.int64], row: NDArray[np.int64]) -> Self:
        keep = spans[:, 2] > spans[:, 1]
        spans, row = spans[keep], row[keep]
        order = np.lexsort((spans[:, 1], spans[:, 0], row))
        spans, row = spans[order], row[order]
        fresh = np.ones(len(spans), np.bool_)  # spans that touch become one
        fresh[1:] = (row[1:] != row[:-1]) | (spans[1:, 0] != spans[:-1, 0]) | (spans[1:, 1] > spans[:-1, 2])
        first = np.flatnonzero(fresh)
        joined = np.column_stack(
            [spans[first, :2], spans[np.append(first[1:], len(spans))[: len(first)] - 1, 2]]
        )
        return type(self)(joined, ragged.starts_of(np.bincount(row[first], minlength=len(self))))

    def to_polygons(self) -> Polygons:
        """The outline of the pixels of each, along their edges."""
        import shapely

        spans = self.spans.astype(np.float64)
        columns = np.asarray(
            shapely.box(spans[:, 0], spans[:, 1], spans[:, 0] + 1, spans[:, 2]), dtype=object
        )
        outlines = np.full(len(self), None, dtype=object)
        for row in np.flatnonzero(self.given).tolist():
            outlines[row] = shapely.union_all(columns[self.starts[row] : self.starts[row + 1]])
        return Polygons.from_geometries(shapely.simplify(outlines, 0.0) if len(outlines) else [])

    def to_json(self) -> list[Any]:
        """A row: {"mask": COCO's code, "origin": [x, y]} of the box around it; None without a mask."""
        hulls = self.boxes.astype(np.int64)
        rows: list[Any] = []
        for row, (x0, y0, x1, y1) in enumerate(hulls.tolist()):
            part = self.spans[self.starts[row] : self.starts[row + 1]].astype(np.int64) - [x0, y0, y0]
            code = rle.write(part, x1 - x0, y1 - y0)
            rows.append({"mask": code, "origin": [x0, y0]} if len(part) else None)
        return rows

    @classmethod
    def from_json(cls, rows: Sequence[Any]) -> Self:
        """From what `to_json` gives."""
        masks = cls.from_rle([None if row is None else row["mask"] for row in rows])
        origins = np.array([[0, 0] if row is None else row["origin"] for row in rows]).reshape(-1, 2)
        return masks.moved(origins[:, 0], origins[:, 1])

    @classmethod
    def absent(cls, boxes: NDArray[np.float64]) -> Self:
        """Rows without a mask."""
        return cls([], np.zeros(len(boxes) + 1, np.int64))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All rows of all parts, in order."""
        if not parts:
            return cls.absent(np.empty((0, 4)))
        return cls(
            np.concatenate([part.spans for part in parts]), ragged.joined([part.starts for part in parts])
        )

    def _fields(self) -> tuple[NDArray[Any], ...]:
        return self.spans, self.starts
