"""The worlds' table says what the recorded lines say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.worlds import BOXES, PX, read_results, recorded, runs, summary, table, worlds
from tilekit.verdicts.recall import expected_recall
from tilekit.verdicts.runs import DOCUMENTS, WORLDS, RecordedRun

RECORDED = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "worlds.jsonl"


def made(px: float, reasons: list[str], outcome: str, recall: float, expected: float) -> dict[str, Any]:
    side = {
        "f1": recall,
        "recall": recall,
        "px": px,
        "labels": {"a": [0.9, recall, recall]},
        "note": {"converged": outcome != "not converged"},
    }
    one = {"recall": expected, "low": 0.0, "high": 1.0}
    return {
        "world": {"name": f"{px:g} px, 5 boxes", "px": px, "boxes": 5, "seed": int(px)},
        "plan": {"reasons": reasons, "expected": {"a": {"whole": one, "tiled": one}}},
        "whole": side,
        "tiles": side,
        "outcome": outcome,
        "difference": {
            "better": [0.1, 0.05, 0.2],
            "worse": [-0.1, -0.2, -0.05],
            "not shown": [0.0, None, None],
            "not converged": [0.0, -0.1, 0.1],
        }[outcome],
    }


def test_the_grid_spans_sizes_crowds_and_look_alikes() -> None:
    every = worlds()
    assert len(every) == len({world.seed for world in every}) == 32
    assert {world.px for world in every[:8]} == set(PX)
    assert {world.look_alikes for world in every[:8]} == {True, False}
    assert min(world.boxes for world in every) == min(BOXES)
    assert max(world.boxes for world in every) == max(BOXES)


def test_the_summary_counts_clear_verdicts_and_recall() -> None:
    results = [
        made(3, ["size"], "better", 0.6, 0.5),
        made(60, [], "worse", 0.9, 0.9),
        made(10, ["size"], "worse", 0.7, 0.8),
        made(16, [], "not shown", 0.9, 0.9),
        made(5, ["size"], "not converged", 0.1, 0.9),
    ]
    said = summary(results)
    assert (said["worlds"], said["clear"], said["agree"], said["by_size_worse"]) == (5, 3, 2, 1)
    assert (said["not_converged"], said["recalls"]) == (1, 10)
    assert said["off"] == pytest.approx((0.1 + 0 + 0.1 + 0 + 0.8) / 5)
    text = table(results)
    assert text.count("\n| ") == 6
    assert "the plan's verdict has the measured sign in 2" in text
    assert len(runs(results)) == 10
    assert summary([])["off"] is None


def test_what_a_curve_of_the_others_expects_has_not_seen_the_world() -> None:
    results = [made(12, ["size"], "better", 0.9, 0.5), made(13, ["size"], "better", 0.1, 0.5)]
    off = []
    for mine, other in (results, results[::-1]):
        expected = expected_recall(np.array([mine["whole"]["px"]]), (*DOCUMENTS, *recorded(other)))
        assert expected is not None
        off.append(abs(mine["whole"]["recall"] - expected.recall))
    assert summary(results)["off_others"] == pytest.approx(np.mean(off))


def test_what_is_claimed_of_the_worlds_is_what_was_recorded() -> None:
    results = read_results(RECORDED)
    rounded = [
        RecordedRun(run.what, run.side, round(run.px, 1), round(run.recall, 3))
        for one in results
        for run in recorded(one)
    ]
    assert tuple(rounded) == WORLDS
    text = (RECORDED.parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    assert table(results) in text
