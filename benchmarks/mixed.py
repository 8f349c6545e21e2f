"""Mixed pages: small symbols beside a large table, trained six ways and judged on the same test pages.

`python benchmarks/mixed.py RESULTS.jsonl [--seeds 3] [--tables 170|450]` makes pages, and trains the local trainer (on
one core, until its plateau) on: whole pages; tiles of the scan, with a short overlap and with one as long as the
tables; whole pages and tiles as two models whose finds are united; and scales as planned, one model for all, with what
belongs elsewhere left unlabeled or painted over. `--tables`: how many times a symbol's side a table is long. One JSON
line a seed and way; what has its line is left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import tilekit as tk
from benchmarks.local_models import Trained, train
from tilekit.datasets.carrying import CarryingRules
from tilekit.datasets.options import DatasetOptions
from tilekit.evaluation.comparison import compare
from tilekit.local.budget import Caps
from tilekit.scans.encoding import encode_image
from tilekit.testing.scenes import Scene, SceneStyle, scene_shapes
from tilekit.testing.shapes import draw

SYMBOLS = ("empty_triangle", "up_arrow")
"""Two that trainings do not know beforehand (benchmarks/pretrain.py)."""
NAMES = (*SYMBOLS, "table")
PAGES = {"train": 12, "tune": 4, "test": 20}
SYMBOL_PX = (8.0, 9.5)


@dataclass(frozen=True)
class Sheets:
    """Pages of one kind: their size, how long the tables are, and the single tiling that cuts none (px)."""

    size: tuple[int, int]
    table_px: tuple[float, float]
    long_overlap: tk.Tiling


SHEETS = {
    170: Sheets((5120, 2560), (1400.0, 1720.0), tk.Tiling(2560, 1740)),
    450: Sheets((8192, 5120), (3600.0, 4300.0), tk.Tiling(2560, 2176, scale=0.5)),
}
"""By the tables' length in symbols. On whole pages as trained on the symbols have 2 and 1.4 px, in tiles that hold a
table 4.4 and 2.2 px (the service takes no image over 4096 px, so these are tiles of the scan at half its size); no tile
of the scan as it is holds a table."""
WAYS = ("whole", "tiles", "tiles, long overlap", "two models", "scales", "scales, masked")


def made_pages(folder: Path, seed: int, sheets: Sheets) -> dict[str, tk.LabelSet]:
    """Pages by side; every fifth test page is empty."""
    sides: dict[str, tk.LabelSet] = {}
    scene = Scene(SYMBOLS, SYMBOL_PX, 14, SceneStyle(0.5, table_px=sheets.table_px, look_alikes=()))
    number = 0
    for side, count in PAGES.items():
        pages, sizes = {}, {}
        for place in range(count):
            empty = side == "test" and place % 5 == 4
            shapes, labels = scene_shapes(
                seed * 100 + number,
                *sheets.size,
                scene.empty() if empty else scene,
            )
            canvas = np.full((*reversed(sheets.size), 1), 250, np.uint8)
            draw(canvas, shapes)
            key = tk.PageKey(str(folder / f"{side}-{place}.png"))
            Path(key.source).write_bytes(encode_image(canvas, "png").data)
            pages[key] = tk.Annotations(labels.boxes, labels.class_ids, NAMES)
            sizes[key] = sheets.size
            number += 1
        sides[side] = tk.LabelSet(pages, sizes=sizes, names=NAMES)
    return sides


TILES = tk.Tiling(1280, 128)
"""Of the scan as it is."""


def trained_on(
    sides: dict[str, tk.LabelSet], folder: Path, tiling: Any, elsewhere: Any, seed: int, caps: Caps
) -> tuple[Trained, Any]:
    """One model on the tiles of a recipe, and the recipe as the dataset tells it: with what each scale was taught."""
    summary = tk.tile_dataset(
        {"train": sides["train"], "test": sides["tune"]},
        folder,
        tiling,
        options=DatasetOptions(rules=CarryingRules(elsewhere=elsewhere), workers=1),
    )
    return train([folder / "train.manifest"], NAMES, seed, caps), summary.tiling


def evaluated(
    models: Trained | Sequence[Trained], sides: dict[str, tk.LabelSet], tiling: Any, name: str
) -> tk.Evaluation:
    """Test pages, thresholds from the tune pages."""
    several = isinstance(models, (list, tuple))
    detector: Any = [one.detector for one in models] if several else models.detector
    found: dict[str, list[Any]] = {"tune": [], "test": []}
    for side, pages in found.items():
        for key in sides[side]:
            with tk.open_scan(key.source) as scan:
                pages.append(tk.detect_tiles(scan, detector, tiling))
    return tk.evaluate(sides["test"], found["test"], fit=(sides["tune"], found["tune"]), name=name)


def run_seed(seed: int, ways: Sequence[str], caps: Caps, tables: int) -> list[dict[str, Any]]:
    """All ways of one seed, with their differences to the scales."""
    folder = Path(tempfile.mkdtemp(prefix="mixed-"))
    try:
        sheets = SHEETS[tables]
        single = {"tiles": TILES, "tiles, long overlap": sheets.long_overlap}
        sides = made_pages(folder, seed, sheets)
        scales = tk.recommend_tiling(sides["train"]).scales
        page = tk.Tiling.whole(1280)
        kept: dict[str, tuple[tk.Evaluation, Any]] = {}
        models: dict[str, Trained] = {}
        for way in ways:
            print(way, file=sys.stderr)
            begun = time.process_time()
            tiling: Any
            if way == "whole":
                tiling = page
                models[way], _ = trained_on(sides, folder / "whole", page, "leave", seed, caps)
                found = evaluated(models[way], sides, page, way)
            elif way in single:
                tiling = single[way]
                models[way], _ = trained_on(
                    sides, folder / f"tiles-{tiling.overlap}", tiling, "leave", seed, caps
                )
                found = evaluated(models[way], sides, tiling, way)
            elif way == "two models":
                tiling = tk.Scales(TILES, page)
                found = evaluated([models["tiles"], models["whole"]], sides, tiling, way)
            else:
                rule = "mask" if "masked" in way else "leave"
                models[way], tiling = trained_on(
                    sides, folder / way.replace(", ", "-"), scales, rule, seed, caps
                )
                found = evaluated(models[way], sides, tiling, way)
            kept[way] = found, (repr(tiling), round(time.process_time() - begun, 1))
        lines = []
        for way, (found, (recipe, cpu)) in kept.items():
            note = models[way].note.to_json() if way in models else None
            line = {"tables": tables, "seed": seed, "way": way, "recipe": recipe}
            line |= {"f1": found.f1, "cpu": cpu, "note": note}
            line["labels"] = {row.label: [row.precision, row.recall, row.f1] for row in found.labels}
            if "scales" in kept and way != "scales":
                gain = compare(replace(found), kept["scales"][0]).f1
                line["scales against it"] = [gain.difference, gain.low, gain.high]
            lines.append(line)
        return lines
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, default=None, help="cap of a training")
    parser.add_argument("--tables", type=int, choices=tuple(SHEETS), default=170)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    for seed in range(options.first, options.first + options.seeds):
        known = options.results.read_text().splitlines() if options.results.exists() else []
        if any((row["tables"], row["seed"]) == (options.tables, seed) for row in map(json.loads, known)):
            continue
        lines = run_seed(seed, options.ways, Caps(steps=options.steps), options.tables)
        with options.results.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        for line in lines:
            print(line["tables"], line["seed"], line["way"], line["f1"], line["cpu"], flush=True)


if __name__ == "__main__":
    main()
