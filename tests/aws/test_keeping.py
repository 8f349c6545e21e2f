"""No model is left running by somebody who is gone: leases with an expiry, told by later commands, and ended."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner

from tests.aws.building import TILING, make_dataset
from tests.aws.test_running_model import wait_for
from tilekit.archive import DetectJob, process_archive
from tilekit.aws.deadlines import Watch, Watcher, watch
from tilekit.aws.keeping import is_unkept, unkept
from tilekit.aws.leases import LEASE_SECONDS, LeaseBook, Started
from tilekit.aws.model import Model
from tilekit.aws.project import RekognitionProject
from tilekit.aws.running_model import RunningModel, Safeguards, Signals
from tilekit.aws.service import Service
from tilekit.cli import cli
from tilekit.cli.cloud import warn_all_unkept
from tilekit.errors import InvalidArgument, StorageNotFound
from tilekit.scans.encoding import encode_image
from tilekit.storage.local import write_bytes
from tilekit.storage.s3 import Access

MakeProject = Callable[..., RekognitionProject]


@pytest.mark.parametrize(
    ("started", "seen", "now", "lonely"),
    [
        (Started("run"), 1000, 1100, False),
        (Started("run"), 1000, 1001 + LEASE_SECONDS, True),
        (Started("deploy"), 1000, 10**6, False),
        (Started("deploy", idle=60), 1000, 1001 + LEASE_SECONDS, True),
        (Started("deploy", until=9000, guard=True), 1000, 8000, False),
        (Started("deploy", until=9000, guard=True), 1000, 9001 + LEASE_SECONDS, True),
        (Started("deploy", until=9000), 8900, 9001 + LEASE_SECONDS, True),
    ],
)
def test_who_is_without_a_keeper(started: Started, seen: float, now: float, lonely: bool) -> None:
    assert is_unkept(started, seen, now) == lonely


def _lose_the_keeper(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a container died with the worker, the watcher and all, and five minutes went by."""
    book = LeaseBook(model.store, model.folder)
    book.write_started(Started("run", units=2))
    book.put("dead")
    model.switch.start()
    monkeypatch.setattr("tilekit.aws.keeping.LEASE_SECONDS", -2.0)


