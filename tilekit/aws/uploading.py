"""Sending files to one bucket: in parallel, resumable, nothing sent that is there already."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tilekit.errors import StorageNotFound
from tilekit.flow import ordered_map
from tilekit.ledger import Ledger, Record
from tilekit.storage.local import storage_errors
from tilekit.storage.s3 import S3Location, S3Store

Progress = Callable[[int, int], None]
_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".manifest": "application/jsonlines",
}


@dataclass(frozen=True, slots=True)
class UploadReport:
    """How many files were sent and how many stood there already, with their bytes."""

    sent: int = 0
    skipped: int = 0
    bytes_sent: int = 0
    bytes_skipped: int = 0


def upload_files(
    store: S3Store,
    files: Sequence[tuple[Path, S3Location]],
    *,
    prefix: S3Location,
    ledger: Ledger | None = None,
    workers: int = 16,
    progress: Progress | None = None,
) -> UploadReport:
    """Send `files`, all of them below `prefix`; those whose bytes are there already are skipped.

    A file is skipped where the bucket's listing shows the ETag that the ledger remembers for this size
    and time of change, or else the ETag equals the file's MD5. After an interruption the same call goes on.
    Memory: at most 256 MB of file bytes in flight, plus about 300 bytes an object below `prefix`.
    """
    there = {item.location.key: (item.etag, item.size) for item in store.list(prefix)} if files else {}

    def send(item: tuple[Path, S3Location]) -> tuple[bool, int]:
        path, place = item
        with storage_errors(path):
            state = path.stat()
        stamp = f"{state.st_size} {state.st_mtime_ns}"
        found = there.get(place.key)
        if found is not None and found[1] == state.st_size:
            known = ledger.get(str(place)) if ledger is not None else None
            if known is not None and known.fingerprint == stamp and known.info.get("etag") == found[0]:
                return False, state.st_size
            if found[0] == file_md5(path):
                if ledger is not None:
                    ledger.put(Record(str(place), stamp, "done", {"etag": found[0]}))
                return False, state.st_size
        etag = store.upload(path, place, content_type=_TYPES.get(path.suffix.lower()))
        if ledger is not None:
            ledger.put(Record(str(place), stamp, "done", {"etag": etag}))
        return True, state.st_size

    sent = skipped = bytes_sent = bytes_skipped = 0
    for done, (was_sent, size) in enumerate(
        ordered_map(send, files, workers=workers, cost=lambda item: _size(item[0])), start=1
    ):
        if was_sent:
            sent, bytes_sent = sent + 1, bytes_sent + size
        else:
            skipped, bytes_skipped = skipped + 1, bytes_skipped + size
        if progress is not None:
            progress(done, len(files))
    return UploadReport(sent, skipped, bytes_sent, bytes_skipped)


def file_md5(path: Path) -> str:
    """MD5 of a file in hex, which is what S3 gives as ETag of an object put in one request."""
    with storage_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as exc:
        raise StorageNotFound(f"{path}: no such file, but a manifest names it") from exc
