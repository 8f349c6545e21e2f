"""Deep-zoom pyramid of a scan, for viewers: one pass, every level halved from the one below it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument
from tilekit.flow import ordered_map
from tilekit.scans.encoding import encode_image
from tilekit.scans.scan import Scan
from tilekit.storage.local import write_bytes

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pyramid:
    """What was written: `width`, `height` px of the full level, `tile` px, levels 0 (smallest) to `top`.

    A tile's file is `<level>/<column>_<row>.jpg`; level `top` has the scan's own pixels.
    """

    width: int
    height: int
    tile: int
    top: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dict(vars(self))


def write_pyramid(
    scan: Scan, folder: str | Path, *, tile: int = 512, quality: int = 80, workers: int = 2
) -> Pyramid:
    """Write the pyramid of a scan below `folder` as JPEG tiles, in one pass over the scan.

    Memory: about 4 x tile x width x bands bytes (a band of every level, each half the one before)
    plus the tiles being encoded; it does not grow with the height.
    """
    if tile < 64 or tile % 2:
        raise InvalidArgument(f"tile={tile!r} must be an even number of at least 64 px")
    top = 0
    while max(scan.width, scan.height) > tile << top:
        top += 1
    root = Path(folder)

    def save(job: tuple[int, int, int, Pixels]) -> None:
        level, col, row, pixels = job
        data = encode_image(np.ascontiguousarray(pixels), "jpeg", quality=quality, subsampling="420").data
        write_bytes(root / str(level) / f"{col}_{row}.jpg", data)

    for _ in ordered_map(save, _tiles(scan, tile, top), workers=workers, cost=lambda job: job[3].nbytes):
        pass
    return Pyramid(scan.width, scan.height, tile, top)


def _tiles(scan: Scan, tile: int, top: int) -> Iterator[tuple[int, int, int, Pixels]]:
    ready: deque[tuple[int, int, int, Pixels]] = deque()
    base = _Level(top, tile, lambda *job: ready.append(job))
    full, rest = divmod(scan.height, tile)
    for band in scan.bands_of_rows([tile] * full + [rest] * bool(rest)):
        base.push(band)
        while ready:
            yield ready.popleft()
    base.finish()
    yield from ready


class _Level:
    """One level: collects rows to a row of tiles, gives them out, and passes halved rows up."""

    def __init__(self, level: int, tile: int, emit: Callable[[int, int, int, Pixels], None]) -> None:
        self._level, self._tile, self._emit = level, tile, emit
        self._rows: list[Pixels] = []
        self._count = 0
        self._row = 0
        self._above = _Level(level - 1, tile, emit) if level else None

    def push(self, rows: Pixels) -> None:
        """Take rows; at most one tile of them at a time."""
        while len(rows):
            take = min(len(rows), self._tile - self._count)
            self._rows.append(rows[:take])
            self._count += take
            rows = rows[take:]
            if self._count == self._tile:
                self._flush()

    def finish(self) -> None:
        """No more rows come."""
        if self._count:
            self._flush()
        if self._above is not None:
            self._above.finish()

    def _flush(self) -> None:
        band = self._rows[0] if len(self._rows) == 1 else np.concatenate(self._rows)
        self._rows, self._count = [], 0
        for col, left in enumerate(range(0, band.shape[1], self._tile)):
            self._emit(self._level, col, self._row, band[:, left : left + self._tile])
        self._row += 1
        if self._above is not None:
            self._above.push(halved(band))


def halved(pixels: Pixels) -> Pixels:
    """Half the size, rounded up: each pixel the mean of 2 x 2; an odd last row or column is repeated."""
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    sums = pixels[0::2, 0::2].astype(np.uint16)
    sums += pixels[0::2, 1::2]
    sums += pixels[1::2, 0::2]
    sums += pixels[1::2, 1::2]
    sums += 2
    sums >>= 2
    return sums.astype(np.uint8)
