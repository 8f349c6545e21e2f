"""Looking at an archive's ledgers: status, merge."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tilekit.archive.joining import (
    CAMPAIGN,
    Part,
    all_records,
    load_part,
    part_names,
    parts_at,
    record_line,
    write_part,
)
from tilekit.archive.locking import run_lock
from tilekit.archive.sources import place_among
from tilekit.archive.state import ledger_files, ledger_path, state_of
from tilekit.errors import LedgerError, StorageNotFound
from tilekit.flow import batched
from tilekit.ledger import Ledger, Record
from tilekit.pages import PageKey
from tilekit.storage.place import FolderPlace, Place


@dataclass(frozen=True)
class ArchiveStatus:
    """What the ledgers of an output say: pages by state, tiles, pixels, seconds of work, failures."""

    done: int
    failed: int
    unfinished: int
    tiles: int
    pixels: int
    seconds: float
    ledgers: int
    failures: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "seconds": round(self.seconds, 3)}


def archive_status(
    out: str | os.PathLike[str], state: str | os.PathLike[str] | None = None, *, show: int = 100
) -> ArchiveStatus:
    """Add up all records of an output, local or on S3, streamed; `show` failures are kept with their reasons."""
    states: Counter[str] = Counter()
    tiles = pixels = 0
    seconds = 0.0
    failures: dict[str, str] = {}
    where = records_place(out, state)
    for record in _records(where):
        states[record.state] += 1
        tiles += int(record.info.get("tiles", 0))
        pixels += int(record.info.get("pixels", 0))
        seconds += float(record.info.get("seconds", 0.0))
        if record.state == "failed" and len(failures) < show:
            failures[record.key] = str(record.info.get("reason", ""))
    count = len(ledger_files(where)) + len(part_names(where))
    return ArchiveStatus(
        states["done"], states["failed"], states["started"], tiles, pixels, seconds, count, failures
    )


def records_place(out: str | os.PathLike[str], state: str | os.PathLike[str] | None = None) -> Place:
    """Where the records of an output are; raises StorageNotFound where there are none."""
    where = state_of(out, state)
    if not ledger_files(where) and next(where.list("records/"), None) is None:
        raise StorageNotFound(f"{where}: holds no ledger; was an archive written to {os.fspath(out)}?")
    return where


def merge_ledgers(out: str | os.PathLike[str], state: str | os.PathLike[str] | None = None) -> int:
    """Join the records of all shards and machines into one, so that a whole run goes on from them; returns pages.

    Runs alone (takes the output's lock). A page that is done in any shard is done; the shards'
    records are removed once the joined ones are whole. On S3 the records of shards become those of the parts that
    machines share.
    """
    where = records_place(out, state)  # an output that is none is told before a lock is made in it
    if isinstance(where, FolderPlace):
        with run_lock(where.folder, None):
            return _merge_into_file(where)
    with where.lock("merging.lock", str(where)):
        return _merge_into_parts(where)


def _merge_into_file(where: FolderPlace) -> int:
    whole = ledger_path(where.folder, None)
    shards, parts = [path for path in ledger_files(where) if path != whole], part_names(where)
    if not shards and not parts:
        raise LedgerError(f"{where}: holds no shard ledgers to merge")
    count = 0
    with Ledger(whole) as target:
        for batch in batched(chain(_of_files(shards), all_records(where)), 1000):
            kept = [record for record in batch if not _is_better(target.get(record.key), record)]
            target.put(*kept)
            count += len(kept)
    for path in shards:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
    for entry in list(where.list("records/")):
        where.delete(entry.name)
    return count


def _merge_into_parts(where: Place) -> int:
    parts = parts_at(where)
    names = [name for name in part_names(where) if not name.endswith(f"-of-{parts:03d}")]
    if not names:
        raise LedgerError(f"{where}: holds no shard ledgers to merge")
    with tempfile.TemporaryDirectory(prefix="tilekit-") as folder, Ledger(Path(folder) / "all") as joined:
        count = 0
        for name in [*names, *(name for name in part_names(where) if name not in names)]:
            records = load_part(where, name).values()
            kept = [record for record in records if not _is_better(joined.get(record.key), record)]
            joined.put(*kept)
            count += len(kept) if name in names else 0
        with contextlib.ExitStack() as stack:
            files = [
                stack.enter_context(
                    (Path(folder) / str(index)).open("w+", encoding="utf-8", errors="surrogateescape")
                )
                for index in range(parts)
            ]
            for record in joined.records():
                files[place_among(PageKey.parse(record.key).source, parts)].write(
                    record_line(record.key, record)
                )
            for index, file in enumerate(files):
                if file.tell():
                    file.seek(0)
                    write_part(where, Part(index, parts).name, file.read())
    if where.entry(CAMPAIGN) is None:
        where.put(CAMPAIGN, json.dumps({"id": "", "parts": parts}).encode())
    for name in names:
        for entry in list(where.list(f"records/{name}/")):
            where.delete(entry.name)
    return count


def _is_better(old: Record | None, new: Record) -> bool:
    return old is not None and old.state == "done" and new.state != "done"


def _records(where: Place) -> Iterator[Record]:
    yield from _of_files(ledger_files(where))
    yield from all_records(where)


def _of_files(ledgers: Sequence[Path]) -> Iterator[Record]:
    for path in ledgers:
        with Ledger(path) as ledger:
            yield from ledger.records()
