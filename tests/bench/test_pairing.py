"""Interleaving: every candidate in every round, failures set aside, ratios by pairs."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest

from tilekit.bench.pairing import Cost, interleave, spread
from tilekit.errors import InvalidArgument


def test_every_round_runs_each_once_in_a_turning_order() -> None:
    seen: list[str] = []
    interleave({name: lambda name=name: seen.append(name) for name in "abc"}, rounds=3, warm=False)
    assert seen == list("abcbcacab")


def test_a_candidate_that_fails_is_reported_and_the_rest_goes_on() -> None:
    def broken() -> None:
        raise RuntimeError("no such codec")

    result = interleave({"ours": lambda: Cost(1.0), "broken": broken}, rounds=4)
    assert result.failed == {"broken": "RuntimeError: no such codec"}
    assert len(result.costs["ours"]) == 4
    assert "broken" not in result.costs
    assert not result.ok("broken")


def test_ratios_are_of_pairs_not_of_medians() -> None:
    theirs, ours = iter([2.0, 40.0, 6.0]), iter([1.0, 10.0, 2.0])
    result = interleave(
        {"theirs": lambda: Cost(next(theirs)), "ours": lambda: Cost(next(ours))}, rounds=3, warm=False
    )
    ratio = result.ratio("theirs", "ours")
    assert (ratio.median, ratio.rounds, sorted(ratio.samples)) == (3.0, 3, [2.0, 3.0, 4.0])
    assert ratio.low < 3.0 < ratio.high
    assert result.pairs("theirs", "ours")[0] == (2.0, 1.0)
    assert result.told()["theirs"] == {"seconds": 6.0, "cpu": 0.0, "peak_mb": 0.0}
    assert result.best_peer(["theirs", "missing"]) == "theirs"
    assert result.best_peer(["missing"]) is None


def test_the_spread_holds_the_median_of_another_run() -> None:
    rng = np.random.default_rng(0)
    for count, noise in ((1, 0.05), (2, 0.05), (4, 0.1), (8, 0.03)):
        runs = [spread(np.exp(rng.normal(1.0, noise, count)).tolist()) for _ in range(400)]
        pairs = list(zip(runs[::2], runs[1::2], strict=True))
        apart = sum(one.high < other.low or other.high < one.low for one, other in pairs)
        assert apart <= 0.05 * len(pairs)


def test_the_spread_narrows_with_rounds_and_widens_with_their_noise() -> None:
    def width(samples: list[float]) -> float:
        ratio = spread(samples)
        return ratio.high / ratio.low

    assert width([2.0]) > width([2.0] * 3) > width([2.0] * 12)
    assert width([1.0, 2.0, 4.0]) > width([1.9, 2.0, 2.1])


def test_samples_of_nothing_have_their_range_as_spread() -> None:
    ratio = spread([0.0, 2.0, 1.0])
    assert (ratio.median, ratio.low, ratio.high) == (1.0, 0.0, 2.0)
    with pytest.raises(InvalidArgument, match="nothing was timed"):
        spread([])


def test_a_call_already_made_is_not_made_again_to_warm_up() -> None:
    calls = {"known": 0, "new": 0}

    def work(name: str) -> None:
        calls[name] += 1
        time.sleep(0.021)

    works = {name: partial(work, name) for name in calls}
    interleave(works, rounds=1, repeat=True, known={"known": 5.0})
    assert calls == {"known": 1, "new": 3}


def test_a_spent_budget_stops_after_the_least_rounds() -> None:
    result = interleave({"a": lambda: Cost(1.0)}, rounds=50, budget=0.0, least=2, warm=False)
    assert len(result.costs["a"]) == 2


def test_quick_work_is_repeated_within_a_sample() -> None:
    calls = 0

    def work() -> None:
        nonlocal calls
        calls += 1

    interleave({"a": work}, rounds=1, repeat=True)
    assert calls > 100


def test_no_rounds_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="rounds=0"):
        interleave({}, rounds=0)
