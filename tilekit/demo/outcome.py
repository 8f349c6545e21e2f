"""What came out of a demo: figures, a table, plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilekit.datasets.plan import Plan
from tilekit.demo.pages import DemoPages
from tilekit.evaluation.comparison import Comparison, compare
from tilekit.evaluation.result import Evaluation, text_of
from tilekit.grid import Tiling
from tilekit.scales import Scales
from tilekit.verdicts.outcomes import beside_plan

SIDES = ("whole pages", "tiles")


@dataclass
class DemoOutcome:
    """What came out. One Evaluation a training on each side; `words` says it in sentences."""

    out: Path
    pages: DemoPages
    tiling: Tiling | Scales
    plan: Plan
    baseline: list[Evaluation] = field(default_factory=list)
    tiled: list[Evaluation] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def comparison(self) -> Comparison:
        """The gain with its interval, over all trainings."""
        return compare(self.baseline, self.tiled, names=("Detection on whole pages", "Detection on tiles"))

    @property
    def words(self) -> list[str]:
        """The outcome in plain sentences."""
        return _words(self)

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Column names and rows: precision, recall and F1 of each label and of all, both ways."""
        return _table(self)

    def to_json(self) -> dict[str, Any]:
        """Plain values; ends with `baseline`, `tiled` and `gain`."""
        gain = self.comparison.f1
        return {
            "pages": {name: len(getattr(self.pages, name)) for name in ("train", "tune", "test")},
            "tiling": self.tiling.to_json(),
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
            "words": self.words,
            "report": str(self.out / "report" / "index.html"),
            "baseline": _side_json(self.baseline, gain.baseline),
            "tiled": _side_json(self.tiled, gain.tiled),
            "gain": {
                "f1": gain.difference,
                "low": gain.low,
                "high": gain.high,
                "outcome": gain.outcome,
                "converged": gain.converged,
            },
        }


def _side_json(evaluations: Sequence[Evaluation], f1: float | None) -> dict[str, Any]:
    first = evaluations[0]
    return {
        "f1": f1,
        "f1_of_trainings": [one.f1 for one in evaluations],
        "precision": first.precision,
        "recall": first.recall,
        "f1_by_criterion": {side.title: side.f1 for side in first.sides},
        "labels": {
            row.label: {"precision": row.precision, "recall": row.recall, "f1": row.f1, "truth": row.truths}
            for row in first.labels
        },
    }


def _table(outcome: DemoOutcome) -> tuple[list[str], list[list[Any]]]:
    columns = ["label", "symbols"]
    columns += [f"{side}: {figure}" for side in SIDES for figure in ("precision", "recall", "F1")]
    before, after = outcome.baseline[0], outcome.tiled[0]
    rows: list[list[Any]] = []
    for one in before.labels:
        other = after[one.label]
        rows.append(
            [
                one.label,
                one.truths,
                one.precision,
                one.recall,
                one.f1,
                other.precision,
                other.recall,
                other.f1,
            ]
        )
    every = sum(one.truths for one in before.labels)
    seen = set()
    for one_side, other_side in zip(before.sides, after.sides, strict=True):
        if one_side.title in seen:
            continue
        seen.add(one_side.title)
        figures = [
            getattr(side, name) for side in (one_side, other_side) for name in ("precision", "recall", "f1")
        ]
        rows.append([f"mean, {one_side.title}", every, *figures])
    return columns, rows


def _words(outcome: DemoOutcome) -> list[str]:
    comparison = outcome.comparison
    gain = comparison.f1
    plan = outcome.plan
    size = plan.whole.typical_object
    sentences = [
        comparison.sentence,
        f"Whole pages, shrunk as the service shrinks them, show the median symbol at {size:.1f} px.",
        *comparison.words[1:],
        *filter(None, [beside_plan(plan.reasons, gain.outcome)]),
    ]
    if len(outcome.tiled) > 1:
        spread = "; ".join(
            f"{name} " + ", ".join(text_of(one.f1) for one in runs)
            for name, runs in zip(SIDES, (outcome.baseline, outcome.tiled), strict=True)
        )
        sentences.append(f"F1 of {len(outcome.tiled)} trainings: {spread}.")
    return sentences
