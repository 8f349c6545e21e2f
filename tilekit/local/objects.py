"""The buckets beside the service: moto's S3 in the same process, read and written directly.

moto forgets everything with its process; what changes is therefore kept in the state's folder (a file an
object, a row in SQLite that names it) and put back at the start. Versions, tags and policies are not kept.
"""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import unquote

from tilekit.local.accounts import ACCOUNT
from tilekit.local.protocol import ServiceFault
from tilekit.local.state import State
from tilekit.storage.local import write_bytes


class Buckets:
    """Objects of the S3 that answers on the same port."""

    def __init__(self, state: State) -> None:
        from moto.s3.models import s3_backends

        self._backend: Any = s3_backends[ACCOUNT]["aws"]
        self._state = state
        for row in state.rows("SELECT name, region FROM buckets"):
            if not self.has_bucket(row["name"]):
                self._backend.create_bucket(row["name"], row["region"])
        for row in state.rows("SELECT bucket, key, file FROM objects"):
            path = state.folder / "objects" / row["file"]
            if self.has_bucket(row["bucket"]) and path.exists():
                self._backend.put_object(row["bucket"], row["key"], path.read_bytes())

    def make(self, bucket: str) -> None:
        """Make a bucket where there is none of this name."""
        if not self.has_bucket(bucket):
            self._backend.create_bucket(bucket, "us-east-1")
        self.remember(f"/{bucket}")

    def has_bucket(self, bucket: str) -> bool:
        """Whether there is such a bucket."""
        return bucket in self._backend.buckets

    def read(self, bucket: str, key: str, version: str | None = None) -> bytes:
        """An object's bytes; InvalidS3ObjectException where there is none."""
        found = self._find(bucket, key, version)
        if found is None:
            raise ServiceFault(
                "InvalidS3ObjectException",
                "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
            )
        data: bytes = found.value
        return data

    def size(self, bucket: str, key: str, version: str | None = None) -> int | None:
        """An object's size in bytes, or None where there is none."""
        found = self._find(bucket, key, version)
        return None if found is None else int(found.contentsize)

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Put an object into a bucket that exists."""
        self._backend.put_object(bucket, key, data)
        self._keep(bucket, key)

    def remember(self, path: str) -> None:
        """Keep what a request on `path` (`/bucket/key`, quoted, with its query) has changed."""
        place, _, query = path.partition("?")
        bucket, _, key = unquote(place).lstrip("/").partition("/")
        if not bucket:
            return
        known = self._state.row("SELECT 1 FROM buckets WHERE name = ?", bucket)
        if not self.has_bucket(bucket):
            if known:
                self._forget(bucket)
            return
        if not known:
            region = str(self._backend.buckets[bucket].region_name)
            with self._state.change() as db:
                db.execute("INSERT OR IGNORE INTO buckets (name, region) VALUES (?, ?)", (bucket, region))
        if key:
            self._keep(bucket, key)
        elif query:
            self._compare(bucket)

    def _keep(self, bucket: str, key: str) -> None:
        """Bring the kept copy of one object up to date."""
        found = self._find(bucket, key, None)
        row = self._state.row("SELECT file FROM objects WHERE bucket = ? AND key = ?", bucket, key)
        if found is None:
            if row is not None:
                with self._state.change() as db:
                    db.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
            return
        data: bytes = found.value
        digest = hashlib.sha256(data).hexdigest()
        file = f"{digest[:2]}/{digest[2:]}"
        if row is not None and row["file"] == file:
            return
        target = self._state.folder / "objects" / file
        if not target.exists():
            write_bytes(target, data)
        with self._state.change() as db:
            db.execute(
                "INSERT OR REPLACE INTO objects (bucket, key, file) VALUES (?, ?, ?)", (bucket, key, file)
            )

    def _compare(self, bucket: str) -> None:
        """Forget the kept objects that a bucket has lost: one request may delete many."""
        for row in self._state.rows("SELECT key FROM objects WHERE bucket = ?", bucket):
            if self._find(bucket, row["key"], None) is None:
                self._keep(bucket, row["key"])

    def _forget(self, bucket: str) -> None:
        with self._state.change() as db:
            db.execute("DELETE FROM objects WHERE bucket = ?", (bucket,))
            db.execute("DELETE FROM buckets WHERE name = ?", (bucket,))

    def _find(self, bucket: str, key: str, version: str | None) -> Any:
        if not self.has_bucket(bucket):
            return None
        found = self._backend.get_object(bucket, key, version)
        return found if found is not None and hasattr(found, "contentsize") else None
