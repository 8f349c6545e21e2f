"""docs/json.md has the fields that every command prints, held against runs on tiny inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from tests.chain import reach, write_pages
from tilekit.cli import all_commands, cli
from tilekit.local import running

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
SECTIONS = dict(re.findall(r"^### tilekit ([^\n]+)\n(.*?)(?=^#|\Z)", PAGE.read_text(), re.M | re.S))
FINDER = """
def corner(pixels):
    return [[4, 4, 30, 30, 0.9, 0]]
"""
Ask = Callable[..., dict[str, Any]]


def fields(name: str, variant: str = "") -> set[str]:
    """The fields a section says: of its table, or of the sentence `With --dry-run: ...`."""
    text = SECTIONS[name]
    if same := re.fullmatch(r"\s*As `([\w ]+)`\.\s*", text):
        return fields(same[1], variant)
    if variant:
        found = re.search(rf"^With `{variant}`[^:]*:(.*?)\n\n", text + "\n\n", re.M | re.S)
        return set(re.findall(r"`(\w+)`", found[1])) if found else set()
    return {
        word for row in re.findall(r"^\| (`[^|]*) \|", text, re.M) for word in re.findall(r"`(\w+)`", row)
    }


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.chdir(tmp_path)
    write_pages(Path(), 6, 320, 224, each=4)
    Path("finder.py").write_text(FINDER, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(name: str, *words: object, variant: str = "", code: int = 0) -> dict[str, Any]:
        more = [variant] if variant.startswith("--dry") else []
        done = CliRunner().invoke(cli, [*name.split(), *map(str, words), *more, "--json"])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        lines = name in ("archive run", "archive retry") and not variant
        value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1] if lines else done.stdout)
        assert set(value) == fields(name, variant), f"docs/json.md, tilekit {name} {variant}"
        return value

    return call


def test_every_command_has_a_section():
    assert set(SECTIONS) == {name for name, _ in all_commands()}


def test_scans_and_labels(ask: Ask):
    ask("tile", "scans/p0.png", "tiles", "--tile", 128)
    ask("tile", "scans/p0.png", "tiles", "--preview", "grid.png", variant="--preview")
    ask("join", "tiles", "again.png")
    ask("info", "scans/p0.png", "--tile", 128)
    ask("info", "nothing.png", code=1)
    ask("doctor")
    ask("labels convert", "truth.manifest", "truth.json", "--to", "coco")
    ask("labels stats", "truth.manifest")
    ask("labels merge", "truth.manifest", "truth.manifest", "--out", "merged.manifest")
    ask("plan", "truth.manifest")
    job = (
        "--s3",
        "s3://bucket/job",
        "--role",
        "arn:aws:iam::123456789012:role/r",
        "--label",
        "valve",
        "--name",
        "job",
    )
    team = "arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd/team"
    ask("labels job", "scans/p0.png", "--out", "job", *job, "--workteam", team, "--region", "us-east-1")


def test_labels_of_a_document(ask: Ask):
    from tilekit.labels.label_set import LabelSet
    from tilekit.labels.reading import read_labels, write_labels
    from tilekit.pages import PageKey

    Image.open("scans/p0.png").save("plan.pdf", resolution=150)
    truth = read_labels("truth.manifest")
    first = truth.pages()[0]
    Image.open("scans/p0.png").save("plan-1.png")
    key = PageKey("plan-1.png")
    write_labels(LabelSet({key: truth[first]}, sizes={key: truth.size(first)}), "plan.manifest")
    ask("labels match", "plan.manifest", "plan.pdf", "--out", "matched.manifest")


def test_detection(ask: Ask):
    model = ("--model", "finder:corner", "--names", "valve", "--no-strict", "--tile", 128, "--overlap", 40)
    ask("detect", "scans", *model, "--out", "tiles.jsonl", variant="--dry-run")
    ask("detect", "truth.manifest", *model, "--out", "tiles.jsonl", "--keep-tiles", "kept.jsonl")
    ask("detect", "truth.manifest", *model[:5], "--out", "whole.jsonl", "--whole")
    ask("evaluate", "truth.manifest", "tiles.jsonl")
    ask("compare", "truth.manifest", "whole.jsonl", "tiles.jsonl")
    ask("tune-merge", "truth.manifest", "kept.jsonl", "--out", "merge.json")
    ask("report", "report", "--truth", "truth.manifest", "--detections", "tiles.jsonl", "--crops", 2)


def test_archives(ask: Ask):
    how = ("--workers", 1, "--tile", 128, "--overlap", 0)
    ask("archive run", "scans", "out", *how, variant="--dry-run")
    ask("archive run", "scans", "out", *how, "--shard", "1/1")
    ask("archive status", "out")
    ask("archive merge", "out")
    ask("archive verify", "out")
    ask("archive retry", "out", "--workers", 1)


@pytest.mark.slow
def test_the_service(ask: Ask, monkeypatch: pytest.MonkeyPatch):
    ask("dataset", "truth.manifest", "dataset", "--tile", 128, "--overlap", 40)
    pair = ("dataset/train.manifest", "dataset/test.manifest")
    ask("check", *pair)
    ask("check", pair[0], "--fix", "fixed.manifest", variant="--fix")
    with running(canned=True, time_scale=0.0) as url:
        reach(monkeypatch, url, "json")
        where = ("--project", "symbols", "--bucket", "json", "--version", "v1")
        ask("train", *pair, *where, variant="--dry-run")
        ask("train", *pair, *where)
        ask("deploy", "symbols/v1", "--for", "1h", variant="--dry-run")
        ask("deploy", "symbols/v1", "--for", "1h")
        ask("models")
        ask("stop", "--all", "--yes")
        ask("copy", "symbols/v1", "--to", "other", "--bucket", "json", "--yes")
        ask("delete", "other", "--yes")
