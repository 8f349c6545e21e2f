"""A page resampled to a smaller size: a box by whole pixels, then Lanczos 3; of a page that goes by, on the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from tilekit.compiled import is_ready
from tilekit.scans.forking import about_to_compute
from tilekit.scans.spans import Span

Size = tuple[int, int]
_PLACES = 1 << 24
_MOST_BOXED = 1 << 26
_STRIP_BYTES = 1 << 22


def reduced(image: Any, size: Size, extent: tuple[float, float] | None = None) -> Any:
    """The image resampled to `size` (width, height): a box by whole pixels, then Lanczos 3.

    `extent`: how large the page is in the image's pixels, where less than one is missing on the right or below.
    """
    sides = [0.0, 0.0]
    for axis in (1, 0):  # down first, and the box of both before Lanczos: a quarter of the time
        now, wanted = extent[axis] if extent else (image.width, image.height)[axis], size[axis]
        if now - (image.width, image.height)[axis] > 0.5:
            image = image.embed(0, 0, image.width + (axis == 0), image.height + (axis == 1), extend="copy")
        if wanted > now:
            times = math.ceil(wanted / now)
            image, now = image.zoom(times, 1) if axis == 0 else image.zoom(1, times), now * times
        box = _box(now, wanted)
        image = _boxed(image, axis, box)
        sides[axis] = now / box
    return _resampled(image, sides, size)


def _box(now: float, wanted: int) -> int:
    return max(1, int(now // wanted // 2))


def _boxed(image: Any, axis: int, box: int) -> Any:
    if box == 1:
        return image
    return image.shrinkh(box, ceil=True) if axis == 0 else image.shrinkv(box, ceil=True)


def _resampled(image: Any, sides: list[float], size: Size) -> Any:
    """Lanczos 3 from `sides`, the image's size but for what rounding added, to `size`.

    libvips adds up positions from the left edge of whatever region it computes, and rounding
    then depends on the region. Factors rounded to 24 binary places make those sums exact, so a
    rectangle read alone has the very pixels of the whole.
    """
    for axis in (1, 0):
        factor = round(sides[axis] / size[axis] * _PLACES) / _PLACES
        if factor != 1:
            image = (
                image.reduceh(factor, kernel="lanczos3")
                if axis == 0
                else image.reducev(factor, kernel="lanczos3")
            )
    if (image.width, image.height) != size:
        image = image.gravity("north-west", size[0], size[1], extend="copy")
    return image


def boxes_for(width: int, height: int, bands: int, size: Size) -> Size | None:
    """Sides of the boxes of a page that goes by; None where it would hold more than 64 MB, or almost the page."""
    boxes = _box(width, size[0]), _box(height, size[1])
    held = -(-width // boxes[0]) * -(-height // boxes[1]) * bands
    return boxes if held <= _MOST_BOXED and min(boxes) > 1 else None


def reducer_for(width: int, height: int, bands: int, size: Size) -> Reducer | None:
    """What makes `reduced` of a page whose rows go by; None where `boxes_for` gives none."""
    boxes = boxes_for(width, height, bands, size)
    return None if boxes is None else Reducer(width, height, bands, size, boxes)


def of_means(held: NDArray[np.uint8], page: Size, boxes: Size, size: Size) -> Any:
    """What `reduced` makes of a page whose boxes are averaged."""
    sides = [side / box for side, box in zip(page, boxes, strict=True)]
    return _resampled(image_of(held), sides, size)


class Reducer:
    """`reduced` of a page, made of its rows as they go by, top to bottom. Memory: the page after the box, at most 64 MB."""

    def __init__(self, width: int, height: int, bands: int, size: Size, boxes: Size) -> None:
        self._page, self._size, self._boxes = (width, height), size, boxes
        self._held = np.empty((-(-height // boxes[1]), -(-width // boxes[0]), bands), np.uint8)
        self._rest = np.empty((0, width, bands), np.uint8)
        self._sums = np.empty(2 * width * bands, np.uint32)
        self._at = 0
        self._by_kernel = kernel_agrees(boxes)

    def watch(self, start: int, pixels: NDArray[np.uint8]) -> None:
        """Rows of the page from `start` on; those seen before are passed over, and where some are missing all is lost."""
        fresh = pixels[max(0, self._at - start) :]
        if self._at < start or not len(fresh):
            return
        down = self._boxes[1]
        ahead = min(-(self._at % -down), len(fresh))  # what completes the rows that wait
        if len(self._rest):
            self._rest = np.concatenate([self._rest, fresh[:ahead]])
            if len(self._rest) == down or self._at + ahead == self._page[1]:
                self._add(self._rest, self._at + ahead - len(self._rest))
                self._rest = self._rest[:0]
            fresh, self._at = fresh[ahead:], self._at + ahead
        whole = len(fresh) if self._at + len(fresh) == self._page[1] else len(fresh) // down * down
        step = max(1, _STRIP_BYTES // max(1, fresh[0].nbytes if len(fresh) else 1) // down) * down
        for top in range(0, whole, step):
            part = fresh[top : min(top + step, whole)]
            self._add(part, self._at + top)
        if whole < len(fresh):
            self._rest = fresh[whole:].copy()
        self._at += len(fresh)

    def _add(self, rows: NDArray[np.uint8], at: int) -> None:
        first = at // self._boxes[1]
        out = self._held[first : first + -(-len(rows) // self._boxes[1])]
        if not self._by_kernel:
            out[:] = _means(rows, self._boxes)
            return
        from tilekit.scans.kernels.averaging import box_means

        flat = rows.reshape(len(rows), -1), out.reshape(len(out), -1)
        box_means(*flat, self._sums, rows.shape[2], *self._boxes)

    def image(self) -> Any:
        """The reduced page, None unless all its rows went by."""
        whole = self._at >= self._page[1]
        return of_means(self._held, self._page, self._boxes, self._size) if whole else None


def image_of(pixels: NDArray[np.uint8]) -> Any:
    """Gray or RGB pixels as an image, which keeps them."""
    height, width, bands = pixels.shape
    image = pyvips.Image.new_from_memory(pixels, width, height, bands, "uchar")
    return image.copy(interpretation="b-w" if bands == 1 else "srgb")


def _means(rows: NDArray[np.uint8], boxes: Size) -> NDArray[np.uint8]:
    """Boxes of the rows averaged by libvips."""
    image = pyvips.Image.new_from_memory(rows, rows.shape[1], rows.shape[0], rows.shape[2], "uchar")
    made = calm(_boxed(_boxed(image, 1, boxes[1]), 0, boxes[0]))
    return np.frombuffer(made.write_to_memory(), np.uint8).reshape(made.height, made.width, made.bands)


@lru_cache(64)
def kernel_agrees(boxes: Size) -> bool:
    """Whether the kernel is there, at a third of the cost, and rounds as this libvips does."""
    if not is_ready("tilekit.scans.kernels"):
        return False
    from tilekit.scans.kernels.averaging import box_means

    across, down = boxes
    rows = np.random.default_rng(0).integers(0, 256, (2 * down + 1, 60 * across + 1, 1), np.uint8)
    out, sums = np.empty((3, 61), np.uint8), np.empty(2 * rows.shape[1], np.uint32)
    box_means(rows[:, :, 0].copy(), out, sums, 1, across, down)
    return np.array_equal(out, _means(rows, boxes)[:, :, 0])


def watched(
    spans: Iterator[NDArray[np.uint8]], which: Iterable[tuple[Span, bool]], reducers: list[Reducer]
) -> Iterator[NDArray[np.uint8]]:
    """The spans of a page as they come, each shown to the reducers, and given where so told; no span is kept here."""
    places = iter(which)
    for kept in map(held, spans):
        (start, _), wanted = next(places)
        for reducer in reducers:
            reducer.watch(start, kept[0])
        if wanted:
            yield kept.pop()


def held(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The pixels in a list, from which a generator can give them without a name of its own that keeps them."""
    return [pixels]


def calm(image: Any) -> Any:
    """The image, to be computed by one thread of libvips: the callers' pools fill the cores.

    Set on this image alone; nothing process-wide is touched. Raises ScanError after a fork, see `forking`.
    """
    about_to_compute()
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "concurrency", 1)
    return image
