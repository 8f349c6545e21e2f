"""Source: where a scan's bytes are: a local file or bytes in memory."""

from __future__ import annotations

import contextlib
import io
import os
import reprlib
import shutil
import stat
import tempfile
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from tilekit.errors import (
    InvalidArgument,
    ScanCorrupt,
    ScanError,
    ScanNotFound,
    ScanUnsupported,
    StorageError,
    StorageNotFound,
)
from tilekit.storage.identity import data_identity, file_identity, source_identity

HEAD = 4096


@dataclass(frozen=True)
class Source:
    """A scan's bytes: exactly one of `path` (a local file) and `data` is given.

    `name` is what errors and the PageKey call it; `head` its first bytes, for sniffing; `known` its identity,
    where whoever brought it here knows it.
    """

    name: str
    path: Path | None
    data: bytes | None = field(repr=False)
    head: bytes = field(repr=False)
    known: str = ""

    @property
    def identity(self) -> str:
        """What changes with the bytes, see `tilekit.storage.identity`; "" where nothing is known, as of a stream."""
        if self.known or self.data is not None or self.path is None:
            return self.known or data_identity(self.data or b"")
        return file_identity(self.path) if os.fspath(self.path) == self.name else ""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.path.stat().st_size if self.path is not None else len(self.data or b"")

    def open(self) -> BinaryIO:
        """A fresh binary stream over the bytes."""
        return self.path.open("rb") if self.path is not None else io.BytesIO(self.data or b"")

    def reader(self) -> ByteReader:
        """The bytes by place, from any thread, until it is closed."""
        return ByteReader(self)


class ByteReader:
    """A source's bytes by place. Safe from any number of threads; closing twice is harmless."""

    def __init__(self, source: Source) -> None:
        self._data = source.data
        self._file = None if source.data is not None else source.open()
        self._lock = threading.Lock()
        self.size = source.size

    def at(self, place: int, count: int) -> bytes:
        """`count` bytes from a place, fewer where the file ends. Raises OSError, ValueError (closed)."""
        if self._data is not None:
            return self._data[place : place + count]
        if self._file is None:
            raise ValueError("its file is closed")
        count = max(0, min(count, self.size - place))
        if hasattr(os, "pread"):
            found: bytes = os.pread(self._file.fileno(), count, place)
            return found
        with self._lock:
            self._file.seek(place)
            return self._file.read(count)

    def into(self, place: int, room: memoryview) -> int:
        """Fill `room` with bytes from a place on; gives how many there were. Errors as `at`."""
        if self._file is not None and hasattr(os, "preadv"):
            count: int = os.preadv(self._file.fileno(), [room], place)
            return count
        found = self.at(place, len(room))
        room[: len(found)] = found
        return len(found)

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


ScanSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Source


def named_source(name: str, path: Path, identity: str = "") -> Source:
    """A local file that goes by another name, such as the staged copy of an object. Errors as in `resolve_source`."""
    return replace(_checked(_local(name, path)), known=identity)


def resolve_source(source: ScanSource, stack: contextlib.ExitStack) -> Source:
    """The bytes behind a path, bytes, or file object; what is staged lives until `stack` closes.

    An s3:// object is staged, and a file object copied from its current place to a temporary file (memory: one buffer).
    Raises ScanNotFound, ScanUnsupported (a folder, a device), ScanCorrupt (empty), ScanError
    (not readable), InvalidArgument (another type).
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _checked(Source("<bytes>", None, bytes(source), bytes(source[:HEAD])))
    if isinstance(source, (str, os.PathLike)):
        return _from_path(os.fspath(source), stack)
    if hasattr(source, "read"):
        return _from_file(source, stack)
    raise InvalidArgument(
        f"source={reprlib.repr(source)} must be a path, an s3:// URL, bytes or a binary file object"
    )


def _from_path(name: str, stack: contextlib.ExitStack) -> Source:
    if not isinstance(name, str):
        raise InvalidArgument(f"source={name!r} must be a text path")
    if not name.startswith("s3://"):
        return _checked(_local(name, Path(name)))
    from tilekit.storage.staging import staged

    try:
        return named_source(name, stack.enter_context(staged(name)), source_identity(name))
    except StorageNotFound as exc:
        raise ScanNotFound(str(exc)) from exc
    except StorageError as exc:
        raise ScanError(str(exc)) from exc


def _local(name: str, path: Path) -> Source:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ScanUnsupported(f"{name}: is a folder; give a file in it")
        if not stat.S_ISREG(mode):
            raise ScanUnsupported(f"{name}: is not a regular file; pass its bytes or a file object")
        with path.open("rb") as file:
            head = file.read(HEAD)
    except ScanError:
        raise
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise ScanNotFound(f"{name}: no such file") from exc
    except PermissionError as exc:
        raise ScanError(f"{name}: permission denied; the file cannot be read") from exc
    except (OSError, ValueError) as exc:  # ValueError: a null character in the path
        raise ScanNotFound(f"{name!r}: cannot be read: {exc}") from exc
    return Source(name, path, None, head)


def _from_file(file: BinaryIO, stack: contextlib.ExitStack) -> Source:
    name = getattr(file, "name", None)
    label = name if isinstance(name, str) else "<file>"
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tilekit-"))
    path = Path(folder) / "scan"
    try:
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
    except TypeError as exc:
        raise InvalidArgument(f"source={file!r} must be opened in binary mode") from exc
    except OSError as exc:
        raise ScanError(f"{label}: cannot be copied to a temporary file: {exc}") from exc
    return _checked(_local(label, path))


def _checked(source: Source) -> Source:
    if not source.head:
        raise ScanCorrupt(f"{source.name}: is empty (0 bytes)")
    return source


def on_disk(source: Source, stack: contextlib.ExitStack) -> Source:
    """The same source as a local file, for readers that need one; it lives until `stack` closes."""
    if source.path is not None:
        return source
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tilekit-"))
    path = Path(folder) / "scan"
    try:
        path.write_bytes(source.data or b"")
    except OSError as exc:
        raise ScanError(f"{source.name}: cannot be copied to a temporary file: {exc}") from exc
    return Source(source.name, path, None, source.head)


def in_utf8(source: Source, stack: contextlib.ExitStack) -> Source:
    """The same local file by a path in UTF-8, for readers that know no other; it lives until `stack` closes."""
    path = source.path
    try:
        os.fspath(path or "").encode()
        return source
    except UnicodeEncodeError:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tilekit-"))
        link = Path(folder) / "scan"
        link.symlink_to(Path(path or "").absolute())
        return Source(source.name, link, None, source.head, source.known)
