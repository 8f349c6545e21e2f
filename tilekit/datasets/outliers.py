"""Objects of a size that nothing else has: often slips of the labeling, never what a plan is made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.tallying import PagedBoxes

_TIMES = 4.0  # as long as nearly all, or as short
_SETTLED = 20  # objects by which a label is judged by itself
_FEW, _AMONG = 2, 100  # a label of so few objects, or fewer, among a hundred times as many others


@dataclass(frozen=True)
class Outlier:
    """An object whose size is four times beyond nearly all others': page, label, base px."""

    page: str
    label: str
    width: float
    height: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"page": self.page, "label": self.label, "width": self.width, "height": self.height}

    def __str__(self) -> str:
        return f"{self.page}: a {self.label} of {self.width:g} x {self.height:g} px"


def usual(paged: PagedBoxes, longest: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) which objects are no outliers.

    A label of twenty objects or more is judged by itself: by its 1st and 99th percentile. One of two
    or fewer, among a hundred times as many, by all the others.
    """
    fine = np.ones(len(longest), np.bool_)
    count = np.bincount(paged.labels, minlength=len(paged.names))
    few = (count <= _FEW) & (count * _AMONG <= len(longest))
    rare = few[paged.labels]
    common = longest[~rare]
    if rare.any() and len(common):
        low, high = np.quantile(common, [0.01, 0.99])
        fine[rare] = (longest[rare] <= _TIMES * high) & (longest[rare] * _TIMES >= low)
    for label in np.flatnonzero(count >= _SETTLED).tolist():
        rows = np.flatnonzero(paged.labels == label)
        low, high = np.quantile(longest[rows], [0.01, 0.99])
        fine[rows] = (longest[rows] <= _TIMES * high) & (longest[rows] * _TIMES >= low)
    return fine
