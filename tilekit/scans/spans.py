"""Spans: runs of a page's rows that may overlap, filled from one pass over it; rows are copied once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Span = tuple[int, int]


class SpanFiller:
    """Takes the bytes of a page's rows in order and gives (stop - start, width, bands) arrays.

    Starts and stops must rise. Rows that two spans share are copied from the one before. Memory that
    nobody looks at any more is used again: fresh memory costs as much as filling it.
    """

    def __init__(self, spans: Sequence[Span], width: int, bands: int) -> None:
        self._spans = spans
        self._shape = width, bands
        self._line = width * bands
        self._most = max((stop - start for start, stop in spans), default=0) * self._line
        self._pool: list[Pixels] = []
        self._idle = _holders([np.empty(0, np.uint8)], 0)
        self._which, self._at = 0, 0
        self._flat = self._fresh(0)

    def add(self, data: Pixels) -> Iterator[Pixels]:
        """Bytes of the following rows; gives the spans they complete, read-only."""
        at, size = 0, len(data)
        while self._which < len(self._spans) and at < size:
            first, last = (row * self._line for row in self._spans[self._which])
            if self._at < first:
                skipped = min(size - at, first - self._at)
                at, self._at = at + skipped, self._at + skipped
            count = min(size - at, last - self._at)
            self._flat[self._at - first : self._at - first + count] = data[at : at + count]
            at, self._at = at + count, self._at + count
            while self._which < len(self._spans) and self._at == self._spans[self._which][1] * self._line:
                yield self._next()

    def _next(self) -> Pixels:
        """The span that is full; the one after it starts with the rows both share."""
        start, stop = self._spans[self._which]
        flat, self._which = self._flat, self._which + 1
        if self._which < len(self._spans):
            following = self._spans[self._which][0]
            self._flat = self._fresh(self._which)
            if following < stop:
                shared = flat[(following - start) * self._line :]
                self._flat[: len(shared)] = shared
        else:
            self._flat = flat[:0]
            self._pool = []
        made = flat.reshape(stop - start, *self._shape)
        made.flags.writeable = False
        return made

    def _fresh(self, which: int) -> Pixels:
        if which >= len(self._spans):
            return np.empty(0, np.uint8)
        start, stop = self._spans[which]
        size = (stop - start) * self._line
        for place in range(len(self._pool)):
            if _holders(self._pool, place) == self._idle:  # no view is left
                return self._pool[place][:size]
        del self._pool[:-8]
        self._pool.append(np.empty(self._most, np.uint8))
        return self._pool[-1][:size]


def _holders(pool: list[Pixels], place: int) -> int:
    return sys.getrefcount(pool[place])


def spans_of_bands(bands: Iterable[Pixels], spans: Sequence[Span]) -> Iterator[Pixels]:
    """The spans of a page that comes in bands of whole rows, C-contiguous."""
    filler: SpanFiller | None = None
    for band in bands:
        filler = filler or SpanFiller(spans, band.shape[1], band.shape[2])
        yield from filler.add(band.reshape(-1))
