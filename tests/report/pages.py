"""Pages with known squares, and predictions with known errors, for the report's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.pages import PageKey
from tilekit.scans.encoding import encode_image

NAMES = ("square", "bar")
WIDTH, HEIGHT = 1700, 2200


def make_pages(folder: Path, count: int = 3) -> tuple[LabelSet, PredictionSet, PredictionSet]:
    """Truth, whole-page predictions (poor) and tiled ones (one miss, one false alarm a page)."""
    folder.mkdir(parents=True, exist_ok=True)
    truth, poor, good = {}, [], []
    sizes = {}
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
        corners = [(100 + 300 * i, 150 + 400 * j) for i in range(5) for j in range(5)]
        boxes, labels = [], []
        for place, (x, y) in enumerate(corners):
            w, h = (30, 30) if place % 2 == 0 else (60, 12)
            pixels[y : y + h, x : x + w] = (200, 30, 30) if place % 2 == 0 else (20, 20, 160)
            boxes.append([x, y, x + w, y + h])
            labels.append(place % 2)
        key = PageKey(str(folder / f"page-{number}.png"))
        (folder / f"page-{number}.png").write_bytes(encode_image(pixels, "png").data)
        ignore = np.zeros(len(boxes), bool)
        ignore[-1] = True
        truth[key] = Annotations(boxes, labels, NAMES, ignore)
        sizes[key] = (WIDTH, HEIGHT)
        scores = rng.uniform(0.6, 1.0, len(boxes))
        keep = np.arange(1, len(boxes))  # the first symbol is missed
        found = np.array(boxes, float)[keep] + 0.5
        false = np.array([[900.0, 900, 940, 940]])
        tiles = Detections(
            np.concatenate([found, false]),
            np.append(scores[keep], 0.65),
            np.append(np.array(labels)[keep], 0),
            NAMES,
        )
        tiling = Tiling(640, 64)
        good.append(PageDetections(key, WIDTH, HEIGHT, tiles, (tiling,)))
        few = keep[::3]
        whole = Detections(np.array(boxes, float)[few], scores[few], np.array(labels)[few], NAMES)
        poor.append(PageDetections(key, WIDTH, HEIGHT, whole))
    return LabelSet(truth, sizes=sizes, names=NAMES), PredictionSet(poor), PredictionSet(good)
