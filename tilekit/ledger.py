"""Durable record of finished tasks: the one way anything resumes.

One SQLite file in WAL mode. A record is a row: key, fingerprint of what went in (input identity
and recipe), state, and a JSON object of whatever the task wants to remember. A row is there
whole or not at all, also after kill -9; `durable` waits for the disk as well. Names of files that
are not UTF-8 (surrogate escapes in Python) are stored as the bytes they are.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from tilekit.errors import LedgerError, StorageError, StorageFull, StorageLost

_BATCH = 1000
_ROOM = 1 << 20  # bytes with which SQLite gets along
State = Literal["started", "done", "failed"]
_MARK = 0x74696C65  # "tile", SQLite's application_id
_SCHEMA = """
CREATE TABLE IF NOT EXISTS task (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, state TEXT NOT NULL, info TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one task."""

    key: str
    fingerprint: str
    state: State
    info: dict[str, Any] = field(default_factory=dict)


class Known(NamedTuple):
    """What is asked of many records at once; `seen`: marked before, `values`: of the fields asked for."""

    fingerprint: str
    state: State
    seen: bool
    values: tuple[Any, ...]


class Ledger:
    """A file of records. Safe for threads of one process; another process reads while one writes.

    `path`: made if missing, with its folder. `durable`: flush to the disk at every commit
    (survives power loss); without it a record survives kill -9 of the process.
    Raises LedgerError where the file is not a ledger, StorageError where it cannot be written.
    """

    def __init__(self, path: str | Path, *, durable: bool = False) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._marks: list[tuple[bytes | str]] = []
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=60)
            self._db.text_factory = _text
            (mark,) = self._db.execute("PRAGMA application_id").fetchone()
            if mark not in (0, _MARK):
                raise LedgerError(f"{self.path}: is another program's database, not a tilekit ledger")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            if mark == 0:
                self._db.execute(f"PRAGMA application_id = {_MARK}")
            self._db.execute(_SCHEMA)
            self._db.execute("CREATE TEMP TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID")
        except (OSError, sqlite3.Error) as exc:
            raise self._error(exc) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        with self._lock, self._errors():
            return int(self._db.execute("SELECT count(*) FROM task").fetchone()[0])

    def get(self, key: str) -> Record | None:
        """The record of `key`, or None."""
        with self._lock, self._errors():
            row = self._db.execute(
                "SELECT * FROM task WHERE key = CAST(? AS TEXT)", (_stored(key),)
            ).fetchone()
        return None if row is None else Record(row[0], row[1], row[2], json.loads(row[3]))

    def look(self, keys: Sequence[str], *fields: str) -> dict[str, Known]:
        """What is known of many tasks, some hundreds a query; `fields` of their info, None where one has none."""
        self._write_marks()
        chosen = "".join(f", json_extract(info, '$.{name}')" for name in fields)
        found: dict[str, Known] = {}
        for first in range(0, len(keys), _BATCH // 2):
            some = keys[first : first + _BATCH // 2]
            marks = ",".join(["CAST(? AS TEXT)"] * len(some))
            with self._lock, self._errors():
                rows = self._db.execute(
                    f"SELECT key, fingerprint, state, key IN (SELECT key FROM seen){chosen} FROM task WHERE key IN ({marks})",
                    [_stored(key) for key in some],
                ).fetchall()
            found |= {row[0]: Known(row[1], row[2], bool(row[3]), row[4:]) for row in rows}
        return found

    def is_done(self, key: str, fingerprint: str) -> bool:
        """Whether `key` finished with exactly this fingerprint."""
        with self._lock, self._errors():
            row = self._db.execute(
                "SELECT fingerprint, state FROM task WHERE key = CAST(? AS TEXT)", (_stored(key),)
            ).fetchone()
        return row is not None and row[0] == fingerprint and row[1] == "done"

    def put(self, *records: Record) -> None:
        """Write records in one transaction; a record of the same key is replaced."""
        rows = [
            (_stored(r.key), r.fingerprint, r.state, _stored(json.dumps(r.info, ensure_ascii=False)))
            for r in records
        ]
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(
                    "INSERT OR REPLACE INTO task VALUES (CAST(? AS TEXT), ?, ?, CAST(? AS TEXT))", rows
                )
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def announce(self, *records: Record) -> None:
        """Tasks that will be begun soon. Here nothing is done: what is put is durable at once."""

    def remove(self, keys: Iterable[str]) -> None:
        """Forget tasks."""
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "DELETE FROM task WHERE key = CAST(? AS TEXT)", ((_stored(key),) for key in keys)
            )
            self._db.execute("COMMIT")

    def mark(self, *keys: str) -> None:
        """Remember, until this ledger is closed, that keys were come across; on disk, so memory does not grow."""
        self._marks.extend((_stored(key),) for key in keys)
        if len(self._marks) >= _BATCH:
            self._write_marks()

    def is_seen(self, key: str) -> bool:
        """Whether `key` was marked."""
        self._write_marks()
        with self._lock, self._errors():
            return (
                self._db.execute("SELECT 1 FROM seen WHERE key = CAST(? AS TEXT)", (_stored(key),)).fetchone()
                is not None
            )

    def unseen(self) -> Iterator[Record]:
        """Records that were not marked, in key order, a bounded page at a time."""
        self._write_marks()
        last = ""
        while True:
            with self._lock, self._errors():
                rows = self._db.execute(
                    "SELECT * FROM task WHERE key > CAST(? AS TEXT) AND key NOT IN (SELECT key FROM seen) ORDER BY key LIMIT 1000",
                    (_stored(last),),
                ).fetchall()
            if not rows:
                return
            yield from (Record(row[0], row[1], row[2], json.loads(row[3])) for row in rows)
            last = rows[-1][0]

    def _write_marks(self) -> None:
        if not self._marks:
            return
        with self._lock, self._errors():
            marks, self._marks = self._marks, []
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR IGNORE INTO seen VALUES (CAST(? AS TEXT))", marks)
            self._db.execute("COMMIT")

    def records(self, state: State | None = None) -> Iterator[Record]:
        """All records in key order, a bounded page at a time (memory does not grow with the ledger)."""
        last = ""
        while True:
            with self._lock, self._errors():
                rows = self._db.execute(
                    "SELECT * FROM task WHERE key > CAST(? AS TEXT) AND (? IS NULL OR state = ?) ORDER BY key LIMIT 1000",
                    (_stored(last), state, state),
                ).fetchall()
            if not rows:
                return
            for key, fingerprint, found, info in rows:
                yield Record(key, fingerprint, found, json.loads(info))
            last = rows[-1][0]

    def count(self, state: State) -> int:
        """How many records have this state."""
        with self._lock, self._errors():
            return int(self._db.execute("SELECT count(*) FROM task WHERE state = ?", (state,)).fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _is_full(self) -> bool:
        with contextlib.suppress(OSError):
            return shutil.disk_usage(self.path.parent).free < _ROOM
        return False

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise self._error(exc) from exc

    def _error(self, exc: Exception) -> LedgerError | StorageError:
        text = str(exc)
        if "locked" in text:
            return LedgerError(
                f"{self.path}: another run is writing this ledger; wait for it or use another output"
            )
        full = "disk is full" in text or (isinstance(exc, OSError) and exc.errno == errno.ENOSPC)
        if full or (
            "disk I/O error" in text and self._is_full()
        ):  # what SQLite says where it cannot lengthen a file
            return StorageFull(f"{self.path}: no space is left for the ledger; free some and run again")
        if "disk I/O error" in text:
            return StorageLost(
                f"{self.path}: the ledger's disk cannot be written ({text}); run again when it can"
            )
        if "not a database" in text or "malformed" in text:
            return LedgerError(f"{self.path}: is not a ledger, or is damaged; move it away to start afresh")
        return StorageError(f"{self.path}: the ledger cannot be read or written: {text}")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _stored(text: str) -> bytes | str:
    """The text, or where it names a file that is not UTF-8 the name's bytes, which SQLite keeps as text too."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape")
