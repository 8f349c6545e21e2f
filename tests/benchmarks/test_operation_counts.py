"""A guard that is no timer: lines the kernels execute on fixed boxes, against what was recorded.

A count may be lower than recorded, or up to a quarter higher (another numpy draws or sorts ties otherwise);
more is a regression of the algorithm. After a change that is meant to count more, record anew:
`NUMBA_DISABLE_JIT=1 python tests/benchmarks/counting.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("operation counts")  # one count for all

TOLERANCE = 1.25
RECORDED = {
    "nms spread": 226_730,
    "nms tile-merge": 228_715,
    "nms heap": 399_251,
    "nms page-sized": 239_505,
    "pairs": 137_174,
    "remap_to_tiles": 144_676,
    "merge": 434_736,
    "soft_nms": 320_481,
    "wbf": 379_275,
    "match": 158,
}
# Twice the boxes at the same density may take at most this many times the lines: linear, with a margin
# for grids that round. A heap is denser with more boxes; match is counted at one size.
GROWTH = 2.4


@pytest.fixture(scope="module")
def counts() -> dict[str, dict[str, int]]:
    program = Path(__file__).with_name("counting.py")
    done = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_no_more_operations_than_recorded(counts: dict[str, dict[str, int]], name: str) -> None:
    assert 0 < counts["1600"][name] <= TOLERANCE * RECORDED[name]


@pytest.mark.parametrize("name", [name for name in RECORDED if name not in ("nms heap", "match")])
def test_operations_grow_with_the_boxes(counts: dict[str, dict[str, int]], name: str) -> None:
    assert counts["1600"][name] <= GROWTH * counts["800"][name]
