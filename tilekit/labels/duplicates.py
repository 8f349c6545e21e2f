"""Boxes of one page that was named more than once: what all say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SAME = 0.5  # IoU from which two people mean the same object


@dataclass(frozen=True)
class Agreed:
    """The rows that stay, in order, with their sides; `why` the others do not."""

    rows: NDArray[np.int64]
    sides: NDArray[np.float64]
    why: str


def agreed(
    sides: NDArray[np.float64], kinds: NDArray[np.int64], parts: Sequence[NDArray[np.int64]], policy: str
) -> Agreed:
    """`parts`: the rows of each naming; `kinds`: rows of different kinds (labels) are never the same object.

    "union": all, exact repeats once. "consensus": objects in more than half of the namings, at the median.
    """
    if policy == "consensus":
        return _consensus(sides, kinds, parts)
    seen: dict[tuple[float, ...], int] = {}
    for row in np.concatenate(parts).tolist():
        seen.setdefault((*sides[row].tolist(), int(kinds[row])), row)
    rows = np.array(list(seen.values()), dtype=np.int64)
    return Agreed(rows, sides[rows], "repeated exactly on a page named twice")


def _consensus(
    sides: NDArray[np.float64], kinds: NDArray[np.int64], parts: Sequence[NDArray[np.int64]]
) -> Agreed:
    """Each naming's boxes join the group they overlap most, one a group; best overlaps first."""
    groups: list[list[int]] = []
    for part in parts:
        pairs = []
        for row in part.tolist():
            for number, group in enumerate(groups):
                if kinds[group[0]] == kinds[row]:
                    share = max(_iou(sides[row], sides[other]) for other in group)
                    if share >= _SAME:
                        pairs.append((-share, row, number))
        taken: set[int] = set()
        placed: set[int] = set()
        for _, row, number in sorted(pairs):
            if row not in placed and number not in taken:
                groups[number].append(row)
                placed.add(row)
                taken.add(number)
        groups += [[row] for row in part.tolist() if row not in placed]
    chosen = [group for group in groups if 2 * len(group) > len(parts)]
    rows = np.array([group[0] for group in chosen], dtype=np.int64)
    middle = np.array([np.median(sides[group], axis=0) for group in chosen]).reshape(-1, 4)
    return Agreed(rows, middle, "united or left out by consensus")


def _iou(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    areas = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]))
    return shared / (areas - shared) if areas > shared else 0.0
