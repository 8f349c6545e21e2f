"""The guard in the cloud: the Lambda of examples/guard as Python against the local service, and its template."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.aws.keeping import is_unkept
from tilekit.aws.leases import LEASE_SECONDS, LeaseBook, Started
from tilekit.aws.model import Model
from tilekit.aws.project import RekognitionProject

FOLDER = Path(__file__).parents[2] / "examples" / "guard"
_MOMENTS = st.one_of(st.none(), st.floats(0, 5000))


@pytest.fixture(scope="module")
def guard() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stop_stale", FOLDER / "stop_stale.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(
    kind=st.sampled_from(["run", "deploy"]),
    until=_MOMENTS,
    idle=_MOMENTS,
    armed=st.booleans(),
    seen=st.floats(0, 5000),
    now=st.floats(0, 9000),
)
def test_it_judges_as_tilekit_does(
    guard: ModuleType, kind: Any, until: Any, idle: Any, armed: bool, seen: float, now: float
) -> None:
    started = Started(kind, until=until, idle=idle, guard=armed)
    assert guard.LEASE_SECONDS == LEASE_SECONDS
    assert guard.is_stale(asdict(started), seen, now) == is_unkept(started, seen, now)


@pytest.fixture
def model(make_project: Callable[..., RekognitionProject], dataset: tuple[Path, Path]) -> Model:
    return make_project().train(*dataset)


def test_it_stops_what_nobody_keeps_and_nothing_else(
    model: Model, endpoint: str, guard: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = LeaseBook(model.store, model.folder)
    model.switch.start()  # by somebody else: it is no business of ours
    assert model.arn not in guard.handler({}, None, endpoint)["stopped"]
    book.write_started(Started("run"))
    book.put("a-worker")
    assert model.arn not in guard.handler({}, None, endpoint)["stopped"]
    monkeypatch.setattr(guard.time, "time", lambda clock=guard.time.time: clock() + LEASE_SECONDS + 60)
    monkeypatch.setenv("DRY_RUN", "1")
    assert model.arn not in guard.handler({}, None, endpoint)["stopped"]
    monkeypatch.delenv("DRY_RUN")
    assert model.arn in guard.handler({}, None, endpoint)["stopped"]
    assert model.status in {"STOPPING", "STOPPED"}
    assert book.started() is None
    assert not book.snapshot()
    assert guard.handler({}, None, endpoint)["stopped"] == []


def test_the_template_allows_what_it_calls_and_calls_it_every_five_minutes(
    model: Model, endpoint: str, guard: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()
    before = boto3.client

    def watched(name: str, **options: Any) -> Any:
        client = before(name, **options)
        client.meta.events.register("before-call", lambda model, **_: called.add(f"{name}:{model.name}"))
        return client

    monkeypatch.setattr(guard.boto3, "client", watched)
    LeaseBook(model.store, model.folder).write_started(Started("run"))
    model.switch.start()
    monkeypatch.setattr(guard.time, "time", lambda clock=guard.time.time: clock() + LEASE_SECONDS + 60)
    assert model.arn in guard.handler({}, None, endpoint)["stopped"]
    resources = json.loads((FOLDER / "template.json").read_text(encoding="utf-8"))["Resources"]
    (policy,) = resources["Role"]["Properties"]["Policies"]
    allowed = {action for one in policy["PolicyDocument"]["Statement"] for action in one["Action"]}
    assert {action.replace("ListObjectsV2", "ListBucket") for action in called} == {
        action for action in allowed if not action.startswith("logs:")
    }
    function = resources["Guard"]["Properties"]
    file, _, name = function["Handler"].partition(".")
    assert function["Code"] == f"{file}.py"
    assert callable(getattr(guard, name))
    assert resources["EveryFiveMinutes"]["Properties"]["ScheduleExpression"] == "rate(5 minutes)"
    assert function["Timeout"] < LEASE_SECONDS
