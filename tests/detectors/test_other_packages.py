"""Ultralytics and transformers, which these tests do not install: stand-ins of the shapes that they document."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

import tilekit as tk
from tilekit.boxes.shapes import OrientedBoxes
from tilekit.detectors.naming import ModelRef, trained_on
from tilekit.errors import DetectorError, MissingExtra, StorageNotFound


def dark(pixels):
    """The box around what is dark, in px of the picture."""
    ys, xs = np.nonzero(pixels.mean(axis=2) < 60)
    return [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]] if len(xs) else []


class Yolo:
    """`YOLO(path).predict(list of BGR arrays, imgsz=(h, w), conf=...)` -> Results with boxes.xyxy, conf, cls."""

    calls: ClassVar[list] = []
    kind = "detect"

    def __init__(self, path):
        if "broken" in path:
            raise RuntimeError("invalid load key")
        self.names, self.overrides = {0: "stamp", 1: "seal"}, {"imgsz": 128, "task": "detect"}

    def predict(self, pictures, *, imgsz, conf, iou, device, max_det, verbose):
        self.calls.append((len(pictures), imgsz, conf, iou))
        return [self.result(picture) for picture in pictures]

    def result(self, picture):
        assert (picture.dtype, picture.shape[2], picture.flags["C_CONTIGUOUS"]) == (np.uint8, 3, True)
        rows = torch.tensor(dark(picture)).reshape(-1, 4).float()
        marks = {"conf": torch.full((len(rows),), 0.75), "cls": torch.ones(len(rows))}
        if self.kind == "classify":
            return SimpleNamespace(boxes=None, obb=None)
        if self.kind == "obb":
            corners = rows[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
            return SimpleNamespace(boxes=None, obb=SimpleNamespace(xyxyxyxy=corners, **marks))
        return SimpleNamespace(
            boxes=SimpleNamespace(xyxy=rows + torch.tensor([0, 0, 0, 500.0]), **marks), obb=None
        )


class Batch(dict):
    def to(self, device):
        return self


class Processor:
    """`processor(images=..., return_tensors="pt")`, `post_process_object_detection(outputs, threshold, target_sizes)`."""

    size: ClassVar = {"height": 128, "width": 128}

    @classmethod
    def from_pretrained(cls, name):
        if name == "nobody/nothing":
            raise OSError("nobody/nothing is not a local folder\nand more")
        return cls()

    def __call__(self, *, images, return_tensors, input_data_format):
        assert (return_tensors, input_data_format) == ("pt", "channels_last")
        return Batch(pixel_values=[np.asarray(image) for image in images])

    def post_process_object_detection(self, outputs, threshold, target_sizes):
        assert [tuple(boxes.shape[:2]) for boxes in outputs] == list(target_sizes)
        found = []
        for picture in outputs:
            rows = torch.tensor(dark(picture)).reshape(-1, 4).float()
            found.append(
                {
                    "scores": torch.full((len(rows),), 0.5),
                    "labels": torch.full((len(rows),), 2),
                    "boxes": rows,
                }
            )
        return found


class Model:
    config = SimpleNamespace(id2label={0: "N/A", 1: "N/A", 2: "stamp"})

    @classmethod
    def from_pretrained(cls, name):
        return cls()

    def to(self, device):
        return self

    eval = requires_grad_ = lambda self, *off: self

    def __call__(self, pixel_values):
        return pixel_values


@pytest.fixture
def packages(monkeypatch):
    for name, values in (
        ("ultralytics", {"YOLO": Yolo}),
        ("transformers", {"AutoImageProcessor": Processor, "AutoModelForObjectDetection": Model}),
    ):
        module = ModuleType(name)
        module.__dict__.update(values)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Yolo, "calls", [])


@pytest.fixture
def scan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.full((200, 300, 1), 250, np.uint8)
    pixels[20:50, 30:70] = 0
    from tilekit.scans.encoding import encode_image

    (tmp_path / "p.png").write_bytes(encode_image(pixels, "png").data)
    (tmp_path / "a.pt").write_bytes(b"x")
    (tmp_path / "broken.pt").write_bytes(b"x")
    with tk.open_scan("p.png") as opened:
        yield opened


def test_a_pt_file_is_a_detector(packages, scan):
    detector = ModelRef("a.pt", conf=0.2, iou=0.6).detector()
    assert (detector.names, trained_on(detector)) == (("stamp", "seal"), tk.Tiling((128, 128), 16))
    found = tk.detect_tiles(scan, detector, tk.Tiling(100, 0))
    assert (found.labels, found.scores.tolist()) == (["seal"], [0.75])
    assert found.boxes.tolist() == [[30, 20, 70, 100]]  # clipped to its tile
    assert {call[1:] for call in Yolo.calls} == {((128, 128), 0.2, 0.6)}  # filled up, never reduced


def test_oriented_boxes_come_as_shapes(packages, scan, monkeypatch):
    monkeypatch.setattr(Yolo, "kind", "obb")
    found = tk.detect_tiles(scan, ModelRef("a.pt"), tk.Tiling(300, 0)).detections
    assert isinstance(found.shapes, OrientedBoxes)
    assert np.allclose(found.boxes, [[30, 20, 70, 50]])
    monkeypatch.setattr(Yolo, "kind", "classify")
    with pytest.raises(DetectorError, match="a model for detection"):
        tk.detect_tiles(scan, ModelRef("a.pt"), tk.Tiling(300, 0))


def test_a_model_of_hugging_face_is_a_detector(packages, scan):
    detector = ModelRef("hf:./folder").detector()
    assert detector.names == ("N/A", "N/A 1", "stamp")
    assert trained_on(detector) == tk.Tiling((128, 128), 16)
    found = tk.detect_tiles(scan, detector, tk.Tiling(128, 0, edge="clip"))
    assert (found.labels, found.boxes.tolist()) == (["stamp"], [[30, 20, 70, 50]])
    with pytest.raises(DetectorError, match="takes 128 x 128 px, the tile has 200 x 200"):
        tk.detect_tiles(scan, detector, tk.Tiling(200, 0))
    assert len(tk.detect_tiles(scan, ModelRef("hf:./folder", fit="shrink"), tk.Tiling(200, 0))) == 1


def test_what_is_missing_is_said_in_a_sentence(packages, scan, monkeypatch):
    with pytest.raises(StorageNotFound):
        ModelRef("none.pt").detector()
    with pytest.raises(
        DetectorError, match=r"broken\.pt: is no model that ultralytics can load: invalid load key"
    ):
        ModelRef("broken.pt").detector()
    with pytest.raises(
        DetectorError, match=r"cannot be loaded for object detection: nobody/nothing is not a local folder$"
    ):
        ModelRef("hf:nobody/nothing").detector()
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match="pip install ultralytics"):
        ModelRef("a.pt").detector()
    with pytest.raises(MissingExtra, match="pip install transformers torch"):
        ModelRef("hf:a/b").detector()
