"""Count executed lines of the box kernels and of matching: `python counting.py` prints a JSON object of the counts.

Run with NUMBA_DISABLE_JIT=1: kernels are then plain Python, and the lines they execute are their operations.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tilekit.bench.boxes import Case, spread, tile_merge
from tilekit.boxes import kernels
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.fusion import soft_nms, wbf
from tilekit.boxes.merging import merge
from tilekit.boxes.overlap import pairs
from tilekit.boxes.remap import remap_to_tiles
from tilekit.boxes.suppression import nms
from tilekit.evaluation import matching
from tilekit.evaluation.matching import match
from tilekit.grid import Tiling

# Kernels, and the one matching of evaluations, which is plain Python over arrays.
COUNTED = (str(Path(next(iter(kernels.__path__))).resolve()), str(Path(matching.__file__).resolve()))


def executed(work: Callable[[], Any]) -> int:
    """Counted lines that `work` executes."""
    lines = 0

    def line(_frame: Any, event: str, _argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return line

    def call(frame: Any, _event: str, _argument: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(COUNTED) else None

    work()  # whatever is imported on first use
    sys.settrace(call)
    try:
        work()
    finally:
        sys.settrace(None)
    return lines


def works(count: int) -> dict[str, Callable[[], Any]]:
    """Each kernel family on fixed boxes, `count` of them where it scales."""
    side = 100.0 * count**0.5
    plain, twice = spread(count, side), tile_merge(count, side)
    heap = spread(count // 4, 40.0)
    page = plain.boxes.copy()
    page[0] = 0, 0, side, side
    odd = Case("page", page, plain.scores)
    grid = Tiling(512, 64).grid(int(side) + 60, int(side) + 60)
    carried = remap_to_tiles(plain.boxes, grid, 0.1)
    scores = np.random.default_rng(0).uniform(0.1, 1, len(carried))
    found = Detections(carried.boxes, scores, None, ("a",), carried.tile_index)
    return {
        "nms spread": lambda: nms(plain.boxes, plain.scores),
        "nms tile-merge": lambda: nms(twice.boxes, twice.scores),
        "nms heap": lambda: nms(heap.boxes, heap.scores),
        "nms page-sized": lambda: nms(odd.boxes, odd.scores),
        "pairs": lambda: pairs(twice.boxes, 0.5),
        "remap_to_tiles": lambda: remap_to_tiles(plain.boxes, grid, 0.5),
        "merge": lambda: merge(found, grid),
        "soft_nms": lambda: soft_nms(plain.boxes, plain.scores),
        "wbf": lambda: wbf(twice.boxes, twice.scores),
        "match": lambda: match(
            Detections(plain.boxes[:200], plain.scores[:200], None, ("a",)),
            Annotations(plain.boxes[:200] + 1.0, None, ("a",)),
        ),
    }


def main() -> None:
    """Counts of 800 and of 1,600 boxes."""
    told = {
        str(count): {name: executed(work) for name, work in works(count).items()} for count in (800, 1600)
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
