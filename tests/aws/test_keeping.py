"""No model is left running by somebody who is gone: leases with an expiry, told by later commands, and ended."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.aws.test_running_model import wait_for
from tilekit.aws.deadlines import Watch, Watcher
from tilekit.aws.keeping import is_unkept, unkept
from tilekit.aws.leases import LEASE_SECONDS, LeaseBook, Started
from tilekit.aws.model import Model
from tilekit.aws.project import RekognitionProject
from tilekit.aws.running_model import RunningModel, Signals
from tilekit.cli import cli
from tilekit.errors import InvalidArgument, StorageNotFound

MakeProject = Callable[..., RekognitionProject]


@pytest.fixture
def model(make_project: MakeProject, dataset: tuple[Path, Path]) -> Iterator[Model]:
    model = make_project().train(*dataset)
    yield model
    model.stop()


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
    assert sum(row["unkept_since"] is not None for row in told) == 1
    stopped = CliRunner().invoke(cli, ["stop", "--stale", *where])
    assert stopped.exit_code == 0, stopped.output
    assert model.status in {"STOPPING", "STOPPED"}


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
    assert RunningModel(model.switch, model.store, model.folder, 1, None, deadline=60).until is not None


def test_a_model_whose_evaluation_is_gone_can_be_used(model: Model, notes: list[str]) -> None:
    place = model.description["EvaluationResult"]["Summary"]["S3Object"]
    model.store.delete(f"s3://{place['Bucket']}/{place['Name']}")
    with pytest.raises(StorageNotFound):
        model.store.head(f"s3://{place['Bucket']}/{place['Name']}")
    model.__dict__.pop("metrics", None)
    assert model.metrics is None
    assert any("its evaluation cannot be read" in note for note in notes)
