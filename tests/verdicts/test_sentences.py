"""All that plan, demo, compare and report say, over a grid of outcomes: nothing contradicts, nothing is unknown.

Each sentence is read as claims by the patterns below. A sentence that no pattern knows fails too, so that what is
newly said is held against the rest.
"""

from __future__ import annotations

import re
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.datasets.plan import Plan
from tilekit.datasets.planning import recommend_tiling
from tilekit.demo.outcome import SIDES, DemoOutcome
from tilekit.demo.pages import DemoPages
from tilekit.detection.detecting import whole_page
from tilekit.evaluation.comparison import compare
from tilekit.evaluation.evaluating import evaluate
from tilekit.evaluation.result import Evaluation
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.pages import PageKey
from tilekit.rekognition.training_note import TrainingNote
from tilekit.report.building import _outcome

NAMES = ("valve", "pump")
ENDED = {
    "converged": None,
    "cut short": TrainingNote(False, "Not converged.", 500, 3.0, 60.0, "500 steps"),
    "nothing learned": TrainingNote(False, "Not converged.", 240, 3.0, 60.0, "nothing learned"),
}
SAID = [
    (r"^Tiling pays: ", "plan: tiles"),
    (r"^Tiling is not needed: ", "plan: whole"),
    (r"whole pages will do", "plan: whole"),
    (r"below about \d+ px they are often missed", "size: gain"),
    (r"expect no gain by size", "size: none"),
    (r"expected no gain", "size: none"),
    (r"by the size of the objects alone", "size: gain"),
    (r"tiles by the size of the objects; more test pages", "size: gain"),
    (r"did not ask for tiles", "plan: whole"),
    (r"The plan called for tiles", "plan: tiles"),
    (r"no page is too crowded", "crowd: none"),
    (r"\d+ of \d+ labeled pages have more than 50 boxes", "crowd: some"),
    (r"^Tiling pays.* of the labeled pages have more than 50 boxes", "crowd: many"),
    (r"too few to tile for", "crowd: few"),
    (r"only since an image may have 50 boxes", "crowd: many"),
    (r": better \(", "outcome: better"),
    (r": worse \(", "outcome: worse"),
    (r" are level on these ", "outcome: level"),
    (r"do as well as tiles here", "outcome: level"),
    (r"show no such gain", "outcome: level"),
    (r"is not shown", "outcome: not shown"),
    (r"^No verdict on ", "outcome: not converged"),
    (r"^Before you judge", "outcome: not converged"),
    (r"^Tiling pays here", "outcome: better"),
    (r"tiles do better", "outcome: better"),
    (r"^Tiles are worse here", "outcome: worse"),
    (r"^Whole pages are good enough", "outcome: not shown"),
    (r"do not show that tiles are better or worse", "outcome: not shown"),
    (r"may show that gain, or refute it", "outcome: not shown"),
    (r"^Tiles find no less", "outcome: worse"),
]
NEUTRAL = [
    r"^Tiling\(tile=", r"^Scales\(", r"^Whole pages: US\$", r"^Whole pages: \d+ of \d+ pages are over",
    r"^\d+ px tiles: ", r"^Recall to expect: ", r"^Whole pages, shrunk as the service shrinks them", r"^F1 of \d trainings",
    r"^Recall beside what ", r"^The plan ", r"^A tenth of the objects are under",
]  # fmt: skip
AGAINST = [
    {"plan: tiles", "plan: whole"},
    {"size: gain", "size: none"},
    {"crowd: none", "crowd: some"},
    {"crowd: none", "crowd: many"},
    {"crowd: few", "crowd: many"},
    *({f"outcome: {one}", f"outcome: {other}"} for one, other in
      combinations(("better", "worse", "level", "not shown", "not converged"), 2)),
]  # fmt: skip


def claims_of(sentences: list[str]) -> set[str]:
    """What they say; fails at a sentence that no pattern knows."""
    found = set()
    for sentence in sentences:
        mine = {claim for pattern, claim in SAID if re.search(pattern, sentence)}
        assert mine or any(re.search(pattern, sentence) for pattern in NEUTRAL), f"unknown: {sentence}"
        found |= mine
    return found


def hold(sentences: list[str]) -> set[str]:
    """The claims, none against another."""
    claims = claims_of(sentences)
    for pair in AGAINST:
        assert not pair <= claims, (pair, sentences)
    return claims


