"""A scan that is one JPEG file, by its bits: files of its windows, and pixels of any window or band of rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import ScanCorrupt
from tilekit.jpeg.cutting import Stretch, byte_span, cut_runs, window_runs
from tilekit.jpeg.eighth import Eighth, eighth_of
from tilekit.jpeg.index import McuIndex, Runs, build_index, spaced_columns
from tilekit.jpeg.markers import CannotCut, read_header
from tilekit.jpeg.restarts import RestartRows, restart_rows

if TYPE_CHECKING:
    from tilekit.grid import Window
    from tilekit.scans.blockbits import BlockBits
    from tilekit.scans.scan import Scan

Pixels = NDArray[np.uint8]
_STRETCH_BYTES = 1 << 25


class JpegBits:
    """The bits of a page that is a JPEG file of its own. Any thread may use it.

    `read(offset, count)` gives bytes of the file, fewer at its end. The index is made when first needed.
    """

    def __init__(self, name: str, read: Callable[[int, int], bytes], size: int) -> None:
        self.name = name
        self.header, self._begin = read_header(read)
        self._read, self._size = read, size
        self._lock = threading.Lock()
        self._index: McuIndex | None = None
        self._restarts: RestartRows | Literal[False] | None = None  # not looked for yet
        self._columns: set[int] = set(spaced_columns(self.header).tolist())
        self._wanted: Eighth | None = None  # what the next parse fills in
        self._eighth: Eighth | None = None

    def index(self, columns: Collection[int] = (), *, workers: int = 1) -> McuIndex:
        """Where MCUs begin, at these columns of MCUs and at every 16th or so; raises CannotCut."""
        with self._lock:
            wanted = set(columns) - self._columns
            if self._index is None or wanted:
                self._columns |= wanted
                self._index = build_index(
                    self._read,
                    self._size,
                    self.header,
                    self._begin,
                    sorted(self._columns),
                    workers=workers,
                    watch=self._wanted,
                )
                self._eighth, self._wanted = self._wanted or self._eighth, None
            return self._index

    def expect_eighth(self) -> None:
        """Let the parse that is to come make `eighth`, if it can."""
        with self._lock:
            if self._index is None:
                self._wanted = eighth_of(self.header)

    def eighth(self) -> Pixels | None:
        """The page at an eighth of its size, as a decoder gives it; None where no parse was asked for it."""
        return None if self._eighth is None else self._eighth.pixels()

    def restarts(self) -> RestartRows | None:
        """The rows that begin behind restart markers, None where there are none."""
        with self._lock:
            if self._restarts is None:
                try:
                    self._restarts = restart_rows(self._read, self._size, self.header, self._begin)
                except CannotCut:
                    self._restarts = False
            return self._restarts or None

    def prepare(self, columns: Collection[int], *, workers: int) -> None:
        """Find where MCUs begin, at these columns at least; raises CannotCut."""
        self.index(columns, workers=workers)

    def row(self, top: int, stop: int) -> Stretch | None:
        """The bytes of rows of px that tiles share, None where they are too many; raises CannotCut."""
        if top % self.header.mcu[1]:
            return None
        return self.stretch(window_runs(self.index(), 0, top, self.header.width, stop))

    def tile(self, window: Window, row: Stretch | None) -> bytes:
        """The JPEG of a window that begins on the grid of MCUs; raises CannotCut."""
        index = self.index()
        return self.file(index, window_runs(index, *window), (window.width, window.height), row)

    def stretch(self, runs: Runs, most: int = _STRETCH_BYTES) -> Stretch | None:
        """The bytes that hold the runs and what lies between; None where they are more than `most`."""
        first, last = byte_span(runs)
        if last - first > most:
            return None
        return Stretch(np.frombuffer(self._read(first, last - first), np.uint8), first)

    def file(self, index: McuIndex, runs: Runs, size: tuple[int, int], at: Stretch | None = None) -> bytes:
        """A JPEG of `size` (width, height) px made of the runs; raises CannotCut."""
        stretch = at if at is not None else self.stretch(runs)
        if stretch is None:
            stretch, runs = self._gathered(runs)
        return cut_runs(stretch, runs, self.header, index.lookups, *size)

    def _gathered(self, runs: Runs) -> tuple[Stretch, Runs]:
        """The bytes of the runs alone, one behind the other."""
        parts, starts, ends, place = [], [], [], 0
        for start, end in zip(runs.starts.tolist(), runs.ends.tolist(), strict=True):
            first = start >> 3
            part = self._read(first, (end >> 3) + 2 - first)
            parts.append(part)
            starts.append(start + 8 * (place - first))
            ends.append(end + 8 * (place - first))
            place += len(part)
        moved = Runs(np.array(starts, np.int64), np.array(ends, np.int64), runs.before, runs.after)
        return Stretch(np.frombuffer(b"".join(parts), np.uint8), 0), moved

    def pixels(self, x0: int, y0: int, x1: int, y1: int, *, workers: int = 1) -> Pixels:
        """The rectangle as decoding the whole gives it; raises CannotCut, ScanCorrupt.

        Where color is smoothed over MCU borders, one MCU more is decoded on either side.
        """
        header = self.header
        index = self.index(workers=workers)
        (across, down), more = header.mcu, int(header.upsampled)
        left = index.column(max(0, x0 // across - more))[0]
        right = (
            index.column(min(header.across, -(-x1 // across) + more))[1]
            if x1 < header.width
            else header.across
        )
        top, bottom = max(0, y0 // down - more), min(header.down, -(-y1 // down) + more)
        size = (
            min(right * across, header.width) - left * across,
            min(bottom * down, header.height) - top * down,
        )
        data = self.file(index, index.runs(left, top, right, bottom), size)
        made = decoded(data, self.name, len(header.components))
        return made[y0 - top * down : y1 - top * down, x0 - left * across : x1 - left * across]


def decoded(data: bytes, name: str, bands: int, buffer: Pixels | None = None) -> Pixels:
    """The pixels of a JPEG cut from a page's bits, in `buffer` where there is one; raises ScanCorrupt."""
    import simplejpeg

    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "GRAY" if bands == 1 else "RGB", buffer=buffer)
    except ValueError as exc:
        raise ScanCorrupt(f"{name}: is damaged ({exc})") from exc
    return pixels


def bits_of(scan: Scan) -> JpegBits | BlockBits:
    """The bits of an open scan; raises CannotCut with the reason where they are not its pixels' own."""
    source = scan.source
    if scan.info.kind == "tiff" and scan.info.access == "block":
        from tilekit.scans.blockbits import block_bits_of

        return block_bits_of(scan)
    if scan.info.kind != "jpeg":
        raise CannotCut("it is not a JPEG")
    if source is None:
        raise CannotCut("its file is damaged, and mended as it is read")
    if not scan.as_stored:
        raise CannotCut("its pixels are turned or converted when it is opened (orientation, color profile)")
    reader = source.reader()
    scan.on_close(reader.close)
    try:
        return _checked(JpegBits(str(scan.key), reader.at, reader.size), scan)
    except OSError as exc:
        raise CannotCut(f"it cannot be read ({exc})") from exc


def _checked(bits: JpegBits, scan: Scan) -> JpegBits:
    header = bits.header
    if (header.width, header.height, len(header.components)) != (scan.width, scan.height, scan.bands):
        raise CannotCut("its header says another size than its reader")
    return bits
