"""Tile: a window with its pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.figures import picture_axes, pixels_html, saved
from tilekit.grid import Window


class _Lazy:
    """Room beside the fields for what gives the pixels when somebody asks for them."""

    __slots__ = ("_read",)
    _read: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, eq=False)
class Tile(_Lazy):
    """A window with pixels.

    `index`: place in grid order; `row`, `col`: place in the grid; `window`: rectangle on the
    reduced scan; `pixels`: (h, w, 1 or 3) uint8, read-only, the window's size; `scale`: which of
    several scales it is of; `jpeg`: where the tile was cut from the bits of a JPEG scan, its file. Such a
    tile is decoded when its pixels are first asked for, while its scan is open.
    """

    index: int
    row: int
    col: int
    window: Window
    pixels: NDArray[np.uint8] = field(repr=False)
    scale: int = 0
    jpeg: bytes | None = field(default=None, repr=False)

    @classmethod
    def cut(
        cls,
        place: tuple[int, int, int],
        window: Window,
        jpeg: bytes,
        read: Callable[[], NDArray[np.uint8]],
        scale: int = 0,
    ) -> Tile:
        """A tile of (index, row, col) that has its JPEG, and whose pixels `read()` gives."""
        tile = cls.__new__(cls)
        values = zip(("index", "row", "col"), place, strict=True)
        for name, value in (*values, ("window", window), ("jpeg", jpeg), ("scale", scale), ("_read", read)):
            object.__setattr__(tile, name, value)
        return tile

    def __getattr__(self, name: str) -> Any:
        if name != "pixels":
            raise AttributeError(f"a Tile has no {name!r}")
        pixels = self._read()
        object.__setattr__(self, "pixels", pixels)
        return pixels

    @property
    def nbytes(self) -> int:
        """Bytes it holds: of its JPEG where it has one, else of its pixels."""
        return self.pixels.nbytes if self.jpeg is None else len(self.jpeg)

    def plot(self, *, path: str | os.PathLike[str] | None = None) -> Any:
        """The pixels as a matplotlib figure, axes in px of the (reduced) page; `path`: also write it there."""
        figure, axes = picture_axes(self.pixels, self._words())
        x0, y0, x1, y1 = self.window
        axes.images[0].set_extent((x0, x1, y1, y0))
        return saved(figure, path)

    def _repr_html_(self) -> str:
        return pixels_html(self.pixels, self._words())

    def _words(self) -> str:
        x0, y0, x1, y1 = self.window
        return f"tile {self.index} (row {self.row}, column {self.col}): x {x0} to {x1}, y {y0} to {y1}"
