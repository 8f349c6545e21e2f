from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests import naive
from tests.boxes.strategies import box_arrays, label_arrays, score_arrays, thresholds
from tilekit.boxes.fusion import FusionOptions, nmm, soft_nms, wbf
from tilekit.errors import InvalidArgument


@given(st.data(), box_arrays(), thresholds, st.sampled_from(["linear", "gaussian"]))
def test_soft_nms_equals_its_slow_twin(data, boxes, threshold, method):
    scores, labels = data.draw(score_arrays(len(boxes))), data.draw(label_arrays(len(boxes)))
    chosen, lowered = soft_nms(boxes, scores, labels, threshold, method, score_floor=0.01)
    expected = naive.soft_nms(boxes, scores, labels, threshold, method, 0.5, 0.01)
    assert sorted(chosen) == sorted(expected[0])
    np.testing.assert_allclose(lowered, expected[1], rtol=1e-9)


@given(st.data(), box_arrays(), thresholds, st.sampled_from(["iou", "ios"]))
def test_nmm_equals_its_slow_twin(data, boxes, threshold, metric):
    scores, labels = data.draw(score_arrays(len(boxes))), data.draw(label_arrays(len(boxes)))
    made = nmm(boxes, scores, labels, threshold, metric)
    expected = naive.nmm(boxes, scores, labels, threshold, metric)
    assert made.boxes.tolist() == [grown for _, grown in expected]
    assert made.scores.tolist() == [scores[best] for best, _ in expected]
    assert made.class_ids.tolist() == [labels[best] for best, _ in expected]
    assert made.target[[best for best, _ in expected]].tolist() == list(range(len(expected)))


@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 120),
    models=st.integers(1, 4),
    threshold=st.sampled_from([0.2, 0.55, 0.8]),
    conf=st.sampled_from(["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]),
    overflow=st.booleans(),
    spread=st.sampled_from([3.0, 30.0]),
)
def test_wbf_equals_ensemble_boxes(seed, count, models, threshold, conf, overflow, spread):
    import ensemble_boxes as ensemble

    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 0.7, (count // 3 + 1, 2))
    corner = truth[rng.integers(0, len(truth), count)] + rng.normal(size=(count, 2)) / 1000 * spread
    boxes = np.concatenate([corner, corner + rng.uniform(0.1, 0.12, (count, 2))], 1).clip(0, 1)
    assume((boxes[:, 2:] > boxes[:, :2]).all())  # ensemble-boxes leaves out what has no area
    scores, labels = rng.uniform(0.01, 1, count), rng.integers(0, 3, count)
    which = rng.integers(0, models, count)
    weights = rng.uniform(0.5, 3, models)
    expected = ensemble.weighted_boxes_fusion(
        [boxes[which == m].tolist() for m in range(models)],
        [scores[which == m].tolist() for m in range(models)],
        [labels[which == m].tolist() for m in range(models)],
        weights=weights.tolist(),
        iou_thr=threshold,
        skip_box_thr=0.1,
        conf_type=conf,
        allows_overflow=overflow,
    )
    made = wbf(
        boxes,
        scores,
        labels,
        which,
        weights,
        threshold,
        options=FusionOptions(conf=conf, allow_overflow=overflow, score_floor=0.1),
    )
    assert len(made) == len(expected[0])
    mine = np.column_stack([made.class_ids, made.scores, made.boxes])
    theirs = np.column_stack([expected[2], expected[1], expected[0]])
    mine, theirs = (part[np.lexsort(part.T[::-1].round(4))] for part in (mine, theirs))
    np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert (made.target >= 0).tolist() == (scores >= 0.1).tolist()


def test_a_box_without_area_stays_alone_where_ensemble_boxes_leaves_it_out():
    """Seed 204158 of the property: a box clipped to a line; both are right by their own word."""
    made = wbf([[0, 0.5, 0, 0.6], [0, 0.5, 0.1, 0.6]], [0.9, 0.8])
    assert made.boxes.tolist() == [[0, 0.5, 0, 0.6], [0, 0.5, 0.1, 0.6]]


def test_nothing_fuses_to_nothing():
    assert len(wbf(np.empty((0, 4)), [])) == len(nmm(np.empty((0, 4)), [])) == 0
    assert len(soft_nms(np.empty((0, 4)), [])[0]) == 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda b, s: soft_nms(b, s, method="hard"), "method='hard'"),
        (lambda b, s: soft_nms(b, s, sigma=0), "sigma=0"),
        (lambda b, s: soft_nms(b, [0.5, 2.0]), r"scores\[1\]"),
        (lambda b, s: nmm(b, s, metric="giou"), "metric='giou'"),
        (lambda b, s: wbf(b, s, models=[0, 2], weights=[1, 1]), "weights has 2"),
        (lambda b, s: wbf(b, s, weights=[0.0]), r"weights\[0\]"),
        (lambda b, s: wbf(b, s, options=FusionOptions(conf="box")), "conf='box'"),
        (lambda b, s: wbf(b, s, options=FusionOptions(score_floor=2)), "score_floor=2"),
        (lambda b, s: wbf(b, s, options="avg"), "options='avg'"),
    ],
)
def test_bad_input_is_named(call, sentence):
    with pytest.raises(InvalidArgument, match=sentence):
        call([[0, 0, 1, 1], [0, 0, 2, 2]], [0.5, 0.6])
