"""Operations on model versions: train, describe, start, stop, copy, delete."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from tilekit.local.context import Backend, Caller, find, need, page, settle, write_tags
from tilekit.local.policy_operations import check_copy
from tilekit.local.protocol import ServiceFault

_STARTABLE = ("TRAINING_COMPLETED", "STOPPED", "COPYING_COMPLETED", "FAILED")


def create_project_version(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """CreateProjectVersion: training starts."""
    project = need(backend, caller, "projects", request["ProjectArn"], "project")
    if "FeatureConfig" in request:
        raise ServiceFault(
            "InvalidParameterException", "FeatureConfig is for content moderation adapters only."
        )
    _check_output(backend, request["OutputConfig"])
    _check_data(backend, project, request)
    arn = _version_arn(backend, caller, project["name"], request["VersionName"])
    with backend.state.change() as db:
        _check_room(backend, db, project["arn"])
        training = db.execute(
            "SELECT COUNT(*) FROM versions WHERE status = 'TRAINING_IN_PROGRESS'"
        ).fetchone()[0]
        if training >= backend.settings.max_training:
            raise ServiceFault(
                "LimitExceededException",
                f"The limit of {backend.settings.max_training} trainings at once is reached.",
            )
        _insert(backend, db, arn, project["arn"], request, "TRAINING_IN_PROGRESS", None)
    backend.trainer.submit(arn)
    return {"ProjectVersionArn": arn}


def _version_arn(backend: Backend, caller: Caller, project: str, name: str) -> str:
    return caller.arn(f"project/{project}/version/{name}/{backend.clock.stamp()}")


def _check_output(backend: Backend, output: dict[str, Any]) -> None:
    if not backend.buckets.has_bucket(output.get("S3Bucket", "")):
        raise ServiceFault(
            "InvalidParameterException", "The output bucket does not exist or cannot be written to."
        )


def _check_data(backend: Backend, project: sqlite3.Row, request: dict[str, Any]) -> None:
    datasets = {
        row["type"]: row
        for row in backend.state.rows("SELECT * FROM datasets WHERE project = ?", project["arn"])
    }
    given = "TrainingData" in request or "TestingData" in request
    if given and datasets:
        raise ServiceFault(
            "InvalidParameterException",
            "The project has datasets; TrainingData and TestingData must not be given.",
        )
    if given:
        if not request.get("TrainingData", {}).get("Assets"):
            raise ServiceFault("InvalidParameterException", "TrainingData needs Assets.")
        testing = request.get("TestingData", {})
        if bool(testing.get("Assets")) == bool(testing.get("AutoCreate")):
            raise ServiceFault("InvalidParameterException", "TestingData needs either Assets or AutoCreate.")
        for asset in [*request["TrainingData"]["Assets"], *testing.get("Assets", [])]:
            where = asset.get("GroundTruthManifest", {}).get("S3Object", {})
            if (
                backend.buckets.size(where.get("Bucket", ""), where.get("Name", ""), where.get("Version"))
                is None
            ):
                raise ServiceFault(
                    "InvalidParameterException",
                    "The manifest file is not accessible or has an unsupported format.",
                )
        return
    if "TRAIN" not in datasets:
        raise ServiceFault("InvalidParameterException", "The project has no training dataset.")
    for row in datasets.values():
        if row["status"].endswith("IN_PROGRESS"):
            raise ServiceFault(
                "ResourceInUseException", f"The {row['type']} dataset is in state {row['status']}."
            )


def _check_room(backend: Backend, db: sqlite3.Connection, project: str) -> None:
    most = backend.settings.max_models
    if db.execute("SELECT COUNT(*) FROM versions WHERE project = ?", (project,)).fetchone()[0] >= most:
        raise ServiceFault(
            "ServiceQuotaExceededException", f"The limit of {most} models in a project is reached."
        )


def _insert(
    backend: Backend,
    db: sqlite3.Connection,
    arn: str,
    project: str,
    request: dict[str, Any],
    status: str,
    source: sqlite3.Row | None,
) -> None:
    try:
        db.execute(
            "INSERT INTO versions (arn, project, name, created, status, request, source_arn, folder) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                arn,
                project,
                request["VersionName"],
                backend.clock.now(),
                status,
                json.dumps(request),
                source["arn"] if source else None,
                source["folder"] if source else arn.rsplit("/", 1)[1],
            ),
        )
    except sqlite3.IntegrityError as exc:
        raise ServiceFault(
            "ResourceInUseException",
            f"A version named {request['VersionName']} already exists in the project.",
        ) from exc
    write_tags(db, arn, request.get("Tags"))


def describe_project_versions(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeProjectVersions: newest first."""
    need(backend, caller, "projects", request["ProjectArn"], "project")
    rows = backend.state.rows(
        "SELECT * FROM versions WHERE project = ? ORDER BY id DESC", request["ProjectArn"]
    )
    names = request.get("VersionNames")
    rows = [row for row in rows if not names or row["name"] in names]
    shown, rest = page(rows, request, "DescribeProjectVersions")
    return {"ProjectVersionDescriptions": [_description(row) for row in shown], **rest}


