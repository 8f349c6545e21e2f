"""What the recipes that predictions were made with say of pages: distance to tile borders, scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.grid import TileGrid, Tiling
from tilekit.labels.predictions import PageDetections
from tilekit.rekognition.belonging import Look, SizeRule, belonging
from tilekit.scales import words_of

NO_SCALE = -1


@dataclass(frozen=True, eq=False)
class SeenAt:
    """`margins` (t,): px between each true box and the nearest tile edge inside the scan, in the tile that shows it
    best, below 0 where none shows it whole. `scales`: the scales of all pages in words, finest first, none where
    pages were cut at one. `truth_scale` (t,): the finest scale that each true box belongs to (`belonging`), NO_SCALE
    where it belongs to none; `found_scale` (p,): the one that found each prediction. `trained` (t,): px of each true
    box as training sees it, on the scale that shows it largest.
    """

    margins: NDArray[np.float64]
    trained: NDArray[np.float64]
    scales: tuple[str, ...] = ()
    truth_scale: NDArray[np.int64] | None = None
    found_scale: NDArray[np.int64] | None = None


def seen_at(pages: Sequence[PageDetections], truth: Sequence[Annotations]) -> SeenAt | None:
    """Of pages and their true boxes, in order; None where a page's recipe is not known."""
    if not pages or any(
        not page.tilings or any(one.dpi is not None for one in page.tilings) for page in pages
    ):
        return None
    grids = [[one.grid(page.width, page.height) for one in page.tilings] for page in pages]
    margins = np.concatenate([_margins(of, marks) for of, marks in zip(grids, truth, strict=True)])
    trained = np.concatenate([_trained(of, marks) for of, marks in zip(grids, truth, strict=True)])
    several = sorted((page.tilings for page in pages), key=len, reverse=True)  # small pages have fewer scales
    known = {tiling: place for place, tiling in enumerate(dict.fromkeys(t for part in several for t in part))}
    if len(known) < 2 or any(len(page.tilings) > 1 and page.scale is None and len(page) for page in pages):
        return SeenAt(margins, trained)
    return SeenAt(
        margins,
        trained,
        tuple(map(words_of, known)),
        np.concatenate([_truth_scale(*both, known) for both in zip(grids, truth, strict=True)]),
        np.concatenate([_found_scale(page, known) for page in pages]),
    )


def _margins(grids: Sequence[TileGrid], marks: Annotations) -> NDArray[np.float64]:
    best: NDArray[np.float64] = np.max([grid.margins(marks.boxes) for grid in grids], axis=0)
    return best


def _trained(grids: Sequence[TileGrid], marks: Annotations) -> NDArray[np.float64]:
    best: NDArray[np.float64] = np.max([Look.on(marks.boxes, grid).trained for grid in grids], axis=0)
    return best


def _truth_scale(
    grids: Sequence[TileGrid], marks: Annotations, known: Mapping[Tiling, int]
) -> NDArray[np.int64]:
    places = np.array([known[grid.tiling] for grid in grids], np.int64)
    belongs = belonging(marks.boxes, grids, SizeRule())
    return np.where(belongs.any(axis=1), places[belongs.argmax(axis=1)], NO_SCALE)


def _found_scale(page: PageDetections, known: Mapping[Tiling, int]) -> NDArray[np.int64]:
    places = np.array([known[tiling] for tiling in page.tilings], np.int64)
    return places[page.scale] if page.scale is not None else np.repeat(places[:1], len(page))
