"""Every page of a dataset with its side and its plan; and the limit on test images."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.carrying import CarryingRules, PagePlan, Within, carry_page
from tilekit.datasets.regions import part_of
from tilekit.datasets.sources import Dpi, Page, page_of
from tilekit.datasets.splitting import SIDES, Regions, Side, Split
from tilekit.errors import ScanError, StorageError
from tilekit.grid import Tiling
from tilekit.pages import PageKey
from tilekit.rekognition.belonging import Look, fitting, size_of
from tilekit.scales import Scales


@dataclass(frozen=True, eq=False)
class PlannedPage:
    """A page on one scale: its side, its annotations (decoys among them) and its plan.

    `scale`: place of the scale, `tiling` it; `homeless` (rows): objects that belong to no scale of the page, told
    with its first. `regions`: of all sides, where the page is split by region; `annotations` are then those that the
    regions of this side touch. `sampled_out`: it gives no tiles, since the test set is full; it is still evaluated.
    """

    page: Page
    side: Side
    annotations: Annotations
    plan: PagePlan
    tiling: Tiling
    scale: int = 0
    belongs: NDArray[np.bool_] | None = None
    homeless: tuple[int, ...] = ()
    first: bool = True
    sampled_out: bool = False
    regions: Regions | None = None


def plan_pages(
    split: Split,
    annotations: Mapping[PageKey, Annotations],
    sizes: Mapping[PageKey, tuple[int, int]],
    scales: Scales,
    rules: CarryingRules,
    *,
    seed: int,
    opened: tuple[Dpi, bool] = (None, False),
    failed: dict[PageKey, str] | None = None,
) -> list[PlannedPage]:
    """Plan every page at its scales (`opened`: dpi and untrusted, as of `open_scan`), train first, each side in the order of its labels.

    Slivers are dealt with on the train side only: elsewhere pixels stay as they are. A page whose
    scan cannot be opened for its size raises, or goes into `failed` where that is given.
    Memory: about 100 bytes a box in a tile.
    """
    planned = []
    elsewhere = replace(rules, slivers="keep", elsewhere="leave")
    for side in SIDES:
        for key in split.pages(side):
            try:
                page = page_of(key, sizes, scales, *opened)
            except (ScanError, StorageError) as exc:
                if failed is None:
                    raise
                failed[key] = str(exc)
                continue
            own = rules if side == "train" else elsewhere
            planned += _at_scales(page, side, annotations[key], scales, own, seed, split.regions.get(key))
    return planned


def _at_scales(
    page: Page,
    side: Side,
    found: Annotations,
    scales: Scales,
    rules: CarryingRules,
    seed: int,
    regions: Regions | None = None,
) -> list[PlannedPage]:
    within = None
    if regions is not None:
        found, shared, _ = part_of(found, regions, side)
        within = Within(np.array(regions[side], np.float64).reshape(-1, 4), shared)
    places = scales.on(page.width, page.height, dpi=page.dpi)
    grids = [page.grid(scales[place]) for place in places]
    fits = None
    homeless: tuple[int, ...] = ()
    if len(places) > 1:
        fits = fitting([Look.on(found.boxes, grid) for grid in grids], rules.sizes)
        homeless = tuple(np.flatnonzero(~fits.any(axis=1) & ~found.ignore).tolist())
    items = []
    for column, (place, grid) in enumerate(zip(places, grids, strict=True)):
        belongs = None if fits is None else fits[:, column]
        text = f"{seed} {page.key.source.rsplit('/', 1)[-1]} {page.key.page}"
        plan = carry_page(
            found, grid, rules, seed=f"{text} {place}" if place else text, belongs=belongs, within=within
        )
        items.append(
            PlannedPage(
                page,
                side,
                found,
                plan,
                scales[place],
                place,
                belongs,
                homeless if not column else (),
                not column,
                regions=regions,
            )
        )
    return items


def with_taught(scales: Scales, planned: Sequence[PlannedPage]) -> Scales:
    """The scales with what the training tiles of each teach: labels, and the sizes of their objects on the page.

    One scale alone is left as it is: with nothing beside it every label belongs to it."""
    if len(scales) == 1:
        return scales
    taught: list[dict[str, tuple[float, float]]] = [{} for _ in scales]
    for item in planned:
        if item.side != "train" or item.sampled_out or not item.plan.tiles:
            continue
        rows = np.unique(np.concatenate([tile.source for tile in item.plan.tiles]))
        widen(taught[item.scale], item.annotations[rows])
    names = dict.fromkeys(name for item in planned for name in item.annotations.names)
    return Scales(scales, taught=[{name: one[name] for name in names if name in one} for one in taught])


def widen(taught: dict[str, tuple[float, float]], objects: Annotations) -> None:
    """Let the sizes that a scale teaches of each label hold these objects too; whole px, outward."""
    sizes = size_of(objects.boxes)
    for label in np.unique(objects.class_ids).tolist():
        own, name = sizes[objects.class_ids == label], objects.names[label]
        low, high = taught.get(name, (math.inf, 0.0))
        taught[name] = (
            float(min(low, math.floor(own.min()))),
            float(max(high, math.ceil(own.max()))),
        )


def within_test_limit(
    planned: Sequence[PlannedPage], most: int, seed: int
) -> tuple[list[PlannedPage], tuple[PageKey, ...]]:
    """Sample whole test pages so that no label has more than `most` images; also the pages left out.

    Pages come in an order shuffled by `seed`, those with the rarest label first, and are taken while
    they fit. Where a single page is too much, and nothing else fits, its own tiles are sampled.
    """
    groups: dict[PageKey, list[int]] = {}
    for place, item in enumerate(planned):
        if item.side == "test":
            groups.setdefault(item.page.key, []).append(place)
    pages = list(groups.values())
    if not pages:
        return list(planned), ()
    images = np.array([np.sum([_images(planned[place]) for place in page], axis=0) for page in pages])
    if (images.sum(axis=0) <= most).all():
        return list(planned), ()
    order = list(range(len(pages)))
    random.Random(f"test {seed}").shuffle(order)
    holders = (images > 0).sum(axis=0)
    rarity = [min((int(holders[label]) for label in np.flatnonzero(row)), default=0) for row in images]
    order.sort(key=lambda page: rarity[page])
    taken = np.zeros(images.shape[1], np.int64)
    kept: set[int] = set()
    for page in order:
        if (taken + images[page] <= most).all():
            taken += images[page]
            kept.add(page)
    result = list(planned)
    useful = {page for page in kept if images[page].any()}
    if not useful:
        smallest = min((page for page in order if images[page].any()), key=lambda p: int(images[p].max()))
        taken = np.zeros(images.shape[1], np.int64)
        for place in pages[smallest]:
            result[place] = _thinned(planned[place], most, seed, taken)
        kept.add(smallest)
    out = []
    for number, page_places in enumerate(pages):
        if number not in kept:
            for place in page_places:
                result[place] = replace(planned[place], sampled_out=True)
            out.append(planned[page_places[0]].page.key)
    return result, tuple(out)


def _images(item: PlannedPage) -> list[int]:
    """Tiles of a page by label."""
    count = np.zeros(len(item.annotations.names), np.int64)
    for tile in item.plan.tiles:
        count[np.unique(item.annotations.class_ids[tile.source])] += 1
    found: list[int] = count.tolist()
    return found


def _thinned(item: PlannedPage, most: int, seed: int, taken: NDArray[np.int64]) -> PlannedPage:
    """The page with as many of its tiles as fit beside those `taken`, chosen by the seed, in their order."""
    order = list(range(len(item.plan.tiles)))
    random.Random(f"tiles {seed}").shuffle(order)
    kept = set()
    for place in order:
        labels = np.unique(item.annotations.class_ids[item.plan.tiles[place].source])
        if (taken[labels] < most).all():
            taken[labels] += 1
            kept.add(place)
    tiles = tuple(tile for place, tile in enumerate(item.plan.tiles) if place in kept)
    return replace(item, plan=replace(item.plan, tiles=tiles))
