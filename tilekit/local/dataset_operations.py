"""Operations on datasets, and the worker that reads manifests into them."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tilekit.local.context import Caller, Service, need, page, settle, write_tags
from tilekit.local.entries import Entry, read_entries, shown_entry
from tilekit.local.preparation import manifest_lines
from tilekit.local.protocol import ServiceFault
from tilekit.rekognition.codes import CODES
from tilekit.rekognition.limits import LIMITS

_READY = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_FAILED")


def create_dataset(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """CreateDataset: from a manifest, as a copy, or empty."""
    project = need(service, "projects", request["ProjectArn"], "project")
    kind = request["DatasetType"]
    source = request.get("DatasetSource", {})
    if len(source) > 1:
        raise ServiceFault(
            "InvalidParameterException", "DatasetSource takes GroundTruthManifest or DatasetArn, not both."
        )
    pending = _pending_source(service, source)
    arn = (
        f"arn:aws:rekognition:{caller.region}:{caller.account}:project/{project['name']}"
        f"/dataset/{kind.lower()}/{service.clock.stamp()}"
    )
    now = service.clock.now()
    with service.state.change() as db:
        try:
            db.execute(
                "INSERT INTO datasets (arn, project, type, created, updated, status, pending) "
                "VALUES (?, ?, ?, ?, ?, 'CREATE_IN_PROGRESS', ?)",
                (arn, project["arn"], kind, now, now, json.dumps(pending)),
            )
        except sqlite3.IntegrityError as exc:
            raise ServiceFault(
                "ResourceAlreadyExistsException", f"The project already has a dataset of type {kind}."
            ) from exc
        write_tags(db, arn, request.get("Tags"))
    service.ingester.submit(arn)
    return {"DatasetArn": arn}


def _pending_source(service: Service, source: dict[str, Any]) -> dict[str, Any]:
    if "GroundTruthManifest" in source:
        where = source["GroundTruthManifest"].get("S3Object", {})
        if "Bucket" not in where or "Name" not in where:
            raise ServiceFault(
                "InvalidParameterException", "GroundTruthManifest needs S3Object with Bucket and Name."
            )
        size = service.buckets.size(where["Bucket"], where["Name"], where.get("Version"))
        if size is None:
            raise ServiceFault(
                "InvalidS3ObjectException",
                "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
            )
        if size > LIMITS.max_manifest_bytes:
            raise ServiceFault("LimitExceededException", "The manifest is larger than 1 GB.")
        data = service.buckets.read(where["Bucket"], where["Name"], where.get("Version"))
        text = data.decode("utf-8", errors="replace")
        return {"kind": "manifest", "name": where["Name"], "text": text}
    if "DatasetArn" in source:
        dataset = need(service, "datasets", source["DatasetArn"], "dataset")
        return {"kind": "copy", "dataset": dataset["arn"]}
    return {"kind": "empty"}


def describe_dataset(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeDataset: status and counts."""
    row = need(service, "datasets", request["DatasetArn"], "dataset")
    counts = service.state.row(
        "SELECT COUNT(*) AS total, SUM(labeled) AS labeled, SUM(errors) AS errors FROM entries WHERE dataset = ?",
        row["arn"],
    )
    assert counts is not None
    labels = service.state.rows(
        "SELECT DISTINCT j.value FROM entries, json_each(entries.labels) AS j WHERE dataset = ?", row["arn"]
    )
    shown: dict[str, Any] = {
        "CreationTimestamp": row["created"],
        "LastUpdatedTimestamp": row["updated"],
        "Status": row["status"],
        "StatusMessage": row["message"] or _status_message(row["status"]),
        "DatasetStats": {
            "TotalEntries": counts["total"],
            "LabeledEntries": counts["labeled"] or 0,
            "TotalLabels": len(labels),
            "ErrorEntries": counts["errors"] or 0,
        },
    }
    if row["message_code"]:
        shown["StatusMessageCode"] = row["message_code"]
    return {"DatasetDescription": shown}


def _status_message(status: str) -> str:
    phase, _, outcome = status.partition("_")
    doing = {"CREATE": "created", "UPDATE": "updated", "DELETE": "deleted"}[phase]
    return f"The dataset is being {doing}." if outcome == "IN_PROGRESS" else f"The dataset was {doing}."


