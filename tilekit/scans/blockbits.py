"""A TIFF page of JPEG blocks, by its bits: a tile joins MCU rows of several blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import ScanCorrupt
from tilekit.jpeg.cutting import Bytes, Stretch, cut_runs, scratch
from tilekit.jpeg.eighth import sight_of
from tilekit.jpeg.index import EveryMcu, Runs, every_mcu
from tilekit.jpeg.markers import CannotCut, Header, read_header
from tilekit.jpeg.tables import lookups
from tilekit.scans.tiff.blocks import StoredBlocks, jpeg_head
from tilekit.scans.tiff.layout import JPEG, YCBCR

if TYPE_CHECKING:
    from tilekit.grid import Window
    from tilekit.scans.blockpages import BlockEighth
    from tilekit.scans.scan import Scan

OWN_TABLES = "its blocks have tables of their own"
_SAMPLED = 17
_KEPT_BYTES = 1 << 25
Ints = NDArray[np.int64]
Read = Callable[[int, int, int, int], NDArray[np.uint8]]
Cell = tuple[int, int]


@dataclass(eq=False)
class _Batch:
    """Blocks (row, column) that one thread parses by one call; `ready` is set when `mcus` are there, or cannot be.

    Block i lay at byte `places[i]` of what was parsed. Its bytes are not kept: whoever cuts reads them again, which
    costs less than bringing those of several batches together.
    """

    cells: list[Cell]
    ready: threading.Event = field(default_factory=threading.Event)
    mcus: EveryMcu | None = None
    places: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes it takes."""
        return 0 if self.mcus is None else self.mcus.nbytes


@dataclass(frozen=True)
class _Needed:
    """The bytes of the blocks of a tile: block i is `data[begins[i] : stops[i]]`."""

    cells: list[Cell]
    data: Bytes
    begins: Ints
    stops: Ints


