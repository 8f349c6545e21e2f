"""Where a dataset goes: a folder or S3; and what of it is done, so that a stopped run goes on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from tilekit.errors import StorageNotFound
from tilekit.ledger import Ledger, Record
from tilekit.storage.local import atomic_path, remove_parts, storage_errors
from tilekit.storage.locking import FolderLock
from tilekit.storage.s3 import S3Location, S3Store, is_s3, parse_s3
from tilekit.tiles.sinks import FolderSink

STATE = ".tilekit"  # folder or prefix of what a run remembers


class Output(Protocol):
    """Files of a dataset by their name relative to it, with forward slashes. Safe from any thread."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file; when this returns it is there whole."""

    def get(self, name: str) -> bytes:
        """Read a file back; StorageNotFound where there is none."""

    def has(self, name: str) -> bool:
        """Whether the file is there."""

    def remove(self, name: str) -> None:
        """Take a file away; one that is not there is fine."""

    def names(self, folder: str) -> Iterator[str]:
        """Names of all files below a folder."""

    def reference(self, name: str) -> str:
        """What a manifest beside the files writes for one of them."""

    def file(self, name: str) -> AbstractContextManager[Path]:
        """A local path to write a file to; it appears under its name when the block ends well."""

    def inside(self, folder: str) -> Output:
        """A folder of this output as one of its own."""


class FolderOutput:
    """A local folder; manifests refer to files relative to it."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._sink = FolderSink(self.folder)

    def __str__(self) -> str:
        return str(self.folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return FolderOutput, (self.folder,)

    def put(self, name: str, data: bytes) -> None:
        """See Output."""
        self._sink.put(name, data)

    def get(self, name: str) -> bytes:
        """See Output."""
        with storage_errors(self.folder / name):
            return (self.folder / name).read_bytes()

    def has(self, name: str) -> bool:
        """See Output."""
        return os.path.isfile(os.path.join(self.folder, name))

    def remove(self, name: str) -> None:
        """See Output."""
        with storage_errors(self.folder / name):
            (self.folder / name).unlink(missing_ok=True)

    def names(self, folder: str) -> Iterator[str]:
        """See Output."""
        for root, _, files in os.walk(self.folder / folder):
            inner = Path(root).relative_to(self.folder).as_posix()
            yield from (f"{inner}/{name}" for name in files)

    def reference(self, name: str) -> str:
        """See Output."""
        return name

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """See Output."""
        with atomic_path(self.folder / name) as path:
            yield path

    def inside(self, folder: str) -> FolderOutput:
        """See Output."""
        return FolderOutput(self.folder / folder)


class S3Output:
    """Objects below an `s3://bucket/prefix`; manifests refer to them by their full address."""

    def __init__(self, uri: str, store: S3Store) -> None:
        self.place, self.store = parse_s3(uri), store

    def __str__(self) -> str:
        return str(self.place)

    def _at(self, name: str) -> S3Location:
        return self.place / name

    def put(self, name: str, data: bytes) -> None:
        """See Output."""
        self.store.put(self._at(name), data)

    def get(self, name: str) -> bytes:
        """See Output."""
        return self.store.get(self._at(name))

    def has(self, name: str) -> bool:
        """See Output."""
        return self.store.exists(self._at(name))

    def remove(self, name: str) -> None:
        """See Output."""
        self.store.delete(self._at(name))

    def names(self, folder: str) -> Iterator[str]:
        """See Output."""
        start = len(str(self._at("")))
        for item in self.store.list(self._at(f"{folder}/")):
            yield str(item.location)[start:]

    def reference(self, name: str) -> str:
        """See Output."""
        return str(self._at(name))

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """See Output."""
        with tempfile.TemporaryDirectory(prefix="tilekit-") as folder:
            path = Path(folder) / "file"
            yield path
            self.store.upload(path, self._at(name))

    def inside(self, folder: str) -> S3Output:
        """See Output."""
        return S3Output(self.reference(folder), self.store)


def output_for(out: str | os.PathLike[str], store: S3Store) -> FolderOutput | S3Output:
    """A folder, or `s3://bucket/prefix`."""
    return S3Output(str(out), store) if is_s3(out) else FolderOutput(out)


class Progress(Protocol):
    """What is done: pages by key and fingerprint, and the recipe that all of it belongs to."""

    def recipe(self) -> str | None:
        """The recipe of the run that began here, or None."""

    def begin(self, recipe: str) -> None:
        """Remember the recipe."""

    def is_done(self, key: str, fingerprint: str) -> bool:
        """Whether `key` finished with exactly this fingerprint."""

    def done(self, key: str, fingerprint: str) -> None:
        """Remember that `key` finished."""

    def close(self) -> None:
        """Let go of files."""


class LedgerProgress:
    """Progress in a ledger file inside the output folder, which is this run's alone until `close`."""

    def __init__(self, folder: Path) -> None:
        self._lock = FolderLock(folder / STATE / "dataset.lock", f"out={str(folder)!r}")
        try:
            self._ledger = Ledger(folder / STATE / "dataset.ledger")
            remove_parts(folder)
        except BaseException:
            self._lock.close()
            raise

    def recipe(self) -> str | None:
        """See Progress."""
        found = self._ledger.get("")
        return found.fingerprint if found else None

    def begin(self, recipe: str) -> None:
        """See Progress."""
        self._ledger.put(Record("", recipe, "done"))

    def is_done(self, key: str, fingerprint: str) -> bool:
        """See Progress."""
        return self._ledger.is_done(key, fingerprint)

    def done(self, key: str, fingerprint: str) -> None:
        """See Progress."""
        self._ledger.put(Record(key, fingerprint, "done"))

    def close(self) -> None:
        """See Progress."""
        self._ledger.close()
        self._lock.close()


class S3Progress:
    """Progress as empty objects beside the output: one a finished page, listed once at the start."""

    def __init__(self, output: S3Output) -> None:
        self._output = output
        self._found = set(output.names(f"{STATE}/pages"))

    def recipe(self) -> str | None:
        """See Progress."""
        with contextlib.suppress(StorageNotFound):
            return self._output.get(f"{STATE}/recipe").decode("utf-8", "replace")
        return None

    def begin(self, recipe: str) -> None:
        """See Progress."""
        self._output.put(f"{STATE}/recipe", recipe.encode())

    def is_done(self, key: str, fingerprint: str) -> bool:
        """See Progress."""
        return self._name(key, fingerprint) in self._found

    def done(self, key: str, fingerprint: str) -> None:
        """See Progress."""
        self._output.put(self._name(key, fingerprint), b"")

    def close(self) -> None:
        """See Progress."""

    def _name(self, key: str, fingerprint: str) -> str:
        digest = hashlib.sha256(f"{key}\n{fingerprint}".encode("utf-8", "surrogateescape")).hexdigest()
        return f"{STATE}/pages/{digest}"


def progress_for(output: FolderOutput | S3Output) -> Progress:
    """Where the progress of a run into this output is kept."""
    return S3Progress(output) if isinstance(output, S3Output) else LedgerProgress(output.folder)
