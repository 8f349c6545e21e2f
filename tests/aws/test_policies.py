"""The IAM policies of the guide allow exactly the calls that the code makes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.aws.building import make_dataset, make_tile
from tests.aws.conftest import QUICK
from tests.aws.test_guard import ROLE, cloud  # noqa: F401
from tilekit.aws.deploying import deploy
from tilekit.aws.labels_detector import LabelsDetector
from tilekit.aws.model import Model
from tilekit.aws.project import RekognitionProject, all_projects
from tilekit.aws.service import Service
from tilekit.aws.text import TextDetector
from tilekit.aws.training import TrainingOptions
from tilekit.aws.workspace import ProjectOptions
from tilekit.errors import TilekitError, TrainingFailed
from tilekit.storage.s3 import Access

GUIDE = Path(__file__).parents[2] / "docs" / "aws.md"
_S3 = {
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every IAM action of every call made through an Access, by botocore's own events."""
    made: set[str] = set()
    before = Access.make_session

    def watched(access: Access) -> Any:
        session = before(access)

        def note(model: Any, **_: Any) -> None:
            service = model.service_model.service_name
            action = f"{service}:{model.name}"
            made.add(_S3.get(model.name, action) if service == "s3" else action)

        session.events.register("before-call", note)
        return session

    monkeypatch.setattr(Access, "make_session", watched)
    return made


def policy(title: str) -> tuple[set[str], set[str]]:
    """The actions that are calls of ours, and the others, of the block that follows `title`."""
    text = GUIDE.read_text(encoding="utf-8")
    block = re.search(rf"^{title}.*?```json\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    ours: set[str] = set()
    others: set[str] = set()
    for statement in json.loads(block[1])["Statement"]:
        assert statement["Effect"] == "Allow"
        assert statement["Action"] == sorted(statement["Action"])
        (ours if statement["Sid"].startswith("Calls") else others).update(statement["Action"])
    return ours, others


def project(endpoint: str, name: str) -> RekognitionProject:
    service = Service(Access("us-east-1", endpoint_url=endpoint), rate=1000)
    return RekognitionProject(name, "aws-tests", options=ProjectOptions(service=service, polling=QUICK))


def test_train(
    endpoint: str, make_project: Callable[..., RekognitionProject], calls: set[str], tmp_path: Path
) -> None:
    train, test = make_dataset(tmp_path)
    lines = train.read_text().splitlines()
    train.write_text("\n".join([*lines, lines[0]]) + "\n")
    project(endpoint, "policy-train").train(train, test, check=False)
    train.write_text("\n".join(lines[1:]) + "\n")
    project(endpoint, "policy-train").train(train, test)
    test.write_text(test.read_text().replace('"arrow"', '"x"').replace('"triangle"', '"y"'))
    for _ in range(2):
        with pytest.raises(TrainingFailed):
            project(endpoint, "policy-train").train(
                train, test, version="bad", check=False, options=TrainingOptions(retry_failed=True)
            )
    assert calls == policy("Train")[0]


def test_detect(
    endpoint: str, make_project: Callable[..., RekognitionProject], calls: set[str], tmp_path: Path
) -> None:
    trained = project(endpoint, "policy-detect").train(*make_dataset(tmp_path))
    trained.store.delete(trained.folder / "tilekit-model.json")
    calls.clear()
    model = Model.find(trained.arn, region="us-east-1", endpoint_url=endpoint, polling=QUICK)
    with model.running(watchdog=False) as detector:
        detector.detect([make_tile()])
    ours, others = policy("Detect")
    assert calls == ours
    calls.clear()
    for beside in (TextDetector, LabelsDetector):
        with pytest.raises(TilekitError):  # the local server does neither
            beside(access=Access("us-east-1", endpoint_url=endpoint), attempts=1).detect([make_tile()])
    assert calls == others


def test_stop(
    endpoint: str,
    make_project: Callable[..., RekognitionProject],
    calls: set[str],
    tmp_path: Path,
    cloud: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tilekit.aws.deploying import running_cost
    from tilekit.aws.model import models_of

    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SCHEDULER", cloud)
    service = Service(Access("us-east-1"), rate=1000)
    own = RekognitionProject(
        "policy-stop", "aws-tests", options=ProjectOptions(service=service, polling=QUICK)
    )
    deploy(own.train(*make_dataset(tmp_path)), seconds=3600, guard=True, guard_role=ROLE)
    calls.clear()
    fresh = Service(Access("us-east-1"), rate=1000)
    for name, arn in all_projects(fresh):
        for model in models_of(fresh, arn, polling=QUICK):
            if name == "policy-stop":
                assert running_cost(model) is not None
                model.stop()
    assert calls == policy("Stop")[0]
