"""Hits, misses and false alarms grouped: by size, by what cuts them, by distance to tile borders, by scale."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tilekit.evaluation.matching import FREE
from tilekit.evaluation.metrics import Counts
from tilekit.evaluation.pages import FlatPages
from tilekit.evaluation.recipes import NO_SCALE
from tilekit.evaluation.result import Group, PageCounts, ScaleGroup, SizeCounts
from tilekit.rekognition.belonging import size_of


def table(rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int64]:
    """How often each pair of row and column comes, an array of `shape`."""
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def count_sizes(
    flat: FlatPages, matched: NDArray[np.int64], kept: NDArray[np.bool_], edges: tuple[float, ...]
) -> SizeCounts:
    """Page by page, by sqrt(area): true boxes and hits by the true box's size, false alarms by their own."""
    hit, wrong = kept & (matched >= 0), kept & (matched == FREE)
    of_truth = np.digitize(size_of(flat.truth_boxes), edges)
    shape = (len(flat.units), len(edges) + 1)
    tp = table(flat.truth_units[matched[hit]], of_truth[matched[hit]], shape)
    fp = table(flat.found_units[wrong], np.digitize(size_of(flat.boxes[wrong]), edges), shape)
    return SizeCounts(_size_names(edges), PageCounts(tp, fp, table(flat.truth_units, of_truth, shape) - tp))


def _size_names(edges: tuple[float, ...]) -> tuple[str, ...]:
    between = (f"{a:g} to {b:g} px" for a, b in pairwise(edges))
    return (f"under {edges[0]:g} px", *between, f"{edges[-1]:g} px and over")


def by_scale(
    flat: FlatPages, matched: NDArray[np.int64], kept: NDArray[np.bool_], edges: tuple[float, ...]
) -> tuple[ScaleGroup, ...]:
    """What belongs to each scale and how much of it was found, and what each scale found; none for one scale.

    True boxes that belong to no scale are a last group of their own.
    """
    seen = flat.seen_at
    if seen is None or seen.truth_scale is None or seen.found_scale is None:
        return ()
    hit, wrong = kept & (matched >= 0), kept & (matched == FREE)
    of_truth = np.digitize(size_of(flat.truth_boxes), edges)
    names = _size_names(edges)
    groups = []
    for place, name in [*enumerate(seen.scales), (NO_SCALE, "no scale")]:
        mine = hit & (seen.found_scale == place)
        sizes = np.bincount(of_truth[matched[mine]], minlength=len(names))
        belongs = seen.truth_scale == place
        found = int(np.count_nonzero(belongs[matched[hit]]))
        groups.append(
            ScaleGroup(
                name,
                int(np.count_nonzero(belongs)),
                found,
                int(np.count_nonzero(mine)),
                int(np.count_nonzero(wrong & (seen.found_scale == place))),
                {size: int(count) for size, count in zip(names, sizes, strict=True) if count},
            )
        )
    return tuple(group for group in groups if group.name != "no scale" or group.truths)


def by_cut(flat: FlatPages, matched: NDArray[np.int64], kept: NDArray[np.bool_]) -> tuple[Group, ...]:
    """Hits and false alarms among boxes a tile edge touches, and among the others."""
    if flat.cut is None:
        return ()
    groups = []
    for name, which in (("whole", ~flat.cut), ("cut by a tile edge", flat.cut)):
        rows = kept & which
        tp, fp = int(np.count_nonzero(rows & (matched >= 0))), int(np.count_nonzero(rows & (matched == FREE)))
        groups.append(Group(name, Counts(tp, fp, 0), found_only=True))
    return tuple(groups)


def by_border(
    flat: FlatPages, matched: NDArray[np.int64], kept: NDArray[np.bool_], edges: tuple[float, ...]
) -> tuple[Group, ...]:
    """True boxes and hits by how far the nearest tile border is, in the tile that shows them best."""
    if flat.seen_at is None:
        return ()
    bounds = (0.0, *edges)
    group = np.digitize(flat.seen_at.margins, bounds)
    truths = np.bincount(group, minlength=len(bounds) + 1)
    tp = np.bincount(group[matched[kept & (matched >= 0)]], minlength=len(bounds) + 1)
    names = ["cut in every tile", *(f"{a:g} to {b:g} px from a border" for a, b in pairwise(bounds))]
    names.append(f"{edges[-1]:g} px and more from a border")
    return tuple(
        Group(name, Counts(int(tp[i]), 0, int(truths[i] - tp[i])))
        for i, name in enumerate(names)
        if truths[i]
    )
