from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tilekit.verdicts.recall import Expected, by_label, expected_recall
from tilekit.verdicts.runs import RUNS

sizes = st.floats(0.1, 1000)


@given(sizes, sizes)
def test_larger_objects_are_never_expected_to_be_found_less(one: float, other: float) -> None:
    small, large = (expected_recall(np.array([px])) for px in sorted((one, other)))
    assert small is not None
    assert large is not None
    assert small.recall <= large.recall + 1e-9
    for found in (small, large):
        assert 0 <= found.low <= found.recall <= found.high <= 1


def test_every_recorded_run_lies_in_the_range_for_its_size() -> None:
    for run in RUNS:
        found = expected_recall(np.array([run.px]))
        assert found is not None
        assert found.low <= run.recall <= found.high


def test_far_from_the_runs_the_range_is_open() -> None:
    tiny, huge = expected_recall(np.array([0.6])), expected_recall(np.array([400.0]))
    assert tiny is not None
    assert huge is not None
    assert tiny.low == 0
    assert huge.high == 1


def test_labels_without_objects_have_no_expectation() -> None:
    assert expected_recall(np.zeros(0)) is None
    assert Expected.mean([]) is None
    assert set(by_label(np.array([4.0, 12.0]), np.array([0, 2]), ("a", "b", "c"))) == {"a", "c"}
