from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import tilekit as tk
from tilekit.boxes.detections import Detections
from tilekit.detectors.callables import CallableDetector, as_detections, as_detector
from tilekit.detectors.protocol import Detector
from tilekit.errors import DetectorError, DetectorMistake, InvalidArgument
from tilekit.grid import Window
from tilekit.scans.encoding import encode_image
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
    assert len(as_detections(None, ("a",), strict=False)) == 0
    assert len(as_detections([], ("a",))) == 0
    assert as_detections(np.array([[1, 2, 3, 4, 0.5, 2]]), ("a",), strict=False).labels == ["class 2"]
    assert as_detections((BOX, [0.5])).labels == ["class 0"]


@pytest.mark.parametrize("answer", ["boxes", np.zeros((2, 3)), {"boxes": BOX}, [[1, 2], [3]]])
def test_anything_else_is_said(answer):
    with pytest.raises(DetectorError, match="the detector returned"):
        as_detections(answer)


BIG = Tile(0, 0, 0, Window(0, 0, 640, 480), np.zeros((480, 640, 3), np.uint8))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "returned None.*empty list"),
        ([[0.1, 0.1, 0.2, 0.2, 0.9, 0]], "0.1, 0.1, 0.2, 0.2.*shares.*width and height"),
        ([[10, 10, 20, 20, 0.9, 7]], r"class id 7, but has 1 name\(s\): tap"),
        ([[5000, 300, 5040, 340, 0.9, 0]], "5000, 300, 5040, 340.*far outside.*own px"),
        ([[-900, 300, 40, 340, 0.9, 0]], "far outside"),
        ([[300, 200, 40, 30, 0.9, 0]], "300, 200, 40, 30.*ends before.*x, y, width, height"),
        ([[10, 10, 20, 20, 93.5, 0]], "score 93.5.*percent"),
        (Detections([[0.1, 0.2, 0.3, 0.9]], [0.5], [0], ("tap",)), "shares"),
    ],
)
def test_typical_mistakes_are_named_at_the_first_tile(answer, said):
    with pytest.raises(DetectorMistake, match=said):
        CallableDetector(lambda pixels: answer, names=["tap"]).detect([BIG])
    with pytest.raises(DetectorMistake, match=said):
        CallableDetector(lambda many: [answer], names=["tap"], batch=2).detect([BIG])


@pytest.mark.parametrize(
    "answer", [[[0, 0, 1, 1, 0.9, 0]], [[-9, 470, 20, 489, 0.9, 0]], [[0, 0, 640, 480, 1, 0]], []]
)
def test_what_may_be_meant_is_taken(answer):
    (found,) = CallableDetector(lambda pixels: answer, names=["tap"]).detect([BIG])
    assert len(found) == len(answer)


def test_mistakes_that_are_meant():
    meant = CallableDetector(lambda pixels: [[0.1, 0.1, 0.2, 0.2, 0.9, 7]], names=["tap"], strict=False)
    assert meant.detect([BIG])[0].labels == ["class 7"]
    assert len(CallableDetector(lambda pixels: None, strict=False).detect([BIG])[0]) == 0


def test_a_mistake_ends_detection_at_once_in_its_own_words():
    calls = []
    wrong = CallableDetector(lambda pixels: calls.append(1), names=["tap"])
    page = encode_image(np.zeros((100, 300, 3), np.uint8)).data
    with tk.open_scan(page) as scan, pytest.raises(DetectorMistake, match="returned None"):
        tk.detect_tiles(scan, wrong, tk.Tiling(100))
    assert len(calls) == 1


def test_batches():
    detector = CallableDetector(lambda many: [[] for _ in many], batch=4)
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
