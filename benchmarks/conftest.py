"""What the suites share: one way to pair and interleave, one cache of scans, one place for the figures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.targets.targets import TARGETS
from tilekit.bench.inputs import Input, cache_folder, made_scan
from tilekit.bench.pairing import Ratio, Rounds, interleave
from tilekit.bench.tiling import scratch


class Frame:
    """One run: `quick` or full, where made scans are kept, and where figures go."""

    def __init__(self) -> None:
        self.quick = os.environ.get("TILEKIT_BENCH_QUICK") == "1"
        self.cache = cache_folder(os.environ.get("TILEKIT_BENCH_CACHE"))
        self._scale = float(os.environ.get("TILEKIT_BENCH_SCALE", "1"))
        self._lines = os.environ.get("TILEKIT_BENCH_LINES")

    def seconds(self, full: float) -> float:
        """The budget of a pairing: `full` seconds of a run of 15 minutes."""
        return full * self._scale * (0.1 if self.quick else 1.0)

    def pick(self, full: Any, quick: Any) -> Any:
        """A size, by the kind of run."""
        return quick if self.quick else full

    def scan(self, kind: str, width: int, height: int | None = None, noise: float = 1.0) -> Input:
        """A made scan, from the cache; its hash goes to the results."""
        found = made_scan(kind, width, height or width, noise=noise, cache=self.cache)
        self._write({"input": found.to_json()})
        return found

    def pair(self, works: Mapping[str, Callable[[], Any]], seconds: float, **options: Any) -> Rounds:
        """Interleave within a budget; the one way anything is timed against anything."""
        return interleave(works, budget=self.seconds(seconds), **options)

    def record(self, target: str, figure: float | Ratio | None, note: str = "", **details: Any) -> None:
        """Put down the figure of a target; None where it could not be measured, with the reason."""
        known = TARGETS[target]
        line: dict[str, Any] = {"target": target, "note": note, "details": details}
        if isinstance(figure, Ratio):
            line |= {"value": figure.median, "low": figure.low, "high": figure.high, "rounds": figure.rounds}
        else:
            line |= {"value": figure, "low": figure, "high": figure, "rounds": 1}
        if self.quick:
            line["note"] = f"{note}; quick run, smaller sizes".lstrip("; ")
        self._write({"line": line})
        shown = "not measured" if line["value"] is None else f"{line['value']:.3g} {known.unit}"
        goal = "" if known.value is None else f" (target {known.sense} {known.value:.3g})"
        print(f"\n  {known.text}: {shown}{goal} {line['note']}", flush=True)

    def _write(self, value: dict[str, Any]) -> None:
        if self._lines:
            with Path(self._lines).open("a", encoding="utf-8") as file:
                file.write(json.dumps(value) + "\n")


@pytest.fixture(scope="session")
def frame() -> Frame:
    return Frame()


@pytest.fixture
def fresh(frame: Frame):
    """Names of fresh folders beside the cached scans, removed at the end."""
    frame.cache.mkdir(parents=True, exist_ok=True)
    with scratch(frame.cache) as names:
        yield names
