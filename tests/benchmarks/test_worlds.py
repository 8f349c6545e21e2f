"""The worlds' table says what the recorded lines say."""

from __future__ import annotations

from typing import Any

from benchmarks.worlds import BOXES, PX, runs, summary, table, worlds


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
        "world": {"name": f"{px:g} px, 5 boxes", "px": px, "boxes": 5},
        "plan": {"reasons": reasons, "expected": {"a": {"whole": one, "tiled": one}}},
        "whole": side,
        "tiles": side,
        "outcome": outcome,
        "difference": [0.1, 0.05, 0.2] if outcome != "not shown" else [0.0, None, None],
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
    assert (said["not_converged"], said["recalls"]) == (1, 8)
    assert abs(said["off"] - 0.05) < 1e-9
    text = table(results)
    assert text.count("\n| ") == 6
    assert "the plan's verdict has the measured sign in 2" in text
    assert len(runs(results)) == 8
    assert summary([])["off"] is None
