"""Rows to one image, streaming: libvips pulls them as it writes, so memory does not grow with height."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument, StorageError
from tilekit.scans.faults import one_line
from tilekit.storage.local import atomic_path, storage_error

_SAVERS = {
    ".tif": "tiffsave", ".tiff": "tiffsave", ".jpg": "jpegsave", ".jpeg": "jpegsave",
    ".png": "pngsave", ".webp": "webpsave", ".v": "vipssave",
}  # fmt: skip


def save_rows(
    path: str | os.PathLike[str],
    rows: Iterable[NDArray[np.uint8]],
    width: int,
    height: int,
    bands: int,
    **options: Any,
) -> None:
    """Write bands of rows, (h, width, bands) uint8 from top to bottom, as one image file, atomically.

    The kind is by extension: .tif (BigTIFF where needed), .jpg, .png, .webp, .v; `options` are those
    of libvips' saver. Memory: two bands of rows and libvips' own buffers (WebP: the whole image).
    Raises InvalidArgument for another extension, StorageError where it cannot be written; an error
    of `rows` comes through.
    """
    target = Path(path)
    saver = _SAVERS.get(target.suffix.lower())
    if saver is None:
        raise InvalidArgument(f"{target}: write one of {', '.join(_SAVERS)}")
    if saver == "tiffsave":
        options = {"bigtiff": width * height * bands > 2_000_000_000, "compression": "deflate"} | options
    feed = _Feed(rows, width, height, bands)
    source = pyvips.SourceCustom()
    source.on_read(feed.read)
    with atomic_path(target) as part:
        part.touch()  # what forbids writing is told by the system in a word, by libvips in twenty lines
        try:
            image = pyvips.Image.pngload_source(source, access="sequential", fail_on="error", unlimited=True)
            getattr(image, saver)(str(part), **options)
        except pyvips.Error as exc:
            if feed.error is not None:
                raise feed.error from exc
            for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                if os.strerror(code) in str(exc):
                    raise storage_error(OSError(code, os.strerror(code)), target) from exc
            raise StorageError(f"{target}: cannot be written ({one_line(exc)})") from exc
        finally:
            feed.close()
        if feed.error is not None:
            raise feed.error


class _Feed:
    """A PNG stream of stored (not compressed) rows, and the error that ended it, if any.

    PNG is what every build of libvips reads row by row from a stream (PNG specification, 3rd edition).
    """

    def __init__(self, rows: Iterable[NDArray[np.uint8]], width: int, height: int, bands: int) -> None:
        self.error: BaseException | None = None
        self._rows: Iterator[NDArray[np.uint8]] = iter(rows)
        self._packer = zlib.compressobj(0)
        self._row_bytes = width * bands
        self._ended = False
        head = struct.pack(">IIBBBBB", width, height, 8, 2 if bands == 3 else 0, 0, 0, 0)
        self._waiting = memoryview(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head))

    def read(self, size: int) -> bytes:
        """Called by libvips; nothing may leave it but bytes."""
        try:
            while not self._waiting:
                if self._ended:
                    return b""
                self._waiting = memoryview(self._next())
            data, self._waiting = bytes(self._waiting[:size]), self._waiting[size:]
        except BaseException as exc:  # noqa: BLE001 - crosses C; raised again in save_rows
            self.error = exc
            return b""
        return data

    def _next(self) -> bytes:
        band = next(self._rows, None)
        if band is None:
            self._ended = True
            return _chunk(b"IDAT", self._packer.flush()) + _chunk(b"IEND", b"")
        lines = np.zeros((band.shape[0], 1 + self._row_bytes), np.uint8)
        lines[:, 1:] = band.reshape(band.shape[0], self._row_bytes)
        packed = self._packer.compress(lines.data)
        return _chunk(b"IDAT", packed) if packed else b""

    def close(self) -> None:
        """Let go of the rows."""
        close = getattr(self._rows, "close", None)
        if close is not None:
            with contextlib.suppress(ValueError):  # still running in a thread of libvips
                close()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
