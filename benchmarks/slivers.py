"""What to do with slivers in training tiles: paint them over, leave the tile out, or keep them unlabeled.

`python benchmarks/slivers.py OUT [--seeds 3]` makes the demo's pages, cuts training tiles of 512 px
three ways, trains the local service on each, finds symbols on the same test pages and prints F1 at
page level (thresholds fitted on other pages). Writes OUT/slivers.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Literal

from tilekit import Tiling, detect_tiles, evaluate, open_scan, tile_dataset
from tilekit.aws.project import RekognitionProject
from tilekit.aws.service import Service
from tilekit.aws.waiting import Polling
from tilekit.aws.workspace import ProjectOptions
from tilekit.datasets import CarryingRules, DatasetOptions
from tilekit.demo import DemoPages, DemoScale, make_pages
from tilekit.local import running
from tilekit.storage.s3 import S3Store, keyed_access

WAYS: tuple[Literal["mask", "leave", "keep"], ...] = ("mask", "leave", "keep")
TILING = Tiling(tile=512, overlap=64)
SCALE = DemoScale(train=12, tune=6, test=12, steps=260)


def f1_of(pages: DemoPages, folder: Path, way: Any, seed: int) -> tuple[float | None, int]:
    """F1 on the test pages and the number of training tiles."""
    sides = {"train": pages.train, "test": pages.tune}
    made = tile_dataset(
        sides,
        folder / way,
        TILING,
        options=DatasetOptions(rules=CarryingRules(slivers=way), seed=seed, overwrite=True),
    )
    with running(limit=SCALE.limit, seed=seed, steps=SCALE.steps, threads=2) as url:
        access = keyed_access(url)
        S3Store(access).client.create_bucket(Bucket="slivers")
        polling = Polling(dataset=0.2, training=1.0, running=0.2)
        project = RekognitionProject(
            "slivers", "slivers", options=ProjectOptions(service=Service(access, rate=200.0), polling=polling)
        )
        model = project.train(folder / way / "train.manifest", folder / way / "test.manifest", version=way)
        found = {}
        with model.running(share=False, watchdog=False) as detector:
            for key in [*pages.tune, *pages.test]:
                with open_scan(key.source, page=key.page) as scan:
                    found[key] = detect_tiles(scan, detector, TILING)
    tune, test = [found[key] for key in pages.tune], [found[key] for key in pages.test]
    result = evaluate(pages.test, test, fit=(pages.tune, tune))
    return result.f1, made.sides["train"].tiles


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path)
    options.add_argument("--seeds", type=int, default=1)
    given = options.parse_args()
    rows = []
    for seed in range(given.seeds):
        folder = given.out / str(seed)
        pages = make_pages(folder, SCALE, seed)
        for way in WAYS:
            f1, tiles = f1_of(pages, folder, way, seed)
            rows.append({"seed": seed, "slivers": way, "f1": f1, "training_tiles": tiles})
            print(json.dumps(rows[-1]), flush=True)
    (given.out / "slivers.json").write_text(json.dumps({"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
