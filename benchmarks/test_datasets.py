"""tile_dataset against tile_scan on the same tiles, interleaved: the target is at most 5 % more.

Run with `pytest benchmarks/test_datasets.py -s`. Every tile has labels, so both write the same files.
tile_dataset's time includes manifests and the contact sheet, whose cost does not grow with the tiles.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.carrying import CarryingRules, carry_page
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.pages import PageKey
from tilekit.scans.encoding import encode_image
from tilekit.tiles.writing import tile_scan

SIDE, TILING = 8000, Tiling(1024, 128)
PAGES, ROUNDS = 4, 4


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[PageKey]:
    """Pages of noise over lines: about what a scanned drawing costs to decode and encode."""
    rng = np.random.default_rng(0)
    pixels = np.full((SIDE, SIDE, 3), 245, np.uint8)
    for place in rng.integers(0, SIDE, 4000).tolist():
        start = int(rng.integers(0, SIDE - 400))
        if place % 2:
            pixels[place : place + 2, start : start + 400] = 20
        else:
            pixels[start : start + 400, place : place + 2] = 20
    pixels += rng.integers(0, 6, pixels.shape, dtype=np.uint8)
    folder, data = tmp_path_factory.mktemp("scans"), encode_image(pixels, "jpeg").data
    for number in range(PAGES):
        (folder / f"plan{number}.jpg").write_bytes(data)
    return [PageKey(str(folder / f"plan{number}.jpg")) for number in range(PAGES)]


def labels_of(pages: list[PageKey], each: int) -> LabelSet:
    """Boxes spread over every tile."""
    rng = np.random.default_rng(1)
    low = rng.uniform(0, SIDE - 40, (each, 2))
    boxes = np.concatenate([low, low + rng.uniform(10, 40, (each, 2))], axis=1)
    annotations = Annotations(boxes, None, ("symbol",))
    return LabelSet(dict.fromkeys(pages, annotations), sizes=dict.fromkeys(pages, (SIDE, SIDE)))


def seconds(work: Callable[[], object], out: Path) -> tuple[float, float]:
    """Wall and CPU time of one run into an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def test_dataset_against_tile_scan(pages: list[PageKey], tmp_path: Path) -> None:
    labels = labels_of(pages, 1200)
    out, tiles = tmp_path / "out", PAGES * len(TILING.grid(SIDE, SIDE))

    def dataset() -> None:
        summary = tile_dataset(labels, out, TILING, split=(1, 0, 0), max_boxes=10_000)
        assert summary.tiles == tiles

    def scan() -> None:
        assert sum(tile_scan(page.source, out, TILING).tiles for page in pages) == tiles

    dataset()  # loads what is loaded once
    pairs = [(seconds(scan, out), seconds(dataset, out)) for _ in range(ROUNDS)]
    for place, name in enumerate(("wall", "CPU")):
        ratios = [one[place] / other[place] for other, one in pairs]
        print(
            f"\n{name}: tile_dataset {statistics.median(one[place] for _, one in pairs):.2f} s, "
            f"tile_scan {statistics.median(other[place] for other, _ in pairs):.2f} s for {tiles} tiles; "
            f"ratio {statistics.median(ratios):.3f} (paired, {min(ratios):.3f} to {max(ratios):.3f})"
        )


def test_planning_a_large_page() -> None:
    rng = np.random.default_rng(2)
    low = rng.uniform(0, 99_000, (100_000, 2))
    annotations = Annotations(np.concatenate([low, low + 30], axis=1), None, ("symbol",))
    grid = TILING.grid(100_000, 100_000)
    start = time.perf_counter()
    plan = carry_page(annotations, grid, CarryingRules())
    spent = time.perf_counter() - start
    print(f"\n100,000 boxes on {len(grid)} tiles planned in {spent:.2f} s: {len(plan.tiles)} tiles")
    assert not plan.objects_left_out
