"""ModelRef: what a name means, which options go with it, and that they reach the detector."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tilekit as tk
from tilekit.detectors.naming import ModelRef, trained_on
from tilekit.errors import DetectorMistake, InvalidArgument
from tilekit.scans.encoding import encode_image

MODULE = """
import tilekit as tk
class Own:
    names, batch, workers = ("x",), 1, 1
    def detect(self, tiles):
        return [tk.Detections([[0.1, 0.1, 0.9, 0.9]], [0.9], None, ("x",)) for _ in tiles]
own = Own()
class Free(Own):
    strict = False
free = Free()
def rows(pixels):
    return [[0, 0, 20, 20, 0.9, 0], [30, 30, 50, 50, 0.3, 0]]
def nothing(pixels):
    return None
"""


@pytest.fixture
def scan(tmp_path, monkeypatch):
    (tmp_path / "own_models.py").write_text(MODULE)
    (tmp_path / "p.png").write_bytes(encode_image(np.full((90, 90, 1), 255, np.uint8), "png").data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("own_models", None)
    with tk.open_scan("p.png") as scan:
        yield scan


@pytest.mark.parametrize(
    ("name", "kind", "cloud"),
    [
        ("text", "ready-made", True),
        ("labels", "ready-made", True),
        ("arn:aws:rekognition:eu-west-1:1:project/a/version/b/1", "model", True),
        ("symbols", "model", True),
        ("symbols/v2", "model", True),
        ("nets/a.ONNX", "onnx", False),
        ("nets/yolo.PT", "ultralytics", False),
        ("hf:PekingU/rtdetr_r50vd", "transformers", False),
        ("hf:./here", "transformers", False),
        ("package.module:thing", "callable", False),
    ],
)
def test_what_a_name_means(name, kind, cloud):
    assert (ModelRef(name).kind, ModelRef(name).is_cloud) == (kind, cloud)
    assert ModelRef(name, conf=0.3).conf == 0.3


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("", {}, "model=''"),
        ("symbols", {"iou": 0.5}, "iou=0.5: is for an ONNX file"),
        (
            "m:f",
            {"fit": "shrink"},
            "fit='shrink': is for an ONNX file and a model of Hugging Face; 'm:f' is a callable",
        ),
        (
            "hf:a",
            {"iou": 0.5},
            "iou=0.5: is for an ONNX file and a model of Ultralytics; 'hf:a' is a model of Hugging Face",
        ),
        ("a.pt", {"names": ("a",)}, "names="),
        ("a.onnx", {"strict": False}, "strict=False: is for a callable"),
        ("symbols", {"names": ("a",)}, "names="),
        ("m:f", {"conf": 2}, "conf=2 must be"),
        ("a.onnx", {"iou": True}, "iou=True must be"),
    ],
)
def test_options_that_a_model_does_not_have(name, options, words):
    with pytest.raises(InvalidArgument, match=words.replace("(", r"\(")):
        ModelRef(name, **options)


def test_the_service_is_named_elsewhere():
    with pytest.raises(InvalidArgument, match=r"tilekit\.aws\.naming\.running"):
        ModelRef("symbols").detector()


def test_options_reach_the_detector(scan):
    tiling = tk.Tiling(90, 0)
    assert len(tk.detect_tiles(scan, ModelRef("own_models:rows"), tiling)) == 2
    few = tk.detect_tiles(scan, ModelRef("own_models:rows", ("a",), conf=0.5), tiling)
    assert (len(few), few.names) == (1, ("a",))
    with pytest.raises(DetectorMistake, match="None"):
        tk.detect_tiles(scan, ModelRef("own_models:nothing"), tiling)
    assert not len(tk.detect_tiles(scan, ModelRef("own_models:nothing", strict=False), tiling))


def test_a_detector_of_ones_own_is_held_to_the_contract(scan):
    with pytest.raises(DetectorMistake, match="look like shares"):
        tk.detect_tiles(scan, ModelRef("own_models:own"), tk.Tiling(90, 0))
    for name, strict in (("free", True), ("own", False)):
        assert (
            len(tk.detect_tiles(scan, ModelRef(f"own_models:{name}", strict=strict), tk.Tiling(90, 0))) == 1
        )


def test_what_a_detector_was_trained_on():
    def rows(pixels):
        return []

    tiling = tk.Tiling(256, 32)
    found = tk.CallableDetector(rows, tiling=tiling)
    assert trained_on(found) is tiling
    found = tk.CallableDetector(rows)
    assert trained_on(found) is None
    found.input_size = (640, 480)
    assert trained_on(found) == tk.Tiling((640, 480), 60)
