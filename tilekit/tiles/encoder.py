"""TileEncoder: the tiles of one scan as files, by one recipe: cut from its bits, made with its tables, or as asked."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from tilekit.flow import Gate
from tilekit.grid import TileGrid
from tilekit.jpeg.markers import CannotCut
from tilekit.scans.encoding import Encoded, JpegTables, encode_image
from tilekit.scans.scan import Scan
from tilekit.tiles.keeping import KeptTile, keeping
from tilekit.tiles.pieces import RawTile
from tilekit.tiles.reading import raw_tiles
from tilekit.tiles.recipe import TilesRecipe

_QUALITY = 90  # of what has no tables of its own


class TileEncoder:
    """Gives a scan's tiles, and makes files of them; any thread may call `cut` and `encode`."""

    def __init__(self, scan: Scan, grid: TileGrid, recipe: TilesRecipe, threads: int) -> None:
        self._scan, self._grid, self.recipe, self._threads = scan, grid, recipe, threads
        self._tables: JpegTables | None = None
        self._quality = recipe.quality if isinstance(recipe.quality, int) else _QUALITY
        self._subsampling = recipe.subsampling or "444"

    @contextlib.contextmanager
    def tiles(self, rows: dict[int, Collection[int]], gate: Gate | None) -> Iterator[Iterator[RawTile]]:
        """The tiles of the grid's `rows` in grid order, those that `cut` can make among them."""
        kept = keeping(self._scan, self._grid, rows, self.recipe, self._threads)
        if kept is not None:
            self._tables = kept.tables
            self._subsampling = self.recipe.subsampling or kept.tables.subsampling
        if kept is None or kept.tiles is None:
            with raw_tiles(self._scan, self._grid, rows, workers=self._threads, gate=gate) as tiles:
                yield tiles
        else:
            with contextlib.closing(kept.tiles):
                yield kept.tiles

    def cut(self, raw: RawTile) -> bytes | None:
        """The tile made of the scan's bits; None where it must be encoded."""
        if not isinstance(raw, KeptTile):
            return None
        try:
            data = raw.cut()
        except CannotCut:
            return None
        limit = self.recipe.max_bytes
        return data if limit is None or len(data) <= limit else None

    def encode(self, pixels: NDArray[np.uint8]) -> Encoded:
        """Pixels as the recipe says, with the scan's own tables where it keeps them."""
        recipe = self.recipe
        return encode_image(
            pixels,
            recipe.format,
            quality=self._quality,
            subsampling=self._subsampling,
            max_bytes=recipe.max_bytes,
            tables=self._tables if recipe.subsampling in (None, self._subsampling) else None,
        )

    def lowered(self, encoded: Encoded) -> bool:
        """Whether the quality was lowered for `max_bytes`."""
        return encoded.quality is not None and (self._tables is not None or encoded.quality != self._quality)
