"""What the suites share: one way to pair and interleave, one cache of scans, one place for the figures."""

from __future__ import annotations

import json
import os
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.targets.targets import TARGETS
from tilekit.bench.inputs import Input, cache_folder, made_scan
from tilekit.bench.pairing import Ratio, Rounds, interleave
from tilekit.bench.tiling import scratch

ENOUGH = 3.0  # seconds of a pairing in one pass after which no further round starts


class Frame:
    """One pass of a run: `quick` or full, where made scans are kept, and where figures go."""

    def __init__(self) -> None:
        self.quick = os.environ.get("TILEKIT_BENCH_QUICK") == "1"
        self.cache = cache_folder(os.environ.get("TILEKIT_BENCH_CACHE"))
        self.turn = int(os.environ.get("TILEKIT_BENCH_PASS", "0"))
        self._lines = os.environ.get("TILEKIT_BENCH_LINES")
        state = os.environ.get("TILEKIT_BENCH_STATE")
        self._known = Path(state, "known.json") if state else None
        self.known: dict[str, Any] = {}
        if self._known and self._known.exists():
            self.known = json.loads(self._known.read_text(encoding="utf-8"))

    @property
    def first(self) -> bool:
        """Whether this is the pass that measures what does not vary."""
        return self.turn == 0

    def pick(self, full: Any, quick: Any) -> Any:
        """A size, by the kind of run."""
        return quick if self.quick else full

    def seconds(self, full: float = ENOUGH) -> float:
        """After how many seconds of a pairing no further round of this pass starts."""
        return min(full, ENOUGH) * (0.1 if self.quick else 1.0)

    def scan(self, kind: str, width: int, height: int | None = None, noise: float = 1.0) -> Input:
        """A made scan, from the cache; its hash goes to the results."""
        found = made_scan(kind, width, height or width, noise=noise, cache=self.cache)
        self.used(found)
        return found

    def used(self, item: Input) -> None:
        """Name an input and the hash of its bytes in the results."""
        self._write({"input": item.to_json()})

    def pair(self, works: Mapping[str, Callable[[], Any]], seconds: float = ENOUGH, **options: Any) -> Rounds:
        """Interleave; the one way anything is timed against anything.

        Work of seconds gets one round a pass, quick work as many of `rounds` as fit `ENOUGH` seconds.
        """
        return interleave(works, budget=self.seconds(seconds), **({"least": 1} | options))

    def record(
        self,
        target: str,
        figure: float | Sequence[float] | Ratio | None,
        note: str = "",
        *,
        exact: bool = False,
        cost: Rounds | Mapping[str, Any] | None = None,
        **details: Any,
    ) -> None:
        """Put down this pass's samples of a target; None where it could not be measured, with the reason.

        `exact`: a figure without noise, such as memory or a count. `cost`: what everyone of the pairing took,
        by name: seconds, cpu, peak_mb.
        """
        known = TARGETS[target]
        samples = _samples(figure)
        if cost is not None:
            details["cost"] = cost.told() if isinstance(cost, Rounds) else dict(cost)
        if self.quick and samples:
            note = f"{note}; quick run, smaller sizes".lstrip("; ")
        line = {"target": target, "samples": samples, "exact": exact, "note": note, "details": details}
        self._write({"line": line})
        shown = "not measured" if not samples else f"{statistics.median(samples):.3g} {known.unit}"
        goal = "" if known.value is None else f" (target {known.sense} {known.value:.3g})"
        print(f"\n  {known.text}: {shown}{goal} {note}", flush=True)

    def keep(self) -> None:
        """Hand what was found out once, such as who does the same job, to the next pass."""
        if self._known:
            self._known.write_text(json.dumps(self.known), encoding="utf-8")

    def _write(self, value: dict[str, Any]) -> None:
        if self._lines:
            with Path(self._lines).open("a", encoding="utf-8") as file:
                file.write(json.dumps(value) + "\n")


def _samples(figure: float | Sequence[float] | Ratio | None) -> list[float]:
    if figure is None:
        return []
    if isinstance(figure, Ratio):
        return [float(f"{value:.6g}") for value in figure.samples]
    return [float(value) for value in ([figure] if isinstance(figure, (int, float)) else figure)]


@pytest.fixture(scope="session")
def frame():
    made = Frame()
    yield made
    made.keep()


@pytest.fixture
def fresh(frame: Frame):
    """Names of fresh folders, removed at the end; in memory where there is room.

    A file system's own ways stay out of it: ext4 without a journal takes 0.9 ms for a new file while
    inodes deleted in the last minutes are near, ten times the usual, and the suites delete much.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 8 * 2**30
    frame.cache.mkdir(parents=True, exist_ok=True)
    with scratch(memory if roomy else frame.cache) as names:
        yield names
