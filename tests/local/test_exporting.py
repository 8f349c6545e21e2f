from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tilekit.boxes.suppression import nms
from tilekit.detectors.onnx import OnnxDetector
from tilekit.errors import InvalidArgument, StorageNotFound
from tilekit.grid import Tiling, Window
from tilekit.local.exporting import export_model, export_network, trained_folder
from tilekit.local.inference import MODEL_FILE, find, write_model
from tilekit.local.network import CenterNetwork, load
from tilekit.testing.scenes import scene_page
from tilekit.tiles.tile import Tile

NAMES = ["a", "b"]


@pytest.fixture
def network() -> CenterNetwork:
    """Untrained, but with enough contrast in its heat to find something."""
    torch.manual_seed(0)
    made = CenterNetwork(1, 2)
    with torch.no_grad():
        made.head[-1].weight[:2] *= 60
        made.head[-1].bias[:2] = -1.0
    return made


@pytest.mark.parametrize("size", [(256, 256), (320, 192)])
def test_onnx_finds_what_torch_finds(network: CenterNetwork, size: tuple[int, int], tmp_path: Path) -> None:
    write_model(tmp_path / MODEL_FILE, network, NAMES)
    recipe = Tiling(256, 64)
    assert export_model(tmp_path, tmp_path / "m.onnx", tiling=recipe, decoys=("b",)) == tuple(NAMES)
    detector = OnnxDetector(tmp_path / "m.onnx")
    assert (detector.names, detector.tiling, detector.decoys) == (tuple(NAMES), recipe, ("b",))

    pixels = np.ascontiguousarray(
        scene_page(1, *size, symbols=("valve",), symbol_px=(20, 28), count=4)[0][:, :, :1]
    )
    trained, _ = load(tmp_path / MODEL_FILE)
    wanted = find(trained, pixels)
    strong = wanted.scores >= 0.06
    found = detector.detect([Tile(0, 0, 0, Window(0, 0, *size), pixels)])[0]
    assert strong.sum() > 3
    for box, score, label in zip(
        wanted.boxes[strong], wanted.scores[strong], wanted.labels[strong], strict=True
    ):
        near = np.abs(found.boxes - box).max(axis=1) < 0.05
        near &= (np.abs(found.scores - score) < 1e-3) & (found.class_ids == label)
        assert near.any(), (box, score, label)
    best = found[np.argsort(-found.scores, kind="stable")[:300]]  # as many as torch looks at
    kept = nms(best.boxes, best.scores, best.class_ids, threshold=0.5)
    assert len(kept) == pytest.approx((wanted.scores >= 0.05).sum(), abs=2)


def test_what_cannot_be_exported_is_said(network: CenterNetwork, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="2 labels"):
        export_network(network, ["a"], tmp_path / "m.onnx")
    with pytest.raises(StorageNotFound, match="no trained model"):
        export_model(tmp_path, tmp_path / "m.onnx")
    with pytest.raises(StorageNotFound, match="--state"):
        trained_folder(tmp_path, "p/v")
