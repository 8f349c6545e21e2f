"""State in SQLite: whatever was answered survives kill -9.

One connection, one lock, write-ahead log; each operation is one transaction. Timed states
(STARTING until ...) are stored with their end and next state and settled on reading, so nothing is
lost with the process.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from tilekit.errors import LedgerError, StorageError
from tilekit.storage.local import storage_errors
from tilekit.storage.locking import FolderLock

_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (
    arn TEXT PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, feature TEXT NOT NULL, auto_update TEXT,
    created REAL NOT NULL, status TEXT NOT NULL, until REAL, next_status TEXT,
    UNIQUE (account, region, name));
CREATE TABLE IF NOT EXISTS policies (
    project TEXT NOT NULL, name TEXT NOT NULL, revision TEXT NOT NULL, document TEXT NOT NULL,
    created REAL NOT NULL, updated REAL NOT NULL, PRIMARY KEY (project, name));
CREATE TABLE IF NOT EXISTS datasets (
    arn TEXT PRIMARY KEY, project TEXT NOT NULL, type TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
    status TEXT NOT NULL, until REAL, next_status TEXT, message TEXT, message_code TEXT, pending TEXT,
    UNIQUE (project, type));
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, dataset TEXT NOT NULL, source_ref TEXT NOT NULL, line TEXT NOT NULL,
    labeled INTEGER NOT NULL, errors INTEGER NOT NULL, labels TEXT NOT NULL,
    UNIQUE (dataset, source_ref));
CREATE TABLE IF NOT EXISTS versions (
    id INTEGER PRIMARY KEY, arn TEXT NOT NULL UNIQUE, project TEXT NOT NULL, name TEXT NOT NULL, created REAL NOT NULL,
    status TEXT NOT NULL, until REAL, next_status TEXT, message TEXT,
    request TEXT NOT NULL, result TEXT, training_end REAL, billable INTEGER, f1 REAL,
    min_units INTEGER, max_units INTEGER, source_arn TEXT, folder TEXT,
    UNIQUE (project, name));
CREATE TABLE IF NOT EXISTS tags (arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key));
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, region TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (bucket TEXT NOT NULL, key TEXT NOT NULL, file TEXT NOT NULL, PRIMARY KEY (bucket, key));
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, version TEXT NOT NULL, units INTEGER NOT NULL, started REAL NOT NULL, stopped REAL);
"""


class State:
    """The server's memory in `folder`: `state.sqlite` and the folders of models beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._held = _hold(folder)
        try:
            self._db = sqlite3.connect(folder / "state.sqlite", check_same_thread=False, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA busy_timeout=10000")
            self._check_version()
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={_VERSION}")
        except sqlite3.Error as exc:
            self._held.close()
            raise StorageError(f"{folder / 'state.sqlite'}: not a state of this server: {exc}") from exc

    def _check_version(self) -> None:
        written = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        old = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'projects'").fetchone()
        if old and written != _VERSION:
            self._db.close()
            self._held.close()
            raise StorageError(
                f"{self.folder / 'state.sqlite'}: written by another version of tilekit; give another --state"
            )

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: kept when the block ends well, undone on any error."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def row(self, query: str, *values: object) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        with self._lock:
            found: sqlite3.Row | None = self._db.execute(query, values).fetchone()
            return found

    def model_folder(self, name: str) -> Path:
        """Where a model's files are."""
        return self.folder / "models" / name

    def close(self) -> None:
        """Close the file; waits for a transaction under way."""
        with self._lock:
            self._db.close()
            self._held.close()


def _hold(folder: Path) -> FolderLock:
    """Hold the folder for this process; the system lets go of it when the process ends, however it ends."""
    try:
        return FolderLock(folder / "in-use", f"{folder}")
    except LedgerError as exc:
        raise StorageError(f"{folder}: another local server uses this state; give another --state") from exc
