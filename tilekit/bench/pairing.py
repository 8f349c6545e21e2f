"""Paired, interleaved timing: every round runs each candidate once, in turn, so that noise hits all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilekit.errors import InvalidArgument

_SHORTEST = 0.02  # seconds a sample takes at least; quicker work is repeated inside it
_MOST_REPEATS = 100_000
_LOADING = 3.0  # seconds of a first call above which the work itself is slow, not what it loads
# What is known before any round: rounds on one machine differ by 5 %. It counts as much as three of them.
_USUAL_SD, _USUAL_WEIGHT = 0.05, 3
_MEDIAN_OVER_MEAN = 1.2533  # standard error of a median over that of a mean, normal samples


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run cost: wall and CPU `seconds`, `peak_mb` of its process (0: not told), and its answer."""

    seconds: float
    cpu: float = 0.0
    peak_mb: float = 0.0
    answer: Any = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median of the rounds' ratios, and where the median of another such run is expected, 19 times in 20."""

    median: float
    low: float
    high: float
    rounds: int
    samples: tuple[float, ...] = ()


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

    def pairs(self, one: str, other: str) -> list[tuple[float, float]]:
        """Seconds of two candidates, round by round."""
        both = zip(self.costs[one], self.costs[other], strict=False)
        return [(mine.seconds, theirs.seconds) for mine, theirs in both]

    def ratio(self, slow: str, fast: str) -> Ratio:
        """How many times longer `slow` took than `fast`, round by round."""
        return spread([one / max(other, 1e-9) for one, other in self.pairs(slow, fast)])

    def told(self) -> dict[str, dict[str, float]]:
        """Median seconds, CPU seconds and largest peak of everyone."""
        return {
            name: {
                "seconds": float(f"{self.seconds(name):.5g}"),
                "cpu": float(f"{self.cpu(name):.5g}"),
                "peak_mb": self.peak_mb(name),
            }
            for name in self.costs
            if self.ok(name)
        }

    def best_peer(self, peers: list[str]) -> str | None:
        """The quickest of those that were timed."""
        timed = [name for name in peers if self.ok(name)]
        return min(timed, key=self.seconds) if timed else None


def spread(samples: Sequence[float]) -> Ratio:
    """Median of samples, one a round, and the interval for the median of another such run.

    A t interval (95 %) on logs. Few rounds say little about their own variance, so it is mixed with
    the usual one: 5 %, as if seen in three rounds more. Samples of 0 or less: their whole range.
    """
    if not samples:
        raise InvalidArgument("ratios is empty: nothing was timed")
    found, count = statistics.median(samples), len(samples)
    if min(samples) <= 0:
        return Ratio(found, min(samples), max(samples), count, tuple(samples))
    logs = [math.log(value) for value in samples]
    center = statistics.fmean(logs)
    freedom = count - 1 + _USUAL_WEIGHT
    variance = (sum((one - center) ** 2 for one in logs) + _USUAL_WEIGHT * _USUAL_SD**2) / freedom
    error = math.sqrt(variance / count) * (_MEDIAN_OVER_MEAN if count > 2 else 1.0)
    half = math.exp(_student(freedom) * error)
    return Ratio(found, found / half, found * half, count, tuple(samples))


def _student(freedom: int) -> float:
    """The 97.5th percentile of Student's t, within 1 % from 3 degrees of freedom on (Cornish and Fisher)."""
    normal = 1.959964
    first = (normal**3 + normal) / 4
    second = (5 * normal**5 + 16 * normal**3 + 3 * normal) / 96
    third = (3 * normal**7 + 19 * normal**5 + 17 * normal**3 - 15 * normal) / 384
    return normal + first / freedom + second / freedom**2 + third / freedom**3


def interleave(
    works: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 5,
    budget: float | None = None,
    least: int = 2,
    warm: bool = True,
    repeat: bool = False,
    known: Mapping[str, float] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Rounds:
    """Run every work once a round, in an order that turns from round to round.

    A work gives a `Cost` of its own, or anything else and is timed here. One that raises is dropped
    with its reason and the rest goes on. `budget`: seconds after which no further round starts, once
    `least` are done. `warm`: one round before that does not count. `repeat`: quick works are repeated
    within a sample until it takes 20 ms. `known`: seconds of calls already made, which need no such round.
    """
    if rounds < 1:
        raise InvalidArgument(f"rounds={rounds!r} must be at least 1")
    result = Rounds({name: [] for name in works})
    times = dict.fromkeys(works, 1)
    began = time.perf_counter()
    if warm:
        for name in works:
            first = (known or {}).get(name)
            if first is None:
                cost = _sample(result, name, works[name], 1)
                first = math.inf if cost is None else cost.seconds
            if repeat and first < _LOADING:
                again = _sample(result, name, works[name], 1)
                quickest = max(min(first, math.inf if again is None else again.seconds), 1e-9)
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
