"""What is no box, score, label or index is named by the first place where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.boxes import checks
from tilekit.errors import InvalidArgument

FINE = {
    "boxes": st.tuples(*[st.floats(-1e3, 1e3)] * 2, *[st.floats(0, 1e3)] * 2).map(
        lambda box: [box[0], box[1], box[0] + box[2], box[1] + box[3]]
    ),
    "scores": st.floats(0, 1),
    "finite": st.floats(allow_nan=False, allow_infinity=False),
    "indices": st.integers(0, 2**40),
}
WRONG = {
    "boxes": st.sampled_from(
        [
            [0, 0, -1, 1],
            [0, 5, 1, 4.9],
            [0, 0, np.nan, 1],
            [0, 0, 1, np.inf],
            [0, 0, 1.1e100, 1],
            [-1.1e100, 0, 0, 1],
        ]
    ),
    "scores": st.sampled_from([-1e-9, 1 + 1e-9, np.nan, np.inf]),
    "finite": st.sampled_from([np.nan, np.inf, -np.inf]),
    "indices": st.sampled_from([-1, -(2**40)]),
}


def checked(kind: str, values: list) -> np.ndarray:
    if kind == "boxes":
        return checks.boxes(values, "what")
    return getattr(checks, kind)(values, len(values), "what")


@pytest.mark.parametrize("kind", FINE)
@given(data=st.data())
def test_the_first_that_is_wrong_is_named_and_none_else(kind: str, data: st.DataObject) -> None:
    before = data.draw(st.lists(FINE[kind], max_size=4))
    after = data.draw(st.lists(FINE[kind] | WRONG[kind], max_size=3))
    found = checked(kind, before)
    assert found.tolist() == before
    assert not found.flags.writeable
    with pytest.raises(InvalidArgument, match=rf"^what\[{len(before)}\] is "):
        checked(kind, [*before, data.draw(WRONG[kind]), *after])


def test_the_edges_of_what_is_allowed() -> None:
    assert checks.boxes([[0, 0, 0, 0], [-1e100, -1e100, 1e100, 1e100]]).shape == (2, 4)
    assert checks.scores([0, 1], 2).tolist() == [0, 1]
    assert checks.indices([0], 1, "what").tolist() == [0]


@pytest.mark.parametrize("kind", ["scores", "finite", "indices"])
def test_there_is_one_for_each(kind: str) -> None:
    for values in ([0], [0, 0, 0], [[0, 0]]):
        with pytest.raises(InvalidArgument, match="what"):
            getattr(checks, kind)(values, 2, "what")


@pytest.mark.parametrize("values", [[0, 0, 1, 1], [[0, 0, 1]], np.zeros((2, 2, 4)), np.zeros((0, 3, 4))])
def test_boxes_have_four_sides(values) -> None:
    with pytest.raises(InvalidArgument, match=r"must have shape \(n, 4\)"):
        checks.boxes(values)
    assert checks.boxes([]).shape == checks.boxes(np.zeros((0, 7))).shape == (0, 4)


def test_labels_point_to_names() -> None:
    names = checks.names(["a", "b"])
    assert checks.class_ids([0, 1], 2, names).tolist() == [0, 1]
    assert checks.class_ids(None, 2, names).tolist() == [0, 0]
    assert checks.class_ids([5], 1, None).tolist() == [5]
    assert checks.class_ids([], 0, ()).tolist() == []
    with pytest.raises(InvalidArgument, match=r"class_ids\[1\] is 2 but there are only 2 names"):
        checks.class_ids([1, 2, 3], 3, names)
    with pytest.raises(InvalidArgument, match="names= is empty but there are boxes"):
        checks.class_ids([0], 1, ())
    for wrong in ("ab", 5, ["a", 5]):
        with pytest.raises(InvalidArgument, match="names"):
            checks.names(wrong)
    for wrong in ([0.5], ["a"], [True]):
        with pytest.raises(InvalidArgument, match="must be whole numbers"):
            checks.labels(wrong, 1)
    assert checks.labels(None, 3) is None
    assert checks.labels([-7, 3], 2).tolist() == [-7, 3]
