"""What every operation works with: the server's parts, and who calls."""

from __future__ import annotations

import base64
import binascii
import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tilekit.local.accounts import ACCOUNT
from tilekit.local.clock import Clock
from tilekit.local.faults import FaultPlan
from tilekit.local.objects import Buckets
from tilekit.local.protocol import ServiceFault
from tilekit.local.settings import ServerSettings
from tilekit.local.state import State


class Trainer(Protocol):
    """Trains versions in the background."""

    def submit(self, version_arn: str) -> None:
        """Begin, or go on with, the training of a version."""


class ModelStore(Protocol):
    """Gives the detections of a running model."""

    def detect(self, folder: str, image: bytes) -> list[dict[str, Any]]:
        """Everything found in an image: Name, Confidence, Geometry; highest confidence first."""

    def thresholds(self, folder: str) -> Mapping[str, float]:
        """Assumed threshold of each label, 0..1."""

    def warm(self, folder: str) -> None:
        """Load a model before its first detection."""


class Ingester(Protocol):
    """Reads manifests into datasets in the background."""

    def submit(self, dataset_arn: str) -> None:
        """Begin, or go on with, what is pending for a dataset."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the Region of the signature and the account of the access key."""

    region: str
    account: str = ACCOUNT

    def arn(self, rest: str) -> str:
        """The ARN of a resource of this caller."""
        return f"arn:aws:rekognition:{self.region}:{self.account}:{rest}"


@dataclass(slots=True)
class Backend:
    """The server's parts."""

    settings: ServerSettings
    state: State
    clock: Clock
    buckets: Buckets
    trainer: Trainer
    models: ModelStore
    ingester: Ingester
    faults: FaultPlan


Operation = Callable[[Backend, Caller, dict[str, Any]], dict[str, Any]]


def settle(backend: Backend) -> None:
    """Bring every timed state up to now: what has run out becomes its next state, or goes."""
    now = backend.clock.now()
    due = backend.state.row(
        "SELECT 1 FROM projects WHERE until <= ? UNION ALL SELECT 1 FROM datasets WHERE until <= ? "
        "UNION ALL SELECT 1 FROM versions WHERE until <= ? LIMIT 1",
        now,
        now,
        now,
    )
    if due is None:
        return
    unused: set[str] = set()
    with backend.state.change() as db:
        for row in db.execute("SELECT * FROM versions WHERE until <= ?", (now,)).fetchall():
            if row["next_status"] == "RUNNING":
                db.execute(
                    "INSERT INTO runs (version, units, started) VALUES (?, ?, ?)",
                    (row["arn"], row["min_units"], row["until"]),
                )
        for table, owned in (("datasets", True), ("versions", False), ("projects", False)):
            gone = db.execute(
                f"SELECT * FROM {table} WHERE until <= ? AND next_status = 'GONE'", (now,)
            ).fetchall()
            for row in gone:
                forget(db, table, row["arn"], entries=owned)
                unused |= {row["folder"]} if table == "versions" else set()
            db.execute(
                f"UPDATE {table} SET status = next_status, until = NULL, next_status = NULL WHERE until <= ?",
                (now,),
            )
        unused -= {row["folder"] for row in db.execute("SELECT folder FROM versions")}
    for name in unused:
        shutil.rmtree(backend.state.model_folder(name), ignore_errors=True)


def forget(db: sqlite3.Connection, table: str, arn: str, *, entries: bool = False) -> None:
    """Remove a row with its tags, a dataset's entries, a project's policies."""
    db.execute(f"DELETE FROM {table} WHERE arn = ?", (arn,))
    db.execute("DELETE FROM tags WHERE arn = ?", (arn,))
    db.execute("DELETE FROM policies WHERE project = ?", (arn,))
    if entries:
        db.execute("DELETE FROM entries WHERE dataset = ?", (arn,))


def need(backend: Backend, caller: Caller, table: str, arn: str, what: str) -> sqlite3.Row:
    """The row of an ARN of the caller's; AccessDeniedException for another account's.

    ResourceNotFoundException where there is none, or none in the Region of the call.
    """
    region, account = arn.split(":")[3:5]
    if account != caller.account:
        raise ServiceFault(
            "AccessDeniedException",
            f"Account {caller.account} is not authorized to use {arn}, which is of account {account}.",
        )
    found = find(backend, table, arn)
    if found is None or region != caller.region:
        raise ServiceFault("ResourceNotFoundException", f"The requested {what} was not found: {arn}")
    return found


def find(backend: Backend, table: str, arn: str) -> sqlite3.Row | None:
    """The row of an ARN, whoever owns it, or None."""
    settle(backend)
    return backend.state.row(f"SELECT * FROM {table} WHERE arn = ?", arn)


def write_tags(db: sqlite3.Connection, arn: str, tags: Mapping[str, str] | None) -> None:
    """Add tags to a resource."""
    db.executemany(
        "INSERT OR REPLACE INTO tags (arn, key, value) VALUES (?, ?, ?)",
        [(arn, key, value) for key, value in (tags or {}).items()],
    )


def page(
    rows: Sequence[Any], request: Mapping[str, Any], operation: str, most: int = 100
) -> tuple[list[Any], dict[str, str]]:
    """One page of `rows` (MaxResults, or `most`; NextToken) and the answer's NextToken where more follow.

    InvalidPaginationTokenException for a token that this operation did not give.
    """
    start = 0
    if request.get("NextToken"):  # an empty token asks for the first page
        start = _offset(request["NextToken"], operation)
    stop = start + int(request.get("MaxResults", most))
    rest = {"NextToken": _token(operation, stop)} if stop < len(rows) else {}
    return list(rows[start:stop]), rest


def _token(operation: str, offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([operation, offset]).encode()).decode()


def _offset(token: str, operation: str) -> int:
    try:
        name, offset = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error, TypeError) as exc:
        raise ServiceFault("InvalidPaginationTokenException", "The pagination token is not valid.") from exc
    if name != operation or not isinstance(offset, int) or offset < 0:
        raise ServiceFault(
            "InvalidPaginationTokenException", "The pagination token is not of this operation."
        )
    return offset


def s3_object(bucket: str, key: str) -> dict[str, dict[str, str]]:
    """The S3Object structure of the answers."""
    return {"S3Object": {"Bucket": bucket, "Name": key}}
