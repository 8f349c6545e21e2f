"""Records are there whole, page by page, and only ours."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from tilekit.errors import LedgerError, StorageError, StorageFull, StorageLost
from tilekit.ledger import Ledger, Record


def test_records_come_back_after_closing(tmp_path):
    path = tmp_path / "new" / "l.db"
    with Ledger(path, durable=True) as ledger:
        ledger.put(*(Record(f"k{i:05d}", "f", "done" if i % 2 else "failed", {"n": i}) for i in range(2500)))
        ledger.put(Record("k00001", "g", "done"))
    with Ledger(path) as ledger:
        assert len(ledger) == 2500
        assert ledger.is_done("k00001", "g")
        assert not ledger.is_done("k00001", "f")
        assert not ledger.is_done("k00002", "f")
        assert ledger.get("k00003") == Record("k00003", "f", "done", {"n": 3})
        assert ledger.get("nothing") is None
        assert [record.key for record in ledger.records()] == [f"k{i:05d}" for i in range(2500)]
        assert ledger.count("failed") == len(list(ledger.records("failed"))) == 1250
        ledger.remove(["k00001"])
        assert len(ledger) == 2499


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("not a database, but long enough to be looked at " * 50)
    with pytest.raises(LedgerError, match="not a ledger"):
        Ledger(tmp_path / "text")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("PRAGMA application_id = 7")
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(LedgerError, match="another program"):
        Ledger(tmp_path / "other.db")
    with pytest.raises(StorageError):
        Ledger(tmp_path / "text" / "l.db")


def test_what_sqlite_says_of_a_full_disk_is_a_full_disk(tmp_path, monkeypatch):
    """It cannot make its shared memory there, and calls that an I/O error."""
    usage = shutil.disk_usage(tmp_path)
    with Ledger(tmp_path / "l.db") as ledger:
        for free, kind, words in (
            (10_000, StorageFull, "no space"),
            (10**9, StorageLost, "run again when it can"),
        ):
            monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: usage._replace(free=free))
            with pytest.raises(kind, match=words):
                raise ledger._error(sqlite3.OperationalError("disk I/O error"))
