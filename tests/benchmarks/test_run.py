"""The one command: suites are apart, a broken or slow one is reported, figures so far are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import run
from benchmarks.run import SHARES, gather, note_state, run_suite, schedule
from benchmarks.targets.targets import KINDS

ROOT = Path(run.__file__).resolve().parents[1]


def test_every_share_has_its_suite_and_they_fit_the_time() -> None:
    suites = {path.stem.removeprefix("test_") for path in (ROOT / "benchmarks" / "targets").glob("test_*.py")}
    assert set(SHARES) == suites


def test_a_suite_that_is_broken_is_reported(tmp_path: Path) -> None:
    told = run_suite("no_such_suite", tmp_path / "lines", 600, dict(os.environ))
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


def told(target: str, *samples: float, exact: bool = False, note: str = "") -> str:
    line = {"target": target, "samples": list(samples), "exact": exact, "note": note, "details": {}}
    return json.dumps({"line": line})


def test_the_rounds_of_all_passes_are_one_figure(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    assert gather(lines) == ([], [])
    scan = {"name": "s", "hash": "1"}
    texts = [
        json.dumps({"input": scan}), told("tiling.sahi", 4.0), told("memory.large", 200.0, exact=True),
        told("tiling.pillow", note="not installed"), json.dumps({"input": scan}), told("tiling.sahi", 5.0, 6.0), '{"li',
    ]  # fmt: skip
    lines.write_text("\n".join(texts))
    figures, inputs = gather(lines)
    assert inputs == [scan]
    found = {line["target"]: line for line in figures}
    assert list(found) == ["tiling.sahi", "tiling.pillow", "memory.large"]
    sahi = found["tiling.sahi"]
    assert (sahi["value"], sahi["rounds"], sahi["samples"], sahi["better"]) == (
        5.0,
        3,
        [4.0, 5.0, 6.0],
        "more",
    )
    assert sahi["low"] < 5.0 < sahi["high"]
    assert (found["memory.large"]["low"], found["memory.large"]["high"]) == (200.0, 200.0)
    assert found["memory.large"]["better"] == "less"
    assert (found["tiling.pillow"]["value"], found["tiling.pillow"]["note"]) == (None, "not installed")


def test_means_are_taken_round_by_round_where_every_kind_was_timed(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    texts = [told(f"tiling.dzsave.{kind}.clean", 1.0, 4.0) for kind in KINDS]
    lines.write_text("\n".join([*texts, told(f"tiling.dzsave.{KINDS[0]}.noisy", 2.0)]))
    found = {line["target"]: line for line in gather(lines)[0]}
    assert found["tiling.dzsave.mean.clean"]["samples"] == pytest.approx([1.0, 4.0])
    assert found["tiling.dzsave.mean.noisy"]["value"] is None
    assert found["tiling.dzsave.mean.noisy"]["note"] == "1 of 5 were timed"


def test_everything_has_a_round_before_anything_has_a_second() -> None:
    states: dict[str, dict[str, Any]] = {}
    turns = []
    for name, number, seconds in schedule(["startup", "memory", "boxes"], 100.0, states, passes=3):
        turns.append((name, number))
        assert seconds <= 100.0
        note_state(states, name, {"suite": name, "seconds": 200.0 if name == "boxes" else 1.0, "state": "ok"})
    assert turns == [("startup", 0), ("memory", 0), ("boxes", 0), ("startup", 1), ("startup", 2)]
    assert states["startup"] == {"suite": "startup", "passes": 3, "seconds": 3.0, "last": 1.0, "state": "ok"}


def test_what_failed_once_does_not_go_again() -> None:
    states: dict[str, dict[str, Any]] = {}
    turns = []
    for name, number, _ in schedule(["startup"], 100.0, states, passes=3):
        turns.append(number)
        note_state(states, name, {"suite": name, "seconds": 1.0, "state": "failed (code 1)"})
    assert turns == [0]


def test_the_help_says_how(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--quick" in done.stdout
    assert "--prepare" in done.stdout
