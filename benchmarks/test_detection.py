"""Detection pipelines against SAHI and supervision: whole processes, the same 20 ms detector, the same tiles.

Prints walls, ratios, peaks and merged counts; nothing here fails on time. `pytest benchmarks/test_detection.py -s`;
TILEKIT_BENCH_SIDES (default "5000,12000,20000") chooses the pages of the memory curves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.evaluation.evaluating import evaluate
from tilekit.pages import PageKey

HERE = Path(__file__).parent
NAP = 0.02
PEERS = ("tilekit", "sahi", "supervision-array", "supervision-raster")
SIDES = [int(side) for side in os.environ.get("TILEKIT_BENCH_SIDES", "5000,12000,20000").split(",")]
ROUNDS = int(os.environ.get("TILEKIT_BENCH_ROUNDS", "3"))
CELL = 1000


def squares(side: int) -> np.ndarray:
    """Truth: in every cell of 1000 px the same 25 squares of 12 to 60 px, a page of `side` px."""
    rng = np.random.default_rng(0)
    lefts, tops = np.meshgrid(np.arange(5) * 200, np.arange(5) * 200)
    corner = np.stack([lefts.ravel(), tops.ravel()], axis=1) + rng.integers(10, 120, (25, 2))
    cell = np.hstack([corner, corner + rng.integers(12, 61, (25, 1))])
    steps = np.arange(side // CELL) * CELL
    shifts = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 1, 2)
    return (cell + np.tile(shifts, (1, 1, 2))).reshape(-1, 4)


def write_page(path: Path, side: int) -> None:
    """Noisy paper with the squares, JPEG or tiled JPEG TIFF by the suffix."""
    import pyvips

    rng = np.random.default_rng(1)
    cell = rng.normal(235, 3, (CELL, CELL, 3)).clip(0, 255).astype(np.uint8)
    for x0, y0, x1, y1 in squares(CELL):
        cell[y0:y1, x0:x1] = 10
    page = pyvips.Image.new_from_array(cell).replicate(side // CELL, side // CELL)
    if path.suffix == ".jpg":
        page.jpegsave(str(path), Q=90)
    else:
        page.tiffsave(str(path), compression="jpeg", Q=90, tile=True, tile_width=256, tile_height=256)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for side in SIDES:
        for suffix in (".jpg", ".tif"):
            made[side, suffix] = folder / f"{side}{suffix}"
            write_page(made[side, suffix], side)
    return made


def run(who: str, path: Path, workers: int = 1, nap: float = NAP, finds: bool = False) -> dict:
    command = [
        sys.executable,
        str(HERE / "pipelines.py"),
        who,
        str(path),
        str(workers),
        str(nap),
        str(int(finds)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
@pytest.mark.parametrize("workers", [1, 4])
def test_speed(pages, suffix, workers):
    side = 12000 if 12000 in SIDES else SIDES[-1]
    path = pages[side, suffix]
    peers = [who for who in PEERS if workers == 1 or who != "sahi"]  # SAHI has no workers
    rounds = [{who: run(who, path, workers) for who in peers} for _ in range(ROUNDS)]
    print(
        f"\n{side} px {suffix}, {workers} worker(s), {NAP * 1000:.0f} ms detector, best of {ROUNDS} interleaved rounds"
    )
    for who in peers:
        ratio = np.median([turn[who]["wall"] / turn["tilekit"]["wall"] for turn in rounds])
        best = min((turn[who] for turn in rounds), key=lambda one: one["wall"])
        print(
            f"  {who:20} {best['wall']:6.2f} s  {ratio:5.2f} x tilekit's  peak {best['peak']:5.0f} MB  "
            f"busy {100 * max(turn[who]['busy'] for turn in rounds):5.1f} %"
        )
    assert len({turn[who]["tiles"] for turn in rounds for who in ("tilekit",)}) == 1


def test_memory(pages):
    print("\npeak MB of the whole process by megapixels")
    for suffix in (".jpg", ".tif"):
        for who in PEERS:
            peaks = [run(who, pages[side, suffix], nap=0.0)["peak"] for side in SIDES]
            shown = "  ".join(
                f"{side * side // 10**6:4d} Mpx {peak:5.0f}" for side, peak in zip(SIDES, peaks, strict=True)
            )
            print(f"  {suffix} {who:20} {shown}")


def test_exactness(pages):
    """The same boxes in, merged by each one's own defaults: what is left against the truth."""
    side = SIDES[0]
    key = PageKey("page")
    truth = {key: Annotations(squares(side).astype(float), None, ("square",))}
    print(f"\nmerged boxes on a page of {len(truth[key])} squares")
    for who in PEERS:
        boxes = np.array(run(who, pages[side, ".tif"], nap=0.0, finds=True)["boxes"]).reshape(-1, 4)
        found = {key: Detections(boxes, np.full(len(boxes), 0.9), None, ("square",))}
        counts = evaluate(truth, found, 0.75, thresholds=0.5).micro
        print(f"  {who:20} {len(boxes):6d} boxes: {counts.tp} right, {counts.fp} too many, {counts.fn} lost")
        if who == "tilekit":
            assert (counts.fp, counts.fn) == (0, 0)
