"""Staging: a remote source as a local file for as long as it is needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tilekit.errors import LedgerError, StorageError, StorageFull, StorageNotFound
from tilekit.storage.local import storage_errors
from tilekit.storage.locking import FolderLock
from tilekit.storage.s3 import Access, S3Store, is_s3, parse_s3

_PREFIX = "tilekit-staging-"
_LOCK = ".lock"  # beside the folder, and held before it is made
_SPARE = 64 * 1024 * 1024
_FOREIGN_SECONDS = 7 * 86400.0


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
    Raises StorageNotFound, StorageDenied, StorageFull, StorageLost, StorageError.
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
    with staging_folder(root) as own:
        path = source.download(place, own / (PurePosixPath(place.key).name or "object"))
        if etag is not None:
            _check_etag(place, source.head(place).etag if path.stat().st_size == size else "", etag)
        yield path


@contextlib.contextmanager
def staging_folder(root: Path) -> Iterator[Path]:
    """A fresh folder below `root`, known as ours by a lock that is held while it is used.

    Its name has the machine's boot, so that nobody asks for a lock of another kernel: process ids mean nothing
    between containers that share the folder.
    """
    own = root / f"{_PREFIX}{boot_id()}-{uuid.uuid4().hex[:12]}"
    lock = FolderLock(root / f"{own.name}{_LOCK}", str(own), wait=5.0)
    try:
        with storage_errors(root):
            own.mkdir(mode=0o700)
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        lock.close()
        (root / f"{own.name}{_LOCK}").unlink(missing_ok=True)


def _check_etag(place: object, found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted:
        raise StorageError(f"{place}: changed while it was read; run again")


def remove_abandoned(root: Path) -> int:
    """Remove staging folders that nobody holds any more; returns how many.

    Those of another boot (an earlier one, or another machine on a shared folder) only after a week: whether
    somebody holds them cannot be known here.
    """
    removed = 0
    for entry in root.glob(f"{_PREFIX}*"):
        try:
            age = time.time() - entry.stat().st_mtime
        except OSError:
            continue
        boot = entry.name[len(_PREFIX) :].split("-")[0]
        if boot != boot_id() and age < _FOREIGN_SECONDS:
            continue
        if not entry.is_dir():
            if age > _FOREIGN_SECONDS:  # the lock of a folder that was never made
                entry.unlink(missing_ok=True)
            continue
        path = root / f"{entry.name}{_LOCK}"
        try:
            lock = FolderLock(path, str(entry))
        except (LedgerError, StorageError):
            continue
        shutil.rmtree(entry, ignore_errors=True)
        lock.close()
        path.unlink(missing_ok=True)
        removed += not entry.exists()
    return removed


def boot_id() -> str:
    """This run of this machine's kernel, shared by all its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")[:12].strip()
    except OSError:
        return f"{uuid.getnode():012x}"
