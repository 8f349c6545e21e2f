from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError

from tests.aws.building import make_dataset, make_tile
from tilekit.aws.project import RekognitionProject
from tilekit.aws.rate import RateLimiter
from tilekit.errors import ServiceDenied, StorageDenied
from tilekit.local import running
from tilekit.storage.s3 import Access, S3Store

MakeProject = Callable[..., RekognitionProject]

TRAIN = textwrap.dedent(
    """
    import os, signal, sys
    from tilekit.aws.project import RekognitionProject
    from tilekit.aws.training import TrainingOptions
    from tilekit.aws.workspace import ProjectOptions
    from tilekit.aws.service import Service
    from tilekit.aws.waiting import Polling
    from tilekit.storage.s3 import Access

    endpoint, train, test, log = sys.argv[1:5]
    service = Service(Access(endpoint_url=endpoint), rate=1000)
    project = RekognitionProject("killed", "aws-tests", options=ProjectOptions(service=service, polling=Polling(0.05, 0.05, 0.05)))

    def after(model, http_response, context, **_):
        # the service has done it, and nobody here knows yet
        if model.name.startswith("Create") or model.name == "PutObject":
            with open(log, "a") as file:
                file.write(f"{model.name} {context['tilekit-what']}\\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def before(model, params, context, **_):
        body = params.get("body")
        context["tilekit-what"] = params["url"].split("?")[0] if model.name == "PutObject" else body[:160]

    for client in (service.client, project.store.client):
        client.meta.events.register("before-call", before)
        client.meta.events.register("after-call", after)
    print(project.train(train, test, options=TrainingOptions(workers=1)).arn)
    """
)


@pytest.mark.slow
def test_kill_at_every_step_of_a_training(endpoint: str, store: S3Store, tmp_path: Path) -> None:
    train, test = make_dataset(tmp_path / "data", train=1, test=1)
    log = tmp_path / "log"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    for _ in range(20):
        done = subprocess.run(
            [sys.executable, "-c", TRAIN, endpoint, str(train), str(test), str(log)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
    assert "project/killed/version/v-" in done.stdout
    steps = Counter(line.split()[0] for line in log.read_text().splitlines())
    # two images, two manifests and the recipe, each once
    assert steps["CreateProject"] == 1
    assert steps["CreateDataset"] == 2
    assert steps["CreateProjectVersion"] == 1
    assert steps["PutObject"] == 5


@pytest.mark.slow
def test_throttled_and_broken_calls_do_not_stop_a_training(tmp_path: Path) -> None:
    faults = [
        {"operation": "*", "error": "ThrottlingException", "every": 3, "times": 6},
        {"operation": "CreateDataset", "drop": True, "times": 1},
        {"operation": "CreateProjectVersion", "error": "InternalServerError", "status": 500, "times": 1},
        {"operation": "DescribeProjectVersions", "drop": True, "after": 2, "times": 2},
    ]
    with running(canned=True, time_scale=0.0, faults=faults) as endpoint:
        S3Store(Access(endpoint_url=endpoint)).client.create_bucket(Bucket="aws-tests")
        project = RekognitionProject("faults", "aws-tests", endpoint_url=endpoint)
        assert project.train(*make_dataset(tmp_path)).f1 is not None


def test_answers_lost_on_the_way_make_nothing_twice(
    make_project: MakeProject, dataset: tuple[Path, Path]
) -> None:
    """The service does it and the answer is lost: the second try is told that it is there."""
    project = make_project()
    lost: set[str] = set()

    def lose(http_response: Any, model: Any, **_: Any) -> None:
        if model.name.startswith("Create") and model.name not in lost:
            lost.add(model.name)
            raise ConnectionClosedError(endpoint_url="x")

    project.service.client.meta.events.register("after-call", lose)
    model = project.train(*dataset)
    assert lost == {"CreateProject", "CreateDataset", "CreateProjectVersion"}
    assert len(list(project.models())) == 1
    assert model.f1 is not None


def test_an_expired_login_in_the_middle_keeps_what_is_done_and_stops(
    make_project: MakeProject, dataset: tuple[Path, Path]
) -> None:
    """Ten tiles, the login ends after five: the model is stopped (its login lives) and five are kept."""
    model = make_project().train(*dataset)
    kept: list[int] = []
    with (  # noqa: PT012
        pytest.raises(ServiceDenied, match="login has expired"),
        model.running(workers=1) as detector,
    ):
        calls = iter(range(100))

        def expire(request: Any, **_: Any) -> AWSResponse | None:
            if next(calls) < 5:
                return None
            return answer(request.url, 400, b'{"__type": "ExpiredTokenException", "message": "gone"}')

        detector.client.meta.events.register("before-send.rekognition.DetectCustomLabels", expire)
        for number in range(10):
            detector.detect([make_tile(number)])
            kept.append(number)
    assert kept == [0, 1, 2, 3, 4]
    assert model.status in {"STOPPING", "STOPPED"}


def answer(url: str, status: int, body: bytes) -> AWSResponse:
    class Raw:
        def stream(self, *_: Any, **__: Any) -> list[bytes]:
            return [body]

        def read(self, *_: Any) -> bytes:
            return body

    return AWSResponse(url, status, {"content-type": "application/x-amz-json-1.1"}, Raw())


@pytest.mark.slow
def test_resets_and_errors_in_detection_lose_nothing(tmp_path: Path) -> None:
    faults = [
        {"operation": "DetectCustomLabels", "drop": True, "every": 7, "times": 5},
        {
            "operation": "DetectCustomLabels",
            "error": "InternalServerError",
            "status": 500,
            "every": 5,
            "times": 5,
        },
        {
            "operation": "DetectCustomLabels",
            "error": "ProvisionedThroughputExceededException",
            "every": 4,
            "times": 8,
        },
    ]
    with running(canned=True, time_scale=0.0, faults=faults) as endpoint:
        S3Store(Access(endpoint_url=endpoint)).client.create_bucket(Bucket="aws-tests")
        project = RekognitionProject("lossy", "aws-tests", endpoint_url=endpoint)
        model = project.train(*make_dataset(tmp_path))
        with (
            model.running(workers=4, watchdog=False, limiter=RateLimiter(50.0)) as detector,
            ThreadPoolExecutor(4) as pool,
        ):
            found = list(pool.map(lambda number: detector.detect([make_tile(number)])[0], range(40)))
    assert [len(one) for one in found] == [1] * 40
    assert detector.throttles >= 1


def test_a_denied_upload_says_so(
    make_project: MakeProject, dataset: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()

    def deny(request: Any, **_: Any) -> AWSResponse:
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        return answer(request.url, 403, body)

    project.store.client.meta.events.register("before-send.s3.PutObject", deny)
    with pytest.raises(StorageDenied, match="needs s3:PutObject"):
        project.train(*dataset)
