"""What may start now: never more bytes at once than there are, however the queue has come about."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tilekit.archive.admitting import Admission, Waiting
from tilekit.archive.working import Task

TASK = object.__new__(Task)


def flying(*costs: int | None) -> list[Waiting]:
    return [Waiting(TASK, cost) for cost in costs]


@given(
    st.integers(1, 1000),
    st.integers(1, 8),
    st.lists(st.none() | st.integers(0, 600), min_size=1, max_size=6),
    st.none() | st.integers(0, 600),
)
def test_what_runs_at_once_stays_within_memory(memory, size, others, cost):
    """A worker's share stands for whom is not known yet; only `size` run, so no more shares than that count."""
    admission = Admission(memory, size)
    together = [*others, cost]
    unknown = sum(1 for one in together if one is None)
    if cost is not None:
        unknown = min(unknown, size - 1)
    held = sum(one for one in together if one is not None) + min(unknown, size) * max(1, memory // size)
    assert admission.fits(cost, flying(*others)) == (held <= memory)


def test_alone_even_the_largest_starts():
    assert Admission(100, 2).fits(10**12, [])


def test_the_edges_by_hand():
    admission = Admission(100, 4)  # a share is 25
    assert admission.fits(None, flying(None, None, None))
    assert admission.fits(75, flying(None))
    assert not admission.fits(76, flying(None))
    assert admission.fits(None, flying(75))
    assert not admission.fits(None, flying(76))
    assert admission.fits(60, flying(40))
    assert not admission.fits(61, flying(40))


def test_lost_ones_then_large_ones_then_new_ones():
    admission = Admission(100, 4)
    fresh = iter([TASK])
    lost, large = Waiting(TASK), Waiting(TASK, 90)
    admission.again.append(lost)
    admission.large.append(large)
    assert admission.next(fresh, []) is lost
    assert admission.next(fresh, [lost]) is None, "no new one starts while a large one waits"
    assert admission.next(fresh, []) is large
    new = admission.next(fresh, [])
    assert new is not None
    assert new.cost is None