@pytest.mark.slow
def test_later_commands_tell_of_it_and_end_it(
    model: Model, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ["--endpoint", endpoint, "--region", "us-east-1"]
    kept = CliRunner().invoke(cli, ["stop", "--stale", *where])
    assert "nothing runs without a keeper" in kept.output
    _lose_the_keeper(model, monkeypatch)
    fresh = Model.find(model.arn, endpoint_url=endpoint)
    assert unkept(fresh) is not None
    shown = CliRunner().invoke(cli, ["models", *where])
    assert "running without a keeper since" in shown.output
    assert "tilekit stop --stale" in shown.output
    told = json.loads(CliRunner().invoke(cli, ["models", "--json", *where]).stdout)
    assert sum(row["unkept_since"] is not None for row in told["models"]) == 1
    stopped = CliRunner().invoke(cli, ["stop", "--stale", *where])
    assert stopped.exit_code == 0, stopped.output
    assert model.status in {"STOPPING", "STOPPED"}


@pytest.mark.slow
def test_commands_about_something_else_say_it_in_one_line(
    model: Model, endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--endpoint", endpoint, "--region", "us-east-1"]
    commands = (
        ["copy", model.arn, "--to", "elsewhere", "--bucket", "aws-tests"],
        ["delete", f"{model.project}/{model.version}"],
    )
    for command in commands:
        assert "without a keeper" not in CliRunner().invoke(cli, [*command, *where], input="n\n").stderr
    _lose_the_keeper(model, monkeypatch)
    for command in commands:
        said = CliRunner().invoke(cli, [*command, *where], input="n\n").stderr
        assert said.count("running without a keeper since") == 1
    service = Service(Access("us-east-1", endpoint_url=endpoint), rate=1000)
    warn_all_unkept(service)
    assert capsys.readouterr().err.count("without a keeper") == 1
    monkeypatch.setattr(
        "tilekit.cli.cloud.all_models",
        lambda _: [Model.find(model.arn, endpoint_url=endpoint) for _ in range(2)],
    )
    warn_all_unkept(service)
    assert "2 models run without a keeper, about US$" in capsys.readouterr().err


def test_training_says_it_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Said(Exception):
        pass

    def warn(service: Service) -> None:
        raise Said(service.access.region)

    monkeypatch.setattr("tilekit.cli.train.warn_all_unkept", warn)
    files = make_dataset(tmp_path)
    command = ["train", *map(str, files), "--project", "p", "--bucket", "bucket", "--region", "eu-west-1"]
    result = CliRunner().invoke(cli, command)
    assert isinstance(result.exception, Said)
    assert str(result.exception) == "eu-west-1"


@pytest.mark.slow
def test_an_archive_ends_with_its_models_deadline(
    model: Model, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done is recorded, nothing is recorded as failed, and the model is stopped."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setattr("tilekit.aws.running_model.Watcher", Deadline)
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 255, (128, 128, 3), np.uint8)
        write_bytes(tmp_path / f"in/{number}.png", encode_image(pixels, "png").data)
    job = DetectJob(TILING, model.arn, deadline=3600.0)
    assert job.recipe() == DetectJob(TILING, model.arn).recipe()

    told: list[str] = []

    def stop_at_first(event: dict[str, Any]) -> None:
        if event["event"] == "note":
            told.append(event["text"])
            return
        Deadline.made[-1].comes()

    ended = process_archive(
        tmp_path / "in", tmp_path / "out", job, ThreadPoolExecutor(1), on_event=stop_at_first
    )
    assert "not running" in ended.stopped
    assert ended.done >= 1
    assert ended.failed == 0
    assert model.status in {"STOPPING", "STOPPED"}
    assert any("ran" in text and "cost" in text for text in told)  # whoever waits is told for what
    again = process_archive(
        tmp_path / "in", tmp_path / "out", DetectJob(TILING, model.arn), ThreadPoolExecutor(1)
    )
    assert (again.done + again.skipped, again.failed, again.stopped) == (6, 0, "")


class Deadline:
    """The process that stops a model at its deadline, whose time is told."""

    made: ClassVar[list[Deadline]] = []

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.made.append(self)

    def comes(self) -> None:
        assert self.watch.until is not None
        assert 3000 < self.watch.until - time.time() <= 3600
        watch(replace(self.watch, until=1.0, parent=None))

    def revive(self) -> bool:
        return False

    def dismiss(self) -> None:
        """Nothing to end."""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "in", "out", "--for", "2h"], "--for is for --job detect"),
        (["run", "in", "out", "--job", "detect", "--model", "p", "--guard", "--for", "2h"], "--guard needs"),
        (
            ["run", "in", "out", "--job", "detect", "--model", "p", "--guard-role", "arn:x"],
            "goes with --guard",
        ),
        (["run", "in", "out", "--job", "detect", "--model", "text", "--for", "2h"], "no Custom Labels model"),
        (["retry", "out", "--guard"], "--guard needs"),
    ],
)
def test_a_deadline_that_would_hold_nothing_is_refused(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    result = CliRunner().invoke(cli, ["archive", *arguments])
    assert result.exit_code in (1, 2)
    assert words in result.stderr + str(result.exception)


def test_a_deployed_model_whose_keeper_died_is_taken_over(
    model: Model, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    LeaseBook(model.store, model.folder).write_started(Started("deploy", idle=3600))
    model.switch.start()
    monkeypatch.setattr("tilekit.aws.keeping.LEASE_SECONDS", -2.0)
    with model.running():
        assert model.status == "RUNNING"
    assert model.status in {"STOPPING", "STOPPED"}
    assert any("whoever was to stop it is gone" in note for note in notes)


def test_the_process_that_keeps_a_deadline_says_so_in_the_bucket(model: Model, endpoint: str) -> None:
    watcher = Watcher(
        Watch(
            model.arn,
            model.project_arn,
            str(model.folder),
            "us-east-1",
            endpoint_url=endpoint,
            until=time.time() + 600,
            grace=600,
        )
    )
    try:
        assert wait_for(lambda: bool(list(model.store.list(model.folder / "keepers/"))))
    finally:
        os.kill(watcher.pid, signal.SIGKILL)
    watcher._process.wait()
    assert watcher.revive()  # killed for memory, say
    assert not watcher.revive()
    os.kill(watcher.pid, signal.SIGKILL)
    watcher._process.wait()


def test_signals_end_the_block_once() -> None:
    said: list[str] = []
    signals = Signals(said.append)
    signals.install()
    try:
        with pytest.raises(SystemExit):
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGINT)  # changes nothing
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signals.restore()
    assert len(said) == 2


def test_a_guard_needs_a_deadline(model: Model) -> None:
    with pytest.raises(InvalidArgument, match="deadline="), model.running(guard_role="arn:role"):
        pass
    with pytest.raises(InvalidArgument, match="deadline="), model.running(deadline=0):
        pass
    assert (
        RunningModel(model.switch, model.store, model.folder, 1, None, Safeguards(deadline=60)).until
        is not None
    )


def test_a_model_whose_evaluation_is_gone_can_be_used(model: Model, notes: list[str]) -> None:
    place = model.description["EvaluationResult"]["Summary"]["S3Object"]
    model.store.delete(f"s3://{place['Bucket']}/{place['Name']}")
    with pytest.raises(StorageNotFound):
        model.store.head(f"s3://{place['Bucket']}/{place['Name']}")
    model.__dict__.pop("metrics", None)
    assert model.metrics is None
    assert any("its evaluation cannot be read" in note for note in notes)
