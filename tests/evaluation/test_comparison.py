from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation import naive
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import EvaluationError, InvalidArgument
from tilekit.evaluation.comparison import compare
from tilekit.evaluation.evaluating import evaluate
from tilekit.pages import PageKey
from tilekit.rekognition.training_note import TrainingNote


def pages(count, hits, seed=0, wrong=0):
    """`count` pages of 10 boxes, of which each is found with probability `hits`."""
    rng = np.random.default_rng(seed)
    truth, found = {}, {}
    for place in range(count):
        key = PageKey(f"p{place}.png")
        boxes = np.array([[20 * i, 0, 20 * i + 10, 10] for i in range(10)], float)
        truth[key] = Annotations(boxes, None, ("x",))
        good = rng.random(10) < hits
        extra = np.array([[20 * i, 50, 20 * i + 10, 60] for i in range(wrong)], float).reshape(-1, 4)
        rows = np.vstack([boxes[good], extra])
        found[key] = Detections(rows, np.full(len(rows), 0.9), None, ("x",))
    return truth, found


def result(count, hits, **more):
    return evaluate(*pages(count, hits, **more), thresholds=0.5)


def test_better_worse_and_level():
    poor, good = result(40, 0.4), result(40, 0.9, seed=1)
    assert compare(poor, good).outcome == "better"
    assert compare(good, poor).outcome == "worse"
    same = compare(good, good)
    assert same.outcome == "level"
    assert same.f1.difference == same.f1.low == same.f1.high == 0
    assert "are level on these pages, within 0.01" in same.sentence
    assert ": better (mean F1" in compare(poor, good).sentence


def test_figures_are_those_of_the_evaluations():
    truth, one = naive.random_pages(3, pages=8, boxes=20)
    _, two = naive.random_pages(4, pages=8, boxes=20)
    first = evaluate(truth, one, thresholds=0.3)
    second = evaluate(truth, two, thresholds=0.5)
    rows = {(row.name, row.figure): row for row in compare(first, second).differences}
    assert rows["mean of labels", "f1"].baseline == pytest.approx(first.f1)
    assert rows["mean of labels", "f1"].tiled == pytest.approx(second.f1)
    assert rows["all boxes", "f1"].tiled == pytest.approx(second.micro.f1)
    assert rows["a", "recall"].baseline == pytest.approx(first["a"].recall)
    assert rows["b", "precision"].difference == pytest.approx(second["b"].precision - first["b"].precision)


def test_the_interval_is_the_paired_bootstrap():
    """Against a loop that draws pages one by one, and against the spread of fresh pages."""
    one, two = result(60, 0.5), result(60, 0.7, seed=5)
    comparison = compare(one, two, samples=4000)
    rng = np.random.default_rng(9)
    spread = []
    for _ in range(2000):
        rows = rng.integers(0, 60, 60)
        figures = []
        for side in (one, two):
            tp, fp, fn = (int(getattr(side.page_counts, part)[rows].sum()) for part in ("tp", "fp", "fn"))
            figures.append(2 * tp / (2 * tp + fp + fn))
        spread.append(figures[1] - figures[0])
    low, high = np.percentile(spread, [2.5, 97.5])
    assert comparison.f1.low == pytest.approx(low, abs=0.01)
    assert comparison.f1.high == pytest.approx(high, abs=0.01)


def test_seeded():
    one, two = result(30, 0.5), result(30, 0.6, seed=2)
    assert compare(one, two) == compare(one, two)
    assert compare(one, two, seed=1).f1 != compare(one, two).f1


def test_page_order_does_not_matter():
    truth, found = pages(30, 0.5)
    turned = evaluate(dict(reversed(truth.items())), found, thresholds=0.5)
    straight = evaluate(truth, found, thresholds=0.5)
    assert compare(straight, turned).f1.high == 0


def test_repeated_trainings_widen_the_interval():
    base = result(40, 0.5)
    trainings = [result(40, hits, seed=7) for hits in (0.55, 0.75, 0.95)]
    single, several = compare(base, trainings[1]), compare(base, trainings)
    assert several.f1.high - several.f1.low > 1.5 * (single.f1.high - single.f1.low)
    assert several.runs == (1, 3)


