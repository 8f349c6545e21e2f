"""Local manifests made ready for the service: image files named by their place in the bucket."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from tilekit.errors import LabelError, StorageNotFound
from tilekit.storage.local import atomic_file, storage_errors
from tilekit.storage.s3 import S3Location, is_s3

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class SentLine:
    """Where a line came from: file, line (from 1), and the image it names in the bucket."""

    path: Path
    line: int
    source_ref: str


@dataclass(frozen=True)
class PreparedManifest:
    """A manifest as it will be sent.

    `source` is the file given, `path` the rewritten one, `bytes` its size, `digest` the SHA-256 of its bytes,
    `images` the local files to send and their places, `labels` the label names in order of appearance.
    """

    split: Split
    source: Path
    path: Path
    digest: str
    bytes: int
    lines: int
    images: tuple[tuple[Path, S3Location], ...]
    labels: tuple[str, ...]

    @property
    def images_digest(self) -> str:
        """SHA-256 over the images' places and sizes in bytes."""
        digest = hashlib.sha256()
        for file, place in self.images:
            digest.update(f"{place} {file.stat().st_size}\n".encode())
        return digest.hexdigest()

    def sent(self) -> Iterator[SentLine]:
        """The lines as sent, one after the other."""
        with self.path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                yield SentLine(self.source, number, json.loads(raw)["source-ref"])


def prepare_manifest(
    split: Split, source: Path, target: Path, images_at: S3Location, *, dry: bool = False
) -> PreparedManifest:
    """Write `source` to `target` with local `source-ref`s rewritten to `images_at`/<path>.

    Local paths are relative to the manifest's folder and keep their relative name in the bucket; files
    outside that folder get the hash of their folder as a prefix, so that two of one name stay apart.
    `s3://` lines stay as they are. Line numbers are those of `source`. `dry`: only look, write nothing.
    Raises LabelError for a line that is not JSON or names no image, StorageNotFound for a missing file.
    """
    folder = source.parent
    digest = hashlib.sha256()
    images: dict[Path, S3Location] = {}
    labels: dict[str, None] = {}
    size = lines = 0
    with storage_errors(source), source.open("rb") as incoming, _target(target, dry) as outgoing:
        for lines, raw in enumerate(incoming, start=1):
            entry = _entry(source, lines, raw)
            reference = entry["source-ref"]
            if not is_s3(reference):
                file = folder / reference
                place = images.get(file)
                if place is None:
                    if not file.is_file():
                        raise StorageNotFound(
                            f"{source}, line {lines}: source-ref {reference!r}: no file {file}"
                        )
                    place = images_at / _key(folder, file)
                    images[file] = place
                entry["source-ref"] = str(place)
            labels.update(dict.fromkeys(_labels(entry)))
            line = (
                json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode(
                    "utf-8", "backslashreplace"
                )
                + b"\n"
            )
            digest.update(line)
            size += len(line)
            outgoing.write(line)
    if not lines:
        raise LabelError(f"{source}: the manifest is empty")
    return PreparedManifest(
        split, source, target, digest.hexdigest(), size, lines, tuple(images.items()), tuple(labels)
    )


@contextlib.contextmanager
def _target(path: Path, dry: bool) -> Iterator[IO[bytes]]:
    if dry:
        with open(os.devnull, "wb") as nothing:
            yield nothing
    else:
        with atomic_file(path) as file:
            yield file


def _entry(source: Path, number: int, raw: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(raw)
    except ValueError as exc:
        raise LabelError(f"{source}, line {number}: is not JSON: {exc}") from exc
    if not isinstance(entry, dict) or not isinstance(entry.get("source-ref"), str) or not entry["source-ref"]:
        raise LabelError(f"{source}, line {number}: has no source-ref, the image it is about")
    return entry


def _key(folder: Path, file: Path) -> str:
    inside = file.resolve()
    try:
        return inside.relative_to(folder.resolve()).as_posix()
    except ValueError:
        mark = hashlib.sha256(str(inside.parent).encode()).hexdigest()[:12]
        return f"{mark}/{inside.name}"


def _labels(entry: dict[str, Any]) -> Iterator[str]:
    for key, value in entry.items():
        if not key.endswith("-metadata") or not isinstance(value, dict):
            continue
        names = value.get("class-map")
        if isinstance(names, dict):
            yield from (name for name in names.values() if isinstance(name, str))
        elif isinstance(value.get("class-name"), str):
            yield value["class-name"]
