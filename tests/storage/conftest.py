"""A server of S3 for the tests of stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.s3_server import moto_server
from tilekit.storage.s3 import Access, S3Store


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = S3Store(Access(endpoint_url=endpoint))
    store.client.create_bucket(Bucket="scans")
    return store
