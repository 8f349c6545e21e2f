"""What several scales find becomes one box per object, whatever its size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mixed_pages import at_scales, lost_and_extra, objects
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy
from tilekit.boxes.remap import remap_to_tiles
from tilekit.datasets.planning import recommend_tiling
from tilekit.detection.combining import unite_scales
from tilekit.detection.detecting import check_scales
from tilekit.errors import RecipeMismatch
from tilekit.grid import Tiling
from tilekit.pages import PageKey
from tilekit.rekognition.belonging import Look, SizeRule, belonging
from tilekit.scales import Scales

NAMES = ("a", "b")
SCALES = Scales(Tiling(1024, 96), Tiling(1280, 96, scale=0.25), Tiling.whole(1280))


@settings(max_examples=8)
@given(st.integers(0, 10**6))
def test_a_perfect_detector_gives_back_the_truth_at_all_sizes(seed):
    rng = np.random.default_rng(seed)
    boxes = objects(rng, 9000, 12000, 40)
    ids = rng.integers(0, 2, len(boxes))
    found = at_scales(rng, boxes, ids, NAMES, SCALES, 9000, 12000, off=0.0, seen=0.0)
    assert lost_and_extra(boxes, ids, found) == (0, 0)
    for box, label in zip(found.boxes, found.class_ids, strict=True):
        same = boxes[ids == label]
        assert np.abs(same - box).max(axis=1).min() < 1e-6


def test_the_planned_scales_lose_and_add_nothing_with_edges_two_px_off():
    rng = np.random.default_rng(7)
    pages = [objects(rng, 9933, 14043, 60) for _ in range(6)]
    labels = {PageKey(str(n)): Annotations(page, None, ("a",)) for n, page in enumerate(pages)}
    plan = recommend_tiling(labels, dict.fromkeys(labels, (9933, 14043)))
    wrong = 0
    for page in labels.values():
        found = at_scales(rng, page.boxes, page.class_ids, page.names, plan.scales, 9933, 14043)
        wrong += sum(lost_and_extra(page.boxes, page.class_ids, found))
    assert wrong <= 0.005 * 360


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(4, 60), st.floats(0.2, 1.0))
def test_an_object_belongs_to_the_scales_that_the_rule_says(seed, enough, share):
    rng = np.random.default_rng(seed)
    boxes = objects(rng, 5000, 4000, 30)
    grids = SCALES.grids(5000, 4000)
    found = belonging(boxes, grids, SizeRule(enough, share))
    for row, box in enumerate(boxes):
        for place, grid in enumerate(grids):
            ratio = max(grid.width, grid.height) / 5000
            tile = max(grid.columns.tile, grid.lines.tile)
            px = np.sqrt((box[2] - box[0]) * (box[3] - box[1])) * ratio * min(1, 1280 / tile)
            wide = (box[2] - box[0]) * ratio / grid.columns.tile if grid.cols > 1 else 0
            high = (box[3] - box[1]) * ratio / grid.lines.tile if grid.rows > 1 else 0
            taken = max(wide, high)
            one = remap_to_tiles(box[None], grid, 0.0)
            says = bool((~one.cut).any())
            says &= place == 0 or px >= enough
            says &= place == len(grids) - 1 or taken <= share
            assert found[row, place] == says
    assert belonging(boxes, grids[:1], SizeRule()).all()
    assert Look.on(boxes, grids[-1]).share.max() == 0


def find(boxes, scores, ids, cut=None):
    return Detections(boxes, scores, ids, NAMES, None, cut if cut is not None else [False] * len(boxes))


def united(fine, coarse, policy=None):
    grids = {0: Tiling(1024, 96).grid(8000, 8000), 1: Tiling.whole(1280).grid(8000, 8000)}
    return unite_scales({0: fine, 1: coarse}, grids, policy or MergePolicy())


def test_the_finer_box_wins_where_both_are_whole_and_takes_the_better_score():
    found = united(find([[100, 100, 300, 300]], [0.4], [0]), find([[90, 95, 310, 305]], [0.9], [0]))
    assert found.boxes.tolist() == [[100, 100, 300, 300]]
    assert found.scores.tolist() == [0.9]
    assert found.tile_index.tolist() == [0]


def test_the_coarser_box_wins_where_the_finer_is_cut():
    fine = find([[100, 100, 1000, 1000]], [0.99], [0], [True])
    found = united(fine, find([[95, 98, 2000, 2100]], [0.5], [0]))
    assert found.boxes.tolist() == [[95, 98, 2000, 2100]]
    assert found.tile_index.tolist() == [1]


@pytest.mark.parametrize("agnostic", [False, True])
def test_objects_inside_another_of_another_label_stay(agnostic):
    fine = find([[500, 500, 540, 540], [900, 900, 980, 940]], [0.5, 0.4], [1, 1], [False, True])
    coarse = find([[400, 400, 4000, 4000]], [0.9], [0])
    found = united(fine, coarse, MergePolicy(class_agnostic=agnostic))
    assert len(found) == 3


def test_a_find_too_small_for_its_scale_yields_to_the_finer():
    fine = find([[500, 500, 540, 540]], [0.3], [0])
    found = united(fine, find([[490, 485, 570, 560]], [0.9], [0]))
    assert found.boxes.tolist() == [[500, 500, 540, 540]]
    alone = united(find(np.empty((0, 4)), [], []), find([[490, 485, 570, 560]], [0.9], [0]))
    assert len(alone) == 1


def test_a_detector_for_one_scale_is_not_given_two():
    class Trained:
        tiling = Tiling(1024, 96)

    with pytest.raises(RecipeMismatch, match="given 3 scales, and knows 1"):
        check_scales([Trained()] * 3, SCALES)
    Trained.tiling = SCALES
    check_scales([Trained()] * 3, SCALES)
    check_scales([Trained()], Scales(SCALES[1]))
