"""Local files: written beside and renamed, so that nothing half-written looks whole."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tilekit.errors import StorageDenied, StorageError, StorageFull, StorageNotFound, TilekitError

PART_SUFFIX = ".tilekit-part"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
    if exc.errno in _FULL:
        return StorageFull(
            f"{path}: no space is left on the disk; free some and run again, what is whole is kept"
        )
    if isinstance(exc, FileNotFoundError):
        return StorageNotFound(f"{path}: no such file or folder")
    if isinstance(exc, PermissionError) or exc.errno == errno.EROFS:
        return StorageDenied(f"{path}: permission denied")
    if isinstance(exc, IsADirectoryError):
        return StorageError(f"{path}: is a folder, a file is needed")
    if isinstance(exc, (NotADirectoryError, FileExistsError)):
        return StorageError(f"{path}: a file is in the way of a folder")
    return StorageError(f"{path}: {exc.strerror or exc}")


def part_path(path: str | os.PathLike[str]) -> Path:
    """A fresh name beside `path` that no reader takes for whole."""
    target = Path(path)
    return target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex[:12]}{PART_SUFFIX}")


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


def write_text(path: str | os.PathLike[str], text: str, *, durable: bool = False) -> None:
    """Write UTF-8 text with `\\n` line ends to `path` atomically."""
    write_bytes(path, text.encode("utf-8"), durable=durable)


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
