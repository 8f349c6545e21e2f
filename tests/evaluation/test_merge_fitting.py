from __future__ import annotations

import numpy as np
import pytest

import tilekit as tk
from tests.boxes.scenes import scene
from tilekit.errors import EvaluationError
from tilekit.evaluation.merge_fitting import merged_counts


def blurred(sigma, miss=0.0, seed=0):
    """Objects with shared edges as tiles see them: inner edges off by a normal error, some tiles miss some."""
    rng = np.random.default_rng(seed)
    truth, labels = scene(900, 700, seed=seed, sizes=(15, 50), layout="touching")
    grid = tk.Tiling(300, 70).grid(900, 700)
    carried = tk.remap_to_tiles(truth, grid, 0.02)
    kept = rng.random(len(carried)) >= miss
    ends = grid.windows()[carried.tile_index, 2:] - grid.windows()[carried.tile_index, :2]
    limits = np.concatenate([np.zeros_like(ends), ends], axis=1)
    boxes = carried.boxes + np.where(carried.boxes == limits, 0, rng.normal(0, sigma, carried.boxes.shape))
    boxes = np.clip(boxes, 0, np.tile(ends, 2))
    kept &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    found = tk.Detections(
        boxes[kept],
        rng.uniform(0.1, 1, int(kept.sum())),
        labels[carried.source_index[kept]],
        ("a", "b", "c"),
        carried.tile_index[kept],
    )
    return tk.evaluation.TunePage(found, grid, tk.Annotations(truth, labels, ("a", "b", "c")))


@pytest.mark.parametrize("sigma", [0.5, 2.0, 3.0])
def test_jitter_is_measured_from_what_is_seen_twice(sigma):
    page = blurred(sigma)
    assert tk.evaluation.measure_jitter(page.found, page.grid) == pytest.approx(sigma, rel=0.25)


def test_too_little_says_nothing():
    page = blurred(1.0)
    assert tk.evaluation.measure_jitter(page.found[:3], page.grid) is None
    with pytest.raises(EvaluationError, match="at least one page"):
        tk.evaluation.fit_merge([])


def test_a_fitted_policy_is_at_least_as_good_on_other_pages():
    policy = tk.evaluation.fit_merge([blurred(2.5, seed=seed) for seed in (0, 1)])
    assert policy.tolerance > 4
    other = blurred(2.5, seed=5)
    plain, fitted = (tk.merge(other.found, other.grid, one) for one in (None, policy))
    errors = [abs(len(found) - len(other.truth)) for found in (plain, fitted)]
    assert errors[1] <= errors[0]


def test_a_piece_that_another_tile_should_have_seen_needs_a_better_score():
    grid = tk.Tiling(100, 40).grid(160, 100)  # tiles at 0 and 60
    found = tk.Detections([[80, 10, 100, 30], [65, 50, 100, 70]], [0.4, 0.6], None, ("a",), [0, 0])
    assert len(tk.merge(found, grid)) == 2
    merged = tk.merge(found, grid, tk.MergePolicy(unconfirmed=0.5, growth=0))
    assert merged.boxes.tolist() == [[65, 50, 100, 70]]
    long = tk.Detections(
        [[30, 10, 100, 30]], [0.4], None, ("a",), [0]
    )  # begins where the other tile does not see
    assert len(tk.merge(long, grid, tk.MergePolicy(unconfirmed=0.5))) == 1


def test_sizes_of_labels_come_from_the_truth_that_counts():
    truth = tk.Annotations(
        [[0, 0, 10 + k, 5] for k in range(6)] + [[0, 0, 900, 900], [0, 0, 3, 3]],
        [0] * 7 + [1],
        ("valve", "rare"),
        [False] * 6 + [True, False],
    )
    (valve,) = tk.evaluation.measure_sizes([truth])
    assert valve.name == "valve"
    assert valve.heights == (5.0,) * 6
    assert 10 <= min(valve.widths) < max(valve.widths) <= 15


def test_pieces_of_missed_objects_are_completed_by_a_fitted_policy():
    rng = np.random.default_rng(1)

    def page():
        """Squares of 40 px; one view in five is missed."""
        x, y = (part.ravel() for part in np.meshgrid(np.arange(20, 900, 75.0), np.arange(20, 700, 75.0)))
        truth = np.column_stack([x, y, x + 40, y + 40]) + rng.uniform(-15, 15, (len(x), 1))
        grid = tk.Tiling(300, 60).grid(960, 760)
        carried = tk.remap_to_tiles(truth, grid, 0.1)
        seen = rng.random(len(carried)) < 0.8
        found = tk.Detections(
            carried.boxes[seen], rng.uniform(0.3, 1, int(seen.sum())), None, ("a",), carried.tile_index[seen]
        )
        return tk.evaluation.TunePage(found, grid, tk.Annotations(truth, None, ("a",)))

    tune, test = page(), page()
    policy = tk.evaluation.fit_merge([tune])
    assert policy.sizes
    plain, fitted = (merged_counts([test], one) for one in (tk.MergePolicy(), policy))
    assert fitted.fp < plain.fp
    assert fitted.fn < plain.fn
