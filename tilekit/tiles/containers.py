"""Tiles in one file or a few: a zip file, tar shards."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from tilekit.errors import InvalidArgument, StorageError
from tilekit.pages import PageKey
from tilekit.storage.local import part_path, storage_errors
from tilekit.tiles.index import TILES_FILE, TILING_FILE, PageRecord, merged_lines, tiling_json
from tilekit.tiles.recipe import TilesRecipe
from tilekit.tiles.sinks import Lines, Sink, joined


class ZipSink(Sink):
    """One zip file, stored without a second compression; it appears when the run has succeeded."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._part = part_path(self.path)
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        self._zip: Any = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)
        self._before = 0, 0

    def begin(self, recipe: TilesRecipe, key: PageKey) -> None:
        """See Sink."""
        self._before = self._zip.start_dir, len(self._zip.filelist)

    def put(self, name: str, data: bytes) -> None:
        """See Sink."""
        try:
            name.encode()
        except UnicodeEncodeError as exc:
            raise InvalidArgument(
                f"{self.path}: {name.encode('utf-8', 'backslashreplace').decode()} is not UTF-8 and cannot be named in a "
                "ZIP; rename the scan, or write to a folder or .tar"
            ) from exc
        with storage_errors(self.path):
            self._zip.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

    def discard(self, names: Iterable[str]) -> None:
        """Cut the archive back to where the page began."""
        place, count = self._before
        for info in self._zip.filelist[count:]:
            self._zip.NameToInfo.pop(info.filename, None)
        del self._zip.filelist[count:]
        self._zip.start_dir = place
        self._file.seek(place)
        self._file.truncate()

    def finish(self, recipe: TilesRecipe, pages: list[PageRecord], lines: Lines) -> None:
        """See Sink."""
        with storage_errors(self.path):
            info = zipfile.ZipInfo(TILES_FILE, (1980, 1, 1, 0, 0, 0))
            with self._zip.open(info, "w", force_zip64=True) as file:
                for line in merged_lines((), lines):
                    file.write(line)
            self.put(TILING_FILE, tiling_json(recipe, pages))
            self._zip.close()
            self._file.close()
            os.replace(self._part, self.path)

    def abort(self) -> None:
        """See Sink."""
        for opened in (self._zip, self._file):
            with contextlib.suppress(OSError, ValueError):
                opened.close()
        with contextlib.suppress(OSError):
            self._part.unlink()


class TarSink(Sink):
    """Tar files of about `shard_bytes` each: `<stem>-00000.tar` and so on; the last holds the index.

    A run within one shard writes just `path`. Shards appear when the run has succeeded.
    """

    def __init__(self, path: str | os.PathLike[str], *, shard_bytes: int | None = None) -> None:
        if shard_bytes is not None and shard_bytes < 1:
            raise InvalidArgument(f"shard_bytes={shard_bytes!r} must be at least 1")
        self.path = Path(path)
        self.shard_bytes = shard_bytes
        self._parts: list[Path] = []
        self._file: IO[bytes] | None = None
        self._tar: tarfile.TarFile | None = None
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._next()
        self._before = 1, 0

    def begin(self, recipe: TilesRecipe, key: PageKey) -> None:
        """See Sink."""
        self._before = len(self._parts), 0 if self._file is None else self._file.tell()

    def discard(self, names: Iterable[str]) -> None:
        """Cut the shards back to where the page began."""
        shards, place = self._before
        if len(self._parts) > shards or self._file is None:
            self._close()
            for part in self._parts[shards:]:
                part.unlink()
            del self._parts[shards:]
            self._file = self._parts[-1].open("r+b")
        self._file.seek(place)
        self._file.truncate()
        self._tar = _tar(self._file)

    def put(self, name: str, data: bytes) -> None:
        """See Sink."""
        self._add(name, io.BytesIO(data), len(data))

    def finish(self, recipe: TilesRecipe, pages: list[PageRecord], lines: Lines) -> None:
        """See Sink."""
        index = joined(lines)
        self._add(TILES_FILE, io.BytesIO(index), len(index))
        self.put(TILING_FILE, tiling_json(recipe, pages))
        with storage_errors(self.path):
            self._close()
            for part, final in zip(self._parts, self.paths(), strict=True):
                os.replace(part, final)

    def paths(self) -> list[Path]:
        """The files that are or will be written."""
        if self.shard_bytes is None:
            return [self.path]
        stem, suffix = self.path.stem, self.path.suffix
        return [self.path.with_name(f"{stem}-{i:05d}{suffix}") for i in range(len(self._parts))]

    def abort(self) -> None:
        """See Sink."""
        with contextlib.suppress(OSError):
            self._close()
        for part in self._parts:
            with contextlib.suppress(OSError):
                part.unlink()

    def _add(self, name: str, data: IO[bytes], size: int) -> None:
        with storage_errors(self.path):
            if self._tar is None or self._file is None:
                raise StorageError(f"{self.path}: is finished; nothing can be added")
            if (
                self.shard_bytes is not None
                and self._file.tell() > 0
                and self._file.tell() + size > self.shard_bytes
            ):
                self._next()
            info = tarfile.TarInfo(name)
            info.size, info.mode = size, 0o644
            self._tar.addfile(info, data)

    def _next(self) -> None:
        self._close()
        self._parts.append(part_path(self.path))
        self._file = self._parts[-1].open("wb")
        self._tar = _tar(self._file)

    def _close(self) -> None:
        tar, file, self._tar, self._file = self._tar, self._file, None, None
        if tar is not None and file is not None:
            try:
                tar.close()
            finally:
                file.close()


def _tar(file: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)
