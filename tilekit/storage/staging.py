"""Staging: a remote source as a local file for as long as it is needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tilekit.errors import StorageError, StorageFull, StorageNotFound
from tilekit.storage.local import storage_errors
from tilekit.storage.s3 import Access, S3Store, is_s3, parse_s3

_PREFIX = "tilekit-staging-"
_SPARE = 64 * 1024 * 1024


@contextlib.contextmanager
def staged(
    uri: str | os.PathLike[str],
    *,
    folder: str | os.PathLike[str] | None = None,
    max_bytes: int | None = None,
    access: Access | None = None,
    store: S3Store | None = None,
    etag: str | None = None,
) -> Iterator[Path]:
    """Give a local path for a source: itself if it is local, a copy of an `s3://` object otherwise.

    The copy keeps the object's file name, lives in a fresh folder below `folder` (default: the
    system's temporary folder) and is removed on leaving, whatever happened; what a killed process
    left is removed by the next staging. Disk: the object's size; one that is larger than
    `max_bytes`, or than the free disk, is refused before a byte is fetched. `etag`: what the object
    must be, before and after the download; StorageError where it has changed.
    Raises StorageNotFound, StorageDenied, StorageFull, StorageError.
    """
    if not is_s3(uri):
        path = Path(uri)
        if not path.exists():
            raise StorageNotFound(f"{path}: no such file or folder")
        yield path
        return
    place = parse_s3(str(uri))
    source = store or S3Store(access)
    found = source.head(place)
    size = found.size
    _check_etag(place, found.etag, etag)
    if max_bytes is not None and size > max_bytes:
        raise StorageError(f"{place}: has {size} bytes, more than the {max_bytes} allowed here")
    root = Path(folder or tempfile.gettempdir())
    remove_abandoned(root)
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(root).free
    if size + _SPARE > free:
        raise StorageFull(f"{place}: {size} bytes do not fit on the disk of {root}, where {free} are free")
    with storage_errors(root):
        own = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))
    try:
        path = source.download(place, own / (PurePosixPath(place.key).name or "object"))
        if etag is not None:
            _check_etag(place, source.head(place).etag if path.stat().st_size == size else "", etag)
        yield path
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _check_etag(place: object, found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted:
        raise StorageError(f"{place}: changed while it was read; run again")


def remove_abandoned(root: Path) -> int:
    """Remove staging folders of this user whose process is gone; returns how many."""
    removed = 0
    for entry in root.glob(f"{_PREFIX}*"):
        number = entry.name[len(_PREFIX) :].split("-")[0]
        if number.isdigit() and entry.is_dir() and not _alive(int(number)):
            shutil.rmtree(entry, ignore_errors=True)
            removed += not entry.exists()
    return removed


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's process, or none of ours to judge
        return True
    return True
