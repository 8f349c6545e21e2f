"""What a detector said of each tile, kept beside the merged boxes, so that a merge policy can be fitted to it.

The file is a `detections.jsonl` whose boxes are not merged: each has the `tile` that showed it, and `options` say so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import numpy as np

from tilekit.boxes.detections import Detections
from tilekit.boxes.remap import remap_to_scan
from tilekit.detectors.passing import PassingDetector
from tilekit.detectors.protocol import Detector
from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid
from tilekit.labels.prediction_lines import PredictionWriter, read_predictions
from tilekit.labels.predictions import PageDetections
from tilekit.pages import PageKey
from tilekit.scans.scan import Scan
from tilekit.tiles.tile import Tile


class KeepingDetector(PassingDetector):
    """A detector that remembers what it said of each tile of the page at hand; in all else the one it is given.

    `write(page, scan)` puts the page's boxes into the file and forgets them: give it to `detect_scans` as `on_page`.
    A context manager that writes to `path`, which it goes on with unless `fresh`. Memory: the boxes of one page.
    """

    def __init__(self, detector: Detector, path: str | os.PathLike[str], *, fresh: bool = False) -> None:
        super().__init__(detector)
        self._writer = PredictionWriter(path, append=not fresh)
        self._said: dict[tuple[int, int], Detections] = {}

    def detect(self, tiles: Sequence[Tile]) -> Sequence[Detections]:
        """Ask the detector, and remember."""
        found = super().detect(tiles)
        for tile, one in zip(tiles, found, strict=False):
            self._said[tile.scale, tile.index] = one
        return found

    def write(self, page: PageDetections, scan: Scan) -> None:
        """Write what was said of this page's tiles, tiles that failed left out."""
        said, self._said = self._said, {}
        failed = {(tile.scale, tile.index) for tile in page.failed}
        parts, scales = [Detections.empty(self.names)], []
        for (scale, index), found in sorted(said.items(), key=lambda item: item[0]):
            if (scale, index) in failed or not len(found) or scale >= len(page.tilings):
                continue
            tiles = np.full(len(found), index)
            grid = page.tilings[scale].grid(scan.width, scan.height, dpi=scan.dpi)
            if index >= len(grid):  # left of a page that failed half way, which was larger
                continue
            moved = None if found.shapes is None else remap_to_scan(found.shapes, tiles, grid)
            boxes = remap_to_scan(found.boxes, tiles, grid)
            parts.append(Detections(boxes, found.scores, found.class_ids, found.names, tiles, shapes=moved))
            scales.append(np.full(len(found), scale))
        every = Detections.concat(parts[1:] or parts)
        options = {**page.options, "merged": False}
        if scan.dpi is not None:
            options["page_dpi"] = scan.dpi
        self._writer.write(
            PageDetections(
                page.key,
                page.width,
                page.height,
                every,
                page.tilings,
                page.failed,
                page.complete,
                page.model,
                options,
                np.concatenate(scales) if scales and len(page.tilings) > 1 else None,
                page.training,
            )
        )

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)


def read_kept_tiles(path: str | os.PathLike[str]) -> Iterator[tuple[PageKey, Detections, TileGrid]]:
    """Each page's tile-frame detections with `tile_index`, and their grid; of several scales each in turn.

    Raises InvalidArgument where the file holds merged boxes.
    """
    for page in read_predictions(path).pages():
        found = page.detections
        if page.options.get("merged") is not False or (len(found) and found.tile_index is None):
            raise InvalidArgument(
                f"{path}: {page.key} holds merged boxes; `tilekit detect --keep-tiles FILE` writes those of each tile"
            )
        for scale, tiling in enumerate(page.tilings):
            grid = tiling.grid(page.width, page.height, dpi=page.options.get("page_dpi"))
            rows = np.arange(len(found)) if page.scale is None else np.flatnonzero(page.scale == scale)
            part = found[rows]
            tiles = np.empty(0, np.int64) if part.tile_index is None else part.tile_index
            if len(tiles) and int(tiles.max()) >= len(grid):
                raise InvalidArgument(
                    f"{path}: {page.key} has a box of tile {int(tiles.max())}; its grid has {len(grid)}"
                )
            corner = np.tile(grid.windows()[tiles, :2], 2).astype(np.float64)
            shapes = part.shapes
            if shapes is not None:
                if grid.is_scaled:
                    shapes = shapes.scaled(grid.width / page.width, grid.height / page.height)
                shapes = shapes.moved(-corner[:, 0], -corner[:, 1])
            boxes = grid.to_reduced(part.boxes) - corner
            yield page.key, part.replaced(boxes=boxes, tile_index=tiles, shapes=shapes), grid