def labels_of(px: float, crowded: int, pages: int = 20, side: int = 3000) -> LabelSet:
    """Pages with ten objects of `px`, the first `crowded` of them with sixty."""
    rng = np.random.default_rng(7)
    found = {}
    for place in range(pages):
        count = 60 if place < crowded else 10
        cells = rng.permutation(100)[:count]
        step = side / 10
        at = np.stack([cells % 10 * step + 5, cells // 10 * step + 5], axis=1)
        sides = px * rng.uniform(0.95, 1.05, (count, 1))
        found[PageKey(f"p{place}.png")] = Annotations(
            np.concatenate([at, at + sides], axis=1), np.arange(count) % 2, NAMES
        )
    return LabelSet(found, sizes=dict.fromkeys(found, (side, side)), names=NAMES)


def side_of(
    labels: LabelSet, hits: float, alarms: int, tiling: Tiling, note: TrainingNote | None, seed: int
) -> Evaluation:
    """What a detector would be judged at that finds `hits` of all and `alarms` a page that are none."""
    rng = np.random.default_rng(seed)
    pages = []
    for key, page in labels.items():
        seen = rng.random(len(page)) < hits
        wrong = np.array([[200 + 20 * i, 2990, 210 + 20 * i, 3000] for i in range(alarms)], float).reshape(
            -1, 4
        )
        boxes = np.concatenate([page.boxes[seen], wrong])
        ids = np.concatenate([page.class_ids[seen], np.arange(alarms) % 2])
        found = Detections(boxes, np.full(len(boxes), 0.9), ids, NAMES)
        pages.append(PageDetections(key, *labels.sizes[key], found, (tiling,), training=note))
    return evaluate(labels, PredictionSet(pages), thresholds=0.5)


PLANS = {
    (px, crowded): recommend_tiling(labels_of(px, crowded))
    for px, crowded in product((9.0, 14.0, 60.0), (0, 1, 12))
}
RESULTS = {  # recall and false alarms a page of whole pages, of tiles
    "better": ((0.4, 1), (0.95, 1)),
    "better, both good": ((0.87, 0), (0.99, 0)),
    "worse": ((0.95, 1), (0.4, 1)),
    "worse by false alarms": ((0.95, 0), (0.96, 14)),
    "not shown": ((0.6, 1), (0.63, 1)),
    "not shown, both good": ((0.93, 0), (0.94, 0)),
    "alike": ((0.6, 1), (0.6, 1)),
    "alike and good": ((0.95, 0), (0.95, 0)),
    "nothing found": ((0.0, 0), (0.0, 0)),
}


def test_the_grid_holds_every_reason_and_every_outcome():
    reasons = {plan.reasons for plan in PLANS.values()}
    assert reasons == {(), ("size",), ("boxes",), ("size", "boxes")}
    outcomes = set()
    for case, ((before, fewer), (after, more)) in RESULTS.items():
        labels, second = labels_of(9.0, 0), 1 if case.startswith("alike") else 2
        one = side_of(labels, before, fewer, whole_page(), None, 1)
        outcomes.add(compare(one, side_of(labels, after, more, Tiling(1280, 96), None, second)).outcome)
    assert outcomes == {"better", "worse", "level", "not shown"}


@pytest.mark.parametrize("plan", PLANS.values(), ids=map(str, PLANS))
def test_a_plan_does_not_contradict_itself(plan: Plan):
    lines = str(plan).split("\n")
    claims = hold(lines)
    assert ("plan: tiles" in claims) == plan.needed == bool(plan.reasons)
    assert ("size: gain" in claims) == ("size" in plan.reasons)
    assert ("size: none" in claims) == (plan.reasons == ("boxes",))
    tiles = not plan.scales[0].is_whole
    assert tiles == plan.needed == ("--tile" in plan.how or not plan.how.startswith("--at page"))
    crowded = any("have more than 50 boxes" in line for line in lines)
    assert crowded == (plan.whole.crowded > 0)


@pytest.mark.parametrize("case", RESULTS)
@pytest.mark.parametrize("ended", ENDED)
def test_nothing_said_at_the_end_contradicts_the_plan(case: str, ended: str, tmp_path: Path):
    for (px, crowded), plan in PLANS.items():
        labels = labels_of(px, crowded)
        (before, fewer), (after, more) = RESULTS[case]
        tiling = Tiling(1280, 96) if plan.scales[0].is_whole else plan.scales[0]
        note = ENDED[ended]
        sides = [
            side_of(labels, before, fewer, whole_page(), None, 1),
            side_of(labels, after, more, tiling, note, 1 if case.startswith("alike") else 2),
        ]
        demo = DemoOutcome(
            tmp_path, DemoPages(labels, labels, labels), tiling, plan, baseline=[sides[0]], tiled=[sides[1]]
        )
        compared = compare(*sides, names=SIDES)
        claims = hold([*str(plan).split("\n"), *demo.words])
        assert f"outcome: {compared.outcome}" in claims or compared.f1.difference is None
        assert hold(compared.words) <= claims
        report = dict(zip(SIDES, sides, strict=True))
        assert claims_of([_outcome(report)]) <= claims
        if compared.outcome == "worse" and plan.needed:
            assert any(text.startswith("The plan called for tiles") for text in demo.words)
        if compared.outcome == "better" and not plan.needed:
            assert any(text.startswith("The plan did not ask") for text in demo.words)
        px_said = {
            re.search(r"median symbol at ([\d.]+) px", text)[1]
            for text in demo.words
            if "median symbol" in text
        }
        assert px_said == {f"{plan.whole.typical_object:.1f}"} == {plan.table()[1][0][4]}
        expected = compared.gain.expectation
        assert expected.startswith("Recall beside")
        if note is None:
            for said, found, one in zip(
                re.findall(r"(less than the expected|more than the expected|as expected:)", expected),
                compared.gain.recall,
                compared.expected,
                strict=True,
            ):
                place = -1 if found < one.low else 1 if found > one.high else 0
                assert ["less than the expected", "as expected:", "more than the expected"][place + 1] == said
