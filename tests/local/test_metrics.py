from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.clients import Box, line
from tilekit.local.metrics import evaluate
from tilekit.local.publication import Predicted
from tilekit.local.training_lines import TrainingLine
from tilekit.rekognition.images import ImageFacts
from tilekit.rekognition.rules import check_line


def usable(boxes: list[Box]) -> TrainingLine:
    raw = line("s3://bucket/a.jpg", boxes, (400, 400)).encode()
    return TrainingLine(raw, check_line(raw), ImageFacts("jpeg", 400, 400, 1000))


def hit(label: str, score: float, left: float, place: int = 0) -> Predicted:
    return Predicted(place, label, score, (left, 10, left + 20, 30))


def test_thresholds_are_those_of_the_best_f1_and_means_are_plain() -> None:
    truth = [usable([("a", 10, 10, 20, 20), ("a", 100, 10, 20, 20), ("b", 200, 10, 20, 20)])]
    found = [
        hit("a", 0.9, 10),
        hit("a", 0.8, 300),
        hit("a", 0.7, 101),
        hit("a", 0.2, 350),
        hit("b", 0.4, 300),
    ]
    result = evaluate(truth, found)
    a, b = result.labels
    assert (a.threshold, a.precision, a.recall) == (0.7, pytest.approx(2 / 3), 1.0)
    assert a.f1 == pytest.approx(0.8)
    assert b.f1 == 0
    assert result.f1 == pytest.approx(0.4)
    assert result.matched == (True, False, True, False, False)


def test_one_true_box_is_found_once() -> None:
    result = evaluate([usable([("a", 10, 10, 20, 20)])], [hit("a", 0.9, 10), hit("a", 0.8, 11)])
    assert result.matched == (True, False)


@given(
    st.lists(
        st.tuples(st.sampled_from([10.0, 100.0, 200.0, 300.0]), st.sampled_from([0.2, 0.4, 0.6, 0.8])),
        max_size=12,
    )
)
def test_the_threshold_is_the_best_of_all(found: list[tuple[float, float]]) -> None:
    truth = [usable([("a", 10, 10, 20, 20), ("a", 100, 10, 20, 20)])]
    predicted = [hit("a", score, left) for left, score in found]
    row = evaluate(truth, predicted).labels[0]
    best = 0.0
    for threshold in {score for _, score in found}:
        kept = [left for left, score in found if score >= threshold]
        hits = len({left for left in kept if left in (10.0, 100.0)})
        best = max(best, 2 * hits / (len(kept) + 2))
    assert row.f1 == pytest.approx(best)
    assert json.dumps(row.threshold)
    assert np.isfinite(row.average_precision)
