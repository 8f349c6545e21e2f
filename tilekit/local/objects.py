"""The buckets beside the service: moto's S3 in the same process, read and written directly."""

from __future__ import annotations

from typing import Any

from tilekit.local.protocol import ServiceFault

ACCOUNT = "123456789012"  # moto's own default account


class Buckets:
    """Objects of the S3 that answers on the same port."""

    def __init__(self) -> None:
        from moto.s3.models import s3_backends

        self._backend: Any = s3_backends[ACCOUNT]["aws"]

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

    def _find(self, bucket: str, key: str, version: str | None) -> Any:
        if not self.has_bucket(bucket):
            return None
        found = self._backend.get_object(bucket, key, version)
        return found if found is not None and hasattr(found, "contentsize") else None
