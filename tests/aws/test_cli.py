from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tilekit.aws.leases import LeaseBook
from tilekit.aws.project import RekognitionProject
from tilekit.cli import cli
from tilekit.errors import InvalidArgument, ServiceError
from tilekit.storage.s3 import S3Store

Run = Callable[..., Result]


@pytest.fixture
def run(endpoint: str, store: S3Store, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("COLUMNS", "200")
    from tilekit.aws import model, project, service, switching, waiting, workspace

    monkeypatch.setattr(
        service.Service.__init__,
        "__kwdefaults__",
        {**service.Service.__init__.__kwdefaults__, "rate": 1000.0},
    )
    quick = waiting.Polling(0.05, 0.05, 0.05)
    for module in (model, project, switching, workspace):
        monkeypatch.setattr(module, "Polling", lambda: quick)

    def run(*arguments: Any, code: int = 0, answer: str | None = None) -> Result:
        result = CliRunner().invoke(cli, [str(item) for item in arguments], input=answer)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.mark.slow
def test_the_whole_chain_on_the_command_line(run: Run, dataset: tuple[Path, Path]) -> None:
    train = ("train", *dataset, "--project", "cli-chain", "--bucket", "aws-tests", "--tag", "team=maps")
    plan = json.loads(run(*train, "--dry-run", "--json").stdout)
    assert plan["bytes"] > 0
    before = sorted(dataset[0].parent.parent.rglob("*"))
    assert "CreateProjectVersion" in run(*train, "--dry-run").stdout
    assert sorted(dataset[0].parent.parent.rglob("*")) == before
    assert not (dataset[0].parent / ".tilekit-train").exists()
    trained = json.loads(run(*train, "--json").stdout)
    assert trained["project"] == "cli-chain"
    assert trained["version"] == plan["version"]
    name = f"cli-chain/{trained['version']}"
    assert "next: tilekit deploy" in run(*train).stderr

    dry = json.loads(run("deploy", name, "--for", "2h", "--inference-units", 2, "--dry-run", "--json").stdout)
    assert dry["calls"] == ["StartProjectVersion"]
    assert dry["cost"] == 16.0
    assert (
        "US$ 16.00 at most" in run("deploy", name, "--for", "2h", "--inference-units", 2, "--dry-run").stderr
    )
    assert "without use" in run("deploy", name, "--idle", "5m", "--dry-run").stderr
    deployed = json.loads(run("deploy", name, "--for", "1h", "--idle", "30m", "--json").stdout)
    assert deployed["started"]
    assert deployed["until"] > time.time() + 3000
    shown = json.loads(run("models", "cli-chain", "--running", "--json").stdout)["models"]
    assert [row["status"] for row in shown] == ["RUNNING"]
    assert shown[0]["cost"].startswith("US$ 0.0")
    assert "cli-chain" in run("models").stdout
    again = run("deploy", "cli-chain", "--for", "1h")
    assert "is stopped at" in again.stderr
    assert "RUNNING" in run("models").stdout

    assert "Stop these" in run("stop", "--all", code=1, answer="n\n").stderr
    stopped = json.loads(run("stop", "--all", "--yes", "--json").stdout)
    assert deployed["arn"] in stopped["stopped"]
    assert "nothing runs" in run("stop", "--all").stderr
    run("stop", name)

    copied = json.loads(
        run("copy", name, "--to", "cli-copy", "--bucket", "aws-tests", "--yes", "--json").stdout
    )
    assert copied["status"] == "COPYING_COMPLETED"
    run("copy", name, "--to", "cli-copy", "--bucket", "aws-tests", code=1, answer="n\n")
    run("delete", "cli-copy", code=1, answer="n\n")
    assert len(json.loads(run("delete", "cli-copy", "--yes", "--json").stdout)["deleted"]) == 2
    run("delete", name, "--yes")
    run("delete", "cli-chain", "--yes")
    assert json.loads(run("models", "cli-chain", "--json").stdout) == {"models": []}


def test_a_deploy_without_an_end_asks(run: Run, dataset: tuple[Path, Path]) -> None:
    run("train", *dataset, "--project", "cli-asks", "--bucket", "aws-tests", "--json")
    assert "until somebody stops it" in run("deploy", "cli-asks", code=1, answer="n\n").stderr
    assert (
        json.loads(run("models", "cli-asks", "--json").stdout)["models"][0]["status"] == "TRAINING_COMPLETED"
    )
    run("deploy", "cli-asks", "--yes")
    run("stop", "cli-asks")


def test_bad_usage(run: Run, dataset: tuple[Path, Path]) -> None:
    run("stop", code=2)
    for arguments in (
        ("deploy", "no-such-project"),
        ("deploy", "cli-asks", "--for", "soon"),
        ("delete", "no-such-project"),
        ("train", *dataset, "--project", "p", "--bucket", "aws-tests", "--tag", "x"),
    ):
        with pytest.raises(InvalidArgument):
            run(*arguments)


def test_a_deploy_over_a_running_worker_stays(
    make_project: Callable[..., RekognitionProject], dataset: tuple[Path, Path]
) -> None:
    from tilekit.aws.deploying import deploy, running_cost

    model = make_project().train(*dataset)
    assert running_cost(model) is None
    with model.running():
        made = deploy(model, seconds=600)
        assert not made.started
    assert model.status == "RUNNING"
    cost = running_cost(model)
    assert cost is not None
    assert cost.started.kind == "deploy"
    assert 0 <= cost.dollars < 1
    model.stop()
    assert LeaseBook(model.store, model.folder).started() is None
    with pytest.raises(InvalidArgument, match="--for"):
        deploy(model, guard=True)
    with pytest.raises(InvalidArgument, match="seconds=0"):
        deploy(model, seconds=0)


def test_a_detection_is_planned() -> None:
    from tilekit.aws.deploying import plan_detection

    plan = plan_detection(18_000, bytes_per_tile=1000, units=2)
    assert (plan.calls, plan.bytes, plan.seconds, plan.cost) == (18_000, 18_000_000, 1800.0, 4.0)
    with pytest.raises(InvalidArgument):
        plan_detection(-1)


@pytest.mark.parametrize(
    "words", [("models",), ("stop", "--all"), ("stop", "p/v"), ("deploy", "p/v", "--for", "1h")]
)
def test_nothing_at_the_endpoint_is_said_soon(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    from tilekit.aws import service

    settings = {**service.Service.__init__.__kwdefaults__, "first_patience": 0.2}
    monkeypatch.setattr(service.Service.__init__, "__kwdefaults__", settings)
    result = CliRunner().invoke(cli, [*words, "--endpoint", "http://127.0.0.1:9"])
    assert isinstance(result.exception, ServiceError)
    assert "cannot be reached at http://127.0.0.1:9" in str(result.exception)