def test_few_pages_and_single_trainings_are_said():
    notes = " ".join(compare(result(5, 0.5), result(5, 0.6)).notes)
    assert "5 pages are few" in notes
    assert "one training" in notes
    truth, found = pages(30, 0.5)
    assert "flatters" in " ".join(compare(evaluate(truth, found), evaluate(truth, found)).notes)


def test_other_pages_truth_or_overlap_are_refused():
    with pytest.raises(EvaluationError, match="same pages"):
        compare(result(5, 0.5), result(6, 0.5))
    truth, found = pages(5, 0.5)
    other = {key: value[:9] for key, value in truth.items()}
    with pytest.raises(EvaluationError, match="different truth"):
        compare(evaluate(truth, found), evaluate(other, found))
    with pytest.raises(EvaluationError, match="evaluated at"):
        compare(evaluate(truth, found), evaluate(truth, found, 0.3))
    with pytest.raises(InvalidArgument, match="samples"):
        compare(result(5, 0.5), result(5, 0.5), samples=1)
    with pytest.raises(InvalidArgument, match="Evaluation"):
        compare(result(5, 0.5), 3)


def test_from_files_and_to_json(tmp_path):
    one, two = result(30, 0.5), result(30, 0.9, seed=2)
    one.save(tmp_path / "a.json")
    two.save(tmp_path / "b.json")
    assert compare(tmp_path / "a.json", tmp_path / "b.json") == compare(one, two)
    comparison = compare(one, two, names=("pages", "tiles"))
    comparison.save(tmp_path / "c.json")
    assert comparison.to_json()["outcome"] == "better"
    assert "tiles, against pages: better" in comparison.table()
    shown = comparison._repr_html_()
    assert f"<p>{html.escape(comparison.sentence)}</p>" in shown
    assert "data:image/" in shown


def test_nothing_found_anywhere_is_none():
    truth = {PageKey("a"): Annotations.empty(("x",))}
    found = {PageKey("a"): Detections.empty(("x",))}
    comparison = compare(evaluate(truth, found), evaluate(truth, found))
    assert comparison.f1.difference is None
    assert "cannot be compared" in comparison.sentence


def test_a_label_only_one_side_knows():
    truth, found = pages(25, 0.5)
    odd = {
        key: Detections.concat([value, Detections([[0, 80, 9, 90]], [0.9], None, ("y",))])
        for key, value in found.items()
    }
    comparison = compare(evaluate(truth, found, thresholds=0.5), evaluate(truth, odd, thresholds=0.5))
    rows = {(row.name, row.figure): row for row in comparison.differences}
    assert rows["all boxes", "f1"].outcome == "worse"
    assert rows["y", "recall"].difference is None


@pytest.mark.parametrize("ended", ["500 steps", "40 views of each box", "60 minutes", "nothing learned"])
def test_a_side_that_was_not_trained_to_its_end_gives_no_verdict(ended: str, tmp_path: Path) -> None:
    note = TrainingNote(False, "Not converged: cut short.", 500, 3.0, 60.0, ended)
    worse, better = result(40, 0.4), result(40, 0.9, seed=1)
    for place, trainings in enumerate(((note, None), (None, note), (note, note))):
        sides = [replace(side, training=one) for side, one in zip((worse, better), trainings, strict=True)]
        sides[0].save(tmp_path / f"{place}.json")
        found = compare(tmp_path / f"{place}.json", sides[1], names=("whole pages", "tiles"))
        assert found.outcome == "not converged"
        assert {row.outcome for row in found.differences} == {"not converged"}
        assert found.sentence.startswith("No verdict on tiles against whole pages")
        assert note.remedy in found.advice
        assert ("--" in note.remedy) == (ended != "nothing learned")
    done = replace(note, converged=True)
    assert compare(worse, better).outcome == "better"
    assert compare(replace(worse, training=done), replace(better, training=done)).outcome == "better"


def test_the_simulation_of_coverage_runs_as_shipped():
    from benchmarks.interval_coverage import POPULATIONS, covered

    held, plain, width = covered(np.random.default_rng(0), POPULATIONS["even pages"], 5, 30, samples=100)
    assert held >= 0.8
    assert held >= plain
    assert width > 0
