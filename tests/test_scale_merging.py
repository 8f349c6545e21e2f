"""What several scales find becomes one box per object, whatever its size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mixed_pages import (
    KIND_NAMES,
    at_scales,
    kinds,
    lost_and_extra,
    objects,
    taught_by,
    trained_at_scales,
)
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy
from tilekit.boxes.remap import remap_to_tiles
from tilekit.datasets.planning import recommend_tiling
from tilekit.detection.combining import unite_scales
from tilekit.detection.detecting import check_scales
from tilekit.errors import RecipeMismatch
from tilekit.evaluation.evaluating import evaluate
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PageDetections
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


TAUGHT = ({"a": (10.0, 60.0)}, {"b": (300.0, 4000.0)})


def weighed(fine, coarse, taught=TAUGHT, policy=None):
    grids = {0: Tiling(1024, 96).grid(8000, 8000), 1: Tiling.whole(1280).grid(8000, 8000)}
    return unite_scales({0: fine, 1: coarse}, grids, policy or MergePolicy(), taught=taught)


def test_a_label_that_other_scales_were_taught_counts_less_and_comes_last():
    piece = find([[600, 600, 1000, 1000]], [0.95], [1])  # a table on a fine tile, where none was taught
    found = weighed(piece, find([[590, 610, 1010, 1005]], [0.3], [1]))
    assert found.boxes.tolist() == [[590, 610, 1010, 1005]]
    assert found.scores.tolist() == [0.3]
    assert found.tile_index.tolist() == [1]
    alone = weighed(piece, find(np.empty((0, 4)), [], []))
    assert alone.boxes.tolist() == piece.boxes.tolist()
    assert alone.scores.tolist() == pytest.approx([0.095])


def test_a_size_far_from_those_taught_counts_half():
    fine = find([[0, 0, 180, 180], [500, 0, 681, 181], [900, 0, 903, 903 / 301]], [0.8, 0.8, 0.8], [0, 0, 0])
    found = weighed(fine, find([[0, 4000, 90, 4090]], [0.8], [1]))
    assert sorted(found.scores.tolist()) == pytest.approx([0.4, 0.4, 0.4, 0.8])
    assert found.scores[found.boxes[:, 2] == 180].tolist() == [0.8]  # three times the largest is not far


def test_what_no_scale_of_the_page_was_taught_belongs_to_each():
    fine, coarse = find([[500, 500, 540, 540]], [0.9], [1]), find([[4000, 4000, 5000, 5200]], [0.7], [0])
    for taught in ((), ({}, {}), ({"c": (1, 2)}, {"d": (1, 2)})):
        found = weighed(fine, coarse, taught)
        assert sorted(found.scores.tolist()) == [0.7, 0.9]


found_boxes = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.integers(0, 60),
        st.sampled_from([20, 50, 120, 400, 900, 2500]),
        st.integers(1, 20),
        st.integers(0, 1),
        st.booleans(),
    ),
    max_size=8,
)


def made(rows):
    """Finds from (x, y, side, score, label, cut) in steps, so that they often meet."""
    boxes = np.array([[50 * x, 50 * y, 50 * x + side, 50 * y + side] for x, y, side, *_ in rows], float)
    kept = [row[3] / 20 for row in rows]
    return find(boxes.reshape(-1, 4), kept, [row[4] for row in rows], [row[5] for row in rows])


def rows_of(found):
    return sorted(
        zip(
            found.boxes.tolist(),
            found.scores.tolist(),
            found.labels,
            found.tile_index.tolist(),
            strict=True,
        )
    )


@settings(max_examples=60)
@given(found_boxes, found_boxes, st.booleans())
def test_a_find_on_its_own_scale_is_never_lost_to_a_foreign_one(fine, coarse, agnostic):
    policy = MergePolicy(class_agnostic=agnostic)
    own = [
        [row for row in rows if NAMES[row[4]] in taught]
        for rows, taught in zip((fine, coarse), TAUGHT, strict=True)
    ]
    alone = weighed(*map(made, own), policy=policy)
    both = weighed(made(fine), made(coarse), policy=policy)
    here = {(tuple(box), label, place) for box, _, label, place in rows_of(both)}
    assert {(tuple(box), label, place) for box, _, label, place in rows_of(alone)} <= here


@settings(max_examples=60)
@given(found_boxes, found_boxes)
def test_the_order_of_finds_and_scales_changes_nothing_and_no_knowledge_is_as_before(fine, coarse):
    grids = {0: Tiling(1024, 96).grid(8000, 8000), 1: Tiling.whole(1280).grid(8000, 8000)}
    parts = {0: made(fine), 1: made(coarse)}
    turned = dict(reversed(parts.items()))
    for taught in ((), TAUGHT):
        plain = unite_scales(parts, grids, MergePolicy(), taught=taught)
        other = unite_scales(turned, dict(reversed(grids.items())), MergePolicy(), taught=taught)
        assert rows_of(plain) == rows_of(other)
    every = ({"a": (0.0, np.inf), "b": (0.0, np.inf)},) * 2
    before = unite_scales(parts, grids, MergePolicy())
    assert rows_of(unite_scales(parts, grids, MergePolicy(), taught=every)) == rows_of(before)


@pytest.mark.parametrize("seed", [0, 1])
def test_what_was_taught_makes_finds_of_a_trained_detector_better(seed):
    rng = np.random.default_rng(seed)
    size = (9000, 12000)
    scales = taught_by([kinds(rng, *size) for _ in range(4)], KIND_NAMES, SCALES, *size)
    truth, results = {}, {"known": [], "not": []}
    for page in range(2):
        boxes, ids = kinds(rng, *size)
        key = PageKey(str(page))
        truth[key] = Annotations(boxes, ids, KIND_NAMES)
        found, grids = trained_at_scales(rng, boxes, ids, scales, *size)
        for name, taught in (("known", scales.taught), ("not", ())):
            one = unite_scales(found, grids, MergePolicy(), taught=taught)
            results[name].append(PageDetections(key, *size, one, tuple(scales)))
    labels = LabelSet(truth, sizes=dict.fromkeys(truth, size), names=KIND_NAMES)
    better, before = (evaluate(labels, results[name]).ap for name in ("known", "not"))
    assert better > before
