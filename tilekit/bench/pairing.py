"""Paired, interleaved timing: every round runs each candidate once, in turn, so that noise hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tilekit.errors import InvalidArgument

_SHORTEST = 0.02  # seconds a sample takes at least; quicker work is repeated inside it
_MOST_REPEATS = 100_000
_FEW = 8  # rounds below which the spread is the whole range


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run cost: wall and CPU `seconds`, `peak_mb` of its process (0: not told), and its answer."""

    seconds: float
    cpu: float = 0.0
    peak_mb: float = 0.0
    answer: Any = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median of the rounds' ratios with the low and high end of their spread."""

    median: float
    low: float
    high: float
    rounds: int


@dataclass
class Rounds:
    """The costs of all rounds by candidate; `failed` says why a candidate is missing."""

    costs: dict[str, list[Cost]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def seconds(self, name: str) -> float:
        """Median wall seconds of a candidate."""
        return statistics.median(cost.seconds for cost in self.costs[name])

    def cpu(self, name: str) -> float:
        """Median CPU seconds of a candidate."""
        return statistics.median(cost.cpu for cost in self.costs[name])

    def peak_mb(self, name: str) -> float:
        """Largest peak of a candidate's process, MB."""
        return max(cost.peak_mb for cost in self.costs[name])

    def ok(self, name: str) -> bool:
        """Whether the candidate was timed at least once."""
        return bool(self.costs.get(name))

    def ratio(self, slow: str, fast: str) -> Ratio:
        """How many times longer `slow` took than `fast`, round by round."""
        pairs = zip(self.costs[slow], self.costs[fast], strict=False)
        return spread([one.seconds / max(other.seconds, 1e-9) for one, other in pairs])

    def best_peer(self, peers: list[str]) -> str | None:
        """The quickest of those that were timed."""
        timed = [name for name in peers if self.ok(name)]
        return min(timed, key=self.seconds) if timed else None


def spread(ratios: list[float]) -> Ratio:
    """Median and spread: the whole range of few rounds, the 10th to 90th percentile of many."""
    if not ratios:
        raise InvalidArgument("ratios is empty: nothing was timed")
    ordered = sorted(ratios)
    cut = len(ordered) // 10 if len(ordered) >= _FEW else 0
    return Ratio(statistics.median(ordered), ordered[cut], ordered[-1 - cut], len(ordered))


def interleave(
    works: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 5,
    budget: float | None = None,
    least: int = 2,
    warm: bool = True,
    repeat: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> Rounds:
    """Run every work once a round, in an order that turns from round to round.

    A work gives a `Cost` of its own, or anything else and is timed here. One that raises is dropped
    with its reason and the rest goes on. `budget`: seconds after which no further round starts, once
    `least` are done. `warm`: one round before that does not count. `repeat`: quick works are repeated
    within a sample until it takes 20 ms.
    """
    if rounds < 1:
        raise InvalidArgument(f"rounds={rounds!r} must be at least 1")
    result = Rounds({name: [] for name in works})
    times = dict.fromkeys(works, 1)
    began = time.perf_counter()
    if warm:
        for name in works:
            first = _sample(result, name, works[name], 1)
            if repeat and first is not None:
                again = _sample(result, name, works[name], 1) or first
                quickest = max(min(first.seconds, again.seconds), 1e-9)
                times[name] = min(_MOST_REPEATS, max(1, round(_SHORTEST / quickest)))
    for turn in range(rounds):
        if budget is not None and turn >= least and time.perf_counter() - began > budget:
            break
        alive = [name for name in works if name not in result.failed]
        shift = turn % max(1, len(alive))
        for name in alive[shift:] + alive[:shift]:
            cost = _sample(result, name, works[name], times[name])
            if cost is not None:
                result.costs[name].append(cost)
        if progress is not None:
            progress(turn + 1, rounds)
    for name in result.failed:
        result.costs.pop(name, None)
    return result


def _sample(result: Rounds, name: str, work: Callable[[], Any], times: int) -> Cost | None:
    if name in result.failed:
        return None
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(times):
            answer = work()
        spent, used = time.perf_counter() - wall, time.process_time() - cpu
    except Exception as exc:  # noqa: BLE001 - a peer may fail in any way; it is reported as that
        result.failed[name] = f"{type(exc).__name__}: {exc}"[:300]
        return None
    return answer if isinstance(answer, Cost) else Cost(spent / times, used / times, 0.0, answer)
