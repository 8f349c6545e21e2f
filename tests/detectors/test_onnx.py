"""Tiny ONNX models whose answers are known: constants, or the input itself."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilekit.detectors.heads import center_boxes
from tilekit.detectors.onnx import OnnxDetector, OnnxInput, OnnxRun
from tilekit.errors import DetectorError, InvalidArgument, StorageNotFound
from tilekit.grid import Tiling, Window
from tilekit.scales import Scales
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


def test_boxes_are_suppressed_as_the_model_gave_them_and_clipped_after(tmp_path):
    """As Ultralytics does: two objects that pass the edge by different lengths overlap by 0.62, their clipped parts by 1."""
    out = np.zeros((1, 7, 20))
    out[0, :5, 0] = (64, 30, 20, 10, 0.9)  # 54 to 74 of 64
    out[0, :5, 1] = (70, 30, 32, 10, 0.8)  # 54 to 86
    out[0, :5, 2] = (np.nan, 30, 32, 10, 0.8)
    (found,) = OnnxDetector(save(tmp_path / "m.onnx", {"output0": out}, names=NAMES)).detect([tile()])
    assert found.boxes.tolist() == [[54, 25, 64, 35], [54, 25, 64, 35]]


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


def test_a_file_knows_all_its_scales_and_what_was_taught_there(tmp_path):
    scales = Scales(Tiling(64, 8), Tiling.whole(64), taught=[{"a": (2, 9)}, {"b": (20, 60)}])
    kept = json.dumps(scales.to_json())
    detector = OnnxDetector(
        save(tmp_path / "m.onnx", {"output": np.zeros((1, 5, 6))}, names=NAMES, tiling=kept)
    )
    assert detector.tiling == scales
    assert detector.tiling.taught == scales.taught


def inverse(score):
    """The logit whose sigmoid is `score`."""
    return np.log(score / (1 - score))


def centered(boxes, side=1.0):
    x0, y0, x1, y1 = np.array(boxes, float).T / side
    return np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], axis=1)


BOXES, SCORES, IDS = [[8, 16, 24, 20], [40, 32, 48, 64]], [0.9, 0.6], [0, 2]


def one_head(name):
    """The two boxes as a model with this head would give them, on an input of 64 x 64 px."""
    hot = np.zeros((2, 3))
    hot[[0, 1], IDS] = SCORES
    rows = np.column_stack([BOXES, SCORES, IDS])
    shares = np.array(BOXES)[None] / 64
    return {
        "end-to-end": {"output0": rows[None]},
        "rows": {"output": np.column_stack([[0, 0], BOXES, IDS, SCORES])},
        "queries": {"output0": np.hstack([centered(BOXES, 64), hot])[None]},
        "detr": {"dets": centered(BOXES, 64)[None], "labels": inverse(np.clip(np.hstack([hot, [[0.99], [0.99]]]), 1e-6, 1))[None]},
        "hugging face": {"logits": inverse(np.clip(hot, 1e-6, 1))[None], "pred_boxes": centered(BOXES, 64)[None]},
        "lists": {"labels": [IDS], "boxes": [BOXES], "scores": [SCORES]},
        "torchvision": {"boxes": BOXES, "scores": SCORES, "labels": IDS},
        "padded": {"num_dets": [[2]], "det_boxes": [[*BOXES, [0, 0, 9, 9]]], "det_scores": [[*SCORES, 0.9]], "det_classes": [[*IDS, 1]]},
        "tensorflow": {
            "detection_boxes": shares[..., [1, 0, 3, 2]], "detection_scores": [SCORES], "detection_classes": [IDS], "num_detections": [2],
        },
    }[name]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["end-to-end", "rows", "queries", "detr", "hugging face", "lists", "torchvision", "padded", "tensorflow"],
)
def test_every_head_says_the_same(tmp_path, name):
    detector = OnnxDetector(save(tmp_path / "m.onnx", one_head(name), names=NAMES))
    (found,) = detector.detect([tile()])
    assert found.boxes.tolist() == pytest.approx(np.array(BOXES))
    assert found.scores.tolist() == pytest.approx(SCORES)
    assert found.labels == ["up", "left"]


def test_a_tile_larger_than_the_input_is_shrunk_where_asked_and_its_boxes_put_back(tmp_path):
    path = save(tmp_path / "m.onnx", one_head("end-to-end"), names=NAMES)
    detector = OnnxDetector(path, input=OnnxInput(fit="shrink"))
    assert detector.input_size == (64, 64)
    (found,) = detector.detect([tile(128, 128)])
    assert found.boxes.tolist() == pytest.approx(2 * np.array(BOXES))
    with pytest.raises(InvalidArgument, match="fit="):
        OnnxInput(fit="grow")


def test_more_classes_than_names_is_said(tmp_path):
    path = save(tmp_path / "m.onnx", one_head("end-to-end"))
    with pytest.raises(DetectorError, match=r"gave class 2, but has 1 name"):
        OnnxDetector(path, names=["up"], head="end-to-end").detect([tile()])


@pytest.mark.parametrize("head", ["detr", "lists", "padded", "center"])
def test_a_head_that_the_outputs_do_not_have_is_said(tmp_path, head):
    path = save(tmp_path / "m.onnx", one_head("end-to-end"), names=NAMES)
    with pytest.raises(DetectorError, match=r"outputs \['output0'\] lack"):
        OnnxDetector(path, head=head).detect([tile()])


def test_channels_last_sizes_and_normalized_values(tmp_path):
    """The model gives the greatest value of the first band, the input's size it was told, as a box."""
    names = {"entry": [1, 64, 32, 3], "orig_target_sizes": ["n", 2]}
    kinds = {"entry": TensorProto.FLOAT, "orig_target_sizes": TensorProto.INT64}
    nodes = [
        helper.make_node("ReduceMax", ["entry"], ["top"], keepdims=0, axes=[1, 2, 3]),
        helper.make_node("ReduceMin", ["entry"], ["low"], keepdims=0, axes=[1, 2, 3]),
        helper.make_node("Cast", ["orig_target_sizes"], ["size"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["size", "flat"], ["pair"]),
        helper.make_node("Concat", ["low", "low", "pair"], ["row"], axis=0),
        helper.make_node("Reshape", ["row", "rows"], ["boxes"]),
        helper.make_node("Reshape", ["top", "one"], ["scores"]),
        helper.make_node("Cast", ["scores"], ["labels"], to=TensorProto.INT64),
    ]
    shapes = {"flat": [2], "rows": [1, 1, 4], "one": [1, 1]}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kinds[name], shape) for name, shape in names.items()],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 1, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, [1, 1]),
        ],
        initializer=[
            numpy_helper.from_array(np.array(shape, np.int64), name) for name, shape in shapes.items()
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "m.onnx",
    )
    detector = OnnxDetector(tmp_path / "m.onnx", input=OnnxInput(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
    assert detector.input_size == (32, 64)
    (found,) = detector.detect([tile(32, 64, value=204)])
    assert found.boxes.tolist() == pytest.approx(np.array([[0.6, 0.6, 32, 64]]))
    assert found.scores.tolist() == pytest.approx([0.6])


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
    detector = OnnxDetector(tmp_path / "m.onnx", head="end-to-end", run=OnnxRun(batch=2))
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
