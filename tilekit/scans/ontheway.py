"""Smaller pages that a reading of all the pixels, or bits, of a scan makes on its way, so that no second one is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.jpeg.markers import CannotCut
from tilekit.scans.blockbits import BlockBits
from tilekit.scans.blockpages import BlockEighth, BlockReducer, block_reducer_for
from tilekit.scans.jpegbits import JpegBits
from tilekit.scans.reducing import Size, reducer_for, watched
from tilekit.scans.spans import Span
from tilekit.scans.tiff.blocks import StoredBlocks

Pixels = NDArray[np.uint8]


class OnTheWay:
    """What is expected of the readings of one scan, and what they made. See Scan.expect."""

    def __init__(self, page: Size, bands: int, bits: Callable[[], JpegBits | BlockBits]) -> None:
        self._page, self._bands, self._bits = page, bands, bits
        self._expected: set[Size] = set()
        self._made: dict[Size, Any] = {}
        self._of_blocks: dict[Size, BlockReducer] = {}
        self._eighth: BlockEighth | None = None

    def expect(self, size: Size, blocks: StoredBlocks | None) -> None:
        """Rows, or `blocks` where those are decoded, are to be reduced to `size`."""
        if size in self._made or size in self._of_blocks:
            return
        self._expected.add(size)
        if blocks is not None:
            made = block_reducer_for(blocks, size)
            if made is not None:
                self._of_blocks[size] = made
                blocks.watchers = (*blocks.watchers, made)

    def expect_eighth(self, blocks: StoredBlocks | None) -> None:
        """Whoever parses the bits of a JPEG, or parses or decodes JPEG `blocks`, is to make an eighth of the page."""
        if blocks is not None and self._eighth is None:
            self._eighth = BlockEighth(blocks)
            blocks.watchers = (*blocks.watchers, self._eighth)
        with contextlib.suppress(CannotCut):
            bits = self._bits()
            if isinstance(bits, JpegBits):
                bits.expect_eighth()
            else:
                bits.eighth = self._eighth

    @property
    def watches_rows(self) -> bool:
        """Whether something is expected of rows."""
        return bool(self._expected)

    def watched(self, spans: Iterator[Pixels], which: Sequence[tuple[Span, bool]]) -> Iterator[Pixels]:
        """All rows of the page as they come, reduced to what is expected; those of `which` that are wanted are given."""
        makers = {size: reducer_for(*self._page, self._bands, size) for size in self._expected}
        able = {size: maker for size, maker in makers.items() if maker is not None}
        yield from watched(spans, which, list(able.values()))
        images = {size: maker.image() for size, maker in able.items()}
        self._made |= {size: image for size, image in images.items() if image is not None}
        self._expected.clear()

    def image(self, size: Size) -> Any:
        """The page at `size`; None where no reading made it."""
        if size not in self._made and size in self._of_blocks:
            made = self._of_blocks[size].image()
            if made is not None:
                self._made[size] = made
                del self._of_blocks[size]
        return self._made.get(size)

    def eighth(self, blocks: StoredBlocks | None, bits: JpegBits | BlockBits | None) -> Pixels | None:
        """The page at an eighth; of blocks always, whoever is to make it, else None where no parse did."""
        if blocks is not None:
            self._eighth = self._eighth or BlockEighth(blocks)
            return self._eighth.pixels()
        return bits.eighth() if isinstance(bits, JpegBits) else None

    def close(self) -> None:
        """Let go of all of it."""
        self._expected.clear()
        self._made, self._of_blocks, self._eighth = {}, {}, None
