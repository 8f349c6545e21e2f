"""All pairs of boxes that overlap enough."""

from __future__ import annotations

from typing import Any

from tilekit.boxes.kernels.cells import collect, survey
from tilekit.boxes.kernels.jit import kernel


@kernel("i(R2,f,F2,F2,S,S,S,S2,B,i,i)")
def find(
    boxes: Any,
    threshold: float,
    plan: Any,
    lying: Any,
    cell: Any,
    source: Any,
    starts: Any,
    pairs: Any,
    group: Any,
    limit: int,
    budget: int,
) -> int:
    """Pairs of IoU above the threshold into `pairs` while there is room; gives their number.

    It is -1 where a box is not one, and where more than `limit` pairs or `budget` comparisons are needed.
    Scratch: `plan` (24, 14), `lying` (n, 4), `cell`, `source` (n), `starts` (5 n + 800), `group` (n,).
    """
    if survey(boxes, plan, group) >= 0:
        return -1
    return collect(boxes, threshold, plan, group, cell, starts, lying, source, pairs, limit, budget)
