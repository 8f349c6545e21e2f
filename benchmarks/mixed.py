"""Mixed pages: small symbols beside a large table, trained six ways and judged on the same test pages.

`python benchmarks/mixed.py RESULTS.jsonl [--seeds 3]` makes pages, and trains the local trainer (on one core, until
its plateau) on: whole pages; tiles of the scan, with a short overlap and with one as long as the tables; whole pages
and tiles as two models whose finds are united; and scales as planned, one model for all, with what belongs elsewhere left unlabeled or painted over. One JSON line a seed
and way; what has its line is left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
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
SIZE = (5120, 2560)
SYMBOL_PX, TABLE_PX = (8.0, 9.5), (1400.0, 1720.0)
"""Symbols of 2 px on a whole page as trained on, and tables that no tile of the scan holds."""
WAYS = ("whole", "tiles", "tiles, long overlap", "two models", "scales", "scales, masked")


def made_pages(folder: Path, seed: int) -> dict[str, tk.LabelSet]:
    """Pages by side; every fifth test page is empty."""
    sides: dict[str, tk.LabelSet] = {}
    scene = Scene(SYMBOLS, SYMBOL_PX, 14, SceneStyle(0.5, table_px=TABLE_PX, look_alikes=()))
    number = 0
    for side, count in PAGES.items():
        pages, sizes = {}, {}
        for place in range(count):
            empty = side == "test" and place % 5 == 4
            shapes, labels = scene_shapes(
                seed * 100 + number,
                *SIZE,
                scene.empty() if empty else scene,
            )
            canvas = np.full((SIZE[1], SIZE[0], 1), 250, np.uint8)
            draw(canvas, shapes)
            key = tk.PageKey(str(folder / f"{side}-{place}.png"))
            Path(key.source).write_bytes(encode_image(canvas, "png").data)
            pages[key] = tk.Annotations(labels.boxes, labels.class_ids, NAMES)
            sizes[key] = SIZE
            number += 1
        sides[side] = tk.LabelSet(pages, sizes=sizes, names=NAMES)
    return sides


SINGLE = {"tiles": tk.Tiling(1280, 128), "tiles, long overlap": tk.Tiling(2560, 1740)}
"""Single tilings of the scan; the second cuts no table, and the service shrinks its tiles to half."""


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


def run_seed(seed: int, ways: Sequence[str], caps: Caps) -> list[dict[str, Any]]:
    """All ways of one seed, with their differences to the scales."""
    folder = Path(tempfile.mkdtemp(prefix="mixed-"))
    try:
        sides = made_pages(folder, seed)
        scales = tk.recommend_tiling(sides["train"]).scales
        page = tk.Tiling.whole(1280)
        kept: dict[str, tuple[tk.Evaluation, Any]] = {}
        models: dict[str, Trained] = {}
        for way in ways:
            begun = time.process_time()
            tiling: Any
            if way == "whole":
                tiling = page
                models[way], _ = trained_on(sides, folder / "whole", page, "leave", seed, caps)
                found = evaluated(models[way], sides, page, way)
            elif way in SINGLE:
                tiling = SINGLE[way]
                models[way], _ = trained_on(
                    sides, folder / f"tiles-{tiling.overlap}", tiling, "leave", seed, caps
                )
                found = evaluated(models[way], sides, tiling, way)
            elif way == "two models":
                tiling = tk.Scales(SINGLE["tiles"], page)
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
            line = {"seed": seed, "way": way, "recipe": recipe, "f1": found.f1, "cpu": cpu, "note": note}
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
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    for seed in range(options.first, options.first + options.seeds):
        known = options.results.read_text().splitlines() if options.results.exists() else []
        if any(json.loads(line)["seed"] == seed for line in known):
            continue
        lines = run_seed(seed, options.ways, Caps(steps=options.steps))
        with options.results.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        for line in lines:
            print(line["seed"], line["way"], line["f1"], line["cpu"], flush=True)


if __name__ == "__main__":
    main()
