from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.s3_server import moto_server
from tilekit.aws.deploying import deploy
from tilekit.aws.guard import CloudGuard
from tilekit.aws.project import RekognitionProject
from tilekit.errors import InvalidArgument
from tilekit.storage.s3 import Access

ARN = "arn:aws:rekognition:us-east-1:123456789012:project/p/version/v/1700000000000"
ROLE = "arn:aws:iam::123456789012:role/stop-models"


@pytest.fixture
def cloud() -> Iterator[str]:
    with moto_server("scheduler") as url:
        yield url


def test_a_schedule_stops_the_model_once(cloud: str) -> None:
    access = Access("us-east-1", endpoint_url=cloud)
    guard = CloudGuard(access, ARN, ROLE)
    guard.arm(1_800_000_000.0)
    client = guard.service.client
    found = client.get_schedule(Name=guard.name)
    assert found["ScheduleExpression"] == "at(2027-01-15T08:00:00)"
    assert found["ScheduleExpressionTimezone"] == "UTC"
    assert found["ActionAfterCompletion"] == "DELETE"
    assert found["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:rekognition:stopProjectVersion"
    assert found["Target"]["RoleArn"] == ROLE
    assert json.loads(found["Target"]["Input"]) == {"ProjectVersionArn": ARN}
    guard.arm(1_800_003_600.0)
    assert client.get_schedule(Name=guard.name)["ScheduleExpression"] == "at(2027-01-15T09:00:00)"
    assert len(client.list_schedules()["Schedules"]) == 1
    guard.disarm()
    guard.disarm()
    assert client.list_schedules()["Schedules"] == []


def test_a_guard_needs_a_role() -> None:
    with pytest.raises(InvalidArgument, match="--guard-role"):
        CloudGuard(Access("us-east-1"), ARN).arm(time.time() + 60)


def test_deploy_arms_and_stop_disarms(
    make_project: Callable[..., RekognitionProject],
    dataset: tuple[Path, Path],
    endpoint: str,
    cloud: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SCHEDULER", cloud)
    from tilekit.aws.service import Service

    model = make_project(service=Service(Access("us-east-1"), rate=1000)).train(*dataset)
    made = deploy(model, seconds=3600, guard=True, guard_role=ROLE)
    schedules = Access("us-east-1").client("scheduler")
    assert [item["Name"] for item in schedules.list_schedules()["Schedules"]] == [made.guard]
    model.stop()
    assert schedules.list_schedules()["Schedules"] == []
    with pytest.raises(InvalidArgument, match="--guard-role"):
        deploy(model, seconds=3600, guard=True)
    assert model.status in {"STOPPING", "STOPPED"}
