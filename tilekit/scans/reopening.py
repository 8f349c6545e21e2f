"""A scan opened again wherever its pixels are wanted: in another process, or as an array that is read by rectangles."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument, MissingExtra

if TYPE_CHECKING:
    from tilekit.scans.scan import Scan

_CHUNK = 2048
_ROWS_BYTES = 32 * 1024 * 1024  # of a chunk of whole rows


class OpenScans:
    """The scans that a process keeps open, the last used ones; closed with their owner. A fork begins anew.

    `lock`: held by who reads while others may ask for more scans than `limit`, for the oldest is closed then.
    """

    def __init__(self, limit: int = 1) -> None:
        self.lock = threading.RLock()
        self._limit, self._process = limit, os.getpid()
        self._open: OrderedDict[Hashable, Scan] = OrderedDict()
        weakref.finalize(self, _close, self._open)

    def __len__(self) -> int:
        return len(self._open)

    def get(self, key: Hashable, reopen: Callable[[], Scan]) -> Scan:
        """The scan of this key, opened by `reopen()` where it is not."""
        with self.lock:
            if self._process != os.getpid():
                self._open.clear()
                self._process = os.getpid()
            scan = self._open.pop(key, None)
            self._open[key] = scan = reopen() if scan is None else scan
            while len(self._open) > self._limit:
                self._open.popitem(last=False)[1].close()
            return scan


def _close(scans: OrderedDict[Hashable, Scan]) -> None:
    while scans:
        scans.popitem()[1].close()


class ScanArray:
    """A scan's pixels as an array (height, width, bands) uint8 of which rectangles are read when asked for.

    `shape`, `dtype`, `ndim` and indexing are what dask, zarr-like readers and viewers ask of an array. It goes to other
    processes by pickle: each opens the scan for itself, once. Safe for threads.
    """

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(self, reopen: Callable[[], Scan], shape: tuple[int, int, int], name: str) -> None:
        self.shape, self.name = shape, name
        self._reopen = reopen
        self._open = OpenScans()

    def __repr__(self) -> str:
        return f"<ScanArray {self.name} {self.shape}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._reopen, self.shape, self.name)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return self.name, self.shape, self._reopen, _changed(self.name)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Pixels by slices with steps above 0, and by whole numbers, in every axis."""
        given = index if isinstance(index, tuple) else (index,)
        if Ellipsis in given:
            place = given.index(Ellipsis)
            given = given[:place] + (slice(None),) * (4 - len(given)) + given[place + 1 :]
        given += (slice(None),) * (3 - len(given))
        (top, bottom, down), (left, right, across) = (
            _part(part, size) for part, size in zip(given[:2], self.shape, strict=False)
        )
        pixels = (
            np.empty((bottom - top, right - left, self.shape[2]), np.uint8)
            if top == bottom or left == right
            else self._open.get(None, self._reopen).read(left, top, right, bottom)
        )
        found: NDArray[np.uint8] = pixels[down, across, given[2]]
        return found


def _part(index: Any, size: int) -> tuple[int, int, Any]:
    """First and last + 1 of what an index of an axis takes, and the index within them."""
    if not isinstance(index, slice):
        at = range(size)[index]
        return at, at + 1, 0
    places = range(size)[index]
    if places.step < 1:
        raise InvalidArgument(f"{index}: the step must be above 0")
    return (places[0], places[-1] + 1, slice(None, None, places.step)) if places else (0, 0, slice(None))


def scan_array(scan: Scan) -> ScanArray:
    """The scan's pixels as an array that opens the scan for itself; InvalidArgument where nobody else can open it."""
    if scan.reopen is None:
        raise InvalidArgument(
            f"{scan.key}: was opened from a file object, which cannot be opened again elsewhere; open it by its path, "
            "URL or bytes"
        )
    return ScanArray(scan.reopen, (scan.height, scan.width, scan.bands), str(scan.key))


def dask_array(scan: Scan, chunk: int | Sequence[int] | None) -> Any:
    """See `Scan.to_dask`."""
    try:
        import dask.array
    except ImportError as exc:
        raise MissingExtra("to_dask() needs dask", "dask") from exc
    height, width = _chunk(scan, chunk)
    return dask.array.from_array(scan_array(scan), chunks=(height, width, scan.bands), fancy=False)


def _chunk(scan: Scan, chunk: int | Sequence[int] | None) -> tuple[int, int]:
    """(height, width) of a chunk."""
    if chunk is None:
        if scan.info.access == "block" or scan.info.kind == "jpeg":
            return min(_CHUNK, scan.height), min(_CHUNK, scan.width)
        return max(1, min(scan.height, _ROWS_BYTES // (scan.width * scan.bands))), scan.width
    sides = tuple(chunk) if isinstance(chunk, (tuple, list)) else (chunk, chunk)
    if len(sides) != 2 or any(
        isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in sides
    ):
        raise InvalidArgument(f"chunk={chunk!r} must be px of a side, or (width, height), at least 1 each")
    return min(sides[1], scan.height), min(sides[0], scan.width)


def _changed(name: str) -> int:
    """When a file was last changed, 0 for what is none: another content is another array."""
    try:
        return os.stat(name.partition("#page=")[0]).st_mtime_ns
    except (OSError, ValueError):
        return 0
