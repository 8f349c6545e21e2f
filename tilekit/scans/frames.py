"""The later frames of a GIF or WebP, one after the other, in one pass: each is drawn over the one before it.

Opened singly, a frame costs all those before it. So where a pass ended is kept for whoever asks for the next
frame of the same bytes: tiling, detection and archives ask page by page, each a rising row of pages.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from tilekit.errors import ScanNotFound
from tilekit.rendition import Rendition
from tilekit.scans.color import to_page
from tilekit.scans.faults import check_size
from tilekit.scans.forking import check_not_cut_off
from tilekit.scans.levels import rows_of
from tilekit.scans.memory import scan_of_array
from tilekit.scans.request import Request
from tilekit.scans.vips import VipsScan
from tilekit.scans.vips_faults import vips_errors

_LOADERS = {"gif": "gifload", "webp": "webpload"}
_KEPT_BYTES = 64 << 20  # a file larger than this is read anew for each frame asked for singly


@dataclass
class _Pass:
    """A pass over the frames: `following` is the one that comes next."""

    of: tuple[Any, ...]
    pages: int
    frames: Iterator[NDArray[np.uint8]]
    following: int = 0

    def next(self) -> NDArray[np.uint8]:
        self.following += 1
        return next(self.frames)


class _Kept:
    """The pass that was left last in this process, over bytes in memory: no file stays open."""

    lock = threading.Lock()
    last: _Pass | None = None


def open_frame(ask: Request) -> VipsScan:
    """One frame. In a row of rising pages each costs itself only. Memory: two frames, and the file until the last.

    Raises ScanCorrupt, ScanNotFound, ScanTooLarge.
    """
    check_not_cut_off(str(ask.key))
    with vips_errors(ask.key):
        going = _taken(ask)
        if ask.page >= going.pages:
            raise ScanNotFound(f"{ask.key}: the file has {going.pages} page(s)")
        while going.following < ask.page:
            going.next()
        pixels = going.next()
    if going.following < going.pages and ask.source.size <= _KEPT_BYTES:
        with _Kept.lock:
            _Kept.last = going
    return scan_of_array(pixels, ask, pages=going.pages)


def _taken(ask: Request) -> _Pass:
    """The pass that was left before this frame of these bytes, or a new one."""
    with _Kept.lock:
        found, _Kept.last = _Kept.last, None
    if found is not None and found.of == _name(ask) and found.following <= ask.page:
        return found
    return _begun(ask)


def _begun(ask: Request) -> _Pass:
    tall = _load(ask, _data(ask))
    pages = _pages(tall)
    check_size(ask.key, tall.width, tall.height // pages, ask.max_pixels)
    if ask.rendition == Rendition():
        tall = to_page(tall, str(ask.key))
    return _Pass(_name(ask), pages, _frames(tall, tall.height // pages))


def _name(ask: Request) -> tuple[Any, ...]:
    """What must be the same for a pass to go on."""
    source, how = ask.source, (ask.form.kind, ask.max_pixels, ask.rendition == Rendition())
    if source.path is None:
        return source.identity, source.size, *how
    now = source.path.stat()
    return os.fspath(source.path), now.st_mtime_ns, now.st_ino, now.st_size, *how


def _data(ask: Request) -> bytes | None:
    """The file's bytes where it is small enough to keep."""
    if ask.source.size > _KEPT_BYTES:
        return None
    with ask.source.open() as file:
        return file.read()


def _load(ask: Request, data: bytes | None) -> Any:
    options = {"n": -1, "access": "sequential", "fail_on": "error"}
    loader = _LOADERS[ask.form.kind]
    if data is None:
        return pyvips.Operation.call(loader, os.fsencode(ask.source.path or ""), revalidate=True, **options)
    return pyvips.Operation.call(loader + "_buffer", data, **options)


def _pages(tall: Any) -> int:
    return int(tall.get("n-pages")) if tall.get_typeof("n-pages") else 1


def _frames(tall: Any, height: int) -> Iterator[NDArray[np.uint8]]:
    frame = np.empty((height, tall.width, tall.bands), np.uint8)
    filled = 0
    for rows in rows_of(tall):
        while len(rows):
            take = min(height - filled, len(rows))
            frame[filled : filled + take] = rows[:take]
            filled, rows = filled + take, rows[take:]
            if filled == height:
                yield frame.copy()
                filled = 0
