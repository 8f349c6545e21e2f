"""JPEG files of windows of a JPEG, made of its own bits."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tilekit.jpeg.index import McuIndex, Runs
from tilekit.jpeg.markers import CannotCut, Header, header_bytes
from tilekit.jpeg.tables import Codes, Lookups

Bytes = NDArray[np.uint8]
_EOI = b"\xff\xd9"


@dataclass(frozen=True)
class Stretch:
    """Bytes of a file from byte `base` on."""

    data: Bytes
    base: int

    def holds(self, runs: Runs) -> bool:
        """Whether all the runs lie in it."""
        first, last = byte_span(runs)
        return self.base <= first and last <= self.base + len(self.data)


def byte_span(runs: Runs) -> tuple[int, int]:
    """The bytes from the first to the last run, and two more for what may be stuffed at its end."""
    return int(runs.starts.min()) >> 3, (int(runs.ends.max()) >> 3) + 2


def reason_against(header: Header, x0: int, y0: int, width: int) -> str | None:
    """Why a window of this `width` that begins at this pixel cannot be made of the bits; None where it can."""
    across, down = header.mcu
    if x0 % across or y0 % down:
        return f"it begins at {x0}, {y0}, off the grid of {across} x {down} px blocks"
    if (
        across == 16 and width <= 4 and width < header.width
    ):  # two columns of color: decoders do not smooth these
        return f"it is only {width} px wide"
    return None


def window_runs(index: McuIndex, x0: int, y0: int, x1: int, y1: int) -> Runs:
    """The runs that make up a window in pixels, which begins on the grid of MCUs."""
    across, down = index.header.mcu
    return index.runs(x0 // across, y0 // down, -(-x1 // across), -(-y1 // down))


def cut_runs(stretch: Stretch, runs: Runs, header: Header, look: Lookups, width: int, height: int) -> bytes:
    """A JPEG of `width` x `height` px whose MCUs are the runs', one behind the other.

    Its coefficients are those of the file the bits are from. Raises CannotCut where a DC difference
    between two runs has no code in the file's tables, and where the bytes are not the ones parsed.
    """
    head = _head(header.sized(width, height), look.written)
    return coded(stretch, runs, look, head, _EOI)


def coded(stretch: Stretch, runs: Runs, look: Lookups, head: bytes, tail: bytes) -> bytes:
    """The runs' MCUs as one stream, filled up to a whole byte, behind `head`, which is not empty; raises as `cut_runs`."""
    from tilekit.jpeg.kernels.copying import copy_runs

    shift = 8 * stretch.base
    starts, ends = runs.starts - shift, runs.ends - shift
    before = np.ascontiguousarray(runs.before).reshape(-1)
    after = np.ascontiguousarray(runs.after).reshape(-1)
    needed = len(head) + runs.bytes * 9 // 8 + 16 * len(starts) + 64
    for _ in range(2):
        out = scratch(needed)
        stop = copy_runs(
            stretch.data, starts, ends, before, after, look.plan, look.tables, look.codes, out, len(head)
        )
        if stop < 0:
            raise CannotCut("a DC difference has no code in its tables")
        if stop + 8 <= len(out):
            view = out.data
            view[: len(head)] = head
            view[stop : stop + len(tail)] = tail
            return bytes(view[: stop + len(tail)])
        needed = int(stop) + 64
    raise CannotCut("its bits changed while they were copied")


_room = threading.local()


def scratch(size: int, name: str = "out") -> Bytes:
    """An array of at least `size` bytes, this thread's own of that name; up to 4 MB it is the same one again.

    Memory that is new costs more than what is done in it here.
    """
    known: Bytes | None = getattr(_room, name, None)
    if known is None or len(known) < size:
        known = np.empty(size * 5 // 4, np.uint8)
        setattr(_room, name, known if len(known) <= 1 << 22 else None)
    return known


@lru_cache(64)
def _head(header: Header, written: tuple[Codes, ...]) -> bytes:
    return header_bytes(header, written)
