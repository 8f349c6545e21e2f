"""Local files: written beside and renamed, so that nothing half-written looks whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tilekit.errors import (
    StorageDenied,
    StorageError,
    StorageFull,
    StorageLost,
    StorageNotFound,
    TilekitError,
)

PART_SUFFIX = ".tilekit-part"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LOST = frozenset(
    getattr(errno, name)
    for name in (
        "ESTALE",
        "ENOTCONN",
        "ENODEV",
        "ENXIO",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ETIMEDOUT",
        "EIO",
    )
    if hasattr(errno, name)
)
_NAME = 80


@contextlib.contextmanager
def storage_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError inside the block into one of ours, naming `path`."""
    try:
        yield
    except TilekitError:
        raise
    except OSError as exc:
        raise storage_error(exc, path) from exc


def storage_error(exc: OSError, path: str | os.PathLike[str]) -> StorageError:
    """Our error for an OSError on `path`."""
    if exc.errno in FULL:
        return StorageFull(
            f"{path}: no space is left on the disk; free some and run again, what is whole is kept"
        )
    if isinstance(exc, FileNotFoundError):
        return StorageNotFound(f"{path}: no such file or folder")
    if exc.errno in LOST:
        return StorageLost(
            f"{path}: the disk or mount is out of reach ({exc.strerror}); run again when it is back"
        )
    if exc.errno == errno.EROFS:
        return StorageDenied(f"{path}: the file system is read-only")
    if isinstance(exc, PermissionError):
        return StorageDenied(f"{path}: permission denied")
    if isinstance(exc, IsADirectoryError):
        return StorageError(f"{path}: is a folder, a file is needed")
    if isinstance(exc, (NotADirectoryError, FileExistsError)):
        return StorageError(f"{path}: a file is in the way of a folder")
    return StorageError(f"{path}: {exc.strerror or exc}")


def part_path(path: str | os.PathLike[str]) -> Path:
    """A fresh name beside `path` that no reader takes for whole."""
    target = Path(path)
    return target.with_name(f".{_part_name(target.name)}.{os.urandom(6).hex()}{PART_SUFFIX}")


def parts_of(path: str | os.PathLike[str]) -> Iterator[Path]:
    """What interrupted writes of exactly this file left beside it."""
    target = Path(path)
    form = re.compile(rf"\.{re.escape(_part_name(target.name))}\.[0-9a-f]{{12}}{re.escape(PART_SUFFIX)}")
    with contextlib.suppress(OSError):
        for entry in os.scandir(target.parent):
            if form.fullmatch(entry.name):
                yield target.with_name(entry.name)


def _part_name(name: str) -> str:
    """The name, or for a long one as much as a file system takes, and a hash: no two files share it."""
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) <= 2 * _NAME:
        return name
    return f"{raw[:_NAME].decode('utf-8', 'ignore')}.{hashlib.blake2b(raw, digest_size=8).hexdigest()}"


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to; on success it is renamed, on any error removed.

    `durable` also flushes file and folder to the disk before returning. Makes missing folders.
    """
    target = Path(path)
    if not target.name:
        raise StorageError(f"{os.fspath(path)!r} names no file; give a file to write")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    part = part_path(target)
    try:
        with storage_errors(target):
            yield part
            if durable:
                _flush(part)
            os.replace(part, target)
            if durable:
                _flush(target.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[IO[bytes]]:
    """Open `path` for writing bytes; it appears whole, or not at all."""
    with atomic_path(path, durable=durable) as part, part.open("wb") as file:
        yield file


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview, *, durable: bool = False) -> None:
    """Write `data` to `path` atomically."""
    with atomic_file(path, durable=durable) as file:
        file.write(data)


def write_text(
    path: str | os.PathLike[str], text: str, *, durable: bool = False, escape: bool = True
) -> None:
    """Write UTF-8 text with `\\n` line ends to `path` atomically.

    Bytes of a name that is not UTF-8 become \\udcXX, as JSON has it; with `escape=False`, for what is not JSON and
    would read back as another name, they raise StorageError.
    """
    try:
        data = text.encode("utf-8", "backslashreplace" if escape else "strict")
    except UnicodeEncodeError as exc:
        near = repr(exc.object[max(0, exc.start - 60) : exc.end + 20])
        raise StorageError(
            f"{os.fspath(path)}: {near} is a name that is not UTF-8, which this format cannot hold; rename it"
        ) from exc
    write_bytes(path, data, durable=durable)


def remove_parts(folder: str | os.PathLike[str]) -> int:
    """Remove what interrupted writes left below `folder`; returns how many files."""
    count = 0
    for root, _, names in os.walk(folder):
        for name in names:
            if name.endswith(PART_SUFFIX):
                with contextlib.suppress(OSError):
                    Path(root, name).unlink()
                    count += 1
    return count


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
