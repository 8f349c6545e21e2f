"""Inputs of an archive as a stream of sources: folders, globs, list files, manifests, S3 prefixes."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tilekit.errors import InvalidArgument, LabelError, StorageLost, StorageNotFound
from tilekit.flow import batched
from tilekit.scans.suffixes import SCAN_SUFFIXES
from tilekit.storage.identity import HOWS, MISSING, How, file_identity, object_identity
from tilekit.storage.local import storage_error, storage_errors

_LISTS = (".txt", ".lst")
_MANIFESTS = (".manifest", ".jsonl")
_SUFFIXES = tuple(SCAN_SUFFIXES)
_BATCH = 500  # sources looked at together,
_EACH = 64  # so many by a thread at a time
_THREADS = 4
_ENDINGS = 50
NAMING = (*_LISTS, *_MANIFESTS)  # files that name scans


class ScanFile(NamedTuple):
    """One input file.

    `uri`: local path or s3:// URL. `relative`: its path below the input it came from, with forward
    slashes; outputs keep its folder. `identity`: see `tilekit.storage.identity`. `problem`: why it, or
    the folder it names, cannot be looked at; such a one is not opened but told.
    """

    uri: str
    relative: str
    identity: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` (from 0) of `count`, by a stable hash of each source's relative path."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise InvalidArgument(
                f"shard {self.index + 1}/{self.count} makes no sense; give i/n with 1 <= i <= n"
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `i/n`, counting from 1 as array jobs are written down; `0/n` is refused."""
        first, _, second = text.partition("/")
        if not (first.isdigit() and second.isdigit()):
            raise InvalidArgument(f"shard {text!r} must look like 3/10")
        return cls(int(first) - 1, int(second))

    def holds(self, source: ScanFile) -> bool:
        """Whether this shard owns the source."""
        return self.holds_name(source.relative)

    def holds_name(self, relative: str) -> bool:
        """The same by its relative path."""
        return place_among(relative, self.count) == self.index

    def __str__(self) -> str:
        return f"{self.index + 1}-of-{self.count}"


