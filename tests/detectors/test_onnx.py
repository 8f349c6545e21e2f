"""Tiny ONNX models whose answers are known: constants, or the input itself."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilekit.detectors.onnx import OnnxDetector, center_boxes
from tilekit.errors import DetectorError, InvalidArgument, StorageNotFound
from tilekit.grid import Tiling, Window
from tilekit.tiles.tile import Tile


def tile(width=64, height=64, bands=3, value=0):
    pixels = np.full((height, width, bands), value, np.uint8)
    return Tile(0, 0, 0, Window(0, 0, width, height), pixels)


def save(path, outputs, *, shape=(1, 3, 64, 64), kind=TensorProto.FLOAT, nodes=None, **meta):
    """A model that gives these constant outputs, whatever it sees."""
    made = nodes or []
    infos = []
    for name, value in outputs.items():
        array = np.asarray(value, np.float32)
        made.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array)))
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))
    graph = helper.make_graph(made, "g", [helper.make_tensor_value_info("images", kind, shape)], infos)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, meta)
    onnx.save(model, path)
    return path


NAMES = "{0: 'up', 1: 'down', 2: 'left'}"


def yolo8(anchors=20):
    """(1, 7, anchors): one box of `up` twice (overlapping), one of `left`, the rest below the score."""
    out = np.zeros((1, 7, anchors))
    out[0, :5, 0] = (20, 20, 10, 8, 0.9)
    out[0, :5, 1] = (21, 20, 10, 8, 0.8)
    out[0, :4, 2] = (60, 60, 20, 20)
    out[0, 6, 2] = 0.7
    out[0, 4, 3] = 0.01
    return out


@pytest.mark.parametrize("turned", [False, True])
def test_yolo8(tmp_path, turned):
    out = yolo8().transpose(0, 2, 1) if turned else yolo8()
    detector = OnnxDetector(save(tmp_path / "m.onnx", {"output0": out}, names=NAMES))
    (found,) = detector.detect([tile()])
    assert detector.names == ("up", "down", "left")
    assert found.labels == ["up", "left"]
    assert found.boxes.tolist() == [[15, 16, 25, 24], [50, 50, 64, 64]]
    assert found.scores == pytest.approx([0.9, 0.7])


def test_yolo5_multiplies_objectness(tmp_path):
    out = np.zeros((1, 9, 8))
    out[0, 0] = (20, 20, 10, 8, 0.5, 0.2, 0.8, 0.1)
    detector = OnnxDetector(save(tmp_path / "m.onnx", {"output": out}, names=NAMES))
    (found,) = detector.detect([tile()])
    assert found.labels == ["down"]
    assert found.scores == pytest.approx([0.4])


def test_end_to_end(tmp_path):
    out = np.zeros((1, 5, 6))
    out[0, 0] = (1, 2, 11, 12, 0.9, 2)
    detector = OnnxDetector(save(tmp_path / "m.onnx", {"output": out}, names=NAMES))
    (found,) = detector.detect([tile()])
    assert (found.labels, found.boxes.tolist()) == (["left"], [[1, 2, 11, 12]])
    unnamed = OnnxDetector(tmp_path / "m.onnx", names=(), head="end-to-end")
    assert unnamed.detect([tile()])[0].labels == ["class 2"]


def test_center_head(tmp_path):
    heat, box = np.zeros((1, 2, 16, 16)), np.full((1, 4, 16, 16), 6.0)
    heat[0, 1, 4, 5], heat[0, 1, 4, 6], heat[0, 0, 10, 10] = 0.9, 0.8, 0.5
    path = save(
        tmp_path / "m.onnx",
        {"heat": heat, "box": box},
        names='["a", "b"]',
        tiling=json.dumps(Tiling(64, 8).to_json()),
        decoys='["b"]',
    )
    detector = OnnxDetector(path)
    (found,) = detector.detect([tile()])
    assert found.labels == ["a", "b"]
    assert found.boxes.tolist() == [[36, 36, 48, 48], [16, 12, 28, 24]]
    assert detector.tiling == Tiling(64, 8)
    assert detector.decoys == ("b",)


def test_peaks_of_equal_height_both_count():
    heat = np.zeros((1, 4, 4))
    heat[0, 0, 0] = heat[0, 3, 3] = 0.5
    boxes, scores, _ = center_boxes(heat, np.ones((4, 4, 4)), 0.3)
    assert len(boxes) == 2
    assert boxes[0].tolist() == [1, 1, 3, 3]
    assert scores.tolist() == [0.5, 0.5]


def test_pixels_arrive_planar_scaled_and_padded(tmp_path):
    """The model answers with the least and the greatest value it was given, as a box."""
    one = numpy_helper.from_array(np.array([1], np.int64))
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["top"], keepdims=1, axes=[1, 2, 3]),
        helper.make_node("ReduceMin", ["images"], ["low"], keepdims=1, axes=[1, 2, 3]),
        helper.make_node("Concat", ["low", "low", "top", "top", "top", "low"], ["all"], axis=3),
        helper.make_node("Constant", [], ["one"], value=one),
        helper.make_node("Squeeze", ["all", "one"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 1, 6])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    detector = OnnxDetector(tmp_path / "m.onnx", head="end-to-end", batch=2)
    full, narrow = detector.detect([tile(64, 64, value=255), tile(40, 64, bands=1, value=51)])
    assert len(full) == 0  # least and greatest are both 1: a box without area
    assert narrow.boxes[0].tolist() == pytest.approx([0.2, 0.2, 114 / 255, 114 / 255])


def test_larger_tiles_than_the_input_are_refused(tmp_path):
    detector = OnnxDetector(save(tmp_path / "m.onnx", {"output0": yolo8()}, names=NAMES))
    assert len(detector.detect([tile(32, 48)])[0]) == 1
    with pytest.raises(DetectorError, match=r"Tiling\(tile=\(64, 64\)\)"):
        detector.detect([tile(100, 64)])
    assert detector.detect([]) == []


@pytest.mark.parametrize(
    ("shape", "kind", "meta", "said"),
    [
        ((1, 3, 64), TensorProto.FLOAT, {}, "input"),
        ((1, 4, 64, 64), TensorProto.FLOAT, {}, "4 bands"),
        ((1, 3, 64, 64), TensorProto.INT32, {}, "int32"),
        ((1, 3, 64, 64), TensorProto.FLOAT, {"names": "{0"}, "names"),
        ((1, 3, 64, 64), TensorProto.FLOAT, {"tiling": "{0"}, "tiling"),
    ],
)
def test_models_that_do_not_fit_are_said(tmp_path, shape, kind, meta, said):
    path = save(tmp_path / "m.onnx", {"output0": yolo8()}, shape=shape, kind=kind, **meta)
    with pytest.raises(DetectorError, match=said):
        OnnxDetector(path)


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(StorageNotFound):
        OnnxDetector(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"hello")
    with pytest.raises(DetectorError, match=r"bad\.onnx"):
        OnnxDetector(tmp_path / "bad.onnx")
    with pytest.raises(InvalidArgument, match="head"):
        OnnxDetector(tmp_path / "bad.onnx", head="other")


def test_outputs_that_fit_no_head(tmp_path):
    path = save(tmp_path / "m.onnx", {"output0": np.zeros((1, 11, 50))}, names=NAMES)
    with pytest.raises(DetectorError, match="does not fit 3 labels"):
        OnnxDetector(path).detect([tile()])
