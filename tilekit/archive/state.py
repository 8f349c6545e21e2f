"""Where an archive's records are: in its output, or where `state` says."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tilekit.archive.sources import Shard
from tilekit.ledger import Ledger, Record
from tilekit.storage.local import storage_errors
from tilekit.storage.place import FolderPlace, Place, place_of

Event = dict[str, Any]
STATE_FOLDER = ".tilekit"


def state_of(out: str | os.PathLike[str], state: str | os.PathLike[str] | None = None) -> Place:
    """The place of ledgers, locks and log of an output, a folder or on S3."""
    return place_of(state) if state is not None else place_of(out) / STATE_FOLDER


def ledger_path(state: Path, shard: Shard | None) -> Path:
    """The ledger of a whole run, or of one shard."""
    return state / ("ledger.sqlite" if shard is None else f"ledger-{shard}.sqlite")


def ledger_files(where: Place) -> list[Path]:
    """The ledgers that runs of one machine, or shards, have left in a folder."""
    return sorted(where.folder.glob("ledger*.sqlite")) if isinstance(where, FolderPlace) else []


def of_files(ledgers: Sequence[Path]) -> Iterator[Record]:
    """The records of some ledgers, one after the other."""
    for path in ledgers:
        with Ledger(path) as ledger:
            yield from ledger.records()


@contextlib.contextmanager
def event_log(
    state: Path, shard: Shard | None, on_event: Callable[[Event], None] | None
) -> Iterator[Callable[[Event], None]]:
    """Append events to the log, stamped, and pass them on."""
    path = state / ("log.jsonl" if shard is None else f"log-{shard}.jsonl")
    with storage_errors(path), path.open("a", encoding="utf-8", errors="backslashreplace") as file:

        def log(event: Event) -> None:
            stamped = {"time": round(time.time(), 3), **event}
            with storage_errors(path):
                file.write(json.dumps(stamped, ensure_ascii=False) + "\n")
                file.flush()
            if on_event is not None:
                on_event(stamped)

        yield log