def place_among(relative: str, count: int) -> int:
    """Which of `count` parts a source is in, by a stable hash of its relative path."""
    digest = hashlib.blake2b(relative.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count


def iter_sources(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    how: How = "sample",
    out: str | os.PathLike[str] | None = None,
) -> Iterator[ScanFile]:
    """Stream the sources of all inputs, in the order the file system gives them.

    An input is a scan file, a folder (walked; files with a scan's suffix), a glob, `s3://bucket/prefix`,
    a list file (.txt, one path or URL a line) or a Ground Truth manifest (.manifest, .jsonl: source-ref).
    Of several inputs each folder and prefix keeps its own name at the front of `relative`.
    `how`: the identity of local files. `out`: where results go; what lies there is no source, unless it is listed or
    given by name. A folder below that cannot be read, and a link that leads back up, come as
    sources with a `problem`, and the rest goes on.
    Memory: one folder's open handle per level of depth, and 500 sources; names are never gathered.
    Raises StorageNotFound for an input that does not exist or a glob that matches nothing, StorageLost where the
    disk or the network is gone.
    """
    if how not in HOWS:
        raise InvalidArgument(f"identity={how!r} must be one of {', '.join(HOWS)}")
    many = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    if not many:
        raise InvalidArgument("inputs: give at least one file, folder, glob, list or S3 prefix")
    return chain.from_iterable(identified(found_sources(many, LeftAside(out)), how))


class LeftAside(Counter[str]):
    """How many files below folders and prefixes are no input, by their ending in small letters.

    `out`: where the results go. It may lie below an input: what is in it is neither an input nor counted, or the
    next run would take tiles for scans.
    """

    def __init__(self, out: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        text = "" if out is None else os.fspath(out)
        self._remote = f"{text.rstrip('/')}/" if text.startswith("s3://") else ""
        self._local = os.path.realpath(text) if text and not self._remote else ""
        self._names = {
            os.path.basename(os.path.normpath(text)),
            os.path.basename(self._local),
        }  # it may be a link

    def see(self, name: str) -> None:
        """Count a file; endings beyond the first 50 as "others"."""
        ending = os.path.splitext(name)[1].lower() or "no ending"
        self["others" if len(self) >= _ENDINGS and ending not in self else ending] += 1

    def is_out(self, folder: str) -> bool:
        """Whether a folder is that of the results."""
        return (
            bool(self._local)
            and os.path.basename(folder) in self._names
            and os.path.realpath(folder) == self._local
        )

    def is_result(self, uri: str) -> bool:
        """Whether a file or object lies where the results go."""
        if uri.startswith("s3://"):
            return bool(self._remote) and uri.startswith(self._remote)
        return bool(self._local) and os.path.realpath(uri).startswith(self._local + os.sep)


def found_sources(
    inputs: Iterable[str | os.PathLike[str]], aside: LeftAside | None = None
) -> Iterator[ScanFile]:
    """What `iter_sources` finds, local files without their identity: nothing is opened. `aside` learns of the others."""
    many = [os.fspath(item) for item in inputs]
    seen = LeftAside() if aside is None else aside
    for text in many:
        below = _prefix(text) if len(many) > 1 else ""
        for source in _sources_of(text, seen):
            yield source._replace(relative=f"{below}{source.relative}") if below else source


def identified(sources: Iterable[ScanFile], how: How) -> Iterator[list[ScanFile]]:
    """The same in batches, each local file with its identity; files are looked at side by side, for network drives."""
    with ThreadPoolExecutor(_THREADS, "tilekit-identity") as pool:
        for batch in batched(sources, _BATCH):
            parts = (batch[first : first + _EACH] for first in range(0, len(batch), _EACH))
            yield [source for part in pool.map(partial(_identities, how), parts) for source in part]


def identified_now(source: ScanFile, how: How) -> ScanFile:
    """The source with the identity it has by now."""
    return (
        source if source.uri.startswith("s3://") else source._replace(identity=file_identity(source.uri, how))
    )


def _identities(how: How, sources: list[ScanFile]) -> list[ScanFile]:
    return [source if source.identity else identified_now(source, how) for source in sources]


def _sources_of(text: str, aside: LeftAside) -> Iterator[ScanFile]:
    if text.startswith("s3://"):
        yield from _s3_sources(text, aside)
    elif os.path.isdir(text):
        yield from _walk(text, "", (), aside)
    elif os.path.isfile(text):
        lowered = text.lower()
        if lowered.endswith(_LISTS):
            yield from _listed(text, _list_lines(text))
        elif lowered.endswith(_MANIFESTS):
            yield from _listed(text, _manifest_lines(text))
        else:
            yield ScanFile(text, os.path.basename(text))
    elif glob.has_magic(text):
        yield from _globbed(text, aside)
    else:
        raise StorageNotFound(f"{text}: no such file or folder")


def _prefix(text: str) -> str:
    """Where several inputs go to one output, each folder or prefix keeps its own name."""
    if os.path.isdir(text) or text.startswith("s3://"):
        return os.path.basename(os.path.normpath(text)) + "/"
    return ""


def _walk(
    root: str, relative: str, above: tuple[tuple[int, int], ...], aside: LeftAside
) -> Iterator[ScanFile]:
    folder = os.path.join(root, relative) if relative else root
    try:
        status = os.stat(folder)
        here = status.st_dev, status.st_ino
        if here in above:
            yield ScanFile(
                folder, relative, MISSING, f"{folder}: is a link back to a folder above it; left out"
            )
            return
        entries = os.scandir(folder)
    except OSError as exc:
        error = storage_error(exc, folder)
        if not relative or isinstance(error, StorageLost):
            raise error from exc
        yield ScanFile(folder, relative, MISSING, f"{error}; the folder is left out")
        return
    with storage_errors(folder), entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            below = f"{relative}/{entry.name}" if relative else entry.name
            try:
                is_folder = entry.is_dir()
            except OSError as exc:  # a link to itself
                yield ScanFile(entry.path, below, MISSING, str(storage_error(exc, entry.path)))
                continue
            if is_folder:
                if aside.is_out(entry.path):
                    continue
                yield from _walk(root, below, (*above, here), aside)
            elif entry.name.lower().endswith(_SUFFIXES):
                # one that vanished, or a dangling link, is MISSING: the worker says what is wrong with it
                yield ScanFile(entry.path, below)
            else:
                aside.see(entry.name)


def _globbed(pattern: str, aside: LeftAside) -> Iterator[ScanFile]:
    fixed = pattern
    while glob.has_magic(fixed):
        fixed = os.path.dirname(fixed)
    found = False
    for path in glob.iglob(pattern, recursive=True):
        found = True
        if os.path.isdir(path) or aside.is_result(path):
            continue
        yield ScanFile(path, os.path.relpath(path, fixed or ".").replace(os.sep, "/"))
    if not found:
        raise StorageNotFound(f"{pattern}: no file matches this pattern")


def _listed(origin: str, lines: Iterable[tuple[int, str]]) -> Iterator[ScanFile]:
    folder = os.path.dirname(os.path.abspath(origin))
    for number, text in lines:
        if text.startswith("s3://"):
            yield from _s3_sources(text, LeftAside())
            continue
        path = text if os.path.isabs(text) else os.path.join(folder, text)
        if os.path.isdir(path):
            raise InvalidArgument(
                f"{origin}, line {number}: {text} is a folder; list files, or give the folder itself"
            )
        relative = os.path.relpath(path, folder).replace(os.sep, "/")
        if relative.startswith("../"):
            relative = os.path.abspath(path).lstrip("/").replace(":", "")
        yield ScanFile(path, relative)


def _list_lines(path: str) -> Iterator[tuple[int, str]]:
    with storage_errors(path), Path(path).open(encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if "\0" in line:
                raise InvalidArgument(
                    f"{path}, line {number}: holds a NUL, so this is no list of one path a line; "
                    "a scan is named for what it is (.jpg, .tif, ...)"
                )
            text = line.strip()
            if text and not text.startswith("#"):
                yield number, text


def _manifest_lines(path: str) -> Iterator[tuple[int, str]]:
    with storage_errors(path), Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                reference = json.loads(line)["source-ref"]
                name = reference.partition("#page=")[0]
            except (ValueError, KeyError, TypeError, AttributeError) as exc:
                raise LabelError(f"{path}, line {number}: not a manifest line with a source-ref") from exc
            if "\0" in name:
                raise LabelError(f"{path}, line {number}: source-ref holds a NUL, which no file name can")
            yield number, name


def _s3_sources(uri: str, aside: LeftAside) -> Iterator[ScanFile]:
    from tilekit.storage.s3 import default_store

    found = False
    base = uri.rstrip("/") + "/"
    for item in default_store().list(uri):
        address = str(item.location)
        if aside.is_result(address):
            continue
        name = address.rsplit("/", 1)[-1]
        if address != uri and os.path.splitext(name)[1].lower() not in SCAN_SUFFIXES:
            if name:  # a folder's own mark has none
                aside.see(name)
            continue
        found = True
        relative = address[len(base) :] if address.startswith(base) else name
        yield ScanFile(address, relative, object_identity(item.size, item.etag))
    if not found:
        raise StorageNotFound(f"{uri}: no scan in this bucket has that name or prefix")
