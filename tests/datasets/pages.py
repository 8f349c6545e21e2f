"""Small labeled pages on disk, for the tests of datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.pages import PageKey
from tilekit.scans.encoding import encode_image

NAMES = ("dark", "light")
PAPER = (250, 248, 240)
TILING = Tiling(160, 40)
COLORS = ((20, 30, 60), (200, 120, 40))


def labeled_pages(
    folder: Path,
    count: int = 8,
    size: tuple[int, int] = (400, 300),
    each: int = 12,
    empty: int = 2,
    seed: int = 0,
) -> LabelSet:
    """PNG pages with filled rectangles of two labels; the last `empty` pages have none."""
    rng = np.random.default_rng(seed)
    pages, sizes = {}, {}
    for number in range(count):
        pixels = np.full((size[1], size[0], 3), PAPER, np.uint8)
        boxes, ids = [], []
        for _ in range(each if number < count - empty else 0):
            width, height = rng.integers(6, 24, 2).tolist()
            x, y = int(rng.integers(0, size[0] - width)), int(rng.integers(0, size[1] - height))
            ids.append(int(rng.integers(0, 2)))
            pixels[y : y + height, x : x + width] = COLORS[ids[-1]]
            boxes.append([x, y, x + width, y + height])
        key = PageKey(str(folder / f"set{number % 2}" / f"page{number}.png"))
        Path(key.source).parent.mkdir(parents=True, exist_ok=True)
        Path(key.source).write_bytes(encode_image(pixels, "png").data)
        pages[key] = Annotations(np.array(boxes, dtype=float).reshape(-1, 4), np.array(ids, dtype=int), NAMES)
        sizes[key] = size
    return LabelSet(pages, sizes=sizes, names=NAMES)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the ledger's, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".tilekit" not in path.parts
    }


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a manifest, read."""
    return [json.loads(line) for line in path.read_text().splitlines()]
