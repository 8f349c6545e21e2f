"""The one command: suites are apart, a broken or slow one is reported, figures so far are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.run import SHARES, gather, run_suite

ROOT = Path(run.__file__).resolve().parents[1]


def test_every_share_has_its_suite_and_they_fit_the_time() -> None:
    suites = {path.stem.removeprefix("test_") for path in (ROOT / "benchmarks" / "targets").glob("test_*.py")}
    assert set(SHARES) == suites


def test_a_suite_that_is_broken_is_reported(tmp_path: Path) -> None:
    told = run_suite("no_such_suite", tmp_path / "lines", 60, dict(os.environ))
    assert str(told["state"]).startswith("failed")


def test_a_suite_that_outlasts_its_time_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "test_slow.py").write_text(
        "import time\n\n\ndef test_slow():\n    time.sleep(60)\n"
    )
    monkeypatch.setattr(run, "HERE", tmp_path)
    told = run_suite("slow", tmp_path / "lines", 1, dict(os.environ))
    assert told["state"] == "stopped after 1 s"
    assert float(str(told["seconds"])) < 30


def test_figures_are_gathered_as_they_come(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    assert gather(lines) == ([], [])
    scan = {"name": "s", "hash": "1"}
    lines.write_text(
        "\n".join(json.dumps(one) for one in ({"input": scan}, {"line": {"target": "a"}}, {"input": scan}))
    )
    assert gather(lines) == ([{"target": "a"}], [scan])


def test_the_help_says_how(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--quick" in done.stdout
    assert "--prepare" in done.stdout
