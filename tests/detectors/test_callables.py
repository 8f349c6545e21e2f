from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tilekit.boxes.detections import Detections
from tilekit.detectors.callables import CallableDetector, as_detections, as_detector
from tilekit.detectors.protocol import Detector
from tilekit.errors import DetectorError, InvalidArgument
from tilekit.grid import Window
from tilekit.tiles.tile import Tile

TILE = Tile(0, 0, 0, Window(0, 0, 8, 8), np.zeros((8, 8, 3), np.uint8))
BOX = [[1.0, 2, 3, 4]]


@pytest.mark.parametrize(
    "answer",
    [
        Detections(BOX, [0.5], [1], ("a", "b")),
        (BOX, [0.5], [1]),
        np.array([[1, 2, 3, 4, 0.5, 1]]),
        [[1, 2, 3, 4, 0.5, 1]],
        SimpleNamespace(xyxy=np.array(BOX), confidence=np.array([0.5]), class_id=np.array([1]), data={}),
        SimpleNamespace(
            xyxy=np.array(BOX), confidence=np.array([0.5]), class_id=np.array([7]), data={"class_name": ["b"]}
        ),
    ],
)
def test_all_forms_say_the_same(answer):
    (found,) = CallableDetector(lambda pixels: answer, names=("a", "b")).detect([TILE])
    assert found.boxes.tolist() == BOX
    assert found.scores.tolist() == [0.5]
    assert found.labels == ["b"]


def test_without_confidence_every_box_is_sure():
    found = as_detections(SimpleNamespace(xyxy=np.array(BOX), confidence=None, class_id=None), ("a",))
    assert found.scores.tolist() == [1.0]
    assert found.labels == ["a"]


def test_nothing_and_unnamed_classes():
    assert len(as_detections(None, ("a",))) == 0
    assert len(as_detections([], ("a",))) == 0
    assert as_detections(np.array([[1, 2, 3, 4, 0.5, 2]]), ("a",)).labels == ["class 2"]
    assert as_detections((BOX, [0.5])).labels == ["class 0"]


@pytest.mark.parametrize("answer", ["boxes", np.zeros((2, 3)), {"boxes": BOX}, [[1, 2], [3]]])
def test_anything_else_is_said(answer):
    with pytest.raises(DetectorError, match="the detector returned"):
        as_detections(answer)


def test_batches():
    detector = CallableDetector(lambda many: [None for _ in many], batch=4)
    assert [len(found) for found in detector.detect([TILE] * 3)] == [0, 0, 0]
    short = CallableDetector(lambda many: [], batch=4)
    with pytest.raises(DetectorError, match="0 results for a batch of 3"):
        short.detect([TILE] * 3)


def test_as_detector():
    detector = CallableDetector(lambda pixels: None)
    assert isinstance(detector, Detector)
    assert as_detector(detector) is detector
    assert as_detector(lambda pixels: None).workers == 1
    for wrong in (3, CallableDetector):
        with pytest.raises(InvalidArgument, match="detector="):
            as_detector(wrong)
    with pytest.raises(InvalidArgument, match="batch"):
        CallableDetector(lambda pixels: None, batch=0)
    with pytest.raises(InvalidArgument, match="callable"):
        CallableDetector(3)
    assert "lambda" in repr(detector)
