"""Operations on tags of projects, datasets and models."""

from __future__ import annotations

from typing import Any

from tilekit.local.context import Backend, Caller, need, write_tags
from tilekit.local.protocol import ServiceFault


def tag_resource(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """TagResource: on a model, dataset or project."""
    arn = _tagged(backend, caller, request["ResourceArn"])
    with backend.state.change() as db:
        write_tags(db, arn, request["Tags"])
        if db.execute("SELECT COUNT(*) FROM tags WHERE arn = ?", (arn,)).fetchone()[0] > 200:
            raise ServiceFault("ServiceQuotaExceededException", "A resource has at most 200 tags.")
    return {}


def untag_resource(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """UntagResource."""
    arn = _tagged(backend, caller, request["ResourceArn"])
    with backend.state.change() as db:
        db.executemany(
            "DELETE FROM tags WHERE arn = ? AND key = ?", [(arn, key) for key in request["TagKeys"]]
        )
    return {}


def list_tags(backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """ListTagsForResource."""
    arn = _tagged(backend, caller, request["ResourceArn"])
    rows = backend.state.rows("SELECT key, value FROM tags WHERE arn = ? ORDER BY key", arn)
    return {"Tags": {row["key"]: row["value"] for row in rows}}


def _tagged(backend: Backend, caller: Caller, arn: str) -> str:
    parts = arn.split(":", 5)
    kind = parts[5] if len(parts) == 6 else ""
    table = next((name for mark, name in _TAGGED if mark in kind), None)
    if table is None or parts[2] != "rekognition":
        raise ServiceFault("InvalidParameterException", f"{arn} is no ARN of a project, dataset or model.")
    need(backend, caller, table, arn, "resource")
    return arn


_TAGGED = (("/version/", "versions"), ("/dataset/", "datasets"), ("project/", "projects"))
