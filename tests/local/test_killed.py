"""A server killed at any moment goes on from what it had answered."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.local.clients import Clients, wait
from tests.local.test_training import put_scene
from tilekit.errors import ServiceError
from tilekit.local import ServerSettings, running
from tilekit.local.process import start_process, stop_process, wait_ready


@contextlib.contextmanager
def server(folder: Path, settings: ServerSettings) -> Iterator[tuple[str, object]]:
    process = start_process(folder, "127.0.0.1", 0, settings)
    try:
        yield wait_ready(process), process
    finally:
        stop_process(process)


def kill(process: object) -> None:
    process.send_signal(signal.SIGKILL)  # type: ignore[attr-defined]
    process.wait()  # type: ignore[attr-defined]


def moved(clients: Clients, url: str) -> Clients:
    again = Clients(url)
    again.bucket = clients.bucket
    return again


@pytest.mark.slow
def test_a_training_is_taken_up_again(tmp_path: Path) -> None:
    settings = ServerSettings(steps=24, time_scale=0.0, threads=1)
    with server(tmp_path, settings) as (url, process):
        clients = Clients(url)
        project = clients.project()
        lines = [put_scene(clients, seed) for seed in range(4)]
        clients.dataset(project, "TRAIN", lines[:3])
        clients.dataset(project, "TEST", lines[3:])
        output = {"S3Bucket": clients.bucket, "S3KeyPrefix": "out"}
        clients.service.create_project_version(ProjectArn=project, VersionName="v1", OutputConfig=output)
        wait(lambda: "step" in clients.describe(project, "v1")["StatusMessage"], 60)
        kill(process)
    with server(tmp_path, settings) as (url, _):
        clients = moved(clients, url)
        wait(lambda: clients.describe(project, "v1")["Status"] != "TRAINING_IN_PROGRESS", 120)
        version = clients.describe(project, "v1")
        assert version["Status"] == "TRAINING_COMPLETED", version["StatusMessage"]
        where = version["EvaluationResult"]["Summary"]["S3Object"]
        assert clients.s3.get_object(Bucket=where["Bucket"], Key=where["Name"])["Body"].read()


@pytest.mark.slow
def test_what_was_answered_stays_whenever_it_is_killed(tmp_path: Path) -> None:
    settings = ServerSettings(canned=True, time_scale=0.0)
    draws = random.Random(7)
    names: set[str] = set()
    keys: set[str] = set()
    bucket = ""
    for _ in range(4):
        with server(tmp_path, settings) as (url, process):
            clients = Clients(url)
            bucket = bucket or clients.bucket
            found = clients.service.describe_projects()["ProjectDescriptions"]
            assert names <= {project["ProjectArn"] for project in found}
            there = {item["Key"] for item in clients.s3.list_objects_v2(Bucket=bucket).get("Contents", [])}
            assert keys <= there
            with contextlib.suppress(BotoCoreError, ClientError):
                for _ in range(draws.randrange(1, 8)):
                    names.add(clients.project())
                    key = f"{draws.random()}/ä b"
                    clients.s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
                    keys.add(key)
                    if draws.random() < 0.3:
                        gone = sorted(keys)[0]
                        keys.discard(gone)
                        clients.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": gone}]})
            kill(process)
    with server(tmp_path, settings) as (url, _):
        clients = Clients(url)
        there = {item["Key"] for item in clients.s3.list_objects_v2(Bucket=bucket).get("Contents", [])}
        assert there == keys


def test_one_server_a_state(tmp_path: Path) -> None:
    with running(tmp_path, canned=True), pytest.raises(ServiceError, match="another local server"):  # noqa: SIM117
        with running(tmp_path, canned=True):
            pass
