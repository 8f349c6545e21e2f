"""Where tiles go: a folder, a zip file, tar shards, S3, or a function of the caller."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tilekit.errors import InvalidArgument
from tilekit.pages import PageKey
from tilekit.storage.local import PART_SUFFIX, atomic_file, storage_error, storage_errors
from tilekit.tiles.index import (
    TILES_FILE,
    TILING_FILE,
    PageRecord,
    merged_lines,
    read_index,
    tiling_json,
)
from tilekit.tiles.recipe import TilesRecipe, same_recipe

Lines = Mapping[PageKey, Iterable[bytes]]


class Sink(ABC):
    """Takes files of a run. `begin`, then `put` for every tile, then `finish` or `abort`.

    `concurrent`: `put` may be called from several threads, in any order; otherwise it is called
    from one thread in grid order.
    """

    concurrent = False

    def begin(self, recipe: TilesRecipe, key: PageKey) -> None:  # noqa: B027 - a sink that needs nothing need not say so
        """A page is about to be written; what was there of it is no longer whole."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Write one file; when it returns the file is there whole."""

    def discard(self, names: Iterable[str]) -> None:  # noqa: B027 - a sink that needs nothing need not say so
        """Take back tiles of a page that failed, where that is possible."""

    @abstractmethod
    def finish(self, recipe: TilesRecipe, pages: list[PageRecord], lines: Lines) -> None:
        """All tiles are written: write the index, and make what is written appear."""

    def abort(self) -> None:  # noqa: B027 - a sink that needs nothing need not say so
        """The run failed; leave nothing that looks whole."""


class FolderSink(Sink):
    """A folder of files, each written beside and renamed. Pages already in it are kept."""

    concurrent = True

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._made: set[str] = set()
        self._new = False
        self._mark = os.urandom(6).hex()
        self._lock = threading.Lock()
        self._count = 0

    def begin(self, recipe: TilesRecipe, key: PageKey) -> None:
        """Refuse a folder of another recipe; forget an older run of the same page."""
        with storage_errors(self.folder):
            self._new = self._new or not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / TILING_FILE).exists():
            return
        old = read_index(self.folder)
        others = [page for page in old.pages if page.key != key]
        if others and not same_recipe(old.recipe, recipe):
            raise InvalidArgument(
                f"{self.folder}: holds tiles of {others[0].key} made another way (see {TILING_FILE}); "
                "use another folder, or remove this one"
            )
        if len(others) < len(old.pages):
            names = [record.file for record in old.tiles(key) if record.file is not None]
            self._write_index(old.recipe, others, {key: ()})
            self.discard(names)

    def put(self, name: str, data: bytes) -> None:
        """See Sink."""
        folder, _, last = name.rpartition("/")
        if folder not in self._made:
            with storage_errors(self.folder / folder):
                (self.folder / folder).mkdir(parents=True, exist_ok=True)
            self._made.add(folder)
        with self._lock:
            self._count += 1
            count = self._count
        path = os.path.join(self.folder, folder, last)
        part = os.path.join(self.folder, folder, f".{self._mark}.{count}{PART_SUFFIX}")
        try:
            _write(part, data)
            os.replace(part, path)
        except BaseException as exc:
            with contextlib.suppress(OSError):
                os.unlink(part)
            if isinstance(exc, OSError):
                raise storage_error(exc, path) from exc
            raise

    def discard(self, names: Iterable[str]) -> None:
        """See Sink."""
        for name in names:
            with contextlib.suppress(OSError):
                (self.folder / name).unlink()

    def abort(self) -> None:
        """See Sink. A folder made for this run goes where nothing is in it."""
        if not self._new:
            return
        for name in (*sorted(self._made, reverse=True), ""):
            with contextlib.suppress(OSError):
                (self.folder / name).rmdir()

    def finish(self, recipe: TilesRecipe, pages: list[PageRecord], lines: Lines) -> None:
        """See Sink."""
        kept: list[PageRecord] = []
        if (self.folder / TILING_FILE).exists():
            kept = [page for page in read_index(self.folder).pages if page.key not in lines]
        self._write_index(recipe, [*kept, *pages], lines)

    def _write_index(self, recipe: TilesRecipe, pages: list[PageRecord], lines: Lines) -> None:
        tiles, tiling = self.folder / TILES_FILE, self.folder / TILING_FILE
        if not pages:
            with storage_errors(self.folder):
                tiling.unlink(missing_ok=True)
                tiles.unlink(missing_ok=True)
            return
        with contextlib.ExitStack() as stack:
            old: Iterable[bytes] = ()
            if tiling.exists() and tiles.exists():
                old = stack.enter_context(tiles.open("rb"))
            file = stack.enter_context(atomic_file(tiles))
            file.writelines(merged_lines(old, lines))
        with atomic_file(tiling) as file:
            file.write(tiling_json(recipe, pages))


class CallableSink(Sink):
    """Gives every file to `function(name, data)`, one at a time, in grid order; the index last."""

    def __init__(self, function: Callable[[str, bytes], object]) -> None:
        self._function = function

    def put(self, name: str, data: bytes) -> None:
        """See Sink."""
        self._function(name, data)

    def finish(self, recipe: TilesRecipe, pages: list[PageRecord], lines: Lines) -> None:
        """See Sink."""
        self.put(TILES_FILE, joined(lines))
        self.put(TILING_FILE, tiling_json(recipe, pages))


class S3Sink(Sink):
    """Objects below an `s3://bucket/prefix`; the index is put last."""

    concurrent = True

    def __init__(self, uri: str, *, store: Any = None) -> None:
        from tilekit.storage.s3 import default_store, parse_s3

        self._place = parse_s3(uri)
        self._store = store or default_store()

    def put(self, name: str, data: bytes) -> None:
        """See Sink."""
        self._store.put(self._place / name, data)

    def begin(self, recipe: TilesRecipe, key: PageKey) -> None:
        """An older index would promise tiles that are about to be replaced."""
        self._store.delete(self._place / TILING_FILE)
        self._store.delete(self._place / TILES_FILE)

    def discard(self, names: Iterable[str]) -> None:
        """See Sink."""
        for name in names:
            self._store.delete(self._place / name)

    def finish(self, recipe: TilesRecipe, pages: list[PageRecord], lines: Lines) -> None:
        """See Sink."""
        self.put(TILES_FILE, joined(lines))
        self.put(TILING_FILE, tiling_json(recipe, pages))


def joined(lines: Lines) -> bytes:
    """The index in one piece; its lines are never in memory one by one."""
    whole = io.BytesIO()
    whole.writelines(merged_lines((), lines))
    return whole.getvalue()


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)
