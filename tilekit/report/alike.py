"""False alarms that look alike, as groups: a shape that is taken for a symbol is so on every page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilekit.verdicts.outcomes import FALSE_ALARMS_HELP

SIDE = 12
ALIKE = 0.7
"""Correlation of two looks from which they are one; at any shift up to a pixel of the `SIDE` that a box has."""
LEAST = 3
"""Fewer than so many are no group."""

Look = NDArray[np.float64]


def look_of(pixels: NDArray[np.uint8]) -> Look:
    """(SIDE + 2, SIDE + 2): a picture of a box, (h, w, bands), as gray of mean 0 and norm 1 with a rim for shifts."""
    gray = pixels.mean(axis=2)
    fine = 4 * (SIDE + 2)
    rows = np.linspace(0, gray.shape[0] - 1, fine).round().astype(np.int64)
    columns = np.linspace(0, gray.shape[1] - 1, fine).round().astype(np.int64)
    small: Look = gray[np.ix_(rows, columns)].reshape(SIDE + 2, 4, SIDE + 2, 4).mean(axis=(1, 3))
    return small


def likeness(one: Look, other: Look) -> float:
    """The best correlation of the middle of one with the other, shifted by up to a pixel; flat pictures are like none."""
    middle = _unit(one[1:-1, 1:-1])
    return max(
        float((middle * _unit(other[down : down + SIDE, across : across + SIDE])).sum())
        for down in range(3)
        for across in range(3)
    )


def groups(looks: Sequence[Look]) -> list[list[int]]:
    """Places of looks that are alike, each group by its first; larger groups first, equal ones in their order.

    Each look goes to the group whose first is most like it. Cost: looks times groups.
    """
    found: list[list[int]] = []
    for place, look in enumerate(looks):
        near = [likeness(looks[group[0]], look) for group in found]
        best = int(np.argmax(near)) if near else -1
        if best >= 0 and near[best] >= ALIKE:
            found[best].append(place)
        else:
            found.append([place])
    return sorted(found, key=lambda group: -len(group))


def sentence(group_sizes: Sequence[tuple[int, int, str]], shown: int) -> str:
    """What is said of the groups: (members, pages, label) of each that is one; "" where none is."""
    large = [one for one in group_sizes if one[0] >= LEAST]
    if not large:
        return ""
    parts = "; ".join(f"{count} taken for {label} on {pages} page(s)" for count, pages, label in large[:5])
    alike = sum(count for count, _, _ in large)
    return (
        f"{alike} of the {shown} shown look alike, group by group: {parts}. What helps: {FALSE_ALARMS_HELP}."
    )


def _unit(values: Look) -> Look:
    centered = values - values.mean()
    norm = float(np.sqrt((centered * centered).sum()))
    return centered / norm if norm > 1e-9 else np.zeros_like(centered)
