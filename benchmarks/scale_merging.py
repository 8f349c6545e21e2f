"""What several scales lose and add: a detector that finds what is half in view and 8 px after the shrink.

`python benchmarks/scale_merging.py RESULTS.json [--pages 40]` draws pages of 9933 x 14043 with 60 objects of 16 to
8,000 px, log-uniform, lets the detector find them with edges up to 2 px of the image off at 2560/96, 1280/96 at a
quarter and the whole page, unites what was found, and counts objects lost and boxes that are too many.

Then `trained`: pages of four labels that belong to different scales, and a detector that was taught on each scale only
what belongs there, and finds on the others what such a detector finds: pieces of large objects with good scores, small
ones with poor boxes. Ways to weigh those finds are compared by the mean F1 and AP of the labels, where test pages have
the sizes of the training pages, or sizes that reach further at both ends.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.mixed_pages import (
    KIND_NAMES,
    at_scales,
    kinds,
    lost_and_extra,
    objects,
    taught_by,
    trained_at_scales,
)
from tilekit import Annotations, LabelSet, PageKey, Scales, Tiling, evaluate
from tilekit.boxes.merging import MergePolicy
from tilekit.detection.combining import unite_scales
from tilekit.labels.predictions import PageDetections
from tilekit.rekognition.belonging import WeightRule

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
FAR = 1e9  # a margin that no size is beyond
RULES: dict[str, WeightRule | None] = {
    "not known what was taught": None,
    "foreign labels dropped": WeightRule(0.0, 1.0, FAR),
    "foreign labels last, score x 0.5": WeightRule(0.5, 1.0, FAR),
    "foreign labels last, score x 0.1": WeightRule(0.1, 1.0, FAR),
    "and sizes beyond 1.5 times, x 0.5": WeightRule(0.1, 0.5, 1.5),
    "and sizes beyond 2 times, x 0.5": WeightRule(0.1, 0.5, 2.0),
    "and sizes beyond 3 times, x 0.5": WeightRule(0.1, 0.5, 3.0),
    "sizes beyond 2 times alone, x 0.5": WeightRule(1.0, 0.5, 2.0),
}
STRETCHES = (1.0, 1.5, 2.5)


def weigh(pages: int) -> list[dict[str, Any]]:
    """Every rule on the same finds: mean F1 and AP over the labels."""
    train = np.random.default_rng(99)
    scales = taught_by(
        [kinds(train, *SIZE) for _ in range(12)], KIND_NAMES, RECIPES["1280/96, 1280/96@0.25 and page"], *SIZE
    )
    lines = []
    for stretch in STRETCHES:
        truth: dict[PageKey, Annotations] = {}
        united: dict[str, list[PageDetections]] = {name: [] for name in RULES}
        for page in range(pages):
            rng = np.random.default_rng([page, 3])
            boxes, ids = kinds(rng, *SIZE, stretch)
            key = PageKey(f"page {page}")
            truth[key] = Annotations(boxes, ids, KIND_NAMES)
            found, grids = trained_at_scales(rng, boxes, ids, scales, *SIZE)
            for name, rule in RULES.items():
                taught = () if rule is None else scales.taught
                one = unite_scales(found, grids, MergePolicy(), taught=taught, weighing=rule)
                united[name].append(PageDetections(key, *SIZE, one[one.scores > 0], tuple(scales)))
        labels = LabelSet(truth, sizes=dict.fromkeys(truth, SIZE), names=KIND_NAMES)
        for name, predictions in united.items():
            result = evaluate(labels, predictions)
            lines.append(
                {
                    "stretch": stretch,
                    "rule": name,
                    "objects": labels.boxes,
                    "boxes": sum(map(len, predictions)),
                    "f1": round(result.f1 or 0, 4),
                    "ap": round(result.ap or 0, 4),
                    "labels": {row.label: round(row.f1 or 0, 4) for row in result.labels},
                }
            )
    return lines


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
    found = {**count(options.pages), "trained": weigh(options.pages)}
    options.results.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
