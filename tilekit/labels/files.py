"""Opening label files, local or on S3, for streaming."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from tilekit.labels.sources import PathLike
from tilekit.storage.local import storage_errors


def open_bytes(path: PathLike) -> IO[bytes]:
    """A file to read bytes from; StorageNotFound and its kin where it cannot be opened."""
    text = os.fspath(path)
    if text.startswith("s3://"):
        from tilekit.storage.s3 import open_s3

        return open_s3(text)
    with storage_errors(path):
        return open(path, "rb")


def read_bytes(path: PathLike) -> bytes:
    """A whole file."""
    with open_bytes(path) as file, storage_errors(path):
        return file.read()


def file_size(file: IO[bytes]) -> int:
    """Bytes of an open file, which then stands at its beginning."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def folder_of(path: PathLike) -> str:
    """The folder a label file's relative paths count from; a folder is its own."""
    text = os.fspath(path)
    if "://" in text:
        return text.rsplit("/", 1)[0]
    return text if Path(text).is_dir() else os.path.dirname(text) or "."
