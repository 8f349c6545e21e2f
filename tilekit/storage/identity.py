"""Identity: a short text that changes when the bytes of an input may have changed.

| how | text | notices |
| --- | --- | --- |
| `sample` (the default) | size:mtime:hash of the first, middle and last 4 KB | also a file put in place with the old one's time |
| `full` | size:#hash of every byte | everything; nothing else, so a copy or a touch is the same |
| `stat` | size:mtime | what `make` notices; opens no file |
| of an object on S3 | size:ETag | everything |

The text says how it was made, so a later look compares in the same way.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tilekit.storage.s3 import S3Store

How = Literal["sample", "full", "stat"]
HOWS: tuple[How, ...] = ("sample", "full", "stat")
MISSING = "missing"
_PIECE = 4096
_CHUNK = 1 << 20
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)


def file_identity(path: str | os.PathLike[str], how: How = "sample") -> str:
    """The identity of a local file; `MISSING` where there is none, or it cannot be read."""
    try:
        if how == "stat":
            status = os.stat(path)
            return f"{status.st_size}:{status.st_mtime_ns}"
        if how == "full":
            with open(path, "rb", buffering=0) as file:
                return f"{os.fstat(file.fileno()).st_size}:#{_whole(file)}"
        descriptor = os.open(path, _READ)  # a file object would cost more than what is read
        try:
            status = os.fstat(descriptor)
            return f"{status.st_size}:{status.st_mtime_ns}:{_sample(descriptor, status.st_size)}"
        finally:
            os.close(descriptor)
    except (OSError, ValueError):  # ValueError: a null character in the name
        return MISSING


def object_identity(size: int, etag: str) -> str:
    """The identity of an object on S3."""
    return f"{size}:{etag}"


def data_identity(data: bytes | memoryview) -> str:
    """The identity of bytes in memory."""
    return f"{len(data)}:#{hashlib.blake2b(data, digest_size=16).hexdigest()}"


def source_identity(uri: str, *, how: How = "sample", store: S3Store | None = None) -> str:
    """The identity of a local file or an `s3://` object (one request); MISSING where there is none.

    Raises StorageDenied or StorageLost where S3 does not say.
    """
    if not uri.startswith("s3://"):
        return file_identity(uri, how)
    from tilekit.errors import StorageNotFound
    from tilekit.storage.s3 import default_store

    try:
        found = (store or default_store()).head(uri)
    except StorageNotFound:
        return MISSING
    return object_identity(found.size, found.etag)


def how_made(identity: str) -> How:
    """How the identity of a local file was made."""
    parts = identity.split(":")
    if len(parts) == 2:
        return "full" if parts[1].startswith("#") else "stat"
    return "sample"


def is_unchanged(uri: str, identity: str, *, quick: bool = False) -> bool:
    """Whether a local file or object still has this identity.

    `quick`: by size and time alone, where the identity has them. Errors as in `source_identity`.
    """
    if uri.startswith("s3://"):
        return source_identity(uri) == identity
    how = how_made(identity)
    if quick and how == "sample":
        return file_identity(uri, "stat") == identity.rpartition(":")[0]
    return file_identity(uri, how) == identity


def size_of(identity: str) -> int:
    """Bytes of a source, as its identity has them; 0 where it is missing."""
    size = identity.partition(":")[0]
    return int(size) if size.isdigit() else 0


def etag_of(identity: str) -> str:
    """The ETag in the identity of an object on S3."""
    return identity.partition(":")[2]


def _sample(descriptor: int, size: int) -> str:
    data = _piece(descriptor, 0, size if size <= 3 * _PIECE else _PIECE)
    if size > 3 * _PIECE:
        data += _piece(descriptor, size // 2, _PIECE) + _piece(descriptor, size - _PIECE, _PIECE)
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _piece(descriptor: int, place: int, count: int) -> bytes:
    if hasattr(os, "pread"):
        found: bytes = os.pread(descriptor, count, place)
        return found
    os.lseek(descriptor, place, os.SEEK_SET)
    return os.read(descriptor, count)


def _whole(file: object) -> str:
    digest = hashlib.blake2b(digest_size=16)
    while chunk := file.read(_CHUNK):  # type: ignore[attr-defined]
        digest.update(chunk)
    return digest.hexdigest()
