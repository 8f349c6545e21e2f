"""What stands between checked arrays and the kernels: orders, size groups, scratch memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_OCTAVES = 3  # sizes in one group differ by less than 2 ** 3: few groups where a box must look into all
_NEAR_OCTAVES = 1  # IoU leaves only groups of like size to look into
_DEEPEST = 20


class Groups(NamedTuple):
    """Boxes by size: `of` (n,) uint8 group of each, `extents` (g, 4) as the greedy kernel wants them."""

    of: NDArray[np.uint8]
    extents: NDArray[np.float64]


def descending(scores: NDArray[np.float64]) -> NDArray[np.int32]:
    """Places in order of falling score; equal scores keep input order."""
    count = len(scores)
    if count < 512:
        return np.argsort(-scores, kind="stable").astype(np.int32)
    bits = (scores + 0.0).view(np.int64)
    if int(bits.min()) < 0:
        bits = np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
    top = int(bits.max())
    span = top - int(bits.min())
    if span >= 2**63:
        return np.argsort(-scores, kind="stable").astype(np.int32)
    keys = top - bits
    return _radix(keys, span)


def ascending(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places in order of rising keys, none negative; equal keys keep input order."""
    return _radix(keys.copy(), int(keys.max(initial=0))).astype(np.int64)


def _radix(keys: NDArray[np.int64], top: int) -> NDArray[np.int32]:
    from tilekit.boxes.kernels import sorting

    count = len(keys)
    places = np.arange(count, dtype=np.int32)
    other_keys, other_places = np.empty(count, np.int64), np.empty(count, np.int32)
    counts = np.empty(2048, np.int64)
    swapped = sorting.radix(keys, places, other_keys, other_places, counts, top.bit_length())
    return other_places if swapped else places


def size_groups(
    boxes: NDArray[np.float64], cut: NDArray[np.uint8] | None = None, octaves: int = _OCTAVES
) -> Groups:
    """Group boxes by the long side; cut boxes apart from whole ones where `cut` is given."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(axis=1)
    largest, smallest = float(longest.max()), float(longest.min())
    if largest <= smallest * 2**_OCTAVES:
        of = np.zeros(len(boxes), np.uint8)
    else:
        depth = (np.frexp(largest)[1] - np.frexp(longest)[1]) // octaves
        of = np.where(longest > 0, np.minimum(depth, _DEEPEST), _DEEPEST).astype(np.uint8)
    of *= 2
    if cut is not None:
        of += cut
    extents = np.zeros((int(of.max()) + 1, 4))
    for group in np.flatnonzero(np.bincount(of)):
        rows = slice(None) if len(extents) == 1 else of == group
        extents[group, :2] = sides[rows].max(axis=0)
        extents[group, 2:] = longest[rows].max(), longest[rows].min()
    return Groups(of, extents)


def greedy(
    boxes: NDArray[np.float64],
    order: NDArray[np.int32],
    keys: NDArray[np.int64],
    metric: int,
    threshold: float,
    *,
    marks: NDArray[np.uint8] | None = None,
    slack: float = 0.0,
    best: bool = False,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Run the greedy kernel: state of each box and the place of what removed it (below 0: nothing),
    with `best` the best such box. `keys`: label, or (n, 2) label and tile; `marks` (n, 3): cut and unsettled in the
    last two columns."""
    from tilekit.boxes.kernels import greedy as kernel

    count = len(boxes)
    state, winner = np.empty(count, np.uint8), np.empty(count, np.int64)
    if count == 0:
        return state, winner
    traits = np.zeros((count, 3), np.uint8) if marks is None else marks.copy()
    cut = None if marks is None else np.ascontiguousarray(marks[:, 1])
    groups = size_groups(boxes, cut, _NEAR_OCTAVES if metric == 0 and threshold >= 0.25 else _OCTAVES)
    traits[:, 0] = groups.of
    grain = max(float(np.abs(boxes).max()) * 4e-15, 1e-150)
    kernel.suppress(
        boxes,
        order,
        np.column_stack([keys, keys]) if keys.ndim == 1 else keys,
        traits,
        groups.extents,
        np.array([metric, threshold, slack, grain, best], np.float64),
        np.empty(1 << max(4, (count - 1).bit_length()), np.int32),
        np.empty((2, count), np.int32),
        np.empty(2 * len(groups.extents), np.int64),
        state,
        winner,
    )
    return state, winner
