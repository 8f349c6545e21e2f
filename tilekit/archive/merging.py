"""One archive, one set of records: what other kinds of runs have recorded is taken over, whichever way one goes on.

A run alone keeps a ledger, a shard one of its own, machines that join keep segments of parts. Each would make all
again that another kind has done, and its pages would be counted twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from tilekit.archive.inspecting import records_place
from tilekit.archive.joining import (
    CAMPAIGN,
    Part,
    all_records,
    load_part,
    part_names,
    parts_at,
    record_line,
    taken_parts,
    write_part,
)
from tilekit.archive.locking import run_lock
from tilekit.archive.sources import Shard, place_among
from tilekit.archive.state import ledger_files, ledger_path, of_files
from tilekit.errors import LedgerError
from tilekit.flow import batched
from tilekit.ledger import Ledger, Record
from tilekit.pages import PageKey
from tilekit.storage.locking import held
from tilekit.storage.place import FolderPlace, Place

_TOGETHER = 1000
_PATIENCE = 30.0  # seconds that machines which join wait for the first of them to take records over


def merge_ledgers(out: str | os.PathLike[str], state: str | os.PathLike[str] | None = None) -> int:
    """Join the records of all shards and machines into one, so that a whole run goes on from them; returns pages.

    Runs alone (takes the output's lock). A page that is done in any shard is done; the shards'
    records are removed once the joined ones are whole. On S3 the records of shards become those of the parts that
    machines share.
    """
    where = records_place(out, state)  # an output that is none is told before a lock is made in it
    if isinstance(where, FolderPlace):
        with run_lock(where.folder, None):
            if not _others(where):
                raise LedgerError(f"{where}: holds no shard ledgers to merge")
            return _into_file(where)
    with where.lock("merging.lock", str(where)):
        names = _shards(where)
        if not names:
            raise LedgerError(f"{where}: holds no shard ledgers to merge")
        count = _into_parts(where, parts_at(where), chain.from_iterable(_records_of(where, names)))
        for name in names:
            for entry in list(where.list(f"records/{name}/")):
                where.delete(entry.name)
        return count


def adopt(where: FolderPlace, lease: float) -> None:
    """Take shards' and machines' records into the ledger of a run alone, which holds the output's lock."""
    if not _others(where):
        return
    if taken_parts(where, lease):
        raise LedgerError(
            f"{where}: other machines are at work here; work with them by --join (join=True), or wait for them"
        )
    _into_file(where)


def adopt_shard(where: FolderPlace, part: Shard, ledger: Ledger) -> None:
    """Take a shard's records out of the ledgers of whole runs, and of shards cut in another way, that are not at work.

    LedgerError where machines that joined have recorded here: their parts are none of any shard.
    """
    if part_names(where):
        raise LedgerError(
            f"{where}: holds records of machines that joined; go on with --join (join=True), "
            "or put them together first by `tilekit archive merge`"
        )
    whole = ledger_path(where.folder, None)
    for path in ledger_files(where):
        if path == ledger.path:
            continue
        with contextlib.ExitStack() as stack:
            if path != whole:  # a whole run is not at work: it would have found this shard's lock
                lock = path.with_name(f"{path.stem.replace('ledger-', 'shard-', 1)}.lock")
                try:
                    stack.enter_context(held(lock, str(where)))
                except LedgerError:
                    continue
            other = stack.enter_context(Ledger(path))
            ours = (r for r in other.records() if part.holds_name(PageKey.parse(r.key).source))
            for batch in batched(ours, _TOGETHER):
                _keep(ledger, batch)
                other.remove([record.key for record in batch])


def adopt_joined(where: FolderPlace, parts: int, lease: float) -> None:
    """Take ledgers of runs alone and of shards into the parts that machines share; of those that come the first does."""
    until = time.monotonic() + _PATIENCE
    while ledger_files(where) and not taken_parts(where, lease):
        try:
            with run_lock(where.folder, None):
                if files := ledger_files(where):
                    count = parts_at(where) if where.entry(CAMPAIGN) is not None else parts
                    _into_parts(where, count, of_files(files))
                    _remove(files)
        except LedgerError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _others(where: FolderPlace) -> bool:
    whole = ledger_path(where.folder, None)
    return any(path != whole for path in ledger_files(where)) or bool(part_names(where))


def _shards(where: Place) -> list[str]:
    """Names of the records that are none of the parts machines share now."""
    ending = f"-of-{parts_at(where):03d}"
    return [name for name in part_names(where) if not name.endswith(ending)]


def _records_of(where: Place, names: Iterable[str]) -> Iterable[Iterable[Record]]:
    return (load_part(where, name).values() for name in names)


def _into_file(where: FolderPlace) -> int:
    whole = ledger_path(where.folder, None)
    shards = [path for path in ledger_files(where) if path != whole]
    with Ledger(whole) as target:
        found = batched(chain(of_files(shards), all_records(where)), _TOGETHER)
        count = sum(_keep(target, batch) for batch in found)
    _remove(shards)
    for entry in list(where.list("records/")):
        where.delete(entry.name)
    return count


def _into_parts(where: Place, parts: int, more: Iterable[Record]) -> int:
    """Put records into the parts they belong to, beside what is there; returns how many were new."""
    every = [Part(index, parts) for index in range(parts)]
    there = set(part_names(where))
    with tempfile.TemporaryDirectory(prefix="tilekit-") as folder, Ledger(Path(folder) / "all") as joined:
        for records in _records_of(where, [part.name for part in every if part.name in there]):
            joined.put(*records)
        count = sum(_keep(joined, batch) for batch in batched(more, _TOGETHER))
        with contextlib.ExitStack() as stack:
            files = [
                stack.enter_context(
                    (Path(folder) / part.name).open("w+", encoding="utf-8", errors="surrogateescape")
                )
                for part in every
            ]
            for record in joined.records():
                files[place_among(PageKey.parse(record.key).source, parts)].write(
                    record_line(record.key, record)
                )
            for part, file in zip(every, files, strict=True):
                if file.tell():
                    file.seek(0)
                    write_part(where, part.name, file.read())
    if where.entry(CAMPAIGN) is None:
        where.put(CAMPAIGN, json.dumps({"id": "", "parts": parts}).encode())
    return count


def _keep(target: Ledger, batch: list[Record]) -> int:
    """Put what is not known better; how many were put."""
    kept = [record for record in batch if not _is_better(target.get(record.key), record)]
    target.put(*kept)
    return len(kept)


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def _is_better(old: Record | None, new: Record) -> bool:
    return old is not None and old.state == "done" and new.state != "done"
