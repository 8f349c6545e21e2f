"""join_tiles: a folder of tiles back to one image, streaming, overlap cropped."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import ScanCorrupt, StorageError
from tilekit.flow import ordered_map
from tilekit.grid import TileGrid
from tilekit.pages import PageKey
from tilekit.scans.encoding import decode_image
from tilekit.storage.local import atomic_path, storage_errors
from tilekit.tiles.assembling import save_rows
from tilekit.tiles.index import PageRecord, TileIndex, TileRecord, read_index
from tilekit.tiles.joinbits import joined, joins_by_bits
from tilekit.tiles.reading import worker_count

Pixels = NDArray[np.uint8]


def join_tiles(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    key: PageKey | None = None,
    fill: int = 255,
    workers: int | None = None,
    **options: Any,
) -> Path:
    """Write the page that a folder's tiles were cut from, at the tiles' scale, as one image.

    `out`: kind by extension, .tif, .jpg, .png, .webp or .v; `options` go to libvips' saver
    (`compression="jpeg", Q=90, tile=True` for TIFF). `key`: which page, needed where the folder
    holds several. `fill`: the level of tiles that were left out as blank. Each row of pixels
    comes from the first row of tiles that has it, each column from the first column; padding is cropped.
    A .jpg without `options`, of tiles that all have a JPEG scan's own bits, is joined by those: it has the
    scan's coefficients, nothing is decoded or encoded.

    Memory: (tile height + stride) x width x bands bytes. Raises StorageError where the folder is no
    folder of tiles or a tile is missing, ScanCorrupt for a tile that is damaged.
    """
    index = read_index(Path(folder))
    page = index.page(key)
    grid = page.grid(index.tiling)
    if Path(out).suffix.lower() in (".jpg", ".jpeg") and not options and page.kept == len(grid):
        records = list(_checked(index, page, grid))
        if (header := joins_by_bits(index.folder, grid, records)) is not None:
            with atomic_path(out) as part, part.open("wb") as file:
                file.writelines(joined(index.folder, grid, records, header))
            return Path(out)
    save_rows(
        out,
        _rows(index, page, grid, fill, worker_count(workers)),
        grid.width,
        grid.height,
        page.bands,
        **options,
    )
    return Path(out)


def _rows(
    index: TileIndex, page: PageRecord, grid: TileGrid, fill: int, workers: int
) -> Generator[Pixels, None, None]:
    def load(record: TileRecord) -> Pixels | None:
        return None if record.file is None else _load(index.folder / record.file, record, page.bands)

    tiles = ordered_map(
        load,
        _checked(index, page, grid),
        workers=workers,
        cost=lambda record: record.window.width * record.window.height * page.bands,
        budget=64 * 1024 * 1024,
    )
    waiting = deque(range(grid.rows))
    bottom = 0
    while waiting:
        row = waiting.popleft()
        top, stop = bottom, min(grid.lines.stop(row), grid.height)
        band = np.full((max(0, stop - top), grid.width, page.bands), fill, np.uint8)
        right = 0
        for col in range(grid.cols):
            pixels = next(tiles)
            window = grid.window(row, col)
            left, end = max(right, window.x0), min(window.x1, grid.width)
            if pixels is not None and end > left and stop > top:
                band[:, left:end] = pixels[
                    top - window.y0 : stop - window.y0, left - window.x0 : end - window.x0
                ]
            right = max(right, end)
        bottom = max(bottom, stop)
        yield band


def _checked(index: TileIndex, page: PageRecord, grid: TileGrid) -> Iterator[TileRecord]:
    """The page's records, proven to be the grid's, one for each tile."""
    expected = 0
    for record in index.tiles(page.key):
        if record.tile != expected or expected >= len(grid) or record.window != grid[expected]:
            break
        expected += 1
        yield record
    if expected != len(grid):
        raise StorageError(
            f"{index.folder}: tiles.jsonl does not list tile {expected} of {page.key} as the grid has it; "
            "run the tiling again"
        )


def _load(path: Path, record: TileRecord, bands: int) -> Pixels:
    with storage_errors(path):
        data = path.read_bytes()
    try:
        pixels = decode_image(data)
    except OSError as exc:
        raise ScanCorrupt(f"{path}: is damaged; run the tiling again") from exc
    shape = (record.window.height, record.window.width, bands)
    if pixels.shape != shape:
        raise ScanCorrupt(f"{path}: holds pixels of shape {pixels.shape}, its record says {shape}")
    return pixels
