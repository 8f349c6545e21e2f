"""Tile: a window with its pixels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilekit.grid import Window


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A window with pixels.

    `index`: place in grid order; `row`, `col`: place in the grid; `window`: rectangle on the
    reduced scan; `pixels`: (h, w, 1 or 3) uint8, read-only, the window's size; `scale`: which of
    several scales it is of.
    """

    index: int
    row: int
    col: int
    window: Window
    pixels: NDArray[np.uint8] = field(repr=False)
    scale: int = 0
