from __future__ import annotations

import contextlib
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tilekit.local.crops import CROP, SMALLEST_CROP, WORK, Batches, CropPlan, CropSource, Picture, crop_plans
from tilekit.local.losses import loss
from tilekit.local.network import LEVELS, CenterNetwork, decode, fused, to_tensor
from tilekit.local.targets import LevelTargets, Targets

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


def perfect_maps(level: LevelTargets) -> torch.Tensor:
    heat = np.clip(level.heat[0], 1e-6, 1 - 1e-6)
    logits = np.where(heat > 0.999, 10.0, np.log(heat / (1 - heat)))
    return torch.from_numpy(np.concatenate([logits, level.shape[0]]).astype(np.float32))


@given(separate_boxes())
def test_perfect_maps_give_the_boxes_back(made: tuple[np.ndarray, np.ndarray]) -> None:
    boxes, labels = made
    targets = Targets.empty(1, 3, SIDE)
    targets.write(0, boxes, labels, SIDE)
    found = decode([perfect_maps(level) for level in targets.levels], 3, SIDE, SIDE)
    sure = found.scores > 0.99
    order = np.lexsort(found.boxes[sure].round(2).T)
    expected = np.lexsort(boxes.round(2).T)
    assert np.allclose(found.boxes[sure][order], boxes[expected], atol=0.01)
    assert np.array_equal(found.labels[sure][order], labels[expected])


