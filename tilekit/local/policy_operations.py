"""Operations on project policies."""

from __future__ import annotations

import secrets
import sqlite3
from typing import Any

from tilekit.local.context import Backend, Caller, need, page
from tilekit.local.policies import may_copy, read_policy
from tilekit.local.protocol import ServiceFault

_MAX_POLICIES = 5


def put_project_policy(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """PutProjectPolicy: a new one, or another text for the one of this name and revision."""
    project = need(backend, caller, "projects", request["ProjectArn"], "project")
    name, document = request["PolicyName"], request["PolicyDocument"]
    read_policy(document)
    now, revision = backend.clock.now(), secrets.token_hex(16)
    with backend.state.change() as db:
        old = _policy(db, project["arn"], name)
        known = request.get("PolicyRevisionId")
        if old is None and known is not None:
            raise ServiceFault("InvalidPolicyRevisionIdException", f"There is no policy {name} to update.")
        if old is not None and known is None:
            raise ServiceFault(
                "ResourceAlreadyExistsException",
                f"The project already has a policy {name}; give its revision.",
            )
        if old is not None:
            _check_revision(old, known)
        count = db.execute("SELECT COUNT(*) FROM policies WHERE project = ?", (project["arn"],)).fetchone()[0]
        if old is None and count >= _MAX_POLICIES:
            raise ServiceFault("LimitExceededException", f"A project has at most {_MAX_POLICIES} policies.")
        db.execute(
            "INSERT OR REPLACE INTO policies (project, name, revision, document, created, updated) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (project["arn"], name, revision, document, old["created"] if old else now, now),
        )
    return {"PolicyRevisionId": revision}


def list_project_policies(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """ListProjectPolicies: by name, at most five a page."""
    project = need(backend, caller, "projects", request["ProjectArn"], "project")
    rows = backend.state.rows("SELECT * FROM policies WHERE project = ? ORDER BY name", project["arn"])
    shown, rest = page(rows, request, "ListProjectPolicies", _MAX_POLICIES)
    policies = [
        {
            "ProjectArn": row["project"],
            "PolicyName": row["name"],
            "PolicyRevisionId": row["revision"],
            "PolicyDocument": row["document"],
            "CreationTimestamp": row["created"],
            "LastUpdatedTimestamp": row["updated"],
        }
        for row in shown
    ]
    return {"ProjectPolicies": policies, **rest}


def delete_project_policy(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteProjectPolicy: the one of this name; of this revision, where one is given."""
    project = need(backend, caller, "projects", request["ProjectArn"], "project")
    name = request["PolicyName"]
    with backend.state.change() as db:
        old = _policy(db, project["arn"], name)
        if old is None:
            raise ServiceFault("ResourceNotFoundException", f"The project has no policy {name}.")
        _check_revision(old, request.get("PolicyRevisionId"))
        db.execute("DELETE FROM policies WHERE project = ? AND name = ?", (project["arn"], name))
    return {}


def check_copy(backend: Backend, caller: Caller, project_arn: str, version_arn: str) -> None:
    """AccessDeniedException unless the project is the caller's, or a policy of it lets the caller copy the model."""
    if project_arn.split(":")[4] == caller.account:
        return
    rows = backend.state.rows("SELECT document FROM policies WHERE project = ?", project_arn)
    statements = tuple(part for row in rows for part in read_policy(row["document"]))
    if not may_copy(statements, caller.account, version_arn):
        raise ServiceFault(
            "AccessDeniedException",
            f"No policy of {project_arn} lets account {caller.account} copy {version_arn}.",
        )


def _policy(db: sqlite3.Connection, project: str, name: str) -> Any:
    return db.execute("SELECT * FROM policies WHERE project = ? AND name = ?", (project, name)).fetchone()


def _check_revision(old: Any, known: str | None) -> None:
    if known is not None and known.lower() != old["revision"]:
        raise ServiceFault(
            "InvalidPolicyRevisionIdException", f"The policy's revision is another one: {old['revision']}."
        )