def update_dataset_entries(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateDatasetEntries: `source-ref` is the key; replaces or adds, in the background."""
    row = _idle(service, request["DatasetArn"])
    text = request["Changes"]["GroundTruth"].decode("utf-8", errors="replace")
    with service.state.change() as db:
        db.execute(
            "UPDATE datasets SET status = 'UPDATE_IN_PROGRESS', message = NULL, message_code = NULL, pending = ? "
            "WHERE arn = ?",
            (json.dumps({"kind": "update", "text": text}), row["arn"]),
        )
    service.ingester.submit(row["arn"])
    return {}


def list_dataset_entries(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """ListDatasetEntries with every filter; entries are JSON lines."""
    row = _readable(service, request["DatasetArn"])
    query = "SELECT line, labeled FROM entries WHERE dataset = ?"
    values: list[Any] = [row["arn"]]
    for field, column in (("Labeled", "labeled"), ("HasErrors", "errors")):
        if field in request:
            query += f" AND {column} = ?"
            values.append(int(request[field]))
    if "SourceRefContains" in request:
        query += " AND instr(source_ref, ?) > 0"
        values.append(request["SourceRefContains"])
    if "ContainsLabels" in request:
        marks = ", ".join("?" for _ in request["ContainsLabels"])
        query += f" AND EXISTS (SELECT 1 FROM json_each(entries.labels) WHERE json_each.value IN ({marks}))"
        values += request["ContainsLabels"]
    shown, rest = page(service.state.rows(query + " ORDER BY id", *values), request, "ListDatasetEntries")
    return {"DatasetEntries": [shown_entry(entry["line"], bool(entry["labeled"])) for entry in shown], **rest}


def list_dataset_labels(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """ListDatasetLabels: how many images have each label."""
    row = _readable(service, request["DatasetArn"])
    counts: Counter[str] = Counter()
    boxed: Counter[str] = Counter()
    for entry in service.state.rows("SELECT labels, line FROM entries WHERE dataset = ?", row["arn"]):
        labels = json.loads(entry["labels"])
        counts.update(labels)
        if '"annotations"' in entry["line"]:
            boxed.update(labels)
    shown, rest = page(sorted(counts), request, "ListDatasetLabels")
    descriptions = [
        {"LabelName": name, "LabelStats": {"EntryCount": counts[name], "BoundingBoxCount": boxed[name]}}
        for name in shown
    ]
    return {"DatasetLabelDescriptions": descriptions, **rest}


def distribute_dataset_entries(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DistributeDatasetEntries: moves 20 % of the training entries to an empty test dataset."""
    rows = [_idle(service, item["Arn"], not_ready=True) for item in request["Datasets"]]
    kinds = {row["type"]: row for row in rows}
    if set(kinds) != {"TRAIN", "TEST"} or rows[0]["project"] != rows[1]["project"]:
        raise ServiceFault(
            "InvalidParameterException", "Give one TRAIN and one TEST dataset of the same project."
        )
    if service.state.row("SELECT 1 FROM entries WHERE dataset = ? LIMIT 1", kinds["TEST"]["arn"]):
        raise ServiceFault("InvalidParameterException", "The test dataset must be empty.")
    with service.state.change() as db:
        for row in rows:
            pending = {"kind": "distribute", "test": kinds["TEST"]["arn"]} if row["type"] == "TRAIN" else None
            db.execute(
                "UPDATE datasets SET status = 'UPDATE_IN_PROGRESS', message = NULL, message_code = NULL, pending = ? "
                "WHERE arn = ?",
                (json.dumps(pending) if pending else None, row["arn"]),
            )
    service.ingester.submit(kinds["TRAIN"]["arn"])
    return {}


def delete_dataset(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteDataset: not while it is being created or updated."""
    row = need(service, "datasets", request["DatasetArn"], "dataset")
    if row["status"].endswith("IN_PROGRESS"):
        raise ServiceFault("ResourceInUseException", f"The dataset is in state {row['status']}.")
    with service.state.change() as db:
        db.execute(
            "UPDATE datasets SET status = 'DELETE_IN_PROGRESS', until = ?, next_status = 'GONE' WHERE arn = ?",
            (service.clock.until("delete"), row["arn"]),
        )
    settle(service)
    return {}


def _idle(service: Service, arn: str, *, not_ready: bool = False) -> sqlite3.Row:
    row = need(service, "datasets", arn, "dataset")
    if row["status"] not in _READY:
        code = "ResourceNotReadyException" if not_ready else "ResourceInUseException"
        raise ServiceFault(code, f"The dataset is in state {row['status']}.")
    return row


def _readable(service: Service, arn: str) -> sqlite3.Row:
    row = need(service, "datasets", arn, "dataset")
    if row["status"] in ("CREATE_IN_PROGRESS", "CREATE_FAILED"):
        raise ServiceFault("ResourceNotReadyException", f"The dataset is in state {row['status']}.")
    if row["status"].endswith("IN_PROGRESS"):
        raise ServiceFault("ResourceInUseException", f"The dataset is in state {row['status']}.")
    return row


class DatasetWorker:
    """Reads what is pending for datasets, one thread; what a killed server left is taken up again."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="datasets")
        self._service: Service | None = None
        self._ready = threading.Event()

    def begin(self, service: Service) -> None:
        """Bind the server's parts and take up what an earlier run left."""
        self._service = service
        self._ready.set()
        for row in service.state.rows("SELECT arn FROM datasets WHERE pending IS NOT NULL AND until IS NULL"):
            self.submit(row["arn"])

    def submit(self, dataset_arn: str) -> None:
        """Begin what is pending for a dataset."""
        self._pool.submit(self._run, dataset_arn)

    def close(self) -> None:
        """Finish what runs and stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, arn: str) -> None:
        self._ready.wait()
        service = self._service
        assert service is not None
        row = service.state.row("SELECT * FROM datasets WHERE arn = ?", arn)
        if row is None or not row["pending"]:
            return
        pending = json.loads(row["pending"])
        phase = row["status"].split("_")[0]
        try:
            _WORK[pending["kind"]](service, arn, pending)
        except ServiceFault as fault:
            _finish(service, [arn], phase, "FAILED", fault.message, "CLIENT_ERROR")
        except Exception as exc:  # noqa: BLE001 - the service answers any failure of its own with a state
            _finish(service, [arn], phase, "FAILED", f"Internal error: {exc}", "SERVICE_ERROR")


def _finish(
    service: Service, arns: list[str], phase: str, outcome: str, message: str | None, code: str
) -> None:
    with service.state.change() as db:
        until = service.clock.until("create" if phase == "CREATE" else "update")
        for arn in arns:
            db.execute(
                "UPDATE datasets SET until = ?, next_status = ?, message = ?, message_code = ?, pending = NULL, "
                "updated = ? WHERE arn = ? AND status LIKE ?",
                (
                    until,
                    f"{phase}_{outcome}",
                    message,
                    code,
                    service.clock.now(),
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


def _from_manifest(service: Service, arn: str, pending: dict[str, Any]) -> None:
    if "." not in pending["name"].rsplit("/", 1)[-1]:
        raise _import_error("ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT")
    lines = manifest_lines(pending["text"].encode())
    if not lines:
        raise _import_error("ERROR_EMPTY_MANIFEST")
    entries = list(read_entries(lines))
    bad = len(lines) - sum(not entry.errors for entry in entries)
    if bad > LIMITS.max_invalid_share * len(lines):
        raise _import_error("ERROR_TOO_MANY_RECORDS_IN_ERROR")
    if len(entries) > LIMITS.max_images:
        raise _import_error("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM")
    with service.state.change() as db:
        db.execute("DELETE FROM entries WHERE dataset = ?", (arn,))
        _store(db, arn, entries, replace=False)
    _finish(service, [arn], "CREATE", "COMPLETE", None, "SUCCESS")


def _import_error(code: str) -> ServiceFault:
    return ServiceFault(code, CODES[code].message)


def _from_copy(service: Service, arn: str, pending: dict[str, Any]) -> None:
    with service.state.change() as db:
        db.execute("DELETE FROM entries WHERE dataset = ?", (arn,))
        db.execute(
            "INSERT INTO entries (dataset, source_ref, line, labeled, errors, labels) "
            "SELECT ?, source_ref, line, labeled, errors, labels FROM entries WHERE dataset = ? ORDER BY id",
            (arn, pending["dataset"]),
        )
    _finish(service, [arn], "CREATE", "COMPLETE", None, "SUCCESS")


def _empty(service: Service, arn: str, pending: dict[str, Any]) -> None:
    _finish(service, [arn], "CREATE", "COMPLETE", None, "SUCCESS")


def _update(service: Service, arn: str, pending: dict[str, Any]) -> None:
    entries = list(read_entries(manifest_lines(pending["text"].encode())))
    with service.state.change() as db:
        _store(db, arn, entries, replace=True)
    _finish(service, [arn], "UPDATE", "COMPLETE", None, "SUCCESS")


def _distribute(service: Service, arn: str, pending: dict[str, Any]) -> None:
    with service.state.change() as db:
        rows = db.execute(
            "SELECT id, labels FROM entries WHERE dataset = ? AND labeled ORDER BY id", (arn,)
        ).fetchall()
        per_label: Counter[str] = Counter(label for row in rows for label in json.loads(row["labels"]))
        if any(count < 2 for count in per_label.values()) or not rows:
            _finish(
                service,
                [arn, pending["test"]],
                "UPDATE",
                "FAILED",
                "There are not enough images for each label to distribute: every label needs at least 2.",
                "CLIENT_ERROR",
            )
            return
        moved = [(pending["test"], row["id"]) for row in rows[::5]]
        db.executemany("UPDATE entries SET dataset = ? WHERE id = ?", moved)
    _finish(service, [arn, pending["test"]], "UPDATE", "COMPLETE", None, "SUCCESS")


_WORK: dict[str, Callable[[Service, str, dict[str, Any]], None]] = {
    "manifest": _from_manifest,
    "copy": _from_copy,
    "empty": _empty,
    "update": _update,
    "distribute": _distribute,
}
