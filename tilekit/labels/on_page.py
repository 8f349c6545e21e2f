"""Which boxes lie on their page: soundness of sides, the edge that rounding passes, what is said of the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilekit.labels.label_set import Size
from tilekit.labels.rows import Rows

OVERHANG = 1.0
"""Px by which a box may pass the edge of its page, as rounding does; it is clipped. More is an error."""


def on_page(
    rows: Rows, sized: NDArray[np.float64], clip: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which boxes are sound on pages of these (n, 2) sizes, and which pass the edge by more than rounding does.

    The latter are sound where they are clipped, unless nothing of them is on the page.
    """
    low, high = rows.sides[:, :2], rows.sides[:, 2:]
    with np.errstate(invalid="ignore"):
        over = np.maximum(-low, high - sized).max(axis=1)
        inside = np.minimum(sized - low, high).min(axis=1) > 0
        beyond = inside & (over > OVERHANG)
        inside &= ~beyond | clip
        good = np.isfinite(rows.sides).all(axis=1) & (high > low).all(axis=1) & inside
    return good, beyond


def clipped_to_page(rows: Rows, sized: NDArray[np.float64]) -> Rows:
    """The rows with sides that end where their pages do."""
    if (rows.sides[:, :2] >= 0).all() and (rows.sides[:, 2:] <= sized).all():
        return rows
    low, high = np.maximum(rows.sides[:, :2], 0.0), np.minimum(rows.sides[:, 2:], sized)
    return replace(rows, sides=np.concatenate([low, high], axis=1))


def why_not(sides: list[float], size: Size | None) -> str:
    """What is wrong with a box that is not sound."""
    x0, y0, x1, y1 = sides
    if not np.isfinite(sides).all():
        return f"has the sides {sides}; four finite numbers are needed"
    if x1 <= x0 or y1 <= y0:
        return f"is {x1 - x0:g} x {y1 - y0:g} px; both sides must be greater than 0"
    where = "the page" if size is None else f"the page of {size[0]} x {size[1]} px"
    return f"is {x0:g}, {y0:g} to {x1:g}, {y1:g}, outside {where}; clip it with clip=True (--clip), or correct the page's size"
