"""A TIFF page of JPEG blocks, by its bits: a tile joins MCU rows of several blocks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilekit.jpeg.cutting import Stretch, cut_runs
from tilekit.jpeg.index import McuIndex, Runs, build_index
from tilekit.jpeg.markers import CannotCut, Header, read_header
from tilekit.scans.tiff.blocks import StoredBlocks, jpeg_head
from tilekit.scans.tiff.layout import JPEG, YCBCR

if TYPE_CHECKING:
    from tilekit.grid import Window
    from tilekit.scans.scan import Scan

_KEPT_BYTES = 1 << 25


@dataclass
class _Block:
    """A block's bytes and where its MCUs begin, once somebody has asked for them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    data: NDArray[np.uint8] | None = None
    index: McuIndex | None = None

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return 0 if self.data is None or self.index is None else len(self.data) + 36 * len(self.index.marks)


class BlockBits:
    """The bits of a page stored in JPEG blocks of one set of tables. Any thread may use it.

    Blocks are parsed when a tile needs them and kept for the next ones: at most 32 MB of them.
    """

    def __init__(self, blocks: StoredBlocks, dpi: float | None) -> None:
        layout = blocks.layout
        if layout.compression != JPEG or not layout.tiled or not blocks.decodes:
            raise CannotCut("it is not stored in JPEG blocks of gray, RGB or YCbCr")
        self._blocks, self._head = blocks, jpeg_head(layout)
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[int, int], _Block] = OrderedDict()
        self._kept = 0
        self._start = b""
        self._first, begin, stream = self._header(0, 0)
        self._start = stream[:begin]
        width, height = layout.block
        if width % self._first.mcu[0] or height % self._first.mcu[1]:
            raise CannotCut(f"its blocks of {width} x {height} px are not whole MCUs")
        density = (1, round(dpi), round(dpi)) if dpi and dpi < 65535 and layout.photometric == YCBCR else None
        self.header = replace(self._first.sized(layout.width, layout.height), density=density, profile=())

    def prepare(self, columns: Iterable[int], *, workers: int) -> None:
        """Nothing is needed beforehand."""

    def row(self, top: int, stop: int) -> Stretch | None:
        """Nothing is shared by the tiles of a row but the blocks."""
        return None

    def tile(self, window: Window, row: Stretch | None) -> bytes:
        """The JPEG of a window that begins on the grid of MCUs; raises CannotCut."""
        (across, down), (width, height) = self.header.mcu, self._blocks.block
        parts: list[Runs] = []
        order: list[NDArray[np.int64]] = []
        bytes_of: list[NDArray[np.uint8]] = []
        place, look = 0, None
        for block_row in range(window.y0 // height, -(-window.y1 // height)):
            top = max(window.y0 - block_row * height, 0) // down
            bottom = -(-min(window.y1 - block_row * height, height) // down)
            for col in range(window.x0 // width, -(-window.x1 // width)):
                data, index = self._parsed(block_row, col)
                left = max(window.x0 - col * width, 0) // across
                right = -(-min(window.x1 - col * width, width) // across)
                runs = index.runs(left, top, right, bottom)
                parts.append(Runs(runs.starts + 8 * place, runs.ends + 8 * place, runs.before, runs.after))
                line = block_row * (height // down) + np.arange(top, bottom, dtype=np.int64)
                order.append(line * self._blocks.layout.across + col)
                bytes_of.append(data)
                place, look = place + len(data), index.lookups
        sorting = np.argsort(np.concatenate(order), kind="stable")
        runs = Runs(
            np.concatenate([part.starts for part in parts])[sorting],
            np.concatenate([part.ends for part in parts])[sorting],
            np.concatenate([part.before for part in parts])[sorting],
            np.concatenate([part.after for part in parts])[sorting],
        )
        assert look is not None
        stretch = Stretch(np.concatenate(bytes_of), 0)
        return cut_runs(stretch, runs, self.header, look, window.width, window.height)

    def pixels(self, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.uint8]:
        """The rectangle, decoded; raises ScanCorrupt naming the block that is damaged."""
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

    def _header(self, row: int, col: int) -> tuple[Header, int, bytes]:
        data = self._blocks.data(row, col)
        if data[:2] != b"\xff\xd8":
            raise CannotCut("a block is not JPEG")
        stream = self._head + data[2:]
        if self._start and stream.startswith(self._start):
            return self._first, len(self._start), stream
        header, begin = read_header(lambda at, count: stream[at : at + count])
        if (header.width, header.height) != self._blocks.block:
            raise CannotCut("a block is not of the size it should be")
        if header.density is not None and self._blocks.layout.photometric not in (1, YCBCR):
            raise CannotCut("a block says JFIF, which is YCbCr, and RGB at once")
        return header, begin, stream

    def _parsed(self, row: int, col: int) -> tuple[NDArray[np.uint8], McuIndex]:
        with self._lock:
            block = self._known.setdefault((row, col), _Block())
            self._known.move_to_end((row, col))
        with block.lock:
            if block.data is None or block.index is None:
                header, begin, stream = self._header(row, col)
                if header is not self._first and header.coding != self._first.coding:
                    raise CannotCut("its blocks have tables of their own")
                if header.restart % header.across:
                    raise CannotCut("its blocks have restart markers inside rows")
                every = np.arange(header.across)
                block.index = build_index(
                    lambda at, count: stream[at : at + count], len(stream), header, begin, every, workers=1
                )
                block.data = np.frombuffer(stream, np.uint8)
                with self._lock:
                    self._kept += block.size if self._known.get((row, col)) is block else 0
                    while self._kept > _KEPT_BYTES and len(self._known) > 1:
                        self._kept -= self._known.popitem(last=False)[1].size
            return block.data, block.index


def block_bits_of(scan: Scan) -> BlockBits:
    """The bits of an open scan stored in blocks; raises CannotCut with the reason."""
    blocks = scan.blocks()
    if blocks is None:
        raise CannotCut("it is not stored in JPEG blocks")
    if not scan.identity:
        raise CannotCut("its pixels are turned or converted when it is opened (orientation, color profile)")
    if (blocks.width, blocks.height) != (scan.width, scan.height):
        raise CannotCut("its header says another size than its reader")
    return BlockBits(blocks, scan.dpi)
