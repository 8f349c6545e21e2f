"""All pairs of boxes that overlap enough."""

from __future__ import annotations

from typing import Any

from tilekit.boxes.kernels.cells import collect, survey
from tilekit.boxes.kernels.jit import kernel


@kernel("i(R2,f,F2,F2,S,S2,B,i)")
def find(
    boxes: Any, threshold: float, plan: Any, lying: Any, scratch: Any, pairs: Any, group: Any, budget: int
) -> int:
    """Pairs of IoU above the threshold into `pairs` while there is room; their number, or -1 over budget.

    Scratch: `plan` (24, 14), `lying` (n, 4), `scratch` (7 n + 800), `group` (n,). Boxes must be checked.
    """
    n = len(boxes)
    survey(boxes, plan, group)
    return collect(
        boxes,
        threshold,
        plan,
        group,
        scratch[:n],
        scratch[2 * n :],
        lying,
        scratch[n : 2 * n],
        pairs,
        4611686018427387904,
        budget,
    )
