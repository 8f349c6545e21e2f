"""What boxes with labels have in common, however they came about."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

if TYPE_CHECKING:
    import numpy as np


class LabeledBoxes(ABC):
    """Boxes (n, 4) with a place in `names` each."""

    __slots__: tuple[str, ...] = ()

    boxes: NDArray[np.float64]
    class_ids: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.boxes)

    @abstractmethod
    def __getitem__(self, index: Any) -> Self:
        """Rows by slice, mask or index array (an int gives one row)."""

    def replaced(self, **fields: Any) -> Self:
        """The same rows with some fields given anew: every other field, shapes too, stays with its row."""
        given = {name: getattr(self, name) for name in self.__slots__} | fields
        return type(self)(**given)

    def plot(
        self,
        picture: Any,
        *,
        window: Sequence[float] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> Any:
        """The boxes on `picture` (a scan, or the pixels they are of) as a matplotlib figure.

        `window` (x0, y0, x1, y1): only this part, at full resolution. `path`: also write it there.
        """
        from tilekit.boxes.plotting import plot_boxes

        return plot_boxes(self, picture, window, path)

    def _repr_html_(self) -> str:
        from tilekit.boxes.plotting import counts_html

        return counts_html(self)

    @property
    def labels(self) -> list[str]:
        """The label of each box."""
        return [self.names[i] for i in self.class_ids]
