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
