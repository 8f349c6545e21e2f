"""Looking at an archive's ledgers: status, verify, merge."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tilekit.archive.jobs import roll_of
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
from tilekit.ledger import Ledger, Record
from tilekit.pages import PageKey
from tilekit.storage.identity import is_unchanged
from tilekit.storage.place import FolderPlace, Place, place_of
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


def verify_archive(
    out: str | os.PathLike[str],
    state: str | os.PathLike[str] | None = None,
    *,
    forget: bool = False,
    deep: bool = False,
) -> dict[str, str]:
    """Compare every recorded output, and its source, with what is there: key -> what is wrong, empty when all is well.

    By size and time alone, as `ls` shows them (one listing a page), also on S3 (one request an object); `deep` reads every byte: outputs
    by the checksums that were recorded, sources by their identity. Tiles are looked up in their index. A source
    that has changed or is gone is told: its results are not of now. `forget` removes the records at fault, so that
    the next run makes those pages again.
    """
    wrong: dict[str, str] = {}
    root = place_of(out)
    where = records_place(out, state)
    for path in ledger_files(where):
        with Ledger(path) as ledger:
            found = {r.key: problem for r in ledger.records("done") if (problem := _problem(root, r, deep))}
            wrong |= found
            if forget:
                ledger.remove(found)
    for part in part_names(where):
        records = load_part(where, part)
        found = {
            key: problem
            for key, record in records.items()
            if record.state == "done" and (problem := _problem(root, record, deep))
        }
        wrong |= found
        if forget and found:
            kept = (record_line(key, record) for key, record in records.items() if key not in found)
            write_part(where, part, "".join(kept))
    return wrong


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
        for batch in _batches(chain(_of_files(shards), all_records(where)), 1000):
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


def _problem(root: Place, record: Record, deep: bool) -> str:
    uri = str(record.info.get("uri", ""))
    identity = record.fingerprint.rpartition("|")[0]
    if uri and not is_unchanged(uri, identity, quick=not deep):
        return f"{uri}: has changed or is gone since; run the archive again"
    index, roll = record.info.get("index"), record.info.get("roll")
    if roll and index and not deep and isinstance(root, FolderPlace) and roll_of(root.folder / index) == roll:
        return ""  # the outputs and tiles below are what it was made of
    for name, size, *sums in record.info.get("outputs", []):
        if problem := _differs(root, name, size, sums[0] if deep and sums else None):
            return problem
    if index is not None and isinstance(root, FolderPlace):
        for tile in read_index(root.folder / index).tiles():
            if tile.file is not None and (
                problem := _differs(root, f"{index}/{tile.file}", tile.size, tile.crc if deep else None)
            ):
                return problem
    return ""


def _differs(root: Place, name: str, size: int, crc: int | None) -> str:
    if isinstance(root, FolderPlace):
        path = root.folder / name
        try:
            actual = path.stat().st_size
        except OSError:
            return f"{path}: is missing"
    else:
        found = root.entry(name)
        if found is None:
            return f"{root / name}: is missing"
        actual = found.size
    if actual != size:
        return f"{root / name}: has {actual} bytes, not {size}"
    if crc is not None and zlib.crc32(root.read(name)) != crc:
        return f"{root / name}: has other bytes than were written"
    return ""


def _records(where: Place) -> Iterator[Record]:
    yield from _of_files(ledger_files(where))
    yield from all_records(where)


def _of_files(ledgers: Sequence[Path]) -> Iterator[Record]:
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
