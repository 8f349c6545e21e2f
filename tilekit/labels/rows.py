"""Rows: boxes as they came from a file, one by one or as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tilekit.labels.entries import Where

_COLUMNS = ("mention", "label", "sides", "ignore", "share", "score", "origin")


class Row(NamedTuple):
    """A box as it came: which naming of a page, which label, sides in px or shares of the page."""

    mention: int
    label: int
    sides: Sequence[float]
    ignore: bool
    share: bool
    score: float
    where: Where


class Outline(NamedTuple):
    """What a box is the hull of: its kind, and that shape in px as `Shapes.from_json` takes a row, or {"corners": [four
    points]}, or a function that gives it, called where shapes are asked for."""

    kind: str = "box"
    drawn: Any = None


@dataclass(frozen=True)
class Rows:
    """Boxes as columns; `origin`: where each came, as a number in the order of arrival."""

    mention: NDArray[np.int64]
    label: NDArray[np.int64]
    sides: NDArray[np.float64]
    ignore: NDArray[np.bool_]
    share: NDArray[np.bool_]
    score: NDArray[np.float64]
    origin: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.mention)

    def kept(self, keep: NDArray[Any]) -> Rows:
        """Some of the rows, by mask or places."""
        return Rows(*(getattr(self, name)[keep] for name in _COLUMNS))

    @classmethod
    def of(cls, rows: Sequence[Row], first: int) -> Self:
        """From rows, of which the first is the `first` to arrive."""
        columns = list(zip(*rows, strict=True)) or [()] * 7
        return cls(
            np.array(columns[0], dtype=np.int64),
            np.array(columns[1], dtype=np.int64),
            np.array(columns[2], dtype=np.float64).reshape(-1, 4),
            np.array(columns[3], dtype=np.bool_),
            np.array(columns[4], dtype=np.bool_),
            np.array(columns[5], dtype=np.float64),
            np.arange(first, first + len(rows)),
        )

    @classmethod
    def joined(cls, chunks: Sequence[Self]) -> Self:
        """All rows of all chunks, in order."""
        if len(chunks) == 1:
            return chunks[0]
        parts = [cls.of([], 0), *chunks]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS))
