"""To FiftyOne and back, by a stand-in of its documented classes: it is not installed for tests."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument, MissingExtra
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.pages import PageKey

SIZE = (640, 480)


@pytest.fixture(autouse=True)
def fiftyone(monkeypatch):
    module = ModuleType("fiftyone")
    module.Detection = module.Detections = SimpleNamespace
    monkeypatch.setitem(sys.modules, "fiftyone", module)


def page_of(count):
    boxes = [[place, place, place + 64, place + 48] for place in range(count)]
    return Detections(
        boxes, np.linspace(0.1, 0.9, count), [place % 2 for place in range(count)], ("tap", "pump")
    )


@given(count=st.integers(0, 5))
def test_there_and_back(count):
    found, key = page_of(count), PageKey("a.png")
    shown = found.to_fiftyone(SIZE)
    if count:
        assert shown.detections[0].bounding_box == [
            0,
            0,
            0.1,
            0.1,
        ]  # x, y, width, height as shares of the page
    back = Detections.from_fiftyone(shown, SIZE, found.names)
    assert np.allclose(back.boxes, found.boxes)
    assert (back.labels, back.scores.tolist()) == (found.labels, found.scores.tolist())
    many = PredictionSet([PageDetections(key, *SIZE, found)])
    for again in (
        PredictionSet.from_fiftyone(many.to_fiftyone(), many.sizes),
        PredictionSet.from_supervision(many.to_supervision(), many.sizes),
    ):
        assert (again[key].labels, again.sizes) == (found.labels, many.sizes)
        assert np.allclose(again[key].boxes, found.boxes)
        assert np.allclose(again[key].scores, found.scores)


def test_truth_there_and_back():
    truth = Annotations([[1, 2, 30, 40], [5, 6, 7, 8]], [1, 0], ("tap", "pump"), [False, True])
    back = Annotations.from_fiftyone(truth.to_fiftyone(SIZE), SIZE, truth.names)
    assert np.allclose(back.boxes, truth.boxes)
    assert (back.labels, back.ignore.tolist()) == (truth.labels, [False, True])
    assert Annotations.from_supervision(truth.to_supervision(), truth.names).labels == truth.labels
    key = PageKey("a.png")
    (shown,) = LabelSet({key: truth}, sizes={key: SIZE}, scores={key: [0.5, 0.25]}).to_fiftyone().values()
    assert [row.confidence for row in shown.detections] == [0.5, 0.25]


def test_what_is_not_of_fiftyone_is_named(monkeypatch):
    with pytest.raises(InvalidArgument, match=r"must be a fiftyone\.Detections, not a int"):
        Detections.from_fiftyone(3, SIZE)
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(MissingExtra, match="pip install fiftyone"):
        page_of(1).to_fiftyone(SIZE)
