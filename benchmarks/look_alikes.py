"""What helps against look-alikes: tiles as planned, then decoys, larger tiles, and the page beside the tiles.

`python benchmarks/look_alikes.py RESULTS.jsonl` draws worlds with look-alikes (benchmarks/worlds.py: each has more
unlabeled shapes than symbols) and trains the local trainer on tiles as planned; again with the false alarms of that
model on the training pages taught as decoys; on tiles of twice the side; and on the planned tiles with the page beside
them. Each is judged on the same test pages by thresholds fitted on others. One JSON line a world and way; what has its
line is left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import tilekit as tk
from benchmarks.local_models import Trained, train
from benchmarks.worlds import World, draw_world, found_on, tiling_of, worlds
from tilekit.datasets.options import DatasetOptions, Decoys
from tilekit.local.budget import Caps

WORLDS = (0, 4, 18)
"""Places in `worlds()` of worlds with look-alikes where tiles left errors."""
WAYS = ("as planned", "decoys", "larger tiles", "page beside")


def trained_on(
    sides: dict[str, tk.LabelSet],
    world: World,
    folder: Path,
    tiling: tk.Tiling | tk.Scales,
    decoys: Decoys | None = None,
) -> tuple[Trained, tk.Tiling | tk.Scales]:
    """A model of tiles, and the tiling as its dataset tells it; decoys are a label that it drops."""
    made = tk.tile_dataset(
        {"train": sides["train"], "test": sides["tune"]},
        folder,
        tiling,
        options=DatasetOptions(decoys=decoys, workers=1),
    )
    names = (*world.symbols, *([] if made.decoy is None else [made.decoy]))
    trained = train([folder / "train.manifest"], names, world.seed, Caps())
    if made.decoy is not None:
        trained.detector.decoys = (made.decoy,)
    return trained, made.tiling


def judged(trained: Trained, sides: dict[str, tk.LabelSet], tiling: tk.Tiling | tk.Scales) -> dict[str, Any]:
    """Figures on the test pages."""
    tune = found_on(trained, sides["tune"], tiling)
    test = found_on(trained, sides["test"], tiling)
    found = tk.evaluate(sides["test"], list(test.values()), fit=(sides["tune"], list(tune.values())))
    return {
        "f1": found.f1,
        "recall": found.recall,
        "precision": found.precision,
        "false alarms": sum(row.counts.fp for row in found.labels),
        "objects": sum(row.counts.tp + row.counts.fn for row in found.labels),
        "converged": trained.note.converged,
    }


def ways_of(world: World, folder: Path, sides: dict[str, tk.LabelSet]) -> dict[str, dict[str, Any]]:
    """Each way's figures."""
    planned = tiling_of(tk.recommend_tiling(sides["train"]))
    tiling = planned if isinstance(planned, tk.Tiling) else planned[0]
    width = next(iter(sides["train"].sizes.values()))[0]
    results: dict[str, dict[str, Any]] = {}

    def note(way: str, trained: Trained, cut: tk.Tiling | tk.Scales, begun: float) -> None:
        results[way] = {**judged(trained, sides, cut), "cpu": round(time.process_time() - begun, 1)}
        results[way]["tiling"] = str(cut)

    begun = time.process_time()
    first, cut = trained_on(sides, world, folder / "planned", tiling)
    note("as planned", first, cut, begun)
    begun = time.process_time()
    alarms = folder / "alarms.jsonl"
    tk.write_predictions(list(found_on(first, sides["train"], tiling).values()), alarms)
    note("decoys", *trained_on(sides, world, folder / "decoys", tiling, Decoys(str(alarms))), begun)
    begun = time.process_time()
    larger = tk.Tiling(min(2 * tiling.tile, width), tiling.overlap)
    note("larger tiles", *trained_on(sides, world, folder / "larger", larger), begun)
    begun = time.process_time()
    beside = tk.Scales(tiling, tk.Tiling.whole(1280))
    note("page beside", *trained_on(sides, world, folder / "beside", beside), begun)
    return results


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    options = parser.parse_args()
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    done = {json.loads(line)["world"] for line in lines}
    for number in WORLDS:
        world = worlds()[number]
        if world.name in done:
            continue
        folder = Path(tempfile.mkdtemp(prefix="alike-"))
        try:
            sides = draw_world(world, folder)
            for way, figures in ways_of(world, folder, sides).items():
                with options.results.open("a") as file:
                    file.write(json.dumps({"world": world.name, "way": way, **figures}) + "\n")
                print(world.name, way, figures, flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
