from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tilekit.local.crops import CropSource, Picture, Targets
from tilekit.local.network import STRIDE, CenterNetwork, decode, fused, to_tensor
from tilekit.local.training import loss, train

SIDE = 256


@st.composite
def separate_boxes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of 4 to 100 px, one in each quarter of the crop, with labels."""
    boxes, labels = [], []
    for corner in draw(st.lists(st.sampled_from([(0, 0), (128, 0), (0, 128), (128, 128)]), unique=True)):
        width, height = draw(st.floats(4, 100)), draw(st.floats(4, 100))
        x = corner[0] + draw(st.floats(8, 120 - width)) if width < 112 else corner[0] + 8.0
        y = corner[1] + draw(st.floats(8, 120 - height)) if height < 112 else corner[1] + 8.0
        boxes.append([x, y, x + width, y + height])
        labels.append(draw(st.integers(0, 2)))
    return np.array(boxes, dtype=np.float64).reshape(-1, 4), np.array(labels, dtype=np.int64)


@given(separate_boxes())
def test_perfect_maps_give_the_boxes_back(made: tuple[np.ndarray, np.ndarray]) -> None:
    boxes, labels = made
    targets = Targets.empty(1, 3, SIDE // STRIDE)
    targets.write(0, boxes, labels, SIDE)
    heat = np.clip(targets.heat[0], 1e-6, 1 - 1e-6)
    logits = np.where(heat > 0.999, 10.0, np.log(heat / (1 - heat)))
    maps = torch.from_numpy(np.concatenate([logits, targets.shape[0]]).astype(np.float32))
    found = decode(maps, 3, SIDE, SIDE)
    sure = found.scores > 0.99
    order = np.lexsort(found.boxes[sure].T)
    expected = np.lexsort(boxes.T)
    assert np.allclose(found.boxes[sure][order], boxes[expected], atol=0.01)
    assert np.array_equal(found.labels[sure][order], labels[expected])


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("labels", [1, 50])
@pytest.mark.parametrize("size", [(64, 64), (101, 333)])
def test_any_size_bands_and_number_of_labels(bands: int, labels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = fused(CenterNetwork(bands, labels))
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    with torch.inference_mode():
        maps = network(to_tensor(pixels, bands))[0]
    assert maps.shape == (labels + 4, -(-size[1] // 16) * 4, -(-size[0] // 16) * 4)
    found = decode(maps, labels, *size)
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [*size, *size]).all()


def test_folding_batch_normalization_changes_nothing() -> None:
    torch.manual_seed(0)
    network = CenterNetwork(1, 2)
    image = torch.rand(1, 1, 64, 64)
    for _ in range(3):
        network(torch.rand(4, 1, 64, 64))
    network.eval()
    with torch.inference_mode():
        before = network(image)
        assert torch.allclose(fused(network)(image), before, atol=1e-4)


def test_objects_cut_too_much_are_not_judged() -> None:
    targets = Targets.empty(1, 1, SIDE // STRIDE)
    targets.write(0, np.array([[-80.0, 40, 20, 60], [200, 200, 240, 240]]), np.array([0, 0]), SIDE)
    assert targets.weight[0, 0, 12, 2] == 0
    assert targets.heat[0, 0, 12].max() == 0
    assert targets.heat[0, 0, 55, 55] == 1


def square_pictures(seed: int, count: int) -> list[Picture]:
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        pixels = np.full((200, 240, 1), 245, np.uint8)
        boxes = []
        for _ in range(3):
            x, y = random.integers(5, 200), random.integers(5, 170)
            pixels[y : y + 20, x : x + 20] = 20
            boxes.append([x, y, x + 20, y + 20])
        pictures.append(Picture(pixels, np.array(boxes, dtype=np.float64), np.zeros(3, np.int64)))
    return pictures


def test_the_same_seed_trains_the_same_model() -> None:
    torch.set_num_threads(1)
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(train(square_pictures(0, 3), 1, 3, lambda text: None, 4))
    for one, other in zip(models[0].state_dict().values(), models[1].state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_the_loss_falls_where_maps_are_right() -> None:
    source = CropSource(square_pictures(1, 2), 96, 1, np.random.default_rng(0))
    images, targets = source.batch(2)
    assert images.shape == (2, 1, 96, 96)
    heat = torch.from_numpy(targets.heat).clamp(1e-4, 1 - 1e-4)
    right = torch.cat([torch.logit(heat), torch.from_numpy(targets.shape)], dim=1)
    wrong = torch.zeros_like(right)
    assert loss(right, targets, 1) < loss(wrong, targets, 1)
