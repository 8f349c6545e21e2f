"""Order, bounds and errors of the one pool."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.errors import InvalidArgument
from tilekit.flow import ordered_map


@given(st.lists(st.integers(0, 50)), st.integers(0, 5), st.integers(1, 100), st.integers(1, 8))
def test_results_are_maps_in_order(items, workers, budget, ahead):
    got = list(
        ordered_map(lambda x: x * 2, items, workers=workers, cost=lambda x: x, budget=budget, ahead=ahead)
    )
    assert got == [x * 2 for x in items]


def test_order_holds_when_later_items_finish_first():
    def work(i):
        time.sleep(0.02 if i % 4 == 0 else 0)
        return i

    assert list(ordered_map(work, range(40), workers=4)) == list(range(40))


def test_bytes_in_flight_are_bounded():
    lock, alive, peak = threading.Lock(), 0, 0

    def items():
        nonlocal alive, peak
        for _ in range(60):
            with lock:
                alive += 10
                peak = max(peak, alive)
            yield 10

    def work(size):
        nonlocal alive
        time.sleep(0.001)
        with lock:
            alive -= size

    list(ordered_map(work, items(), workers=4, cost=lambda size: size, budget=50, ahead=100))
    assert peak <= 60  # the budget and the one item that asks to be let in


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_error_in_order_comes_and_no_more_is_pulled(workers):
    pulled = []

    def items():
        for i in range(1000):
            pulled.append(i)
            yield i

    def work(i):
        if i == 5:
            raise KeyError(i)
        return i

    got = []
    with pytest.raises(KeyError):
        got.extend(ordered_map(work, items(), workers=workers))
    assert len(pulled) < 100


def test_closing_early_stops_the_pool():
    before = set(threading.enumerate())
    results = ordered_map(lambda i: i, range(10**9), workers=3)
    assert next(results) == 0
    assert set(threading.enumerate()) - before
    results.close()
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("bad", [{"workers": -1}, {"workers": 2, "budget": 0}])
def test_nonsense_is_named(bad):
    with pytest.raises(InvalidArgument, match=list(bad)[-1]):
        ordered_map(int, [], **bad)
