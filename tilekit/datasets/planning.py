"""recommend_tiling: how labeled pages are best cut, at which scales, what it costs, whether it pays at all."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.merging import MergePolicy
from tilekit.boxes.tallying import PagedBoxes, Tally, tally, tile_counts
from tilekit.datasets.outliers import Outlier, usual
from tilekit.datasets.plan import OverlapCost, Plan, ScaleOption, Sizes, TileOption
from tilekit.datasets.plan_reasons import why_tiling
from tilekit.datasets.scaling import PAGE, SMALL, Objects, Search, candidates, generous, rounded
from tilekit.datasets.sources import page_of
from tilekit.errors import InvalidArgument, ScanError
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import read_labels
from tilekit.pages import PageKey
from tilekit.rekognition.belonging import Flags, Floats, SizeRule, fitting
from tilekit.rekognition.limits import LIMITS
from tilekit.rekognition.pricing import AS_OF, PRICES, TPS_PER_UNIT
from tilekit.scales import Scales
from tilekit.verdicts.outcomes import Reason
from tilekit.verdicts.recall import by_label

TILES = (512, 640, 768, 896, 1024, 1280, 1536, 1920, 2560, 3840)
"""Tile sides looked at, px."""
PAYS_BELOW = 10.0
"""px: where the service's shrink makes objects smaller than this, tiling pays (trials on document pages:
15 px symbols shrunk to 5 or 6 px were found with F1 0.55 on whole pages, 0.95 on tiles; at 11 px 0.89)."""
ENOUGH = 16.0
"""px an object should keep as trained on: about where the same trials stopped improving (15 px: 0.93)."""
MIN_VISIBLE, TRAIN, TEST = 0.5, 0.7, 0.15  # as `tile_dataset` has them unless told
_CROWDED = 0.1  # share of pages, or of tiles, that may hold too many boxes
_MUCH_CHEAPER = 0.75  # of one scale's calls: then several are worth it though one would do
_NAMED = 5  # outliers told in words

Labels = LabelSet | Mapping[PageKey, Annotations] | str | os.PathLike[str]


def recommend_tiling(
    labels: Labels,
    sizes: Mapping[PageKey, tuple[int, int]] | None = None,
    budget: float | None = None,
    *,
    price: float = PRICES.unit_hour,
    rate: float = TPS_PER_UNIT,
    tiles: Sequence[int] = TILES,
    pays_below: float = PAYS_BELOW,
    enough: float = ENOUGH,
) -> Plan:
    """Recommend a tiling, or several scales, for labeled pages, with figures and those of the alternatives.

    `labels`: a label set or file; `sizes`: (width, height) px of pages where the labels do not say (else
    the scans are asked). `budget`: US$ that detection on 1,000 such pages may cost. `price`: US$ per
    inference unit and hour; `rate`: tiles a second of one unit. `tiles`: sides to choose from.

    Each label counts by itself, from its 10th percentile in size to its 95th in length. Tiling is
    called needed by "size" where a label would be under `pays_below` px on whole pages, and by
    "boxes" where more than a tenth of the labeled pages hold more than 50. One scale is chosen where
    one is enough: the largest tile, so the cheapest, that the service does not shrink (1280 px), or a
    larger one in which the small objects keep twice `enough` px after the shrink, smaller if most
    tiles would hold more than 50 boxes; by boxes alone the largest that hold them. Where no tile shows
    both small and large objects, or several scales cost much less, the set with the fewest calls on
    which each label keeps `enough` px and takes up to half a tile; see `plan.scales`. Overlap: the
    95th percentile in length of a scale's own objects and twice the merge tolerance, more where it
    costs next to nothing. Outliers are named and do not count. Size: square root of the area.

    Raises InvalidArgument where there is nothing to plan with.
    """
    # Long because half of it says what is weighed against what, and a plan is filled in once.
    _check_positive(price=price, rate=rate, pays_below=pays_below, enough=enough)
    if budget is not None:
        _check_positive(budget=budget)
    work = _Work(labels, sizes, _Prices(price, rate, budget), SizeRule(enough))
    whole = work.whole_pages()
    reasons, small = work.reasons(whole, pays_below)
    notes: list[str] = []
    scales, options = work.scales(sorted(set(tiles)), reasons, notes)
    chosen = next(item for item in options if item.tiling == scales[0] or item.tile == 0)
    if "size" in reasons and chosen.small_object <= 1.1 * whole.small_object and chosen.tile != 0:
        reasons = tuple(reason for reason in reasons if reason != "size")
    verdict = why_tiling(reasons, whole, small, pays_below, hopeless=chosen.small_object < pays_below)
    if not reasons:
        scales = (PAGE,)
    if chosen.small_object < pays_below:
        notes.append(
            f"a tenth of the objects are under {chosen.small_object:.0f} px in the scans themselves; "
            "tiles cannot enlarge them: scan at a higher resolution"
        )
    at, nowhere = work.figures(scales)
    notes += work.named(nowhere)
    objects = work.objects
    shown = np.max([objects.trained(one) for one in (scales if reasons else (chosen.tiling,))], axis=0)
    paged = objects.paged
    on_page, in_tile = (by_label(px, paged.labels, paged.names) for px in (objects.trained(PAGE), shown))
    return Plan(
        scales=Scales(scales, taught=[one.taught for one in at] if len(at) > 1 else ()),
        at=at,
        tiling=Tiling(chosen.tile, chosen.overlap) if chosen.tile else PAGE,
        reasons=reasons,
        reason=verdict,
        whole=whole,
        chosen=chosen,
        options=options,
        overlaps=work.overlap_costs(scales[0] if reasons else Tiling(chosen.tile or 1, chosen.overlap)),
        objects=Sizes.of(objects.size),
        longest=Sizes.of(objects.longest),
        pages=len(work.keys),
        price=price,
        rate=rate,
        prices_as_of=AS_OF,
        budget=budget,
        notes=tuple(notes),
        outliers=tuple(work.outliers),
        nowhere=int(nowhere.sum()),
        on_page=np.round(objects.trained(PAGE), 2),
        expected={name: (on_page[name], in_tile[name]) for name in on_page},
        in_tile=np.round(objects.trained(Tiling(chosen.tile) if chosen.tile else PAGE), 2),
    )


@dataclass(frozen=True)
class _Prices:
    price: float
    rate: float
    budget: float | None

    def cost(self, tiles_a_page: float) -> float:
        """US$ for detection on 1,000 pages."""
        return 1000 * tiles_a_page / (self.rate * 3600) * self.price


class _Work:
    """The pages and objects, and what tilings make of them."""

    def __init__(
        self,
        labels: Labels,
        sizes: Mapping[PageKey, tuple[int, int]] | None,
        prices: _Prices,
        rule: SizeRule,
    ) -> None:
        found = read_labels(labels) if isinstance(labels, (str, os.PathLike)) else labels
        known = {**(found.sizes if isinstance(found, LabelSet) else {}), **(sizes or {})}
        self.prices, self.rule = prices, rule
        self.keys = list(found)
        if all(page.ignore.all() for page in found.values()):
            held = found.tally if isinstance(found, LabelSet) else None
            raise InvalidArgument(
                "labels hold no boxes, so there is nothing to plan a tiling for"
                + (f" ({held})" if held else "")
            )
        page_sizes = [known[key] if key in known else _asked(key) for key in self.keys]
        self.paged = PagedBoxes.of([found[key] for key in self.keys], page_sizes)
        everything = Objects(self.paged, np.ones(len(self.paged), np.bool_))
        self.objects = Objects(self.paged, usual(self.paged, everything.longest))
        self.outliers = [self._outlier(row) for row in np.flatnonzero(~self.objects.usual).tolist()]
        self.longest_page = int(self.paged.sizes.max())
        self.page = Tiling.whole(self.longest_page)
        self._tallies: dict[Tiling, Tally] = {}
        self._relatives: dict[float, float] = {}
        self._plain: float | None = None

    def _outlier(self, row: int) -> Outlier:
        width, height = self.objects.sides[row].tolist()
        label = self.paged.names[self.paged.labels[row]]
        return Outlier(str(self.keys[self.paged.page[row]]), label, round(width, 1), round(height, 1))

    def tally(self, tiling: Tiling) -> Tally:
        """What a tiling makes of all boxes; tiles that hold the largest page are all the whole page."""
        if not tiling.is_whole and tiling.scale == 1 and tiling.tile_size[0] >= self.longest_page:
            tiling = self.page
        if tiling not in self._tallies:
            self._tallies[tiling] = tally(self.paged, tiling, min_visible=MIN_VISIBLE, most=LIMITS.max_boxes)
        return self._tallies[tiling]

    def tiles_a_page(self, tiling: Tiling) -> float:
        """Mean over the pages."""
        return float(tile_counts(self.paged.sizes, tiling).mean())

    def whole_pages(self) -> TileOption:
        """Whole pages, as an option like the others: tile 0."""
        boxes = np.bincount(self.paged.page, minlength=len(self.keys))
        crowded, labeled = int((boxes > LIMITS.max_boxes).sum()), int((boxes > 0).sum())
        over = int((self.paged.sizes.max(axis=1) > LIMITS.max_side).sum())
        limits = []
        if crowded:
            limits.append(f"{crowded} of {labeled} labeled pages have more than {LIMITS.max_boxes} boxes")
        if over:
            limits.append(f"{over} of {len(self.keys)} pages are over {LIMITS.max_side} px")
        return self._option(PAGE, crowded / max(1, labeled), labeled, 0.0, limits)

    def option(self, tiling: Tiling) -> TileOption:
        """The figures of a tiling."""
        found = self.tally(tiling)
        training = round(found.positive * TRAIN)
        most_test = int(found.by_label.max(initial=0)) * TEST
        limits = []
        if tiling.tile_size[0] > LIMITS.shrink_side:
            limits.append(f"shrunk to {LIMITS.shrink_side} px")
        if found.crowded:
            limits.append(
                f"{found.crowded} of {found.positive} tiles have more than {LIMITS.max_boxes} boxes (more tiles then)"
            )
        if training > LIMITS.max_images:
            limits.append(f"more than {LIMITS.max_images} training images")
        if most_test > LIMITS.max_test_images_per_label:
            limits.append(
                f"more than {LIMITS.max_test_images_per_label} test images of a label (pages are sampled)"
            )
        cut = float((~found.whole).mean())
        return self._option(tiling, found.crowded / max(1, found.positive), found.positive, cut, limits)

    def _option(
        self, tiling: Tiling, crowded: float, labeled: int, cut: float, limits: Sequence[str]
    ) -> TileOption:
        trained = self.objects.trained(tiling)
        image = math.inf if tiling.is_whole else tiling.tile_size[0] / tiling.scale
        tiles = self.tiles_a_page(tiling)
        return TileOption(
            tiling=tiling,
            tile=0 if tiling.is_whole else tiling.tile_size[0],
            overlap=0 if tiling.is_whole else tiling.overlap_px[0],
            tiles_a_page=tiles,
            small_object=self._smallest(trained),
            typical_object=self._typical(trained),
            relative_size=self._relative(min(image, float(self.longest_page))),
            cut=cut,
            crowded=crowded,
            training_images=round(labeled * TRAIN),
            cost=self.prices.cost(tiles),
            limits=tuple(limits),
        )

    def _smallest(self, trained: Floats, among: Flags | None = None) -> float:
        """The 10th percentile of the label whose small objects are smallest."""
        if trained is not self.objects.size or among is not None:
            return min(self._small(trained, among).values(), default=0.0)
        if self._plain is None:
            self._plain = min(self._small(trained).values())
        return self._plain

    def _typical(self, trained: Floats) -> float:
        if trained is not self.objects.size:
            return float(np.median(trained))
        return self._median

    @cached_property
    def _median(self) -> float:
        return float(np.median(self.objects.size))

    def _relative(self, image: float) -> float:
        """Median object against the longer side of its image, a tile of `image` px or the smaller page."""
        if image not in self._relatives:
            side = np.minimum(image, self.paged.sizes.max(axis=1))
            self._relatives[image] = float(np.median(self.objects.size / side[self.paged.page]))
        return self._relatives[image]

    def _small(self, trained: Floats, among: Flags | None = None) -> dict[str, float]:
        found = {}
        for label, rows in self.objects.by_label.items():
            rows = rows if among is None else rows[among[rows]]
            if len(rows):
                found[self.paged.names[label]] = float(np.quantile(trained[rows], SMALL))
        return found

    def reasons(self, whole: TileOption, pays_below: float) -> tuple[tuple[Reason, ...], dict[str, float]]:
        """Why tiles may pay, and the px of every label's small objects on whole pages."""
        small = self._small(self.objects.trained(PAGE))
        found: list[Reason] = []
        if min(small.values()) < pays_below:
            found.append("size")
        if whole.crowded > _CROWDED:
            found.append("boxes")
        return tuple(found), small

    def scales(
        self, tiles: Sequence[int], reasons: Sequence[Reason], notes: list[str]
    ) -> tuple[tuple[Tiling, ...], tuple[TileOption, ...]]:
        """The scales to use, and the figures of every tile size looked at."""
        search = Search(self.objects, candidates(tiles, self.paged.sizes), self.rule)
        longest = float(self.objects.needed_by_all[0]) + 2 * MergePolicy().tolerance
        singles = [
            generous(self.objects, (Tiling(tile),), self.rule, search.calls)[0]
            for tile in tiles
            if tile >= 2 * rounded(longest)
        ]
        options = tuple(self.option(one) for one in singles)
        one = _chosen(options, self.rule.enough, self.prices.budget, reasons, notes) if options else None
        if list(reasons) == ["boxes"] and one is not None:
            return (one.tiling,), options
        several = search.cheapest(lambda place: self._roomy(search.choices[place])) or search.cheapest()
        if several is not None and (len(several) > 1 or several[0].is_whole):
            several = generous(self.objects, several, self.rule, search.calls)
            calls = sum(map(search.calls, several))
            dear = one is None or calls < _MUCH_CHEAPER * one.tiles_a_page or self._undone(one)
            if dear and not (one is not None and several[0].is_whole):
                return self._several(several, tiles, search, notes)
        if one is None:
            side = min(LIMITS.max_side, max(LIMITS.shrink_side, rounded(2 * rounded(longest))))
            notes.append(f"the large objects ({longest:.0f} px) need tiles of at least {side} px")
            one = self.option(Tiling(side, min(rounded(longest), side // 2)))
            options = (one,)
        return (one.tiling,), options

    def _undone(self, one: TileOption) -> bool:
        """Whether the shrink undoes what a tile gains: it is larger than 1280 px, and its small objects suffer."""
        least = min(self.rule.enough, 0.99 * self._smallest(self.objects.size))
        return self.prices.budget is None and one.tile > LIMITS.shrink_side and one.small_object < least

    def _several(
        self,
        several: tuple[Tiling, ...],
        tiles: Sequence[int],
        search: Search,
        notes: list[str],
    ) -> tuple[tuple[Tiling, ...], tuple[TileOption, ...]]:
        cost = self.prices.cost(sum(map(search.calls, several)))
        if self.prices.budget is not None and cost > self.prices.budget:
            notes.append(
                f"no set of scales keeps the budget of US$ {self.prices.budget:.2f} per 1,000 pages; "
                f"the cheapest takes US$ {cost:.2f}"
            )
        fine = several[0]
        if fine.is_whole:
            return several, (self._option(PAGE, 0.0, len(self.keys), 0.0, ()),)
        beside = fine.overlap_px[0]
        finest = [Tiling(tile, beside) for tile in tiles if tile >= 2 * beside and tile != fine.tile_size[0]]
        every = sorted([*finest, fine], key=lambda one: (one.tile_size[0] / one.scale, one.scale))
        return several, tuple(self.option(one) for one in every)

    def _roomy(self, tiling: Tiling) -> bool:
        """Whether most tiles hold no more boxes than an image may have."""
        if tiling.is_whole or tiling.scale != 1:
            return True
        found = self.tally(tiling)
        return found.crowded <= 0.5 * max(1, found.positive)

    def figures(self, scales: Sequence[Tiling]) -> tuple[tuple[ScaleOption, ...], Flags]:
        """What each scale shows, and which objects are on none."""
        looks = [self.objects.look(one) for one in scales]
        fits = fitting(looks, self.rule) if len(scales) > 1 else np.ones((len(self.paged), 1), np.bool_)
        whole = np.stack([self.tally(one).whole for one in scales], axis=1)
        belongs = fits & whole
        lost: Flags = np.logical_not(belongs.any(axis=1))
        total = np.bincount(self.paged.labels, minlength=len(self.paged.names))
        at = []
        for place, (one, look) in enumerate(zip(scales, looks, strict=True)):
            there = belongs[:, place]
            count = np.bincount(self.paged.labels[there], minlength=len(total))
            shares = {
                name: float(count[label] / total[label])
                for label, name in enumerate(self.paged.names)
                if total[label]
            }
            tiles = self.tiles_a_page(one)
            own = fits[:, place]
            at.append(
                ScaleOption(
                    tiling=one,
                    tile=LIMITS.shrink_side if one.is_whole else one.tile_size[0],
                    overlap=0 if one.is_whole else one.overlap_px[0],
                    scale=_scale_of(one, self.paged.sizes),
                    tiles_a_page=tiles,
                    small_object=self._smallest(look.trained, there),
                    labels=shares,
                    cut=float((own & lost).sum() / max(1, int(own.sum()))),
                    cost=self.prices.cost(tiles),
                    taught=self._sizes(there),
                )
            )
        return tuple(at), lost

    def _sizes(self, there: Flags) -> dict[str, tuple[float, float]]:
        """The sizes of each label's usual objects among some, whole px outward."""
        found = {}
        for label, rows in sorted(self.objects.by_label.items()):
            own = self.objects.size[rows[there[rows]]]
            if len(own):
                found[self.paged.names[label]] = (float(np.floor(own.min())), float(np.ceil(own.max())))
        return found

    def named(self, nowhere: Flags) -> list[str]:
        """Words for outliers and for objects that no scale shows whole."""
        notes = []
        if self.outliers:
            some = "; ".join(map(str, self.outliers[:_NAMED]))
            more = f"; and {len(self.outliers) - _NAMED} more" if len(self.outliers) > _NAMED else ""
            notes.append(
                f"out of all proportion, often a slip of labeling, and not counted here: {some}{more}"
            )
        lost = nowhere & self.objects.usual
        if lost.any():
            names = [self.paged.names[label] for label in np.unique(self.paged.labels[lost]).tolist()]
            notes.append(
                f"{int(lost.sum())} of {len(self.paged)} objects ({', '.join(names)}) are whole on no scale"
            )
        return notes

    def overlap_costs(self, tiling: Tiling) -> tuple[OverlapCost, ...]:
        """What smaller overlaps would save and cut, at this tile size."""
        if tiling.is_whole or tiling.tile_size[0] < 2:
            return ()
        tile, overlap = tiling.tile_size[0], tiling.overlap_px[0]
        longest = self.objects.longest[self.objects.usual] * tiling.scale
        shown = longest[longest <= tile / 2] if (longest <= tile / 2).any() else longest
        smaller = {
            rounded(float(value) + 2 * MergePolicy().tolerance)
            for value in np.quantile(shown, (0.5, 0.9, 0.99))
        }
        costs = []
        for value in sorted({0, *smaller, overlap}):
            if value > overlap or value >= tile:
                continue
            one = Tiling(tile, value, scale=tiling.scale)
            tiles = self.tiles_a_page(one)
            cut = float((~self.tally(one).whole).mean())
            costs.append(OverlapCost(value, cut, tiles, self.prices.cost(tiles)))
        return tuple(costs)


def _scale_of(tiling: Tiling, sizes: NDArray[np.int64]) -> float:
    """The scale as a number: of the largest page, where the whole page is fitted."""
    if tiling.fit is None:
        return tiling.scale
    return min(1.0, tiling.fit / float(sizes.max()))


def _asked(key: PageKey) -> tuple[int, int]:
    """The size of a page that the labels do not tell, from its scan."""
    try:
        page = page_of(key, {}, Tiling())
    except ScanError as exc:
        raise InvalidArgument(
            f"{key}: the labels do not say its size, and the scan cannot be asked ({exc}); "
            "say where the scans are with images= (--images)"
        ) from exc
    return page.width, page.height


def _chosen(
    options: Sequence[TileOption],
    enough: float,
    budget: float | None,
    reasons: Sequence[Reason],
    notes: list[str],
) -> TileOption:
    """The one tile size, where one is used."""
    native = [item for item in options if item.tile <= LIMITS.shrink_side]
    large = [item for item in options if item.small_object >= 2 * enough]
    fitting = sorted({*native, *large}, key=lambda item: item.tile) or list(options[:1])
    most = _CROWDED if list(reasons) == ["boxes"] else 0.5
    roomy = [item for item in fitting if item.crowded <= most]
    best = roomy[-1] if roomy else min(fitting, key=lambda item: item.crowded)
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


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise InvalidArgument(f"{name}={value!r} must be a number above 0")
