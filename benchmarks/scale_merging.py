"""What several scales lose and add: a detector that finds what is half in view and 8 px after the shrink.

`python benchmarks/scale_merging.py RESULTS.json [--pages 40]` draws pages of 9933 x 14043 with 60 objects of 16 to
8,000 px, log-uniform, lets the detector find them with edges up to 2 px of the image off at 2560/96, 1280/96 at a
quarter and the whole page, unites what was found, and counts objects lost and boxes that are too many.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from tests.mixed_pages import at_scales, lost_and_extra, objects
from tilekit import Scales, Tiling

SIZE = (9933, 14043)
EACH = 60
NAMES = ("a", "b")
RECIPES = {
    "2560/96, 1280/96@0.25 and page": Scales(
        Tiling(2560, 96), Tiling(1280, 96, scale=0.25), Tiling.whole(1280)
    ),
    "1280/96, 1280/96@0.25 and page": Scales(
        Tiling(1280, 96), Tiling(1280, 96, scale=0.25), Tiling.whole(1280)
    ),
    "2560/96 alone": Scales(Tiling(2560, 96)),
}


def count(pages: int) -> dict[str, dict[str, float]]:
    """Lost and extra of each recipe over the same pages."""
    found = {name: np.zeros(2, np.int64) for name in RECIPES}
    for page in range(pages):
        rng = np.random.default_rng(page)
        boxes = objects(rng, *SIZE, EACH)
        ids = rng.integers(0, 2, len(boxes))
        for name, scales in RECIPES.items():
            seen = at_scales(np.random.default_rng([page, 1]), boxes, ids, NAMES, scales, *SIZE)
            found[name] += lost_and_extra(boxes, ids, seen)
    total = pages * EACH
    return {
        name: {
            "objects": total,
            "lost": int(lost),
            "extra": int(extra),
            "share": round((lost + extra) / total, 5),
        }
        for name, (lost, extra) in found.items()
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--pages", type=int, default=40)
    options = parser.parse_args()
    found = count(options.pages)
    options.results.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
