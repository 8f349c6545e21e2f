"""Small datasets, tiles and models for the tests of tilekit.aws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tilekit.grid import Tiling, Window
from tilekit.scans.encoding import encode_image
from tilekit.tiles.tile import Tile

TILING = Tiling(tile=128, overlap=16)


def line(reference: str, boxes: list[tuple[int, int, int, int]], labels: tuple[str, ...] = ("arrow",)) -> str:
    value: dict[str, Any] = {
        "source-ref": reference,
        "bounding-box": {
            "image_size": [{"width": 128, "height": 128, "depth": 3}],
            "annotations": [
                {"class_id": place % len(labels), "left": x, "top": y, "width": w, "height": h}
                for place, (x, y, w, h) in enumerate(boxes)
            ],
        },
        "bounding-box-metadata": {
            "objects": [{"confidence": 1} for _ in boxes],
            "class-map": {str(place): name for place, name in enumerate(labels)},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": "2026-11-23T00:00:00",
            "job-name": "tests",
        },
    }
    return json.dumps(value)


def make_dataset(folder: Path, train: int = 6, test: int = 3, seed: int = 0) -> tuple[Path, Path]:
    """train.manifest and test.manifest with their tiles and tiling.json."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("test", test)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        lines = []
        for number in range(count):
            name = f"{split}/page-{number}.jpg"
            pixels = rng.integers(0, 255, (128, 128, 3), np.uint8)
            (folder / name).write_bytes(encode_image(pixels).data)
            lines.append(line(name, [(10, 10, 20, 20), (50, 50, 30, 30)], ("arrow", "triangle")))
        (folder / f"{split}.manifest").write_text("\n".join(lines) + "\n")
    (folder / "tiling.json").write_text(json.dumps(TILING.to_json()))
    return folder / "train.manifest", folder / "test.manifest"


def make_tile(index: int = 0, width: int = 128, height: int = 128, bands: int = 3) -> Tile:
    pixels = np.random.default_rng(index).integers(0, 255, (height, width, bands), np.uint8)
    return Tile(index, 0, index, Window(0, 0, width, height), pixels)
