"""The table of merging quality in docs/boxes.md is the recorded one, and what merging gives now."""

from __future__ import annotations

import json
from pathlib import Path

import tilekit as tk
from benchmarks.merge_quality import RECORD, counts, table
from tests.boxes.scenes import detect, scene

ROOT = Path(__file__).parents[2]


def test_the_docs_show_the_recorded_table():
    rows = json.loads(RECORD.read_text(encoding="utf-8"))
    assert table(rows) in (ROOT / "docs" / "boxes.md").read_text(encoding="utf-8")


def test_merging_still_gives_what_was_recorded():
    recorded = [row for row in json.loads(RECORD.read_text(encoding="utf-8")) if row[1] == "tilekit merge"]
    assert len(recorded) == 3
    for layout, _, true, *told in recorded:
        totals, objects = [0, 0, 0], 0
        for seed in range(5):
            truth, labels = scene(1500, 1200, seed=seed, sizes=(12, 55), layout=layout)
            grid = tk.Tiling(512, 64).grid(1500, 1200)
            found = detect(grid, truth, labels, seed=seed, jitter=1.5, noise=200, floor=0.05)
            counted = counts(tk.merge(found, grid).boxes, truth)
            totals = [one + other for one, other in zip(totals, counted, strict=True)]
            objects += len(truth)
        assert (objects, totals) == (true, told)