def test_each_box_belongs_to_a_level() -> None:
    for longer, levels in ((4.0, 1), (39.0, 1), (50.0, 2), (65.0, 1), (200.0, 1)):
        targets = Targets.empty(1, 1, 448)
        targets.write(0, np.array([[100.0, 100, 100 + longer, 104]]), np.array([0]), 448)
        assert sum(int((level.heat == 1).any()) for level in targets.levels) == levels, longer


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("labels", [1, 50])
@pytest.mark.parametrize("size", [(64, 64), (101, 333)])
def test_any_size_bands_and_number_of_labels(bands: int, labels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = fused(CenterNetwork(bands, labels))
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    with torch.inference_mode():
        maps = [level[0] for level in network(to_tensor(pixels, bands))]
    for one, level in zip(maps, LEVELS, strict=True):
        cells = [-(-side // 32) * 32 // level.stride for side in size]
        assert one.shape == (labels + 4, cells[1], cells[0])
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
        for one, other in zip(fused(network)(image), before, strict=True):
            assert torch.allclose(one, other, atol=1e-4)


def test_objects_cut_too_much_are_not_judged() -> None:
    targets = Targets.empty(1, 1, SIDE)
    targets.write(0, np.array([[-80.0, 40, 20, 60], [200, 200, 240, 240]]), np.array([0, 0]), SIDE)
    fine, coarse = targets.levels
    assert fine.weight[0, 0, 12, 2] == coarse.weight[0, 0, 3, 0] == 0
    assert fine.heat[0, 0, 12].max() == 0
    assert fine.heat[0, 0, 55, 55] == 1


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


def test_the_loss_falls_where_maps_are_right() -> None:
    source = CropSource(square_pictures(1, 2), 1, np.random.default_rng(0))
    images, targets = source.batch(CropPlan(96, 2, 100.0))
    assert images.shape == (2, 1, 96, 96)
    right, wrong = [], []
    for level in targets.levels:
        heat = torch.from_numpy(level.heat).clamp(1e-4, 1 - 1e-4)
        right.append(torch.cat([torch.logit(heat), torch.from_numpy(level.shape)], dim=1))
        wrong.append(torch.zeros_like(right[-1]))
    assert loss(right, targets, 1) < loss(wrong, targets, 1)


@pytest.mark.parametrize(
    ("sides", "crops"), [([12] * 9, 4), ([12, 12, 150], 5), ([12] * 9 + [150], 9), ([150] * 9, 1)]
)
def test_large_objects_get_crops_with_room(sides: list[int], crops: int) -> None:
    boxes = np.array([[5.0, 5.0, 5 + side, 5 + side] for side in sides])
    picture = Picture(np.full((400, 400, 1), 255, np.uint8), boxes, np.zeros(len(sides), np.int64))
    plans = crop_plans([picture])
    assert len(plans) == crops
    assert max(plan.side for plan in plans) >= (1.9 * max(sides) if max(sides) > 100 else CROP)
    assert all(plan.count * plan.side**2 <= 6 * WORK for plan in plans)
    assert [plan.guest for plan in plans] == [len(plans) > 1 and plan.least > 0 for plan in plans]
    source = CropSource([picture], 1, np.random.default_rng(0))
    for plan in plans:
        images, _ = source.batch(plan)
        assert images.shape == (plan.count, 1, plan.side, plan.side)


@pytest.mark.parametrize("kept", [False, True])
def test_batches_that_are_guests_are_normalized_as_the_others(kept: bool) -> None:
    torch.manual_seed(0)
    network = CenterNetwork(1, 1)
    images = torch.rand(2, 1, 64, 64)
    network.train_with(norms_kept=True)  # what came before is not remembered
    network.train_with(norms_kept=kept)
    before = {name: values.clone() for name, values in network.named_buffers()}
    maps = network(images)
    same = [torch.equal(values, before[name]) for name, values in network.named_buffers()]
    assert all(same) if kept else not any(same)
    sum(one.sum() for one in maps).backward()
    assert all(values.grad is not None for values in network.parameters())
    network.load_state_dict({**network.state_dict(), **before})
    seen = network.eval()(images)
    assert all(torch.allclose(mine, theirs) == kept for mine, theirs in zip(maps, seen, strict=True))


@pytest.mark.parametrize("side", [2, 4, 12, 20, 60])
def test_small_objects_are_shown_closely_and_sometimes_widely(side: int) -> None:
    boxes = np.array([[5.0, 5.0, 5 + side, 5 + side]] * 5)
    picture = Picture(np.full((400, 400, 1), 255, np.uint8), boxes, np.zeros(5, np.int64))
    plans = crop_plans([picture])
    sides = sorted({plan.side for plan in plans})
    assert sides[-1] == CROP
    assert sides[0] == min(CROP, max(SMALLEST_CROP, -(-7 * side // 32) * 32))
    assert sum(plan.side == CROP for plan in plans) in (1, len(plans))
    assert all(0.8 * WORK <= plan.count * plan.side**2 <= 1.2 * WORK for plan in plans)


def test_large_crops_are_drawn_around_what_needs_them() -> None:
    boxes = [[20.0 * place, 10, 20 * place + 12, 22] for place in range(30)] + [[100.0, 100, 500, 330]]
    labels = np.array([0] * 30 + [1], np.int64)
    picture = Picture(np.full((900, 900, 1), 255, np.uint8), np.array(boxes), labels)
    plans = sorted(crop_plans([picture]), key=lambda plan: plan.side)
    small, large = plans[0], plans[-1]
    assert large.side >= 2 * 400
    assert large.count * large.side**2 <= 8.5 * WORK
    source = CropSource([picture], 2, np.random.default_rng(0))
    for plan, label in ((small, 0), (large, 1)):
        assert {row < 30 for some in source._objects(plan) for _, row in some} == {label == 0}
    shown = [source.batch(large)[1].objects > 0 for _ in range(20)]
    assert sum(shown) > 10


def test_batches_are_drawn_ahead_and_the_same_each_time() -> None:
    drawn = []
    for wait in (False, True):
        source = CropSource(square_pictures(2, 3), 1, np.random.default_rng(4))
        with contextlib.closing(Batches(source, [CropPlan(64, 3, 100.0), CropPlan(96, 2, 100.0)])) as batches:
            some = []
            for number in range(6):
                some.append(batches.take()[0])
                if wait:
                    time.sleep(0.02)  # a step that takes long: the next batch has been drawn by then
                if number == 2:
                    batches.mistaken([(1, 50.0, 50.0)])
        assert source.mistakes == [(1, 50.0, 50.0)]
        assert [batch.shape[0] for batch in some] == [3, 2, 3, 2, 3, 2]
        drawn.append(some)
    assert all(torch.equal(one, other) for one, other in zip(*drawn, strict=True))
