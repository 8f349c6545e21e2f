"""Pages the suites need beside plain scans: with squares to find, mostly blank; and a pipeline's process on one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tilekit.bench.inputs import Input, file_hash

HERE = Path(__file__).parent
NAP = 0.02
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


def squares_page(cache: Path, side: int) -> Path:
    """The page of squares as tiled JPEG TIFF, from the cache."""
    path = cache / f"squares-{side}.tif"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"part-{path.name}")
        write_page(part, side)
        part.rename(path)
    return path


def blank_page(cache: Path, side: int) -> Path:
    """A JPEG page, drawn in its top tenth and paper with its noise below, from the cache."""
    path = cache / f"blank-{side}.jpg"
    if not path.exists():
        import pyvips

        from tilekit.bench.inputs import made_scan

        drawn = pyvips.Image.new_from_file(made_scan("jpeg", side, side, cache=cache).path).crop(
            0, 0, side, side // 10
        )
        grain = np.random.default_rng(2).normal(0, 1, (CELL, CELL, 1))
        paper = (np.array([214, 211, 202]) + grain).round().clip(0, 255).astype(np.uint8)
        times = -(-side // CELL)
        below = pyvips.Image.new_from_array(paper).replicate(times, times).crop(0, 0, side, side - side // 10)
        part = path.with_name(f"part-{path.name}")
        drawn.join(below, "vertical").jpegsave(str(part), Q=90)
        part.rename(path)
    return path


def described(path: Path, side: int) -> Input:
    """A page of this side for the results, with the hash of its bytes."""
    return Input(path.stem, str(path), side, side, path.stat().st_size, file_hash(path))


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
