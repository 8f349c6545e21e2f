"""The worlds' table says what the recorded lines say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.worlds import BOXES, PX, read_results, recorded, runs, summary, table, wide_worlds, worlds
from tilekit.verdicts.recall import expected_recall
from tilekit.verdicts.runs import DOCUMENTS, PRETRAINED, WORLDS, RecordedRun

ROOT = Path(__file__).resolve().parents[2]
RECORDED, RESULTS = ROOT / "benchmarks" / "results" / "worlds.jsonl", ROOT / "docs" / "results.md"


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
            "level": [-0.002, -0.004, -0.0003],
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


def test_the_worlds_of_larger_scans_are_others_and_have_both_kinds_at_each_size() -> None:
    every = wide_worlds()
    assert len({world.seed for world in (*worlds(), *every)}) == 32 + len(every)
    for px in PX[:4]:
        of_size = [world for world in every if world.px == px]
        assert {world.look_alikes for world in of_size} == {True, False}
        assert {world.ratio for world in of_size} == {5.0}


def test_the_summary_counts_clear_verdicts_and_recall() -> None:
    results = [
        made(3, ["size"], "better", 0.6, 0.5),
        made(60, [], "worse", 0.9, 0.9),
        made(10, ["size"], "worse", 0.7, 0.8),
        made(16, [], "level", 0.9, 0.9),
        made(5, ["size"], "not converged", 0.1, 0.9),
    ]
    said = summary(results)
    assert (said["worlds"], said["level"], said["clear"], said["agree"], said["by_size_worse"]) == (
        5,
        1,
        3,
        2,
        1,
    )
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


def of_runs_csv(results: Sequence[dict[str, Any]]) -> list[RecordedRun]:
    every = [run for one in results for run in recorded(one)]
    return [RecordedRun(run.what, run.side, round(run.px, 1), round(run.recall, 3)) for run in every]


def test_what_is_claimed_of_the_worlds_is_what_was_recorded() -> None:
    results = read_results(RECORDED)
    assert tuple(of_runs_csv(results)) == WORLDS
    assert table(results) in RESULTS.read_text(encoding="utf-8")


def test_what_is_claimed_of_the_trainer_of_now_is_what_was_recorded() -> None:
    names = ("worlds-pretrained.jsonl", "worlds-wide.jsonl")
    results = [one for name in names for one in read_results(RECORDED.with_name(name))]
    assert of_runs_csv(results) == [run for run in PRETRAINED if run.what.startswith("world of ")]
    text, said = " ".join(RESULTS.read_text(encoding="utf-8").split()), summary(results)
    assert f"In these {said['worlds']} worlds the interval is within 0.01 of 0 in {said['level']}, " in text
    assert f"clear of 0 in {said['clear']}, in all of which the plan's verdict has the measured sign" in text
    assert (said["agree"], said["by_size_worse"], said["not_converged"]) == (said["clear"], 0, 0)
    assert f"Expected recall was {said['off']:.3f} from the measured" in text
    assert f"and {said['off_others']:.3f} by a curve of the other half of them" in text
    for one in results:
        difference, low, high = one["difference"]
        assert f"| {one['world']['name']} |" in text
        assert f"| {difference:+.3f} ({low:+.2f} to {high:+.2f}) |" in text
