"""A MergePolicy fitted to a detector: its jitter measured, the rest chosen by truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import overlap
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.completing import LabelSizes
from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy, merge
from tilekit.boxes.remap import remap_to_scan, tile_places
from tilekit.errors import EvaluationError
from tilekit.evaluation.matching import match
from tilekit.evaluation.metrics import Counts
from tilekit.grid import TileGrid

_CLEAR = 16.0  # px: this far from tile edges a box is surely whole
_SPREAD = 1.4826  # of the median distance, to a standard deviation
_REACH = 3.0  # standard deviations within which an edge lies
_LEAST = 5  # boxes of a label, below which its sizes say nothing
_FEWEST = 20  # pairs, below which nothing is said
_MOST = 16  # sizes kept of a label
THRESHOLDS, UNCONFIRMED, SHARES = (0.3, 0.5, 0.7), (0.0, 0.3, 0.5, 0.7), (0.0, 0.05, 0.1)
GROWTHS = (0.0, 0.2, 0.7)


@dataclass(frozen=True, eq=False)
class TunePage:
    """One page to fit on: its tile-frame detections with `tile_index`, its grid, and its true boxes."""

    found: Detections
    grid: TileGrid
    truth: Annotations


def measure_jitter(found: Detections, grid: TileGrid) -> float | None:
    """How far the edges of one object lie apart between tiles that both see it whole, in px: a standard deviation.

    `found`: tile-frame detections with `tile_index`. From objects seen whole twice, no truth is needed; None where
    fewer than 20 are.
    """
    tiles = tile_places(() if found.tile_index is None else found.tile_index, len(found), grid)
    boxes = remap_to_scan(found.boxes, tiles, grid)
    reduced = grid.to_reduced(boxes)
    windows = grid.windows()[tiles].astype(np.float64)
    inner = windows + np.array([1, 1, -1, -1]) * _CLEAR
    inner[windows[:, 0] <= 0, 0], inner[windows[:, 1] <= 0, 1] = -np.inf, -np.inf
    inner[windows[:, 2] >= grid.width, 2], inner[windows[:, 3] >= grid.height, 3] = np.inf, np.inf
    whole = np.flatnonzero(
        (reduced[:, :2] >= inner[:, :2]).all(axis=1) & (reduced[:, 2:] <= inner[:, 2:]).all(axis=1)
    )
    found_pairs = overlap.listed(np.ascontiguousarray(reduced[whole]), 0.5)
    first, second = whole[found_pairs[:, 0]], whole[found_pairs[:, 1]]
    alike = (tiles[first] != tiles[second]) & (found.class_ids[first] == found.class_ids[second])
    apart = np.abs(reduced[first[alike]] - reduced[second[alike]])
    if len(apart) < _FEWEST:
        return None
    return float(np.median(apart) * _SPREAD / np.sqrt(2))


def measure_sizes(pages: Iterable[Annotations]) -> tuple[LabelSizes, ...]:
    """What sizes each label's true boxes have: up to 16 widths and heights a label, for `MergePolicy.sizes`.

    Labels with fewer than 5 boxes are left out, ignored boxes too.
    """
    found: dict[str, list[NDArray[np.float64]]] = {}
    for page in pages:
        for label, name in enumerate(page.names):
            rows = page.boxes[(page.class_ids == label) & ~page.ignore]
            found.setdefault(name, []).append(rows[:, 2:] - rows[:, :2])
    out = []
    for name, parts in sorted(found.items()):
        sides = np.concatenate(parts)
        if len(sides) >= _LEAST:
            count = min(_MOST, len(sides))
            kept = np.quantile(sides, (np.arange(count) + 0.5) / count, axis=0).round(1)
            out.append(LabelSizes(name, tuple(kept[:, 0].tolist()), tuple(kept[:, 1].tolist())))
    return tuple(out)


def fit_merge(
    pages: Sequence[TunePage], *, iou: float = 0.5, policy: MergePolicy | None = None
) -> MergePolicy:
    """The policy whose merged boxes have the best F1 on these pages (the tune split), over all labels.

    The tolerance is that of `policy` or three times the measured jitter; its share of the side, `threshold`,
    `growth`, whether to complete pieces to the `sizes` of the truth, and `unconfirmed` are tried one after the other; of equals
    the first stays. Raises EvaluationError where there is no page.
    """
    if not pages:
        raise EvaluationError("fit_merge needs at least one page with detections and truth")
    best = MergePolicy() if policy is None else policy
    jitters = [jitter for page in pages if (jitter := measure_jitter(page.found, page.grid)) is not None]
    tolerances = [best.tolerance]
    if jitters:
        tolerances.append(round(max(best.tolerance, _REACH * float(np.median(jitters))), 2))
    tries: dict[str, Sequence[Any]] = {
        "tolerance": tolerances,
        "relative_tolerance": SHARES,
        "threshold": THRESHOLDS,
        "growth": GROWTHS,
        "sizes": (measure_sizes(page.truth for page in pages),),
        "unconfirmed": UNCONFIRMED,
    }
    most = merged_counts(pages, best, iou).f1 or 0.0
    for name, values in tries.items():
        for tried in [replace(best, **{name: value}) for value in values]:
            if tried != best and (score := merged_counts(pages, tried, iou).f1 or 0.0) > most:
                best, most = tried, score
    return best


def merged_counts(pages: Sequence[TunePage], policy: MergePolicy, iou: float = 0.5) -> Counts:
    """Hits, false alarms and misses of what the policy makes of these pages."""
    tp = fp = fn = 0
    for page in pages:
        merged = merge(page.found, page.grid, policy)
        result = match(merged, page.truth, iou)
        hits = int((result.truth_of >= 0).sum())
        tp, fp = tp + hits, fp + len(merged) - hits - int(result.ignored.sum())
        fn += int((~page.truth.ignore).sum()) - hits
    return Counts(tp, fp, fn)
