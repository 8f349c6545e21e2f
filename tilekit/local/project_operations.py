"""Operations on projects and tags."""

from __future__ import annotations

import sqlite3
from typing import Any

from tilekit.local.context import Caller, Service, need, page, settle, write_tags
from tilekit.local.protocol import ServiceFault

_MAX_PROJECTS = 100


def create_project(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """CreateProject."""
    settle(service)
    name = request["ProjectName"]
    feature = request.get("Feature", "CUSTOM_LABELS")
    if feature != "CUSTOM_LABELS":
        raise ServiceFault(
            "InvalidParameterException", "Content moderation adapters are not done by this local server."
        )
    if "AutoUpdate" in request:
        raise ServiceFault("InvalidParameterException", "AutoUpdate is for content moderation adapters only.")
    arn = f"arn:aws:rekognition:{caller.region}:{caller.account}:project/{name}/{service.clock.stamp()}"
    now = service.clock.now()
    with service.state.change() as db:
        count = db.execute("SELECT COUNT(*) FROM projects WHERE region = ?", (caller.region,)).fetchone()[0]
        if count >= _MAX_PROJECTS:
            raise ServiceFault("LimitExceededException", f"The limit of {_MAX_PROJECTS} projects is reached.")
        try:
            db.execute(
                "INSERT INTO projects (arn, region, name, feature, created, status) VALUES (?, ?, ?, ?, ?, 'CREATED')",
                (arn, caller.region, name, feature, now),
            )
        except sqlite3.IntegrityError as exc:
            raise ServiceFault("ResourceInUseException", f"A project named {name} already exists.") from exc
        write_tags(db, arn, request.get("Tags"))
    return {"ProjectArn": arn}


def describe_projects(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeProjects: newest first, with their datasets."""
    settle(service)
    rows = service.state.rows(
        "SELECT * FROM projects WHERE region = ? ORDER BY created DESC, arn DESC", caller.region
    )
    names, features = request.get("ProjectNames"), request.get("Features")
    rows = [
        row
        for row in rows
        if (not names or row["name"] in names) and (not features or row["feature"] in features)
    ]
    shown, rest = page(rows, request, "DescribeProjects")
    return {"ProjectDescriptions": [_description(service, row) for row in shown], **rest}


def _description(service: Service, row: sqlite3.Row) -> dict[str, Any]:
    datasets = service.state.rows("SELECT * FROM datasets WHERE project = ? ORDER BY type DESC", row["arn"])
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
    }
    if row["message"]:
        shown["StatusMessage"] = row["message"]
    if row["message_code"]:
        shown["StatusMessageCode"] = row["message_code"]
    return shown


def delete_project(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteProject: only when no version remains; its datasets go with it."""
    arn = request["ProjectArn"]
    need(service, "projects", arn, "project")
    with service.state.change() as db:
        if db.execute("SELECT 1 FROM versions WHERE project = ? LIMIT 1", (arn,)).fetchone():
            raise ServiceFault("ResourceInUseException", "The project still has models; delete them first.")
        until = service.clock.until("delete")
        db.execute(
            "UPDATE projects SET status = 'DELETING', until = ?, next_status = 'GONE' WHERE arn = ?",
            (until, arn),
        )
        db.execute(
            "UPDATE datasets SET status = 'DELETE_IN_PROGRESS', until = ?, next_status = 'GONE', pending = NULL "
            "WHERE project = ?",
            (until, arn),
        )
    return {"Status": "DELETING"}


def tag_resource(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """TagResource: on a model, dataset or project."""
    arn = _tagged(service, request["ResourceArn"])
    with service.state.change() as db:
        write_tags(db, arn, request["Tags"])
        if db.execute("SELECT COUNT(*) FROM tags WHERE arn = ?", (arn,)).fetchone()[0] > 200:
            raise ServiceFault("ServiceQuotaExceededException", "A resource has at most 200 tags.")
    return {}


def untag_resource(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """UntagResource."""
    arn = _tagged(service, request["ResourceArn"])
    with service.state.change() as db:
        db.executemany(
            "DELETE FROM tags WHERE arn = ? AND key = ?", [(arn, key) for key in request["TagKeys"]]
        )
    return {}


def list_tags(service: Service, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """ListTagsForResource."""
    arn = _tagged(service, request["ResourceArn"])
    rows = service.state.rows("SELECT key, value FROM tags WHERE arn = ? ORDER BY key", arn)
    return {"Tags": {row["key"]: row["value"] for row in rows}}


def _tagged(service: Service, arn: str) -> str:
    settle(service)
    for table in ("versions", "datasets", "projects"):
        if service.state.row(f"SELECT 1 FROM {table} WHERE arn = ?", arn):
            return arn
    raise ServiceFault("ResourceNotFoundException", f"The requested resource was not found: {arn}")
