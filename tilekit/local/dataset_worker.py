"""The worker that reads manifests into datasets, copies, updates and distributes them, in the background."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tilekit.local.context import Backend
from tilekit.local.dataset_messages import FROM_MANIFEST
from tilekit.local.entries import Entry, read_entries
from tilekit.local.manifests import manifest_lines
from tilekit.local.protocol import ServiceFault
from tilekit.rekognition.codes import CODES
from tilekit.rekognition.limits import LIMITS


class DatasetWorker:
    """Reads what is pending for datasets, one thread; what a killed server left is taken up again."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="datasets")
        self._backend: Backend | None = None
        self._ready = threading.Event()

    def begin(self, backend: Backend) -> None:
        """Bind the server's parts and take up what an earlier run left."""
        self._backend = backend
        self._ready.set()
        for row in backend.state.rows("SELECT arn FROM datasets WHERE pending IS NOT NULL AND until IS NULL"):
            self.submit(row["arn"])

    def submit(self, dataset_arn: str) -> None:
        """Begin what is pending for a dataset."""
        self._pool.submit(self._run, dataset_arn)

    def close(self) -> None:
        """Finish what runs and stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, arn: str) -> None:
        self._ready.wait()
        backend = self._backend
        assert backend is not None
        row = backend.state.row("SELECT * FROM datasets WHERE arn = ?", arn)
        if row is None or not row["pending"]:
            return
        pending = json.loads(row["pending"])
        phase = row["status"].split("_")[0]
        rule = backend.faults.next_fault("Dataset" if phase == "CREATE" else "Update")
        try:
            if rule is not None:
                time.sleep(rule.delay)
            if rule is not None and rule.fails:
                code = "SERVICE_ERROR" if rule.http_status >= 500 else "CLIENT_ERROR"
                _finish(backend, [arn], phase, "FAILED", rule.reason, code)
                return
            _WORK[pending["kind"]](backend, arn, pending)
        except ServiceFault as fault:
            _finish(backend, [arn], phase, "FAILED", fault.message, "CLIENT_ERROR")
        except Exception as exc:  # noqa: BLE001 - the service answers any failure of its own with a state
            _finish(backend, [arn], phase, "FAILED", f"Internal error: {exc}", "SERVICE_ERROR")


def _finish(
    backend: Backend, arns: list[str], phase: str, outcome: str, message: str | None, code: str
) -> None:
    with backend.state.change() as db:
        until = backend.clock.until("create" if phase == "CREATE" else "update")
        for arn in arns:
            db.execute(
                "UPDATE datasets SET until = ?, next_status = ?, message = ?, message_code = ?, pending = NULL, "
                "updated = ? WHERE arn = ? AND status LIKE ?",
                (
                    until,
                    f"{phase}_{outcome}",
                    message,
                    code,
                    backend.clock.now(),
                    arn,
                    f"{phase}_IN_PROGRESS",
                ),
            )


def _store(db: sqlite3.Connection, arn: str, entries: list[Entry], *, replace: bool) -> None:
    verb = (
        "INSERT INTO entries (dataset, source_ref, line, labeled, errors, labels) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (dataset, source_ref) DO "
    )
    verb += (
        "UPDATE SET line = excluded.line, labeled = excluded.labeled, errors = excluded.errors, labels = excluded.labels"
        if replace
        else "NOTHING"
    )
    rows = [
        (arn, entry.source_ref, entry.line, int(entry.labeled), int(entry.errors), json.dumps(entry.labels))
        for entry in entries
    ]
    db.executemany(verb, rows)


def _from_manifest(backend: Backend, arn: str, pending: dict[str, Any]) -> None:
    if "." not in pending["name"].rsplit("/", 1)[-1]:
        raise _import_error("ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT")
    lines = manifest_lines(pending["text"])
    if not lines:
        raise _import_error("ERROR_EMPTY_MANIFEST")
    entries = _sound_entries(lines)
    _check_bucket(entry.source_ref for entry in entries)
    if len(entries) > LIMITS.max_images:
        raise _import_error("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM")
    with backend.state.change() as db:
        db.execute("DELETE FROM entries WHERE dataset = ?", (arn,))
        _store(db, arn, entries, replace=False)
    _finish(backend, [arn], "CREATE", "COMPLETE", FROM_MANIFEST, "SUCCESS")


def _sound_entries(lines: list[str]) -> list[Entry]:
    """The entries of lines of which at most a fifth is at fault."""
    entries = list(read_entries(lines))
    bad = len(lines) - sum(not entry.errors for entry in entries)
    if bad > LIMITS.max_invalid_share * len(lines):
        raise _import_error("ERROR_TOO_MANY_RECORDS_IN_ERROR")
    return entries


def _check_bucket(source_refs: Iterable[str]) -> None:
    """All images of a dataset are in one bucket."""
    if len({source.removeprefix("s3://").split("/", 1)[0] for source in source_refs}) > 1:
        raise _import_error("ERROR_IMAGES_IN_MULTIPLE_S3_BUCKETS")


def _import_error(code: str) -> ServiceFault:
    return ServiceFault(code, CODES[code].message)


def _from_copy(backend: Backend, arn: str, pending: dict[str, Any]) -> None:
    with backend.state.change() as db:
        db.execute("DELETE FROM entries WHERE dataset = ?", (arn,))
        db.execute(
            "INSERT INTO entries (dataset, source_ref, line, labeled, errors, labels) "
            "SELECT ?, source_ref, line, labeled, errors, labels FROM entries WHERE dataset = ? ORDER BY id",
            (arn, pending["dataset"]),
        )
    _finish(backend, [arn], "CREATE", "COMPLETE", None, "SUCCESS")


def _empty(backend: Backend, arn: str, pending: dict[str, Any]) -> None:
    _finish(backend, [arn], "CREATE", "COMPLETE", None, "SUCCESS")


def _update(backend: Backend, arn: str, pending: dict[str, Any]) -> None:
    lines = manifest_lines(pending["text"])
    if not lines:
        raise _import_error("ERROR_EMPTY_MANIFEST")
    entries = _sound_entries(lines)
    with backend.state.change() as db:
        kept = db.execute("SELECT source_ref FROM entries WHERE dataset = ?", (arn,)).fetchall()
        _check_bucket([*(row["source_ref"] for row in kept), *(entry.source_ref for entry in entries)])
        _store(db, arn, entries, replace=True)
    _finish(backend, [arn], "UPDATE", "COMPLETE", None, "SUCCESS")


def _distribute(backend: Backend, arn: str, pending: dict[str, Any]) -> None:
    with backend.state.change() as db:
        rows = db.execute(
            "SELECT id, labels FROM entries WHERE dataset = ? AND labeled ORDER BY id", (arn,)
        ).fetchall()
        per_label: Counter[str] = Counter(label for row in rows for label in json.loads(row["labels"]))
        if any(count < 2 for count in per_label.values()) or not rows:
            _finish(
                backend,
                [arn, pending["test"]],
                "UPDATE",
                "FAILED",
                "There are not enough images for each label to distribute: every label needs at least 2.",
                "CLIENT_ERROR",
            )
            return
        moved = [(pending["test"], row["id"]) for row in rows[::5]]
        db.executemany("UPDATE entries SET dataset = ? WHERE id = ?", moved)
    _finish(backend, [arn, pending["test"]], "UPDATE", "COMPLETE", None, "SUCCESS")


_WORK: dict[str, Callable[[Backend, str, dict[str, Any]], None]] = {
    "manifest": _from_manifest,
    "copy": _from_copy,
    "empty": _empty,
    "update": _update,
    "distribute": _distribute,
}
