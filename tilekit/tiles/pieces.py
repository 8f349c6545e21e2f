"""RawTile: a tile as the pieces of decoded memory it is made of; nothing is copied before it must."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilekit.grid import Window
from tilekit.tiles.tile import Tile

Pixels = NDArray[np.uint8]
Paper = tuple[int, ...]
WHITE: Paper = (255,)


class Piece(NamedTuple):
    """A rectangle of a tile: where it goes in the tile, and a view of its pixels."""

    y: int
    x: int
    pixels: Pixels


class RawTile:
    """A tile not yet put together.

    `shape` (h, w, bands) is of the part inside the scan; `paper` fills what lies outside.
    """

    __slots__ = ("col", "index", "paper", "pieces", "row", "shape", "window")

    def __init__(
        self,
        index: int,
        row: int,
        col: int,
        window: Window,
        shape: tuple[int, int, int],
        pieces: Sequence[Piece],
        paper: Paper,
    ) -> None:
        self.index, self.row, self.col, self.window, self.shape = index, row, col, window, shape
        self.pieces, self.paper = pieces, paper

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tile."""
        return self.window.width * self.window.height * self.shape[2]

    def pixels(self) -> Pixels:
        """(h, w, bands) read-only: a view where one piece holds it all, else a fresh array, padded."""
        inside = self._inside()
        height, width, bands = self.shape
        if (self.window.height, self.window.width) == (height, width):
            inside.flags.writeable = False
            return inside
        whole = np.empty((self.window.height, self.window.width, bands), np.uint8)
        whole[:] = self.paper
        whole[:height, :width] = inside
        whole.flags.writeable = False
        return whole

    def tile(self) -> Tile:
        """The tile with pixels of its own: C-contiguous and read-only."""
        pixels = self.pixels()
        if pixels.base is not None:  # a view would keep a whole band alive
            pixels = pixels.copy()
            pixels.flags.writeable = False
        return Tile(self.index, self.row, self.col, self.window, pixels)

    def gather(self) -> Sequence[Piece]:
        """The pieces; a tile that is read only when wanted reads here."""
        return self.pieces

    def _inside(self) -> Pixels:
        pieces = self.gather()
        if len(pieces) == 1 and pieces[0].pixels.shape == self.shape:
            return pieces[0].pixels
        out = np.empty(self.shape, np.uint8)
        for y, x, part in pieces:
            out[y : y + part.shape[0], x : x + part.shape[1]] = part
        return out