class BlockBits:
    """The bits of a page stored in JPEG blocks of one set of tables. Any thread may use it.

    The blocks that a tile needs and that are not yet known are parsed by one call, and where their MCUs begin is kept
    for the next tiles: at most 32 MB of that. `read` gives the pixels of a rectangle, where another than the blocks'
    own decoder is to.
    """

    def __init__(self, blocks: StoredBlocks, dpi: float | None, read: Read | None = None) -> None:
        layout = blocks.layout
        self._read = read
        self.eighth: BlockEighth | None = None  # filled in by parses
        if layout.compression != JPEG or not layout.tiled or not blocks.decodes:
            raise CannotCut("it is not stored in JPEG blocks of gray, RGB or YCbCr")
        self._blocks, self._head = blocks, jpeg_head(layout)
        self._lock = threading.Lock()
        self._known: dict[Cell, tuple[_Batch, int]] = {}
        self._batches: dict[_Batch, None] = {}
        self._kept = 0
        data = blocks.data(0, 0)
        self._first, begin = self._header(data)
        self._start = data[:begin]
        self._sight = sight_of(self._first)
        self._look = lookups(self._first.sampling, self._first.dc, self._first.ac, self._first.restart)
        width, height = layout.block
        if self._first.restart % self._first.across:
            raise CannotCut("its blocks have restart markers inside rows")
        if width % self._first.mcu[0] or height % self._first.mcu[1]:
            raise CannotCut(f"its blocks of {width} x {height} px are not whole MCUs")
        density = (1, round(dpi), round(dpi)) if dpi and dpi < 65535 and layout.photometric == YCBCR else None
        self.header = replace(self._first.sized(layout.width, layout.height), density=density, profile=())

    def odd_blocks(self) -> tuple[int, int]:
        """How many of so many blocks, spread over the page, cannot stand in one file with the first."""
        layout = self._blocks.layout
        places = np.unique(np.linspace(0, layout.across * layout.down - 1, _SAMPLED).astype(int))[1:]
        odd = 0
        for place in places.tolist():
            try:
                self._begin_of(np.frombuffer(self._blocks.data(*divmod(place, layout.across)), np.uint8))
            except ScanCorrupt:  # damaged, or not there: whoever needs it tells
                continue
            except CannotCut:
                odd += 1
        return odd, len(places)

    def prepare(self, columns: Collection[int], *, workers: int) -> None:
        """Nothing is needed beforehand."""

    def row(self, top: int, stop: int) -> Stretch | None:
        """Nothing is shared by the tiles of a row but the blocks."""
        return None

    def tile(self, window: Window, row: Stretch | None) -> bytes:
        """The JPEG of a window that begins on the grid of MCUs; raises CannotCut."""
        (across, down), (width, height) = self.header.mcu, self._blocks.block
        rows = range(window.y0 // height, -(-window.y1 // height))
        cols = range(window.x0 // width, -(-window.x1 // width))
        cells = [(row, col) for row in rows for col in cols]
        needed = _Needed(cells, *self._blocks.several(cells, lambda size: scratch(size, "in")))
        found = self._parsed(needed)
        # Row by row of MCUs, block by block in it: the MCUs `first` to `last` of all blocks' one behind the other.
        lines = np.arange(window.y0 // down, -(-window.y1 // down))[:, None]
        edges = np.arange(cols.start, cols.stop) * width
        left = np.maximum(window.x0 - edges, 0) // across
        right = -(-np.minimum(window.x1 - edges, width) // across)
        which = np.arange(len(cells)).reshape(len(rows), len(cols))[lines[:, 0] * down // height - rows.start]
        begin = lines % (height // down) * (width // across)
        runs = _runs(
            found, needed.begins, which.reshape(-1), (begin + left).reshape(-1), (begin + right).reshape(-1)
        )
        return cut_runs(Stretch(needed.data, 0), runs, self.header, self._look, window.width, window.height)

    def pixels(self, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.uint8]:
        """The rectangle, decoded; raises ScanCorrupt naming the block that is damaged."""
        if self._read is not None:
            return self._read(x0, y0, x1, y1)
        width, height = self._blocks.block
        out = np.empty((y1 - y0, x1 - x0, self._blocks.bands), np.uint8)
        for row in range(y0 // height, -(-y1 // height)):
            for col in range(x0 // width, -(-x1 // width)):
                top, left = row * height, col * width
                part = self._blocks.decode(row, col)[
                    max(y0 - top, 0) : y1 - top, max(x0 - left, 0) : x1 - left
                ]
                y, x = max(top - y0, 0), max(left - x0, 0)
                out[y : y + part.shape[0], x : x + part.shape[1]] = part
        return out

    def _header(self, data: bytes) -> tuple[Header, int]:
        """A block's header and where in its bytes the entropy-coded data begins."""
        if data[:2] != b"\xff\xd8":
            raise CannotCut("a block is not JPEG")
        stream = self._head + data[2:]
        header, begin = read_header(lambda at, count: stream[at : at + count])
        if (header.width, header.height) != self._blocks.block:
            raise CannotCut("a block is not of the size it should be")
        if header.density is not None and self._blocks.layout.photometric not in (1, YCBCR):
            raise CannotCut("a block says JFIF, which is YCbCr, and RGB at once")
        return header, begin - len(self._head) + 2

    def _begin_of(self, data: Bytes) -> int:
        """Where a block's entropy-coded data begins; raises CannotCut where it cannot stand in one file with the first."""
        if data[: len(self._start)].tobytes() == self._start:
            return len(self._start)
        header, begin = self._header(data.tobytes())
        if header.coding != self._first.coding:
            raise CannotCut(OWN_TABLES)
        if header.restart != self._first.restart:
            raise CannotCut("its blocks have restart markers at different places")
        return begin

    def _parsed(self, needed: _Needed) -> list[tuple[_Batch, int]]:
        """For each of the blocks a batch that has it, parsed, and its place there."""
        cells = needed.cells
        while True:
            with self._lock:
                missing = [place for place, cell in enumerate(cells) if cell not in self._known]
                mine = _Batch([cells[place] for place in missing])
                for place, cell in enumerate(mine.cells):
                    self._known[cell] = mine, place
                found = [self._known[cell] for cell in cells]
                batches = dict.fromkeys(batch for batch, _ in found)
                for batch in batches:  # the ones used last are the last
                    self._batches.pop(batch, None)
                    self._batches[batch] = None
            if missing:
                self._fill(mine, needed, missing)
            for batch in batches:
                batch.ready.wait()
            if all(batch.mcus is not None for batch in batches):
                return found
            # another thread's blocks are damaged, these need not be: it has taken them back

    def _fill(self, batch: _Batch, needed: _Needed, which: list[int]) -> None:
        try:
            batch.places = needed.begins[which]
            spans = zip(batch.places.tolist(), needed.stops[which].tolist(), strict=True)
            begins = [begin + self._begin_of(needed.data[begin:stop]) for begin, stop in spans]
            eighth = self.eighth
            sight = self._sight if eighth is not None and eighth.lacks(batch.cells) else None
            batch.mcus, seen = every_mcu(
                needed.data, self._first, np.array(begins, np.int64), needed.stops[which], sight
            )
            if eighth is not None and sight is not None and seen is not None:
                eighth.take(batch.cells, sight, seen, batch.mcus.each)
            with self._lock:
                self._kept += batch.nbytes
                oldest = [other for other in self._batches if other is not batch and other.mcus is not None]
                for other in oldest:
                    if self._kept <= _KEPT_BYTES:
                        break
                    self._drop(other)
        except BaseException:
            with self._lock:
                self._drop(batch)
            raise
        finally:
            batch.ready.set()

    def _drop(self, batch: _Batch) -> None:
        self._batches.pop(batch, None)
        for cell in batch.cells:
            if self._known.get(cell, (None, 0))[0] is batch:
                del self._known[cell]
        self._kept -= batch.nbytes


def _runs(found: list[tuple[_Batch, int]], begins: Ints, which: Ints, first: Ints, last: Ints) -> Runs:
    """Runs of the MCUs `first` to `last` of the blocks `which`, block i now lying at byte `begins[i]`."""
    parts, shifts = [], []
    for (batch, place), begin in zip(found, begins.tolist(), strict=True):
        assert batch.mcus is not None
        parts.append(batch.mcus.of(place))
        shifts.append(8 * (begin - int(batch.places[place])))
    joined = [np.concatenate(same) for same in zip(*parts, strict=True)]
    starts, ends, before, after = joined if len(joined) > 2 else (joined[0], joined[0], joined[1], joined[1])
    base, shift = which * (len(starts) // len(found)), np.array(shifts, np.int64)[which]
    begin, end = base + first, base + last
    return Runs(starts[begin] + shift, ends[end] + shift, before[begin], after[end])


def block_bits_of(scan: Scan) -> BlockBits:
    """The bits of an open scan stored in blocks; raises CannotCut with the reason."""
    blocks = scan.blocks()
    if blocks is None:
        raise CannotCut("it is not stored in JPEG blocks")
    if not scan.as_stored:
        raise CannotCut("its pixels are turned or converted when it is opened (orientation, color profile)")
    if (blocks.width, blocks.height) != (scan.width, scan.height):
        raise CannotCut("its header says another size than its reader")
    return BlockBits(blocks, scan.dpi)


def slide_bits_of(scan: Scan) -> BlockBits:
    """The bits of an open slide whose finest level is stored in JPEG blocks; raises CannotCut with the reason."""
    blocks = scan.blocks()
    if blocks is None or blocks.layout.compression != JPEG:
        raise CannotCut("its finest level is not stored in JPEG blocks of a TIFF")
    if not blocks.layout.counts.all():
        raise CannotCut("some of its blocks were not scanned")
    return BlockBits(blocks, scan.dpi, scan.read)
