"""Looking at an archive's ledgers: what they come to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tilekit.archive.joining import all_records, part_names
from tilekit.archive.state import ledger_files, of_files, state_of
from tilekit.errors import StorageNotFound
from tilekit.ledger import Record
from tilekit.storage.place import Place


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


def _records(where: Place) -> Iterator[Record]:
    yield from of_files(ledger_files(where))
    yield from all_records(where)
