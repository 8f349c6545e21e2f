"""recommend_tiling: which tile and overlap suit labeled pages, what they cost, whether tiling pays at all."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.merging import MergePolicy
from tilekit.boxes.remap import remap_to_tiles
from tilekit.datasets.plan import OverlapCost, Plan, Sizes, TileOption
from tilekit.datasets.sources import page_of
from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid, Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import read_labels
from tilekit.pages import PageKey
from tilekit.rekognition.limits import LIMITS
from tilekit.rekognition.pricing import AS_OF, PRICES, TPS_PER_UNIT

TILES = (512, 640, 768, 896, 1024, 1280, 1536, 1920, 2560, 3840)
"""Tile sides looked at, px."""
PAYS_BELOW = 10.0
"""px: where the service's shrink makes objects smaller than this, tiling pays (trials on document pages:
15 px symbols shrunk to 5 or 6 px were found with F1 0.55 on whole pages, 0.95 on tiles; at 11 px 0.89)."""
ENOUGH = 16.0
"""px an object should keep as trained on: about where the same trials stopped improving (15 px: 0.93)."""
_STEP = 8  # px; overlaps are rounded up to a multiple of it, which leaves some room for unsteady boxes


def recommend_tiling(
    labels: LabelSet | Mapping[PageKey, Annotations] | str | os.PathLike[str],
    sizes: Mapping[PageKey, tuple[int, int]] | None = None,
    budget: float | None = None,
    *,
    price: float = PRICES.unit_hour,
    rate: float = TPS_PER_UNIT,
    tiles: Sequence[int] = TILES,
    pays_below: float = PAYS_BELOW,
    enough: float = ENOUGH,
    min_visible: float = 0.5,
    train_share: float = 0.7,
    test_share: float = 0.15,
) -> Plan:
    """Recommend a tiling for labeled pages, with its figures and those of the alternatives.

    `labels`: a label set or file; `sizes`: (width, height) px of pages where the labels do not say (else
    the scans are asked). `budget`: US$ that detection on 1,000 such pages may cost. `price`: US$ per
    inference unit and hour; `rate`: tiles a second of one unit. `tiles`: sides to choose from.

    Overlap: the longest side of the largest object + 2 x the merge tolerance, rounded up to 8 px, so
    that every object is whole in some tile. Tile: the largest, so the cheapest, that the service does
    not shrink (1280 px), or a larger one in which nine of ten objects keep twice `enough` px after
    the shrink; smaller if most tiles would hold more than 50 boxes. A budget may ask for a larger
    tile, down to `enough` px. Tiling is called needed
    where more than a tenth of the objects would be under `pays_below` px on whole pages, or more
    than a tenth of the labeled pages have more than 50 boxes. Object size: square root of its area.

    Raises InvalidArgument where there is nothing to plan with.
    """
    _check_positive(price=price, rate=rate, pays_below=pays_below, enough=enough)
    if budget is not None:
        _check_positive(budget=budget)
    work = _Work(labels, sizes, price, rate, min_visible, train_share, test_share)
    largest = float(work.longest.max())
    overlap = _rounded(largest + 2 * MergePolicy().tolerance)
    options = [work.option(side, overlap) for side in sorted(set(tiles)) if side >= 2 * overlap]
    notes: list[str] = []
    if not options:
        side = min(LIMITS.max_side, _rounded(2 * overlap))
        notes.append(f"the largest object ({largest:.0f} px) needs tiles of at least {side} px")
        overlap = min(overlap, side // 2)
        options = [work.option(side, overlap)]
    whole = work.whole_pages()
    chosen = _chosen(options, enough, budget, notes)
    needed, reason = _needed(whole, chosen, pays_below)
    if len(set(work.longest.tolist())) > 1 and overlap > 2 * _rounded(float(np.quantile(work.longest, 0.99))):
        notes.append(
            "a few very large objects set the overlap; see what a smaller one would cut, or label them in parts"
        )
    if chosen.small_object < pays_below:
        notes.append(
            f"a tenth of the objects are under {chosen.small_object:.0f} px in the scans themselves; "
            "tiles cannot enlarge them: scan at a higher resolution"
        )
    return Plan(
        tiling=Tiling(chosen.tile, chosen.overlap),
        needed=needed,
        reason=reason,
        whole=whole,
        chosen=chosen,
        options=tuple(options),
        overlaps=work.overlap_costs(chosen.tile, overlap),
        objects=Sizes.of(work.size),
        longest=Sizes.of(work.longest),
        pages=len(work.pages),
        price=price,
        rate=rate,
        prices_as_of=AS_OF,
        budget=budget,
        notes=tuple(notes),
        on_page=tuple(np.round(work.as_trained(math.inf), 2).tolist()),
        in_tile=tuple(np.round(work.as_trained(chosen.tile), 2).tolist()),
    )


class _Work:
    """The pages and objects, and what a tiling makes of them."""

    def __init__(
        self,
        labels: LabelSet | Mapping[PageKey, Annotations] | str | os.PathLike[str],
        sizes: Mapping[PageKey, tuple[int, int]] | None,
        price: float,
        rate: float,
        min_visible: float,
        train_share: float,
        test_share: float,
    ) -> None:
        found = read_labels(labels) if isinstance(labels, (str, os.PathLike)) else labels
        known = {**(found.sizes if isinstance(found, LabelSet) else {}), **(sizes or {})}
        self.price, self.rate, self.min_visible = price, rate, min_visible
        self.train_share, self.test_share = train_share, test_share
        self.pages: list[tuple[int, int, Annotations]] = []
        for key, value in found.items():
            page = page_of(key, known, Tiling())
            self.pages.append((page.width, page.height, value[~value.ignore]))
        boxes = [page.boxes for _, _, page in self.pages if len(page)]
        if not boxes:
            raise InvalidArgument("labels hold no boxes, so there is nothing to plan a tiling for")
        sides = np.concatenate([box[:, 2:] - box[:, :2] for box in boxes])
        self.longest: NDArray[np.float64] = sides.max(axis=1)
        self.size: NDArray[np.float64] = np.sqrt(sides.prod(axis=1))
        side = [np.full(len(page), max(w, h)) for w, h, page in self.pages]
        self.page_side: NDArray[np.float64] = np.concatenate(side).astype(np.float64)

    def as_trained(self, tile: float) -> NDArray[np.float64]:
        """(n,) px of every object once the service has shrunk its image: a tile, or a page that is smaller."""
        seen: NDArray[np.float64] = self.size * np.minimum(1, LIMITS.shrink_side / self._image(tile))
        return seen

    def relative(self, tile: float) -> float:
        """Median object / longer side of its image."""
        return float(np.median(self.size / self._image(tile)))

    def _image(self, tile: float) -> NDArray[np.float64]:
        return np.minimum(tile, self.page_side)

    def cost(self, tiles_a_page: float) -> float:
        """US$ for detection on 1,000 pages."""
        return 1000 * tiles_a_page / (self.rate * 3600) * self.price

    def whole_pages(self) -> TileOption:
        """Whole pages, as an option like the others: tile 0."""
        crowded = sum(len(page) > LIMITS.max_boxes for _, _, page in self.pages)
        labeled = sum(bool(len(page)) for _, _, page in self.pages)
        seen = self.as_trained(math.inf)
        limits = []
        if crowded:
            limits.append(f"{crowded} of {labeled} labeled pages have more than {LIMITS.max_boxes} boxes")
        if over := sum(max(w, h) > LIMITS.max_side for w, h, _ in self.pages):
            limits.append(f"{over} of {len(self.pages)} pages are over {LIMITS.max_side} px")
        return TileOption(
            tile=0,
            overlap=0,
            tiles_a_page=1.0,
            small_object=float(np.quantile(seen, 0.1)),
            typical_object=float(np.median(seen)),
            relative_size=self.relative(math.inf),
            cut=0.0,
            crowded=crowded / max(1, labeled),
            training_images=round(labeled * self.train_share),
            cost=self.cost(1.0),
            limits=tuple(limits),
        )

    def option(self, tile: int, overlap: int) -> TileOption:
        """The figures of a tile size."""
        tiling = Tiling(tile, overlap)
        tiles = positive = crowded = cut = 0
        per_label: dict[str, int] = {}
        for width, height, page in self.pages:
            grid = tiling.grid(width, height)
            tiles += len(grid)
            if not len(page):
                continue
            carried = remap_to_tiles(page.boxes, grid, self.min_visible)
            count = np.unique(carried.tile_index, return_counts=True)[1]
            positive += len(count)
            crowded += int((count > LIMITS.max_boxes).sum())
            cut += _cut(page.boxes, grid)
            ids = page.class_ids[carried.source_index]
            for label, amount in _tiles_by_label(carried.tile_index, ids, page.names).items():
                per_label[label] = per_label.get(label, 0) + amount
        most_test = max(per_label.values(), default=0) * self.test_share
        seen = self.as_trained(tile)
        training = round(positive * self.train_share)
        return TileOption(
            tile=tile,
            overlap=overlap,
            tiles_a_page=tiles / len(self.pages),
            small_object=float(np.quantile(seen, 0.1)),
            typical_object=float(np.median(seen)),
            relative_size=self.relative(tile),
            cut=cut / len(self.size),
            crowded=crowded / max(1, positive),
            training_images=training,
            cost=self.cost(tiles / len(self.pages)),
            limits=tuple(_limits(tile, crowded, positive, training, most_test)),
        )

    def overlap_costs(self, tile: int, overlap: int) -> tuple[OverlapCost, ...]:
        """What smaller overlaps would save and cut, at this tile size."""
        quantiles = [float(np.quantile(self.longest, share)) for share in (0.5, 0.9, 0.99)]
        smaller = {_rounded(value + 2 * MergePolicy().tolerance) for value in quantiles}
        costs = []
        for value in sorted({0, *smaller, overlap}):
            if value > overlap or value >= tile:
                continue
            tiles = cut = 0
            for width, height, page in self.pages:
                grid = Tiling(tile, value).grid(width, height)
                tiles += len(grid)
                cut += _cut(page.boxes, grid)
            mean = tiles / len(self.pages)
            costs.append(OverlapCost(value, cut / len(self.size), mean, self.cost(mean)))
        return tuple(costs)


def _cut(boxes: NDArray[np.float64], grid: TileGrid) -> int:
    """How many boxes are whole in no tile."""
    carried = remap_to_tiles(boxes, grid, 0.0)
    whole = np.zeros(len(boxes), np.bool_)
    whole[carried.source_index[~carried.cut]] = True
    return int((~whole).sum())


def _tiles_by_label(
    tiles: NDArray[np.int64], ids: NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, int]:
    pairs = np.unique(np.stack([ids, tiles]), axis=1)[0]
    return {
        names[label]: int(amount) for label, amount in zip(*np.unique(pairs, return_counts=True), strict=True)
    }


def _limits(tile: int, crowded: int, positive: int, training: int, most_test: float) -> list[str]:
    found = []
    if tile > LIMITS.shrink_side:
        found.append(f"shrunk to {LIMITS.shrink_side} px")
    if crowded:
        found.append(
            f"{crowded} of {positive} tiles have more than {LIMITS.max_boxes} boxes (more tiles then)"
        )
    if training > LIMITS.max_images:
        found.append(f"more than {LIMITS.max_images} training images")
    if most_test > LIMITS.max_test_images_per_label:
        found.append(
            f"more than {LIMITS.max_test_images_per_label} test images of a label (pages are sampled)"
        )
    return found


def _needed(whole: TileOption, chosen: TileOption, pays_below: float) -> tuple[bool, str]:
    if whole.crowded > 0.1:
        return True, (
            f"{whole.crowded:.0%} of the labeled pages have more than {LIMITS.max_boxes} boxes, "
            "the most an image may have"
        )
    if whole.small_object < pays_below and chosen.small_object <= 1.1 * whole.small_object:
        return False, (
            f"the service hardly shrinks these pages, so the objects (a tenth under {whole.small_object:.1f} px) "
            "are as small in tiles"
        )
    if whole.small_object < pays_below:
        return True, (
            f"on whole pages, which the service shrinks to {LIMITS.shrink_side} px, a tenth of the objects are "
            f"under {whole.small_object:.1f} px; below about {pays_below:.0f} px they are missed"
        )
    return False, (
        f"on whole pages nine of ten objects keep {whole.small_object:.1f} px or more after the service's "
        f"shrink, and no page is too crowded: whole pages will do"
    )


def _chosen(
    options: Sequence[TileOption], enough: float, budget: float | None, notes: list[str]
) -> TileOption:
    native = [item for item in options if item.tile <= LIMITS.shrink_side]
    large = [item for item in options if item.small_object >= 2 * enough]
    fitting = sorted({*native, *large}, key=lambda item: item.tile) or list(options[:1])
    best = ([item for item in fitting if item.crowded <= 0.5] or fitting)[-1]
    best = next(i for i in fitting if i.cost <= best.cost and i.small_object >= best.small_object)
    if budget is None or best.cost <= budget:
        return best
    affordable = [item for item in options if item.cost <= budget and item.small_object >= enough]
    if affordable:
        return affordable[0]
    cheapest = min(options, key=lambda item: item.cost)
    if cheapest.cost > budget:
        notes.append(
            f"no tiling keeps the budget of US$ {budget:.2f} per 1,000 pages; the cheapest takes US$ {cheapest.cost:.2f}"
        )
    else:
        notes.append(
            "within the budget only larger tiles fit, in which objects are smaller than they should be"
        )
    return next((item for item in options if item.cost <= budget), cheapest)


def _rounded(value: float) -> int:
    return math.ceil(value / _STEP) * _STEP


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise InvalidArgument(f"{name}={value!r} must be a number above 0")
