"""Interleaving: every candidate in every round, failures set aside, ratios by pairs."""

from __future__ import annotations

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
    assert (ratio.median, ratio.low, ratio.high, ratio.rounds) == (3.0, 2.0, 4.0, 3)
    assert result.best_peer(["theirs", "missing"]) == "theirs"
    assert result.best_peer(["missing"]) is None


def test_spread_of_many_rounds_leaves_out_the_ends() -> None:
    ratio = spread([float(value) for value in range(20)])
    assert (ratio.low, ratio.high) == (2.0, 17.0)
    with pytest.raises(InvalidArgument, match="nothing was timed"):
        spread([])


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
