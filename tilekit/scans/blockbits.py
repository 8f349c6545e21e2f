"""A TIFF page of JPEG blocks, by its bits: a tile joins MCU rows of several blocks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilekit.jpeg.cutting import Stretch, cut_runs
from tilekit.jpeg.index import EveryMcu, Runs, every_mcu
from tilekit.jpeg.markers import CannotCut, Header, read_header
from tilekit.jpeg.tables import lookups
from tilekit.scans.tiff.blocks import StoredBlocks, jpeg_head
from tilekit.scans.tiff.layout import JPEG, YCBCR

if TYPE_CHECKING:
    from tilekit.grid import Window
    from tilekit.scans.scan import Scan

_KEPT_BYTES = 1 << 25
Read = Callable[[int, int, int, int], NDArray[np.uint8]]


@dataclass(frozen=True)
class _Parsed:
    """A block's bytes, and where its MCUs begin."""

    data: NDArray[np.uint8]
    mcus: EveryMcu

    @property
    def nbytes(self) -> int:
        """Bytes it takes."""
        return len(self.data) + self.mcus.nbytes


@dataclass
class _Block:
    """A block, parsed once somebody has asked for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    parsed: _Parsed | None = None


class BlockBits:
    """The bits of a page stored in JPEG blocks of one set of tables. Any thread may use it.

    Blocks are parsed when a tile needs them and kept for the next ones: at most 32 MB of them. `read` gives the
    pixels of a rectangle, where another than the blocks' own decoder is to.
    """

    def __init__(self, blocks: StoredBlocks, dpi: float | None, read: Read | None = None) -> None:
        layout = blocks.layout
        self._read = read
        if layout.compression != JPEG or not layout.tiled or not blocks.decodes:
            raise CannotCut("it is not stored in JPEG blocks of gray, RGB or YCbCr")
        self._blocks, self._head = blocks, jpeg_head(layout)
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[int, int], _Block] = OrderedDict()
        self._kept = 0
        data = blocks.data(0, 0)
        self._first, begin = self._header(data)
        self._start = data[:begin]
        self._look = lookups(self._first.sampling, self._first.dc, self._first.ac, self._first.restart)
        width, height = layout.block
        if width % self._first.mcu[0] or height % self._first.mcu[1]:
            raise CannotCut(f"its blocks of {width} x {height} px are not whole MCUs")
        density = (1, round(dpi), round(dpi)) if dpi and dpi < 65535 and layout.photometric == YCBCR else None
        self.header = replace(self._first.sized(layout.width, layout.height), density=density, profile=())

    def prepare(self, columns: Collection[int], *, workers: int) -> None:
        """Nothing is needed beforehand."""

    def row(self, top: int, stop: int) -> Stretch | None:
        """Nothing is shared by the tiles of a row but the blocks."""
        return None

    def tile(self, window: Window, row: Stretch | None) -> bytes:
        """The JPEG of a window that begins on the grid of MCUs; raises CannotCut."""
        (across, down), (width, height) = self.header.mcu, self._blocks.block
        rows = range(window.y0 // height, -(-window.y1 // height))
        cols = np.arange(window.x0 // width, -(-window.x1 // width))
        parts = [self._parsed(row, col) for row in rows for col in cols.tolist()]
        # Row by row of MCUs, block by block in it: the MCUs `first` to `last` of all blocks' one behind the other.
        lines = np.arange(window.y0 // down, -(-window.y1 // down))[:, None]
        block, line = (
            (lines * down // height - rows.start) * len(cols) + cols - cols[0],
            lines % (height // down),
        )
        left = np.maximum(window.x0 - cols * width, 0) // across
        right = -(-np.minimum(window.x1 - cols * width, width) // across)
        begin = (block * len(parts[0].mcus.starts) + line * (width // across)).astype(np.int64)
        first, last = (begin + left).reshape(-1), (begin + right).reshape(-1)
        place = np.cumsum([0] + [8 * len(part.data) for part in parts])[block].reshape(-1)
        before = np.concatenate([part.mcus.before for part in parts])[first]
        after = np.concatenate([part.mcus.after for part in parts])[last]
        starts = np.concatenate([part.mcus.starts for part in parts])[first] + place
        ends = np.concatenate([part.mcus.ends for part in parts])[last] + place
        stretch = Stretch(np.concatenate([part.data for part in parts]), 0)
        runs = Runs(starts, ends, before, after)
        return cut_runs(stretch, runs, self.header, self._look, window.width, window.height)

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

    def _parsed(self, row: int, col: int) -> _Parsed:
        with self._lock:
            block = self._known.setdefault((row, col), _Block())
            self._known.move_to_end((row, col))
        with block.lock:
            if block.parsed is None:
                block.parsed = self._parse(self._blocks.data(row, col))
                with self._lock:
                    self._kept += block.parsed.nbytes if self._known.get((row, col)) is block else 0
                    while self._kept > _KEPT_BYTES and len(self._known) > 1:
                        parsed = self._known.popitem(last=False)[1].parsed
                        self._kept -= 0 if parsed is None else parsed.nbytes
            return block.parsed

    def _parse(self, data: bytes) -> _Parsed:
        if data.startswith(self._start):
            header, begin = self._first, len(self._start)
        else:
            header, begin = self._header(data)
        if header is not self._first and header.coding != self._first.coding:
            raise CannotCut("its blocks have tables of their own")
        if header.restart % header.across:
            raise CannotCut("its blocks have restart markers inside rows")
        array = np.frombuffer(data, np.uint8)
        return _Parsed(array, every_mcu(array, header, begin))


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
