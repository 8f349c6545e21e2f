"""S3 for tests: the one place that starts a moto server.

moto keeps one state in a process, whatever server it is reached by: a bucket of a test that ran before, in the same
worker of the test runner, is still there with all that is in it. Hence what is started here begins and ends empty.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def forget(service: str = "s3") -> None:
    """Remove what every server of this process holds of a service."""
    for account in list(get_backend(service).values()):
        account.reset()


@contextlib.contextmanager
def empty(service: str = "s3") -> Iterator[None]:
    """Nothing of a service before the block, and nothing after it."""
    forget(service)
    try:
        yield
    finally:
        forget(service)


@contextlib.contextmanager
def moto_server(service: str = "s3") -> Iterator[str]:
    """The URL of a server that holds nothing of this service yet. It answers for others too, as they are."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with empty(service):
        server.start()
        try:
            yield "http://{}:{}".format(*server.get_host_and_port())
        finally:
            server.stop()


def use(patch: pytest.MonkeyPatch, url: str) -> None:
    """Make it this process's endpoint, with keys that it takes."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": url}.items():
        patch.setenv(name, value)
