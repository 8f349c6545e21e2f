"""Tiles cut from a JPEG put together again by their bits: the page has the scan's own coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tilekit.errors import ScanCorrupt
from tilekit.grid import TileGrid
from tilekit.jpeg.cutting import Stretch, coded
from tilekit.jpeg.index import MOST_MCUS, EveryMcu, Runs, every_mcu
from tilekit.jpeg.markers import CannotCut, Header, header_bytes, read_header
from tilekit.jpeg.tables import lookups
from tilekit.storage.local import storage_errors
from tilekit.tiles.index import TileRecord

_LARGEST_SIDE = 65_535
_HEADER_BYTES = 1 << 16


def joins_by_bits(folder: Path, grid: TileGrid, records: Sequence[TileRecord]) -> Header | None:
    """The header of the page where all of its tiles have the bits of one scan; None where some have not."""
    if max(grid.width, grid.height) > _LARGEST_SIDE or not all(
        record.kept and record.file for record in records
    ):
        return None
    first: Header | None = None
    for record in records:
        path = folder / str(record.file)
        with storage_errors(path), path.open("rb") as file:
            data = file.read(_HEADER_BYTES)
        try:
            header = read_header(lambda at, count, data=data: data[at : at + count])[0]  # type: ignore[misc]
        except CannotCut:
            return None
        first = first or header
        if (header.width, header.height) != (record.window.width, record.window.height):
            return None
        if header.coding != first.coding or header.restart or header.across * header.down > MOST_MCUS:
            return None
        if record.window.x0 % header.mcu[0] or record.window.y0 % header.mcu[1]:
            return None
    return None if first is None else first.sized(grid.width, grid.height)


@dataclass(frozen=True)
class _Part:
    """A tile's file, and the columns of MCUs that the page takes from it, counted in the tile."""

    header: Header
    data: np.ndarray[tuple[int], np.dtype[np.uint8]]
    mcus: EveryMcu
    left: int
    right: int


def joined(folder: Path, grid: TileGrid, records: Sequence[TileRecord], page: Header) -> Iterator[bytes]:
    """The bytes of the page's JPEG, one row of MCUs after the other, a restart marker between two.

    Memory: the files of a row of tiles, twice. Raises ScanCorrupt naming the tile that is damaged.
    """
    look = lookups(page.sampling, page.dc, page.ac, 0)
    head = header_bytes(replace(page, restart=page.across), look.written)
    down, done = page.mcu[1], 0
    for row in range(grid.rows):
        first, last = grid.lines.start(row) // down, -(-min(grid.lines.stop(row), grid.height) // down)
        if last <= done:
            continue
        parts = list(_parts(folder, records[row * grid.cols : (row + 1) * grid.cols], page))
        place = np.cumsum([0] + [8 * len(part.data) for part in parts])
        stretch = Stretch(np.concatenate([part.data for part in parts]), 0)
        for line in range(max(done, first), last):
            begin = np.array([(line - first) * part.header.across + part.left for part in parts])
            stop = np.array([(line - first) * part.header.across + part.right for part in parts])
            runs = Runs(
                np.array([part.mcus.starts[at] for part, at in zip(parts, begin, strict=True)]) + place[:-1],
                np.array([part.mcus.ends[at] for part, at in zip(parts, stop, strict=True)]) + place[:-1],
                np.stack([part.mcus.before[at] for part, at in zip(parts, begin, strict=True)]),
                np.stack([part.mcus.after[at] for part, at in zip(parts, stop, strict=True)]),
            )
            try:
                yield coded(stretch, runs, look, head, b"\xff\xd9" if line == page.down - 1 else b"")
                head = bytes([0xFF, 0xD0 + line % 8])
            except CannotCut as exc:
                raise ScanCorrupt(f"{folder}: tiles of row {row} do not fit together ({exc})") from exc
        done = last


def _parts(folder: Path, records: Sequence[TileRecord], page: Header) -> Iterator[_Part]:
    """Those tiles of a row that bring columns of MCUs which the ones before have not."""
    across, done = page.mcu[0], 0
    for record in records:
        left, right = record.window.x0 // across, -(-record.window.x1 // across)
        if right <= done:
            continue
        path = folder / str(record.file)
        with storage_errors(path):
            data = path.read_bytes()
        try:
            header, begin = read_header(lambda at, count, data=data: data[at : at + count])  # type: ignore[misc]
            array = np.frombuffer(data, np.uint8)
            mcus, _ = every_mcu(array, header, np.array([begin]), np.array([len(array)]))
        except CannotCut as exc:
            raise ScanCorrupt(f"{path}: is damaged; run the tiling again") from exc
        yield _Part(header, array, mcus, max(done, left) - left, right - left)
        done = right
