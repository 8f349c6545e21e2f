"""Looking at an archive's ledgers: status, verify, merge."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilekit.archive.locking import run_lock
from tilekit.archive.running import ledger_path, state_folder
from tilekit.errors import InvalidArgument, LedgerError, StorageNotFound
from tilekit.ledger import Ledger, Record
from tilekit.storage.s3 import is_s3
from tilekit.tiles.index import read_index


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


def ledgers_of(out: str | os.PathLike[str], state: str | os.PathLike[str] | None = None) -> list[Path]:
    """The ledger files of an output; raises StorageNotFound where there is none."""
    where = state_folder(out, state)
    found = sorted(where.glob("ledger*.sqlite"))
    if not found:
        raise StorageNotFound(f"{where}: holds no ledger; was an archive written to {os.fspath(out)}?")
    return found


def archive_status(
    out: str | os.PathLike[str], state: str | os.PathLike[str] | None = None, *, show: int = 100
) -> ArchiveStatus:
    """Add up all ledgers of an output, streamed; `show` failures are kept with their reasons."""
    states: Counter[str] = Counter()
    tiles = pixels = 0
    seconds = 0.0
    failures: dict[str, str] = {}
    ledgers = ledgers_of(out, state)
    for record in _records(ledgers):
        states[record.state] += 1
        tiles += int(record.info.get("tiles", 0))
        pixels += int(record.info.get("pixels", 0))
        seconds += float(record.info.get("seconds", 0.0))
        if record.state == "failed" and len(failures) < show:
            failures[record.key] = str(record.info.get("reason", ""))
    return ArchiveStatus(
        states["done"], states["failed"], states["started"], tiles, pixels, seconds, len(ledgers), failures
    )


def verify_archive(
    out: str | os.PathLike[str], state: str | os.PathLike[str] | None = None, *, forget: bool = False
) -> dict[str, str]:
    """Compare every recorded output with what is there: key -> what is wrong, empty when all is well.

    An output is a path below `out` and its bytes; tiles are looked up in their index. For local outputs;
    what is on S3 was acknowledged object by object. `forget` removes the records at fault, so that the
    next run makes those pages again.
    """
    if is_s3(os.fspath(out)):
        raise InvalidArgument(
            f"{os.fspath(out)}: verify reads local outputs; list the bucket to check objects"
        )
    wrong: dict[str, str] = {}
    root = Path(out)
    for path in ledgers_of(out, state):
        with Ledger(path) as ledger:
            at_fault = []
            for record in ledger.records("done"):
                problem = _problem(root, record)
                if problem:
                    wrong[record.key] = problem
                    at_fault.append(record.key)
            if forget:
                ledger.remove(at_fault)
    return wrong


def merge_ledgers(out: str | os.PathLike[str], state: str | os.PathLike[str] | None = None) -> int:
    """Join the ledgers of all shards into one, so that a whole run goes on from them; returns pages.

    Runs alone (takes the output's lock). A page that is done in any shard is done; the shards'
    ledgers are removed once the joined one is whole.
    """
    where = state_folder(out, state)
    whole = ledger_path(where, None)
    ledgers_of(out, state)  # an output that is none is told before a lock is made in it
    with run_lock(where, None):
        shards = [path for path in ledgers_of(out, state) if path != whole]
        if not shards:
            raise LedgerError(f"{where}: holds no shard ledgers to merge")
        count = 0
        with Ledger(whole) as target:
            for batch in _batches(_records(shards), 1000):
                kept = [record for record in batch if not _is_better(target.get(record.key), record)]
                target.put(*kept)
                count += len(kept)
        for path in shards:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
    return count


def _is_better(old: Record | None, new: Record) -> bool:
    return old is not None and old.state == "done" and new.state != "done"


def _problem(root: Path, record: Record) -> str:
    for name, size in record.info.get("outputs", []):
        if problem := _differs(root / name, size):
            return problem
    index = record.info.get("index")
    if index is not None:
        for tile in read_index(root / index).tiles():
            if tile.file is not None and (problem := _differs(root / index / tile.file, tile.size)):
                return problem
    return ""


def _differs(path: Path, size: int) -> str:
    try:
        actual = path.stat().st_size
    except OSError:
        return f"{path}: is missing"
    return "" if actual == size else f"{path}: has {actual} bytes, not {size}"


def _records(ledgers: Sequence[Path]) -> Iterator[Record]:
    for path in ledgers:
        with Ledger(path) as ledger:
            yield from ledger.records()


def _batches(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
