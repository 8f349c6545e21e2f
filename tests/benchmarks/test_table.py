"""The tables in the docs equal what the recorded run gives; every target is a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.table import (
    BEGIN,
    END,
    PLACES,
    SHORT,
    SHORT_PLACES,
    block,
    costs,
    plots,
    replaced,
    row,
    table,
)
from benchmarks.targets.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]


def document() -> dict[str, Any]:
    def line(target: str, value: float | None, **more: Any) -> dict[str, Any]:
        base = {
            "target": target,
            "value": value,
            "low": value,
            "high": value,
            "rounds": 1,
            "note": "",
            "details": {},
        }
        return base | more

    return {
        "date": "2026-01-02T03:04:05Z",
        "machine": {"processor": "P", "cores": 2, "memory_gb": 8.0, "python": "3.11.7"},
        "seconds": 90.0,
        "lines": [
            line("tiling.sahi", 5.5, low=5.0, high=6.0, rounds=3, note="a | b"),
            line("tiling.image_slicer", 1.1),
            line("memory.large", 250.0),
            line("tiling.opencv", None, note="not installed"),
            line("detect.growth", 1.0, details={"who": "tilekit", "mpx": [25.0, 400.0], "mb": [90.0, 91.0]}),
        ],
    }


def test_every_target_is_a_line() -> None:
    lines = table(document()).splitlines()
    assert len(lines) == 2 + len(TARGETS)
    assert set(SHORT) <= set(TARGETS)
    assert (
        "| tile jpeg: times faster than SAHI slice_image (a / b) | 5.5 x | 5 x to 6 x (3) | >= 4 x | yes |"
        in [line.replace("5 to 6", "5 x to 6 x") for line in lines]
    )


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [
        ("tiling.image_slicer", 1.1, ("1.1 x", ">= 1.4 x", "**no**")),
        ("memory.large", 250.0, ("250 MB", "<= 300 MB", "yes")),
        ("tiling.opencv", 2.0, ("2 x", "", "")),
        ("archive.memory", None, ("not measured: why", "<= 300 MB", "no")),
    ],
)
def test_lines_say_what_was_reached(target: str, value: float | None, expected: tuple[str, str, str]) -> None:
    line = {"value": value, "low": value, "high": value, "rounds": 1, "note": "why"}
    _, figure, _, goal, verdict = row(TARGETS[target], line)
    assert (figure, goal, verdict) == expected


def test_a_target_without_a_figure_is_not_reached() -> None:
    assert row(TARGETS["tiling.sahi"], None)[1:] == ("not measured", "", ">= 4 x", "no")


def test_the_block_is_exchanged_whole() -> None:
    first = replaced(
        f"before\n<!-- benchmarks:begin none -->\n{END}\n", block(document(), "one.json", short=False)
    )
    again = replaced(first + "after\n", block(document(), "two.json", short=True))
    assert again.startswith("before\n")
    assert again.endswith("after\n")
    assert again.count(END) == 1
    assert "one.json" not in again


def test_a_text_without_markers_is_left_alone() -> None:
    assert replaced("plain", "new") == "plain"


def test_plots_are_drawn_from_the_run() -> None:
    drawn = plots(document())
    assert set(drawn) == {"tiling", "memory"}
    assert all(svg.startswith("<svg") for svg in drawn.values())
    assert "SAHI" in drawn["tiling"]


@pytest.mark.parametrize("place", [*PLACES, *SHORT_PLACES])
def test_the_docs_hold_no_figure_without_its_run(place: str) -> None:
    path = ROOT / place
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for begin in BEGIN.finditer(text):
        if begin.group(1) == "none":
            continue  # nothing recorded yet, and nothing shown
        recorded = ROOT / "benchmarks" / "results" / begin.group(1)
        shown = text[begin.start() : text.index(END, begin.end()) + len(END)]
        assert recorded.exists(), f"{place} shows a run that is not there"
        run = json.loads(recorded.read_text(encoding="utf-8"))
        assert shown == block(run, recorded.name, place in SHORT_PLACES)


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (0.9, 0.85, 0.95, ", the peer is ahead"),
        (1.02, 0.97, 1.08, ", the peer is level"),
        (1.04, 1.03, 1.05, ", the peer is level"),
        (1.2, 1.1, 1.3, ""),
    ],
)
def test_whoever_is_ahead_is_said(value: float, low: float, high: float, words: str) -> None:
    line = {"value": value, "low": low, "high": high, "rounds": 3, "note": ""}
    assert row(TARGETS["tiling.opencv"], line)[1] == f"{value:.3g} x{words}"


def test_what_tiles_took_has_their_bytes_and_how_true_they_are() -> None:
    took = {"seconds": 1.0, "cpu": 1.5, "peak_mb": 90.0}
    told = document()
    told["lines"] = [
        {"target": "tiling.cut.jpeg.idle", "value": 3.0, "details": {
            "cost": {"tilekit": took | {"bytes": 46e6, "psnr": None}, "dzsave": took | {"bytes": 5e7, "psnr": 54.0}}}},
        {"target": "tiling.sahi", "value": 3.0, "details": {
            "cost": {"tilekit": took}, "output": {"tilekit": {"tiles": 9, "bytes": 2e6, "psnr": 40.25}}}},
        {"target": "archive.dzsave", "value": 3.0, "details": {"cost": {"dzsave": took}}},
    ]  # fmt: skip
    assert costs(told).splitlines()[2:] == [
        "| tiling.cut.jpeg.idle | tilekit | 1 | 1.5 | 90 | 46.0 | exact |",
        "| tiling.cut.jpeg.idle | dzsave | 1 | 1.5 | 90 | 50.0 | 54.0 |",
        "| tiling.sahi | tilekit | 1 | 1.5 | 90 | 2.0 | 40.2 |",
        "| archive.dzsave | dzsave | 1 | 1.5 | 90 |  |  |",
    ]
