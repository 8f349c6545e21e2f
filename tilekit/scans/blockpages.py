"""A smaller page made of a TIFF's blocks, whoever parses or decodes them, in whatever order: no second reading."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import ScanCorrupt
from tilekit.jpeg.eighth import MOST_BYTES, Seen, Sight, sight_of
from tilekit.jpeg.index import every_mcu
from tilekit.jpeg.markers import CannotCut, read_header
from tilekit.scans.reducing import Size, boxes_for, kernel_agrees, of_means
from tilekit.scans.tiff.blocks import StoredBlocks, jpeg_head

Pixels = NDArray[np.uint8]
Cell = tuple[int, int]
_MOST_KINDS = 4  # of headers that are parsed; tables of many others cost more than decoding
_MOST_WAITING = 1 << 26


class BlockEighth:
    """A page stored in JPEG blocks at an eighth of its size, as decoders make each block: see `tilekit.jpeg.eighth`.

    Any thread may use it. What nobody has shown is read at the end. Memory: the pixels, at most 64 MB.
    """

    def __init__(self, blocks: StoredBlocks) -> None:
        layout = blocks.layout
        self._blocks, self._head = blocks, jpeg_head(layout)
        self._pixels = np.empty((layout.height // 8, layout.width // 8, blocks.bands), np.uint8)
        self._done = np.zeros((layout.down, layout.across), np.bool_)
        self._kinds: dict[bytes, Sight | None] = {}

    @staticmethod
    def suits(blocks: StoredBlocks | None) -> bool:
        """Whether there is one of a page."""
        if blocks is None or not blocks.shrinks:
            return False
        return 0 < (blocks.width // 8) * (blocks.height // 8) * blocks.bands <= MOST_BYTES

    def lacks(self, cells: Sequence[Cell]) -> bool:
        """Whether some of these blocks (row, column) have not been shown yet."""
        return not all(self._done[cell] for cell in cells)

    def take(self, cells: Sequence[Cell], sight: Sight, seen: Seen, each: int) -> None:
        """What a parse of these blocks saw, `each` entries of every one."""
        width, height = self._blocks.block
        header = sight.header
        runs = [
            (seen.at + place * each, 0, header.across * header.down, row * height // 8, col * width // 8)
            for place, (row, col) in enumerate(cells)
        ]
        if sight.fill(self._pixels, seen, np.array(runs, np.int64), header.across):
            for cell in cells:
                self._done[cell] = True

    def see(self, row: int, col: int, data: bytes, pixels: Pixels) -> None:
        """See Watcher."""
        if not self._done[row, col]:
            try:
                self._fill(row, col, data)
            except ScanCorrupt:  # whoever needs the page is told
                return

    def pixels(self) -> Pixels:
        """(height // 8, width // 8, bands); raises ScanCorrupt naming a block that is damaged."""
        for row, col in np.argwhere(~self._done).tolist():
            self._fill(row, col, self._blocks.data(row, col))
        return self._pixels

    def _fill(self, row: int, col: int, data: bytes) -> None:
        begin, sight = self._sight(data)
        if sight is not None:
            stored = np.frombuffer(data, np.uint8)
            place = np.array([begin], np.int64), np.array([len(data)], np.int64)
            try:
                mcus, seen = every_mcu(stored, sight.header, *place, sight)
                if seen is not None:
                    self.take([(row, col)], sight, seen, mcus.each)
            except CannotCut:  # damage, most likely: the decoder judges
                pass
        if not self._done[row, col]:
            made = self._blocks.eighth(row, col)
            top, left = row * self._blocks.block[1] // 8, col * self._blocks.block[0] // 8
            target = self._pixels[top : top + made.shape[0], left : left + made.shape[1]]
            target[:] = made[: target.shape[0], : target.shape[1]]
            self._done[row, col] = True

    def _sight(self, data: bytes) -> tuple[int, Sight | None]:
        """Where a block's entropy-coded data begins, and how a parse sees it, if it does."""
        for begin, sight in self._kinds.items():
            if data.startswith(begin):
                return len(begin), sight
        if len(self._kinds) >= _MOST_KINDS or data[:2] != b"\xff\xd8":
            return 0, None
        stream = self._head + data[2:]
        try:
            header, at = read_header(lambda at, count: stream[at : at + count])
        except CannotCut:
            return 0, None
        fits = (header.width, header.height) == self._blocks.block
        fits = fits and len(header.components) == self._blocks.bands
        sight = sight_of(header) if fits else None
        start = at - len(self._head) + 2
        self._kinds[data[:start]] = sight
        return start, sight


class BlockReducer:
    """`reduced` of a page, made of its blocks as they are decoded, in any thread and order.

    Memory: the page after the box, at most 64 MB, and of each row of blocks that is not whole yet a box's share.
    """

    def __init__(self, blocks: StoredBlocks, size: Size, boxes: Size) -> None:
        self._blocks = blocks
        self._page, self._block, self._bands = (blocks.width, blocks.height), blocks.block, blocks.bands
        self._size, self._boxes = size, boxes
        self._line = blocks.width * blocks.bands
        self._held = np.empty(
            (-(-blocks.height // boxes[1]), -(-blocks.width // boxes[0]), blocks.bands), np.uint8
        )
        self._seen = np.zeros((blocks.layout.down, blocks.layout.across), np.bool_)
        self._lock = threading.Lock()
        self._strips: dict[
            int, tuple[Pixels, list[int]]
        ] = {}  # of a row of blocks: means of whole boxes, blocks to come
        self._shared: dict[
            int, tuple[NDArray[np.uint32], list[int]]
        ] = {}  # of a row of boxes: sums, px to come
        self._to_come = len(self._held)
        self._lost = False

    def see(self, row: int, col: int, data: bytes, pixels: Pixels) -> None:
        """See Watcher."""
        with self._lock:
            if self._seen[row, col] or self._lost:
                return
            self._seen[row, col] = True
        down = self._boxes[1]
        top = row * self._block[1]
        bottom = top + len(pixels)
        ends = bottom == self._page[1]
        first, last = -(-top // down), -(-bottom // down) if ends else bottom // down
        across = slice(col * self._block[0] * self._bands, None)
        flat = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
        if first * down > top:
            self._add(first - 1, flat[: first * down - top], across, first * down - bottom if ends else 0)
        if first <= last and last * down < bottom:
            self._add(last, flat[last * down - top :], across, 0)
        if first < last:
            self._average(row, (first, last), flat[first * down - top : last * down - top], across)

    def _average(self, row: int, boxes: tuple[int, int], flat: Pixels, across: slice) -> None:
        """Rows of one block that are whole boxes."""
        from tilekit.scans.kernels.averaging import down_means

        means = np.empty((boxes[1] - boxes[0], flat.shape[1]), np.uint8)
        down_means(flat, means, np.empty(flat.shape[1], np.uint32), self._boxes[1])
        with self._lock:
            if row not in self._strips:
                self._strips[row] = np.empty((len(means), self._line), np.uint8), [self._seen.shape[1]]
                self._lost |= sum(strip.nbytes for strip, _ in self._strips.values()) > _MOST_WAITING
            strip, blocks = self._strips[row]
        strip[:, across.start : across.start + flat.shape[1]] = means
        with self._lock:
            blocks[0] -= 1
            if blocks[0]:
                return
            del self._strips[row]
        self._finish(boxes[0], strip)

    def _add(self, box: int, rows: Pixels, across: slice, missing: int) -> None:
        """Rows of one block that are part of a row of boxes; of the last one so many times more, as are missing."""
        from tilekit.scans.kernels.averaging import add_rows

        sums = np.zeros(rows.shape[1], np.uint32)
        add_rows(rows, sums, missing)
        down = self._boxes[1]
        with self._lock:
            if box not in self._shared:
                stop = min((box + 1) * down, self._page[1])
                self._shared[box] = np.zeros(self._line, np.uint32), [(stop - box * down) * self._line]
                self._lost |= sum(part.nbytes for part, _ in self._shared.values()) > _MOST_WAITING
            total, left = self._shared[box]
            total[across.start : across.start + len(sums)] += sums
            left[0] -= rows.size
            if left[0]:
                return
            del self._shared[box]
        times = np.uint32((1 << 32) // (256 * down))
        means = ((total + np.uint32(down // 2)) * times >> np.uint32(24)).astype(np.uint8)
        self._finish(box, means[None])

    def _finish(self, box: int, means: Pixels) -> None:
        """Whole rows of means, from this row of boxes on."""
        from tilekit.scans.kernels.averaging import across_means

        out = self._held[box : box + len(means)].reshape(len(means), -1)
        across_means(means, out, np.empty(2 * self._line, np.uint32), self._bands, self._boxes[0])
        with self._lock:
            self._to_come -= len(means)

    def image(self) -> Any:
        """The reduced page, None where no block was shown; raises ScanCorrupt where one that was not is damaged."""
        if not self._seen.any() or self._lost:
            return None
        for row, col in np.argwhere(~self._seen).tolist():
            self._blocks.decode(row, col)  # it is shown there
        return None if self._to_come else of_means(self._held, self._page, self._boxes, self._size)


def block_reducer_for(blocks: StoredBlocks, size: Size) -> BlockReducer | None:
    """What makes `reduced` of a page whose blocks are decoded; None where `reducer_for` gives none."""
    boxes = boxes_for(blocks.width, blocks.height, blocks.bands, size)
    return BlockReducer(blocks, size, boxes) if boxes is not None and kernel_agrees(boxes) else None
