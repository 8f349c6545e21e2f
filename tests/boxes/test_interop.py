from __future__ import annotations

import numpy as np
import pytest

from tilekit.boxes import interop
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument

FOUND = Detections([[0, 0, 1, 1], [2, 2, 5, 5]], [0.5, 0.75], [1, 0], ("a", "b"), [3, 4], [True, False])


def test_pandas_there_and_back():
    assert interop.from_pandas(interop.to_pandas(FOUND), ("a", "b")) == FOUND
    truth = Annotations([[0, 0, 1, 1]], None, ("a",), [True])
    assert interop.from_pandas(interop.to_pandas(truth)) == truth
    with pytest.raises(InvalidArgument, match="no column 'x0'"):
        interop.from_pandas(interop.to_pandas(truth).drop(columns="x0"))
    with pytest.raises(InvalidArgument, match=r"label\[0\]"):
        interop.from_pandas(interop.to_pandas(FOUND), ("a",))


def test_supervision_there_and_back():
    back = interop.from_supervision(interop.to_supervision(FOUND), FOUND.names)
    assert np.array_equal(back.boxes, FOUND.boxes)
    assert np.array_equal(back.scores, FOUND.scores)
    assert back.labels == interop.from_supervision(interop.to_supervision(FOUND)).labels == FOUND.labels


@pytest.mark.parametrize("found", [None, [1], FOUND])
def test_what_is_not_of_supervision_is_named(found):
    with pytest.raises(InvalidArgument, match=r"must be a supervision\.Detections, not a "):
        interop.from_supervision(found)


@pytest.mark.parametrize("table", [None, {"x0": [1]}, np.zeros((1, 4))])
def test_what_is_no_table_is_named(table):
    with pytest.raises(InvalidArgument, match="must be a pandas DataFrame, not a "):
        interop.from_pandas(table)


@pytest.mark.parametrize("kind", [Annotations, Detections])
def test_parts_that_cannot_be_joined_are_named(kind):
    good = kind.empty(("a",))
    with pytest.raises(InvalidArgument, match=rf"parts\[1\] must be a {kind.__name__}, not a int"):
        kind.concat([good, 1])
    with pytest.raises(InvalidArgument, match="parts must be a list"):
        kind.concat(None)
    assert kind.concat([good]) == good


@pytest.mark.parametrize(
    ("names", "said"), [((1,), r"names\[0\] is 1"), (("a", None), r"names\[1\]"), (3, "names=3")]
)
def test_labels_are_text(names, said):
    with pytest.raises(InvalidArgument, match=said):
        Annotations([[0, 0, 1, 1]], None, names)
