"""The report shows the matches that the evaluation counted, whatever it counted by."""

from __future__ import annotations

import json

import numpy as np
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import tilekit as tk
from tilekit.cli import cli
from tilekit.evaluation.rules import EvaluationRules
from tilekit.labels.label_set import REGIONS_KEY
from tilekit.labels.prediction_lines import write_predictions
from tilekit.report.matches import match_runs

NAMES = ("a", "b", "c")


def seen(rng, count, near=None):
    """Triangles, some of them a little off others, with labels."""
    corners = rng.uniform(0, 160, (count, 1, 2)) + rng.uniform(0, 60, (count, 3, 2))
    labels = rng.integers(0, 3, count)
    for row in range(count if near is not None and len(near[0]) else 0):
        if rng.random() < 0.7:
            source = int(rng.integers(len(near[0])))
            corners[row] = near[0][source] + rng.normal(0, 4, (3, 2))
            labels[row] = near[1][source]
    return np.clip(corners, 0, 220), labels


@given(
    st.integers(0, 2**32),
    st.sampled_from(["box", "shape"]),
    st.sampled_from([0.3, 0.5, "center"]),
    st.sampled_from([None, ("b",), ("c", "a")]),
    st.booleans(),
)
def test_the_report_shows_what_the_evaluation_counted(seed, by, iou, labels, parts):
    rng = np.random.default_rng(seed)
    pages, sizes, runs = {}, {}, {"one": [], "two": []}
    for number in range(3):
        key = tk.PageKey(f"{number}.png")
        corners, ids = seen(rng, int(rng.integers(3, 12)))
        outlines = tk.boxes.Polygons.of([[one.reshape(-1).tolist()] for one in corners])
        ignore = rng.random(len(ids)) < 0.2
        pages[key] = tk.Annotations(outlines.boxes, ids, NAMES, ignore, shapes=outlines)
        sizes[key] = (220, 220)
        for run in runs.values():
            points, kinds = seen(rng, int(rng.integers(0, 14)), (corners, ids))
            drawn = tk.boxes.Polygons.of([[one.reshape(-1).tolist()] for one in points])
            found = tk.Detections(drawn.boxes, rng.random(len(kinds)), kinds, NAMES, shapes=drawn)
            run.append(tk.PageDetections(key, 220, 220, found))
    truth = tk.LabelSet(pages, sizes=sizes, names=NAMES)
    if parts:
        truth = truth.replace(extra={key: {REGIONS_KEY: [[0, 0, 220, 110]]} for key in list(pages)[:2]})
    rules = EvaluationRules(by=by, labels=labels)
    sets = {name: tk.PredictionSet(run) for name, run in runs.items()}
    judged = {name: tk.evaluate(truth, run, iou, thresholds=0.3, rules=rules) for name, run in sets.items()}
    matches = match_runs(truth, sets, judged)
    for place, (name, result) in enumerate(judged.items()):
        hits = dict.fromkeys(matches.names, 0)
        false, missed = dict(hits), dict(hits)
        for page in matches.pages:
            run = page.runs[place]
            kept = run.scores >= 0.3
            found = run.match[kept & (run.match >= 0)]
            assert len(set(found.tolist())) == len(found)
            assert (page.truth.class_ids[found] == run.labels[kept & (run.match >= 0)]).all()
            for kind, rows in (
                (hits, page.truth.class_ids[found]),
                (missed, np.delete(page.truth.class_ids, found)),
                (false, run.labels[kept & (run.match == -1)]),
            ):
                for label in rows.tolist():
                    kind[matches.names[label]] += 1
            assert len(page.truth) + len(page.ignored) == len(truth[page.key])
        for label in result.labels:
            counts = label.counts
            told = (hits[label.label], false[label.label], missed[label.label])
            assert told == (counts.tp, counts.fp, counts.fn), name


def askew(found="triangle"):
    """A strip askew, found as it is or as a triangle that shares most of its box and nothing of its area."""
    key = tk.PageKey("a.png")
    one = tk.boxes.Polygons.of([[[0, 0, 10, 0, 100, 90, 100, 100, 90, 100, 0, 10]]])
    other = tk.boxes.Polygons.of([[[30, 0, 100, 0, 100, 70]]])
    truth = tk.LabelSet(
        {key: tk.Annotations(one.boxes, [0], ("a",), shapes=one)}, sizes={key: (100, 100)}, names=("a",)
    )
    found = tk.Detections([[0, 0, 100, 100]], [0.9], None, ("a",), shapes=one if found == "strip" else other)
    return truth, tk.PredictionSet([tk.PageDetections(key, 100, 100, found)])


def test_what_shares_a_box_is_no_match_where_shapes_are_judged():
    truth, run = askew()
    for by, match in (("box", 0), ("shape", -1)):
        judged = {"tiles": tk.evaluate(truth, run, thresholds=0.5, rules=EvaluationRules(by=by))}
        (page,) = match_runs(truth, {"tiles": run}, judged).pages
        assert page.runs[0].match.tolist() == [match]
        assert judged["tiles"].labels[0].counts.tp == (by == "box")


def test_the_command_judges_the_shapes_of_the_truth(tmp_path):
    truth, run = askew("strip")
    tk.write_labels(truth, tmp_path / "truth.json", "coco")
    write_predictions(run.pages(), tmp_path / "found.jsonl")
    write_predictions(askew()[1].pages(), tmp_path / "wrong.jsonl")
    for found, more, hits in (
        ("found.jsonl", (), 1),
        ("wrong.jsonl", (), 1),
        ("found.jsonl", ("--shapes",), 1),
        ("wrong.jsonl", ("--shapes",), 0),
    ):
        files = [str(tmp_path / "truth.json"), str(tmp_path / found)]
        said = CliRunner().invoke(cli, ["evaluate", *files, "--json", *more])
        assert said.exit_code == 0, said.output
        assert json.loads(said.output)["labels"][0]["tp"] == hits
