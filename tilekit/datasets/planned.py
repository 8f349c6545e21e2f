"""Every page of a dataset with its side and its plan; and the limit on test images."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.carrying import CarryingRules, PagePlan, carry_page
from tilekit.datasets.sources import Dpi, Page, page_of
from tilekit.datasets.splitting import SIDES, Side, Split
from tilekit.errors import ScanError, StorageError
from tilekit.grid import Tiling
from tilekit.pages import PageKey


@dataclass(frozen=True, eq=False)
class PlannedPage:
    """A page, its side, its annotations (decoys among them) and its plan.

    `sampled_out`: it gives no tiles, since the test set is full; it is still evaluated.
    """

    page: Page
    side: Side
    annotations: Annotations
    plan: PagePlan
    sampled_out: bool = False


def plan_pages(
    split: Split,
    annotations: Mapping[PageKey, Annotations],
    sizes: Mapping[PageKey, tuple[int, int]],
    tiling: Tiling,
    rules: CarryingRules,
    *,
    seed: int,
    dpi: Dpi = None,
    failed: dict[PageKey, str] | None = None,
) -> list[PlannedPage]:
    """Plan every page, train first, each side in the order of its labels.

    Slivers are dealt with on the train side only: elsewhere pixels stay as they are. A page whose
    scan cannot be opened for its size raises, or goes into `failed` where that is given.
    Memory: about 100 bytes a box in a tile.
    """
    planned = []
    elsewhere = replace(rules, slivers="keep")
    for side in SIDES:
        for key in split.pages(side):
            try:
                page = page_of(key, sizes, tiling, dpi)
            except (ScanError, StorageError) as exc:
                if failed is None:
                    raise
                failed[key] = str(exc)
                continue
            found = annotations[key]
            plan = carry_page(
                found,
                page.grid(tiling),
                rules if side == "train" else elsewhere,
                seed=f"{seed} {key.source.rsplit('/', 1)[-1]} {key.page}",
            )
            planned.append(PlannedPage(page, side, found, plan))
    return planned


def within_test_limit(
    planned: Sequence[PlannedPage], most: int, seed: int
) -> tuple[list[PlannedPage], tuple[PageKey, ...]]:
    """Sample whole test pages so that no label has more than `most` images; also the pages left out.

    Pages come in an order shuffled by `seed`, those with the rarest label first, and are taken while
    they fit. Where a single page is too much, and nothing else fits, its own tiles are sampled.
    """
    places = [place for place, item in enumerate(planned) if item.side == "test"]
    if not places:
        return list(planned), ()
    images = np.array([_images(planned[place]) for place in places])
    if (images.sum(axis=0) <= most).all():
        return list(planned), ()
    order = list(range(len(places)))
    random.Random(f"test {seed}").shuffle(order)
    holders = (images > 0).sum(axis=0)
    rarity = [min((int(holders[label]) for label in np.flatnonzero(row)), default=0) for row in images]
    order.sort(key=lambda place: rarity[place])
    taken = np.zeros(images.shape[1], np.int64)
    kept: set[int] = set()
    for place in order:
        if (taken + images[place] <= most).all():
            taken += images[place]
            kept.add(place)
    result = list(planned)
    useful = {place for place in kept if images[place].any()}
    if not useful:
        smallest = min((place for place in order if images[place].any()), key=lambda p: int(images[p].max()))
        result[places[smallest]] = _thinned(planned[places[smallest]], most, seed)
        kept.add(smallest)
    out = []
    for number, place in enumerate(places):
        if number not in kept:
            result[place] = replace(planned[place], sampled_out=True)
            out.append(planned[place].page.key)
    return result, tuple(out)


def _images(item: PlannedPage) -> list[int]:
    """Tiles of a page by label."""
    count = np.zeros(len(item.annotations.names), np.int64)
    for tile in item.plan.tiles:
        count[np.unique(item.annotations.class_ids[tile.source])] += 1
    found: list[int] = count.tolist()
    return found


def _thinned(item: PlannedPage, most: int, seed: int) -> PlannedPage:
    """The page with as many of its tiles as fit, chosen by the seed, in their order."""
    order = list(range(len(item.plan.tiles)))
    random.Random(f"tiles {seed}").shuffle(order)
    taken = np.zeros(len(item.annotations.names), np.int64)
    kept = set()
    for place in order:
        labels = np.unique(item.annotations.class_ids[item.plan.tiles[place].source])
        if (taken[labels] < most).all():
            taken[labels] += 1
            kept.add(place)
    tiles = tuple(tile for place, tile in enumerate(item.plan.tiles) if place in kept)
    return replace(item, plan=replace(item.plan, tiles=tiles))
