"""Place: a folder or an `s3://` prefix, with the few things that results, records and leases need of either.

Names are relative, with forward slashes. What is put appears whole or not at all, and can be put on the condition
that nothing is there, or that what is there has not changed: by that alone several machines share a place.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tilekit.errors import StorageConflict, StorageNotFound
from tilekit.storage.identity import How, file_identity, object_identity
from tilekit.storage.leasing import Lease
from tilekit.storage.local import part_path, storage_errors, write_bytes
from tilekit.storage.locking import held
from tilekit.storage.s3 import Access, S3Location, S3Store, default_store, is_s3, parse_s3, s3_errors


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies in a place. `tag` changes with the content; `modified` is the place's own time, epoch seconds."""

    name: str
    size: int
    tag: str
    modified: float


class Place(ABC):
    """Where bytes live. Errors are StorageNotFound, StorageDenied, StorageFull, StorageLost, StorageConflict."""

    @abstractmethod
    def __str__(self) -> str:
        """The folder's path or the s3:// address."""

    @abstractmethod
    def __truediv__(self, name: str) -> Place:
        """The place below."""

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """A seekable file to read."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """All bytes."""

    @abstractmethod
    def entry(self, name: str) -> Entry | None:
        """What lies under a name, or None."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[Entry]:
        """What lies below whose name starts with `prefix`, in order of name; half-written files are not told."""

    @abstractmethod
    def put(self, name: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None) -> str:
        """Write it whole, and give its tag.

        `if_absent`: only where nothing is; `if_tag`: only where what is there has this tag. StorageConflict otherwise.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove it; what is not there is fine."""

    @abstractmethod
    def identity(self, name: str, how: How = "sample") -> str:
        """See `tilekit.storage.identity`."""

    @abstractmethod
    def now(self) -> float:
        """The place's own clock, which `modified` is by: machines' clocks differ."""

    @abstractmethod
    def lock(self, name: str, what: str) -> contextlib.AbstractContextManager[None]:
        """Hold `name` for a block; LedgerError, about `what`, where somebody else does."""


class FolderPlace(Place):
    """A folder; made when something is put."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def __str__(self) -> str:
        return str(self.folder)

    def __truediv__(self, name: str) -> FolderPlace:
        return FolderPlace(self.folder / name)

    def open(self, name: str) -> IO[bytes]:
        """See Place."""
        with storage_errors(self.folder / name):
            return (self.folder / name).open("rb")

    def read(self, name: str) -> bytes:
        """See Place."""
        with storage_errors(self.folder / name):
            return (self.folder / name).read_bytes()

    def entry(self, name: str) -> Entry | None:
        """See Place. The tag is a hash of the content, so this is for small files."""
        path = self.folder / name
        try:
            with storage_errors(path):
                status = path.stat()
                return Entry(name, status.st_size, _tag(path.read_bytes()), status.st_mtime)
        except StorageNotFound:
            return None

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See Place. Tags are size and time here: nothing is read."""
        folder, _, start = prefix.rpartition("/")
        root = self.folder / folder
        with storage_errors(root):
            if not root.is_dir():
                return
            names = sorted(entry.name for entry in os.scandir(root) if entry.name.startswith(start))
        for last in names:
            name = f"{folder}/{last}" if folder else last
            path = self.folder / name
            if last.startswith("."):
                continue
            if path.is_dir():
                yield from self.list(f"{name}/")
                continue
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                yield Entry(name, status.st_size, f"{status.st_size}:{status.st_mtime_ns}", status.st_mtime)

    def put(self, name: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None) -> str:
        """See Place."""
        path = self.folder / name
        if if_absent:
            self._put_new(path, data)
        elif if_tag is not None:
            with held(path.with_name(f".{path.name}.lock"), str(path), wait=10.0):
                found = self.entry(name)
                if found is None or found.tag != if_tag:
                    raise StorageConflict(f"{path}: somebody else wrote it meanwhile")
                write_bytes(path, data)
        else:
            write_bytes(path, data)
        return _tag(data)

    def _put_new(self, path: Path, data: bytes) -> None:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        part = part_path(path)
        with storage_errors(path):
            try:
                part.write_bytes(data)
                os.link(part, path)  # fails where the name is taken, on network drives too
            except FileExistsError as exc:
                raise StorageConflict(f"{path}: is there already") from exc
            finally:
                part.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """See Place."""
        with storage_errors(self.folder / name):
            (self.folder / name).unlink(missing_ok=True)

    def identity(self, name: str, how: How = "sample") -> str:
        """See Place."""
        return file_identity(self.folder / name, how)

    def now(self) -> float:
        """See Place: the time a fresh file gets here."""
        probe = part_path(self.folder / "now")
        with storage_errors(probe):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                probe.write_bytes(b"")
                return probe.stat().st_mtime
            finally:
                probe.unlink(missing_ok=True)

    def lock(self, name: str, what: str) -> contextlib.AbstractContextManager[None]:
        """See Place."""
        return held(self.folder / name, what)


class S3Place(Place):
    """Objects below an `s3://bucket/prefix`."""

    def __init__(self, uri: str | S3Location, store: S3Store | None = None) -> None:
        self.place = parse_s3(uri)
        self.store = store or default_store()

    def __str__(self) -> str:
        return str(self.place).rstrip("/")

    def __truediv__(self, name: str) -> S3Place:
        return S3Place(self.place / name, self.store)

    def open(self, name: str) -> IO[bytes]:
        """See Place."""
        return self.store.open(self.place / name)

    def read(self, name: str) -> bytes:
        """See Place."""
        return self.store.get(self.place / name)

    def entry(self, name: str) -> Entry | None:
        """See Place."""
        try:
            found = self.store.head(self.place / name)
        except StorageNotFound:
            return None
        return Entry(name, found.size, found.etag, found.modified.timestamp())

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See Place."""
        base = f"{self.place.key.rstrip('/')}/" if self.place.key else ""
        for found in self.store.list(S3Location(self.place.bucket, base + prefix)):
            name = found.location.key[len(base) :]
            yield Entry(name, found.size, found.etag, found.modified.timestamp())

    def put(self, name: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None) -> str:
        """See Place."""
        return self.store.put(self.place / name, data, if_absent=if_absent, if_match=if_tag)

    def delete(self, name: str) -> None:
        """See Place."""
        self.store.delete(self.place / name)

    def identity(self, name: str, how: How = "sample") -> str:
        """See Place; `how` is S3's own."""
        found = self.entry(name)
        return "missing" if found is None else object_identity(found.size, found.tag)

    def now(self) -> float:
        """See Place: the Date of an answer."""
        with s3_errors(self.place, "s3:ListBucket"):
            answer = self.store.client.list_objects_v2(
                Bucket=self.place.bucket, Prefix=self.place.key, MaxKeys=1
            )
        stamp = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        with contextlib.suppress(ValueError, TypeError):
            return email.utils.parsedate_to_datetime(stamp).timestamp()
        return time.time()

    @contextlib.contextmanager
    def lock(self, name: str, what: str) -> Iterator[None]:
        """See Place: a lease, which lapses where its holder dies."""
        lease = Lease.take(self, name, what)
        try:
            yield
        finally:
            lease.drop()


def place_of(uri: str | os.PathLike[str], *, access: Access | None = None) -> Place:
    """The folder or the `s3://` prefix."""
    if is_s3(uri):
        return S3Place(str(uri), None if access is None else S3Store(access))
    return FolderPlace(uri)


def _tag(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()
