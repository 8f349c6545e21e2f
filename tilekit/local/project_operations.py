"""Operations on projects."""

from __future__ import annotations

import sqlite3
from typing import Any

from tilekit.local.context import Backend, Caller, need, page, settle, write_tags
from tilekit.local.dataset_messages import dataset_message
from tilekit.local.protocol import ServiceFault


def create_project(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """CreateProject."""
    name = request["ProjectName"]
    feature = request.get("Feature", "CUSTOM_LABELS")
    if feature != "CUSTOM_LABELS":
        raise ServiceFault(
            "InvalidParameterException", "Content moderation adapters are not done by this local server."
        )
    if "AutoUpdate" in request:
        raise ServiceFault("InvalidParameterException", "AutoUpdate is for content moderation adapters only.")
    settle(backend)
    arn = caller.arn(f"project/{name}/{backend.clock.stamp()}")
    now = backend.clock.now()
    with backend.state.change() as db:
        count = db.execute(
            "SELECT COUNT(*) FROM projects WHERE account = ? AND region = ?", (caller.account, caller.region)
        ).fetchone()[0]
        most = backend.settings.max_projects
        if count >= most:
            raise ServiceFault("LimitExceededException", f"The limit of {most} projects is reached.")
        try:
            db.execute(
                "INSERT INTO projects (arn, account, region, name, feature, created, status) "
                "VALUES (?, ?, ?, ?, ?, ?, 'CREATED')",
                (arn, caller.account, caller.region, name, feature, now),
            )
        except sqlite3.IntegrityError as exc:
            raise ServiceFault("ResourceInUseException", f"A project named {name} already exists.") from exc
        write_tags(db, arn, request.get("Tags"))
    return {"ProjectArn": arn}


def describe_projects(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeProjects: newest first, with their datasets."""
    settle(backend)
    rows = backend.state.rows(
        "SELECT * FROM projects WHERE account = ? AND region = ? ORDER BY created DESC, arn DESC",
        caller.account,
        caller.region,
    )
    names, features = request.get("ProjectNames"), request.get("Features")
    rows = [
        row
        for row in rows
        if (not names or row["name"] in names) and (not features or row["feature"] in features)
    ]
    shown, rest = page(rows, request, "DescribeProjects")
    return {"ProjectDescriptions": [_description(backend, row) for row in shown], **rest}


def _description(backend: Backend, row: sqlite3.Row) -> dict[str, Any]:
    datasets = backend.state.rows("SELECT * FROM datasets WHERE project = ? ORDER BY type DESC", row["arn"])
    return {
        "ProjectArn": row["arn"],
        "CreationTimestamp": row["created"],
        "Status": row["status"],
        "Feature": row["feature"],
        "Datasets": [_dataset_metadata(dataset) for dataset in datasets],
    }


def _dataset_metadata(row: sqlite3.Row) -> dict[str, Any]:
    shown = {
        "CreationTimestamp": row["created"],
        "DatasetType": row["type"],
        "DatasetArn": row["arn"],
        "Status": row["status"],
        "StatusMessage": dataset_message(row),
    }
    if row["message_code"] and row["until"] is None:
        shown["StatusMessageCode"] = row["message_code"]
    return shown


def delete_project(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteProject: only when no model and no dataset remains; its policies go with it."""
    arn = request["ProjectArn"]
    need(backend, caller, "projects", arn, "project")
    with backend.state.change() as db:
        if db.execute("SELECT 1 FROM versions WHERE project = ? LIMIT 1", (arn,)).fetchone():
            raise ServiceFault("ResourceInUseException", "The project still has models; delete them first.")
        if db.execute("SELECT 1 FROM datasets WHERE project = ? LIMIT 1", (arn,)).fetchone():
            raise ServiceFault("ResourceInUseException", "The project still has datasets; delete them first.")
        db.execute(
            "UPDATE projects SET status = 'DELETING', until = ?, next_status = 'GONE' WHERE arn = ?",
            (backend.clock.until("delete"), arn),
        )
    return {"Status": "DELETING"}