def _description(row: sqlite3.Row) -> dict[str, Any]:
    request = json.loads(row["request"])
    shown: dict[str, Any] = {
        "ProjectVersionArn": row["arn"],
        "CreationTimestamp": row["created"],
        "Status": row["status"],
        "StatusMessage": (row["message"] if row["until"] is None else None)
        or _MESSAGES.get(row["status"], ""),
        "OutputConfig": request["OutputConfig"],
        "Feature": "CUSTOM_LABELS",
    }
    optional = {
        "KmsKeyId": request.get("KmsKeyId"),
        "VersionDescription": request.get("VersionDescription"),
        "TrainingEndTimestamp": row["training_end"],
        "BillableTrainingTimeInSeconds": row["billable"],
        "MinInferenceUnits": row["min_units"],
        "MaxInferenceUnits": row["max_units"],
        "SourceProjectVersionArn": row["source_arn"],
    }
    shown.update({name: value for name, value in optional.items() if value is not None})
    given = {} if row["source_arn"] else _given(request)
    result = json.loads(row["result"] or "{}")
    return {
        **shown,
        **result,
        **{field: {**value, **result.get(field, {})} for field, value in given.items()},
    }


def _given(request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Input of the training's results: what the caller gave, nothing where it gave none."""
    testing = {"AutoCreate": False, **request.get("TestingData", {})}
    return {
        "TrainingDataResult": {"Input": request.get("TrainingData", {})},
        "TestingDataResult": {"Input": testing},
    }


_MESSAGES = {
    "TRAINING_IN_PROGRESS": "The model is being trained.",
    "TRAINING_COMPLETED": "The model is ready to run.",
    "STARTING": "The model is starting.",
    "RUNNING": "The model is running.",
    "STOPPING": "The model is stopping.",
    "STOPPED": "The model is stopped.",
    "DELETING": "The model is being deleted.",
    "COPYING_IN_PROGRESS": "The model version copy is in progress.",
    "COPYING_COMPLETED": "The model version copy is complete.",
    "COPYING_FAILED": "The model version copy failed.",
    "FAILED": "The model failed to start.",
}


def start_project_version(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """StartProjectVersion: at most two models run at once, each with at most five units."""
    row = need(backend, caller, "versions", request["ProjectVersionArn"], "model")
    low, high = request["MinInferenceUnits"], request.get("MaxInferenceUnits")
    if high is not None and high < low:
        raise ServiceFault(
            "InvalidParameterException", "MaxInferenceUnits must not be less than MinInferenceUnits."
        )
    if max(low, high or 0) > backend.settings.max_units:
        raise ServiceFault(
            "LimitExceededException",
            f"The limit of {backend.settings.max_units} inference units a model is exceeded.",
        )
    if row["status"] == "TRAINING_FAILED":
        raise ServiceFault("InvalidParameterException", "The model's training failed; it cannot be started.")
    if row["status"] not in _STARTABLE:
        raise ServiceFault("ResourceInUseException", f"The model is in state {row['status']}.")
    outcome, message, delay = _outcome(backend, "Starting", "RUNNING", "FAILED")
    with backend.state.change() as db:
        running = db.execute(
            "SELECT COUNT(*) FROM versions WHERE status IN ('STARTING', 'RUNNING', 'STOPPING')"
        ).fetchone()[0]
        if running >= backend.settings.max_running:
            raise ServiceFault(
                "LimitExceededException",
                f"The limit of {backend.settings.max_running} running models is reached.",
            )
        changed = db.execute(
            "UPDATE versions SET status = 'STARTING', until = ?, next_status = ?, min_units = ?, max_units = ?, "
            "message = ? WHERE arn = ? AND status = ?",
            (backend.clock.until("start") + delay, outcome, low, high, message, row["arn"], row["status"]),
        ).rowcount
        if not changed:
            raise ServiceFault("ResourceInUseException", "The model's state is changing.")
    backend.models.warm(row["folder"])
    return {"Status": "STARTING"}


def _outcome(backend: Backend, work: str, good: str, bad: str) -> tuple[str, str | None, float]:
    """The state that work in the background ends in, its message, and seconds it takes longer."""
    rule = backend.faults.next_fault(work)
    if rule is None:
        return good, None, 0.0
    return (bad, rule.reason, rule.delay) if rule.fails else (good, None, rule.delay)


def stop_project_version(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """StopProjectVersion: a running model only."""
    row = need(backend, caller, "versions", request["ProjectVersionArn"], "model")
    with backend.state.change() as db:
        changed = db.execute(
            "UPDATE versions SET status = 'STOPPING', until = ?, next_status = 'STOPPED' WHERE arn = ? AND status = 'RUNNING'",
            (backend.clock.until("stop"), row["arn"]),
        ).rowcount
        if not changed:
            raise ServiceFault(
                "ResourceInUseException", f"The model is in state {row['status']}; only a running one stops."
            )
        db.execute(
            "UPDATE runs SET stopped = ? WHERE version = ? AND stopped IS NULL",
            (backend.clock.now(), row["arn"]),
        )
    return {"Status": "STOPPING"}


def copy_project_version(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """CopyProjectVersion: a trained model into a project of the same Region, of the same account or another's.

    From another account only where a policy of the source project allows it.
    """
    target = need(backend, caller, "projects", request["DestinationProjectArn"], "project")
    check_copy(backend, caller, request["SourceProjectArn"], request["SourceProjectVersionArn"])
    source_project = find(backend, "projects", request["SourceProjectArn"])
    source = find(backend, "versions", request["SourceProjectVersionArn"])
    if source_project is None or source is None:
        what = "project" if source_project is None else "model"
        raise ServiceFault("ResourceNotFoundException", f"The requested source {what} was not found.")
    if source["project"] != source_project["arn"]:
        raise ServiceFault("InvalidParameterException", "The source model is not of the source project.")
    if target["region"] != source_project["region"]:
        raise ServiceFault("InvalidParameterException", "A model can only be copied within its Region.")
    if source["f1"] is None:
        raise ServiceFault(
            "InvalidParameterException", "Only a model whose training completed can be copied."
        )
    _check_output(backend, request["OutputConfig"])
    arn = _version_arn(backend, caller, target["name"], request["VersionName"])
    outcome, message, delay = _outcome(backend, "Copying", "COPYING_COMPLETED", "COPYING_FAILED")
    with backend.state.change() as db:
        _check_room(backend, db, target["arn"])
        _insert(backend, db, arn, target["arn"], request, "COPYING_IN_PROGRESS", source)
        db.execute(
            "UPDATE versions SET until = ?, next_status = ?, message = ?, result = ?, f1 = ? WHERE arn = ?",
            (
                backend.clock.until("copy") + delay,
                outcome,
                message,
                None if message else source["result"],
                None if message else source["f1"],
                arn,
            ),
        )
    return {"ProjectVersionArn": arn}


def delete_project_version(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteProjectVersion: not while it trains, starts, runs, stops or is copied."""
    row = need(backend, caller, "versions", request["ProjectVersionArn"], "model")
    busy = ("TRAINING_IN_PROGRESS", "STARTING", "RUNNING", "STOPPING", "COPYING_IN_PROGRESS", "DELETING")
    if row["status"] in busy:
        raise ServiceFault("ResourceInUseException", f"The model is in state {row['status']}.")
    with backend.state.change() as db:
        db.execute(
            "UPDATE versions SET status = 'DELETING', until = ?, next_status = 'GONE' WHERE arn = ?",
            (backend.clock.until("delete"), row["arn"]),
        )
    settle(backend)
    return {"Status": "DELETING"}
