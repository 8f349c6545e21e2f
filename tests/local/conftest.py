from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local.clients import Clients
from tilekit.local import running


@pytest.fixture(scope="session")
def canned_url() -> Iterator[str]:
    with running(canned=True, time_scale=0.0, max_projects=100_000) as url:
        yield url


@pytest.fixture
def canned(canned_url: str) -> Clients:
    return Clients(canned_url)
