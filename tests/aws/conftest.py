from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.aws.building import make_dataset
from tilekit.aws.model import Model
from tilekit.aws.project import RekognitionProject
from tilekit.aws.service import Service
from tilekit.aws.waiting import Polling
from tilekit.aws.workspace import ProjectOptions
from tilekit.local import running
from tilekit.storage.s3 import Access, S3Store

QUICK = Polling(0.05, 0.05, 0.05)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with running(canned=True, time_scale=0.0) as url:
        yield url


@pytest.fixture
def store(endpoint: str) -> S3Store:
    store = S3Store(Access(endpoint_url=endpoint))
    store.client.create_bucket(Bucket="aws-tests")
    return store


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def make_project(
    endpoint: str, store: S3Store, notes: list[str], request: pytest.FixtureRequest
) -> Callable[..., RekognitionProject]:
    def make(name: str = "", **options: object) -> RekognitionProject:
        own = name or request.node.name.replace("[", "-").replace("]", "")[:200]
        service = Service(Access(endpoint_url=endpoint), rate=1000)
        settings = ProjectOptions(**{"service": service, "polling": QUICK, **options})
        return RekognitionProject(own, "aws-tests", note=notes.append, options=settings)

    return make


@pytest.fixture
def dataset(tmp_path: Path) -> tuple[Path, Path]:
    return make_dataset(tmp_path / "data")


@pytest.fixture
def model(make_project: Callable[..., RekognitionProject], dataset: tuple[Path, Path]) -> Iterator[Model]:
    model = make_project().train(*dataset)
    yield model
    model.stop()


@pytest.fixture(autouse=True, scope="module")
def _no_watcher_stays(watchers_end: None) -> None:
    """Of a deploy, or of a caller that was killed."""
