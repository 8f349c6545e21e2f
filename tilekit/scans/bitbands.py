"""One JPEG decoded by several threads: bands of its rows as JPEGs of their own, cut from its bits, in order."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import ScanCorrupt
from tilekit.flow import Gate, ordered_map
from tilekit.jpeg.index import McuIndex
from tilekit.jpeg.markers import CannotCut, Header
from tilekit.jpeg.restarts import RestartRows
from tilekit.scans.jpegbits import JpegBits, decoded
from tilekit.scans.pushing import keep_freed_memory
from tilekit.scans.spans import Lender, Span, SpanFiller

Pixels = NDArray[np.uint8]
_BAND_BYTES = 1 << 22
_MOST_BAND_BYTES = 1 << 25
_FEWEST = 16  # rows of MCUs of a band where one more on either side is decoded for the color of its rim


class Band(NamedTuple):
    """Rows of MCUs `top` to `stop`, decoded as part of `first` to `last`."""

    top: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class IndexedRows:
    """Files of rows of MCUs by an index of them. A band may begin at any row: `step` is 1."""

    bits: JpegBits
    index: McuIndex
    step = 1

    def file(self, first: int, last: int, size: tuple[int, int]) -> bytes:
        """Rows `first` to `last` as a JPEG of `size` px; raises CannotCut."""
        across = self.index.header.across
        return self.bits.file(self.index, self.index.runs(0, first, across, last), size)


Rows = IndexedRows | RestartRows


def bands_for(header: Header, step: int, spans: Sequence[Span]) -> Iterator[Band]:
    """What must be decoded for the spans, top to bottom, no row of MCUs twice but for smoothing.

    Bands begin at multiples of `step` rows.
    """
    down = header.mcu[1]
    more = int(down > 8)
    row_bytes = down * header.width * len(header.components)
    rows = max(_BAND_BYTES // row_bytes // step, -(-_FEWEST // step) if more else 1) * step
    at = 0
    for start, stop in spans:
        at, end = max(at, start // down // step * step), -(-stop // down)
        while at < end:
            following = min(at + rows, header.down)
            first = max(0, at - more) // step * step
            yield Band(at, following, first, min(-(-(following + more) // step) * step, header.down))
            at = following


def rows_for(bits: JpegBits, spans: Sequence[Span], threads: float) -> Rows | None:
    """How to decode the spans in bands by so many threads; None where one decoder from the top is as quick.

    Restart markers tell where bands begin. Without them a parse must, which goes over the whole page at about
    a third of what decoding costs. Raises CannotCut where it finds damage.
    """
    needed, before, height = 0, 0, bits.header.height
    for start, stop in spans:
        needed, before = needed + stop - max(start, before), stop
    restarts = bits.restarts() if bits.header.restart and needed < 2 * threads * before else None
    if restarts is not None and _fits(restarts):
        return restarts
    if needed + height / 2 >= threads * before:
        return None
    return IndexedRows(bits, bits.index(workers=int(threads)))


def _fits(rows: RestartRows) -> bool:
    """Whether bands between restart markers are small."""
    header = rows.header
    return rows.step * header.mcu[1] * header.width * len(header.components) <= _MOST_BAND_BYTES


def spans_of_bits(
    bits: JpegBits, rows: Rows, spans: Sequence[Span], *, workers: int, gate: Gate | None = None
) -> Iterator[Pixels]:
    """The spans as decoding the whole gives them; both ends rise from span to span.

    `gate`: held by each thread while it decodes; whoever gives one must let go of every span by itself.
    Memory: two spans (without a gate as many as the caller keeps, and one), and workers + 2 bands of 4 MB
    or one row of MCUs; where rows of color are smoothed (4:2:0, 4:4:0), of 18 rows of MCUs at least.
    Raises ScanCorrupt where the data is damaged, or not what was parsed.
    """
    keep_freed_memory()
    header, down = bits.header, bits.header.mcu[1]
    colors, buffers = len(header.components), _Buffers()
    lender = Lender(patient=gate is not None)
    filler = SpanFiller(spans, header.width, colors, lender)

    def decode(band: Band) -> tuple[Band, Pixels, Pixels]:
        size = header.width, min(band.last * down, header.height) - band.first * down
        with gate.inside(urgent=True) if gate is not None else contextlib.nullcontext():
            try:
                data = rows.file(band.first, band.last, size)
            except CannotCut as exc:
                raise ScanCorrupt(f"{bits.name}: changed while it was open ({exc})") from exc
            buffer = buffers.take(size[0] * size[1] * colors)
            return band, decoded(data, bits.name, colors, buffer), buffer

    bands = bands_for(header, rows.step, spans)
    found = ordered_map(decode, bands, workers=workers, ahead=workers + 1)
    try:
        for band, pixels, buffer in found:
            filler.go_to(band.top * down)
            inner = pixels[(band.top - band.first) * down : (band.stop - band.first) * down]
            yield from filler.add(inner.reshape(-1))
            del inner, pixels
            buffers.give(buffer)
    finally:
        found.close()  # type: ignore[attr-defined]
        lender.close()


class _Buffers:
    """Buffers that bands are decoded into, used again: memory that is new costs more than filling it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[Pixels] = []

    def take(self, size: int) -> Pixels:
        with self._lock:
            while self._free:
                if len(found := self._free.pop()) >= size:
                    return found
        return np.empty(size, np.uint8)

    def give(self, buffer: Pixels) -> None:
        with self._lock:
            self._free.append(buffer)
