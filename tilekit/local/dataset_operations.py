"""Operations on datasets; what takes time is done by the worker."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import Any

from tilekit.local.context import Backend, Caller, need, page, settle, write_tags
from tilekit.local.dataset_messages import dataset_message
from tilekit.local.entries import shown_entry
from tilekit.local.manifests import manifest_text
from tilekit.local.protocol import ServiceFault
from tilekit.rekognition.limits import LIMITS

_READY = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_FAILED")


def create_dataset(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """CreateDataset: from a manifest, as a copy, or empty."""
    project = need(backend, caller, "projects", request["ProjectArn"], "project")
    kind = request["DatasetType"]
    source = request.get("DatasetSource", {})
    if len(source) > 1:
        raise ServiceFault(
            "InvalidParameterException", "DatasetSource takes GroundTruthManifest or DatasetArn, not both."
        )
    pending = _pending_source(backend, caller, source)
    arn = caller.arn(f"project/{project['name']}/dataset/{kind.lower()}/{backend.clock.stamp()}")
    now = backend.clock.now()
    with backend.state.change() as db:
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
    backend.ingester.submit(arn)
    return {"DatasetArn": arn}


def _pending_source(backend: Backend, caller: Caller, source: dict[str, Any]) -> dict[str, Any]:
    if "GroundTruthManifest" in source:
        where = source["GroundTruthManifest"].get("S3Object", {})
        if "Bucket" not in where or "Name" not in where:
            raise ServiceFault(
                "InvalidParameterException", "GroundTruthManifest needs S3Object with Bucket and Name."
            )
        size = backend.buckets.size(where["Bucket"], where["Name"], where.get("Version"))
        if size is None:
            raise ServiceFault(
                "InvalidS3ObjectException",
                "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
            )
        if size > LIMITS.max_manifest_bytes:
            raise ServiceFault("LimitExceededException", "The manifest is larger than 1 GB.")
        data = backend.buckets.read(where["Bucket"], where["Name"], where.get("Version"))
        return {"kind": "manifest", "name": where["Name"], "text": manifest_text(data)}
    if "DatasetArn" in source:
        dataset = need(backend, caller, "datasets", source["DatasetArn"], "dataset")
        return {"kind": "copy", "dataset": dataset["arn"]}
    return {"kind": "empty"}


def describe_dataset(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeDataset: status and counts."""
    row = need(backend, caller, "datasets", request["DatasetArn"], "dataset")
    counts = backend.state.row(
        "SELECT COUNT(*) AS total, SUM(labeled) AS labeled, SUM(errors) AS errors FROM entries WHERE dataset = ?",
        row["arn"],
    )
    assert counts is not None
    labels = backend.state.rows(
        "SELECT DISTINCT j.value FROM entries, json_each(entries.labels) AS j WHERE dataset = ?", row["arn"]
    )
    shown: dict[str, Any] = {
        "CreationTimestamp": row["created"],
        "LastUpdatedTimestamp": row["updated"],
        "Status": row["status"],
        "StatusMessage": dataset_message(row),
        "DatasetStats": {
            "TotalEntries": counts["total"],
            "LabeledEntries": counts["labeled"] or 0,
            "TotalLabels": len(labels),
            "ErrorEntries": counts["errors"] or 0,
        },
    }
    if row["message_code"] and row["until"] is None:
        shown["StatusMessageCode"] = row["message_code"]
    return {"DatasetDescription": shown}


def update_dataset_entries(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateDatasetEntries: `source-ref` is the key; replaces or adds, in the background."""
    row = _idle(backend, caller, request["DatasetArn"])
    text = manifest_text(request["Changes"]["GroundTruth"])
    with backend.state.change() as db:
        db.execute(
            "UPDATE datasets SET status = 'UPDATE_IN_PROGRESS', message = NULL, message_code = NULL, pending = ? "
            "WHERE arn = ?",
            (json.dumps({"kind": "update", "text": text}), row["arn"]),
        )
    backend.ingester.submit(row["arn"])
    return {}


def list_dataset_entries(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """ListDatasetEntries with every filter; entries are JSON lines."""
    row = _readable(backend, caller, request["DatasetArn"])
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
    shown, rest = page(backend.state.rows(query + " ORDER BY id", *values), request, "ListDatasetEntries")
    return {"DatasetEntries": [shown_entry(entry["line"], bool(entry["labeled"])) for entry in shown], **rest}


def list_dataset_labels(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """ListDatasetLabels: how many images have each label."""
    row = _readable(backend, caller, request["DatasetArn"])
    counts: Counter[str] = Counter()
    boxed: Counter[str] = Counter()
    for entry in backend.state.rows("SELECT labels, line FROM entries WHERE dataset = ?", row["arn"]):
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


def distribute_dataset_entries(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DistributeDatasetEntries: moves 20 % of the training entries to an empty test dataset."""
    rows = [_idle(backend, caller, item["Arn"], not_ready=True) for item in request["Datasets"]]
    kinds = {row["type"]: row for row in rows}
    if set(kinds) != {"TRAIN", "TEST"} or rows[0]["project"] != rows[1]["project"]:
        raise ServiceFault(
            "InvalidParameterException", "Give one TRAIN and one TEST dataset of the same project."
        )
    if backend.state.row("SELECT 1 FROM entries WHERE dataset = ? LIMIT 1", kinds["TEST"]["arn"]):
        raise ServiceFault("InvalidParameterException", "The test dataset must be empty.")
    with backend.state.change() as db:
        for row in rows:
            pending = {"kind": "distribute", "test": kinds["TEST"]["arn"]} if row["type"] == "TRAIN" else None
            db.execute(
                "UPDATE datasets SET status = 'UPDATE_IN_PROGRESS', message = NULL, message_code = NULL, pending = ? "
                "WHERE arn = ?",
                (json.dumps(pending) if pending else None, row["arn"]),
            )
    backend.ingester.submit(kinds["TRAIN"]["arn"])
    return {}


def delete_dataset(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteDataset: not while it is being created or updated."""
    row = need(backend, caller, "datasets", request["DatasetArn"], "dataset")
    if row["status"].endswith("IN_PROGRESS"):
        raise ServiceFault("ResourceInUseException", f"The dataset is in state {row['status']}.")
    with backend.state.change() as db:
        db.execute(
            "UPDATE datasets SET status = 'DELETE_IN_PROGRESS', until = ?, next_status = 'GONE' WHERE arn = ?",
            (backend.clock.until("delete"), row["arn"]),
        )
    settle(backend)
    return {}


def _idle(backend: Backend, caller: Caller, arn: str, *, not_ready: bool = False) -> sqlite3.Row:
    row = need(backend, caller, "datasets", arn, "dataset")
    if row["status"] not in _READY:
        code = "ResourceNotReadyException" if not_ready else "ResourceInUseException"
        raise ServiceFault(code, f"The dataset is in state {row['status']}.")
    return row


def _readable(backend: Backend, caller: Caller, arn: str) -> sqlite3.Row:
    row = need(backend, caller, "datasets", arn, "dataset")
    if row["status"] in ("CREATE_IN_PROGRESS", "CREATE_FAILED"):
        raise ServiceFault("ResourceNotReadyException", f"The dataset is in state {row['status']}.")
    if row["status"].endswith("IN_PROGRESS"):
        raise ServiceFault("ResourceInUseException", f"The dataset is in state {row['status']}.")
    return row
