"""F1 over the work that a training is given: `python benchmarks/learning_curves.py RESULTS.jsonl`.

Whole pages of three generated worlds (benchmarks/worlds.py), trained anew under caps in steps, on one core, and judged
on their test pages; CPU seconds are told beside. `--trainer NAME` names what is measured, so that two checkouts can
write into one file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import tilekit as tk
from benchmarks.local_models import train
from benchmarks.worlds import draw_world, judged, tiling_of, worlds
from tilekit.datasets.options import DatasetOptions
from tilekit.local.budget import Caps

WORLDS = (0, 8, 18)
STEPS = (1500,)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--trainer", default="this", help="a name for the checkout that is measured")
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    options = parser.parse_args()
    for number in WORLDS:
        world = worlds()[number]
        folder = Path(tempfile.mkdtemp(prefix="curve-"))
        try:
            sides = draw_world(world, folder)
            tk.tile_dataset(
                {"train": sides["train"], "test": sides["tune"]},
                folder / "data",
                tiling_of(tk.recommend_tiling(sides["train"])),
                options=DatasetOptions(baseline=True, workers=1),
            )
            for steps in options.steps:
                cpu = time.process_time()
                manifest = folder / "data" / "baseline" / "train.manifest"
                trained = train([manifest], world.symbols, world.seed, Caps(steps=steps))
                cpu = time.process_time() - cpu
                found = judged(trained, sides, None, "whole")
                line = {
                    "trainer": options.trainer,
                    "world": world.name,
                    "steps": steps,
                    "cpu": round(cpu, 1),
                    "converged": trained.note.converged,
                    "steps taken": trained.note.steps,
                    "f1": found.f1,
                }
                with options.results.open("a") as lines:
                    lines.write(json.dumps(line) + "\n")
                print(line, flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
