"""What can be told of a run before anything is made for it."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import Any

from tilekit.archive.jobs import TileJob
from tilekit.archive.options import ArchiveOptions
from tilekit.archive.sources import Shard
from tilekit.archive.working import WholeJob
from tilekit.errors import InvalidArgument, StorageNotFound

_JOB = ("recipe", "cost", "session", "run", "finish", "discard")


def check_run(
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    job: Any,
    *,
    workers: int | None = None,
    shard: Shard | str | None = None,
    options: ArchiveOptions | None = None,
) -> None:
    """Refuse what `process_archive` cannot do: InvalidArgument naming the argument, StorageNotFound.

    Reads no scan; inputs on S3 are not looked for.
    """
    if not isinstance(job, WholeJob) and (
        isinstance(job, type) or not all(callable(getattr(job, name, None)) for name in _JOB)
    ):
        raise InvalidArgument(
            f"job={job!r} must be a TileJob, DetectJob or DatasetJob, such as TileJob(tiling)"
        )
    if options is not None and not isinstance(options, ArchiveOptions):
        raise InvalidArgument(f"options={options!r} must be an ArchiveOptions")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise InvalidArgument(f"workers={workers!r} must be a whole number of at least 1")
    if isinstance(shard, str):
        Shard.parse(shard)
    joined = options is not None and options.join
    if joined and shard is not None:
        raise InvalidArgument("give either join, which shares out the work itself, or shard=")
    if isinstance(job, WholeJob) and (shard is not None or joined):
        raise InvalidArgument("a dataset is split and sampled as a whole; run it without shard= or join")
    if isinstance(job, WholeJob) and len(inputs) != 1:
        raise InvalidArgument("a DatasetJob takes one label file as its input")
    for item in inputs:
        text = os.fspath(item)
        if isinstance(job, TileJob):
            check_apart(text, out)
        if text.startswith("s3://") or os.path.exists(text):
            continue
        if not glob.has_magic(text):
            raise StorageNotFound(f"{text}: no such file or folder")
        if next(glob.iglob(text, recursive=True), None) is None:
            raise StorageNotFound(f"{text}: matches no file")


def check_apart(item: str, out: str | os.PathLike[str]) -> None:
    """Raise InvalidArgument where tiles would go into the folder of their scans."""
    if _is_same(item, out):
        raise InvalidArgument(
            f"{item}: is both input and output, so the next run would take tiles for scans; "
            f"give another output, such as {os.path.join(item, 'tiles')}"
        )


def _is_same(item: str, out: str | os.PathLike[str]) -> bool:
    text = os.fspath(out)
    if item.startswith("s3://") or text.startswith("s3://"):
        return item.rstrip("/") == text.rstrip("/")
    return os.path.realpath(item) == os.path.realpath(text)
