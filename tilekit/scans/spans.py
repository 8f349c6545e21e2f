"""Spans: runs of a page's rows that may overlap, filled from one pass over it; rows are copied once."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tilekit.flow import Gate

Pixels = NDArray[np.uint8]
Span = tuple[int, int]
_FEW = 2
_PATIENCE = 10.0


class SpanFiller:
    """Takes the bytes of a page's rows in order and gives (stop - start, width, bands) arrays.

    Starts and stops must rise. Rows that two spans share are copied from the one before. `lender`
    gives the memory; without one fresh memory is taken where none is free.
    """

    def __init__(self, spans: Sequence[Span], width: int, bands: int, lender: Lender | None = None) -> None:
        self._spans = spans
        self._shape = width, bands
        self._line = width * bands
        self._lender = lender or Lender()
        self._lender.size = max((stop - start for start, stop in spans), default=0) * self._line
        self._which, self._at = 0, 0
        self._flat: Pixels | None = None
        self._before: Pixels | None = None

    def add(self, data: Pixels) -> Iterator[Pixels]:
        """Bytes of the following rows; gives the spans they complete, read-only."""
        at, size = 0, len(data)
        while self._which < len(self._spans) and at < size:
            first, last = (row * self._line for row in self._spans[self._which])
            if self._at < first:
                skipped = min(size - at, first - self._at)
                at, self._at = at + skipped, self._at + skipped
                continue
            flat = self._started()
            count = min(size - at, last - self._at)
            flat[self._at - first : self._at - first + count] = data[at : at + count]
            at, self._at = at + count, self._at + count
            del flat
            while self._which < len(self._spans) and self._at == self._spans[self._which][1] * self._line:
                yield self._full()

    def go_to(self, row: int) -> None:
        """The next bytes are of this row, where nobody wants those before it."""
        self._at = max(self._at, row * self._line)

    def _started(self) -> Pixels:
        """Memory of the span being filled; a new one begins with the rows it shares with the last."""
        if self._flat is None:
            start, stop = self._spans[self._which]
            self._flat = self._lender.lend()[: (stop - start) * self._line]
            if self._which and self._before is not None and start < self._spans[self._which - 1][1]:
                shared = self._before[(start - self._spans[self._which - 1][0]) * self._line :]
                self._flat[: len(shared)] = shared
            self._before = None
        return self._flat

    def _full(self) -> Pixels:
        """The span that is full. Memory for the next is asked for when its first row comes."""
        start, stop = self._spans[self._which]
        flat, self._flat, self._which = self._started(), None, self._which + 1
        made = flat.reshape(stop - start, *self._shape)
        made.flags.writeable = False
        if self._which < len(self._spans) and self._spans[self._which][0] < stop:
            self._before = made.reshape(-1)
        return made


def without_gaps(spans: Sequence[Span], height: int) -> list[tuple[Span, bool]]:
    """The spans and, between them and up to `height`, the rows that none has, in spans no longer than theirs.

    With each is told whether it is one of those given.
    """
    most, at = max((stop - start for start, stop in spans), default=height), 0
    found: list[tuple[Span, bool]] = []
    for start, stop in [*spans, (height, height)]:
        found += [((top, min(top + most, start)), False) for top in range(at, start, most)]
        if start < stop:
            found.append(((start, stop), True))
        at = max(at, stop)
    return found


class Lender:
    """Memory for spans, used again when no view of it is left: fresh memory costs more than filling it.

    If `patient`, the taker must let go of its spans by itself, and the filler waits for that rather than take
    a third buffer (after ten seconds it takes one). With a `gate` it is, and waits away from the gate.
    """

    def __init__(self, gate: Gate | None = None, *, patient: bool = False) -> None:
        self.size = 0
        self._gate = gate
        self._patient = patient or gate is not None
        self._changed = threading.Condition()
        self._free: list[Pixels] = []
        self._lent: dict[int, weakref.ref[Pixels]] = {}
        self._closed = False

    def lend(self) -> Pixels:
        """`size` bytes, not initialized, as an array whose every view counts as use."""
        if self._patient and not self._ready():
            if self._gate is not None:
                self._gate.leave()
            try:
                with self._changed:
                    self._changed.wait_for(self._ready, _PATIENCE)
            finally:
                if self._gate is not None:
                    self._gate.enter(urgent=True)
        with self._changed:
            buffer = self._free.pop() if self._free else np.empty(self.size, np.uint8)
        lent: Pixels = np.frombuffer(buffer.data, np.uint8)  # views of it keep it, not the buffer
        key = id(buffer)

        def back(_: object) -> None:
            with self._changed:
                del self._lent[key]
                if not self._closed:
                    self._free.append(buffer)
                self._changed.notify_all()

        with self._changed:
            self._lent[key] = weakref.ref(lent, back)
        return lent

    def close(self) -> None:
        """Wake whoever waits; nothing is kept any more."""
        with self._changed:
            self._closed = True
            self._free.clear()
            self._changed.notify_all()

    def _ready(self) -> bool:
        return bool(self._free) or len(self._lent) < _FEW or self._closed


def spans_of_bands(bands: Iterable[Pixels], spans: Sequence[Span]) -> Iterator[Pixels]:
    """The spans of a page that comes in bands of whole rows, C-contiguous."""
    filler: SpanFiller | None = None
    for band in bands:
        filler = filler or SpanFiller(spans, band.shape[1], band.shape[2])
        yield from filler.add(band.reshape(-1))
