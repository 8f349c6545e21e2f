"""Plan: a recommended tiling with its figures, its alternatives, and a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.datasets.outliers import Outlier
from tilekit.figures import as_html, new_figure, saved
from tilekit.grid import Tiling
from tilekit.scales import Scales, Taught, taught_json, words_of
from tilekit.verdicts.outcomes import Reason
from tilekit.verdicts.recall import Expected, words


@dataclass(frozen=True)
class Sizes:
    """Quantiles of a size over all objects, px of the scan."""

    count: int
    smallest: float
    tenth: float
    median: float
    ninetieth: float
    largest: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Sizes:
        """The quantiles of (n,) values."""
        return cls(len(values), *(float(np.quantile(values, share)) for share in (0, 0.1, 0.5, 0.9, 1)))


@dataclass(frozen=True)
class TileOption:
    """What a tile size means for these pages. `tile` 0 stands for whole pages.

    `tiles_a_page`: mean. `small_object`, `typical_object`: px of the tenth-percentile and median object
    as training sees it, after the service's shrink. `relative_size`: median object / image side.
    `cut`: share of objects whole in no tile. `crowded`: share of labeled images with more boxes than
    allowed. `training_images`: images with a box on the train side. `cost`: US$ for detection on 1,000
    pages. `limits`: limits of the service that it meets.
    """

    tiling: Tiling
    tile: int
    overlap: int
    tiles_a_page: float
    small_object: float
    typical_object: float
    relative_size: float
    cut: float
    crowded: float
    training_images: int
    cost: float
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class OverlapCost:
    """What an overlap cuts and costs at the recommended tile; fields as in TileOption."""

    overlap: int
    cut: float
    tiles_a_page: float
    cost: float


@dataclass(frozen=True)
class ScaleOption:
    """What one scale of the plan means. `tile`, `overlap` px of the scan at `scale`; the whole page is a tile of
    1280 px at the scale that fits the largest page. `tiles_a_page`: mean. `small_object`: px as trained on of the
    small objects there (10th percentile, of the label where it is least). `labels`: share of each label's objects
    that belong to the scale and are whole in a tile. `cut`: share of objects of its size that are whole on no scale.
    `cost`: US$ for detection on 1,000 pages. `taught`: sizes, px of the page, of each label's objects that belong
    there, outliers left out."""

    tiling: Tiling
    tile: int
    overlap: int
    scale: float
    tiles_a_page: float
    small_object: float
    labels: dict[str, float]
    cut: float
    cost: float
    taught: Taught = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"tiling": self.tiling.to_json(), "taught": taught_json(self.taught)}


@dataclass(frozen=True)
class Plan:
    """A recommendation: `scales` to cut at, finest first; one where one is enough, the page where tiles do not pay.

    `reasons` why tiling pays: "size" (pixels lost to the service's shrink), "boxes" (more than an image may
    have), both or none; `reason` says it in words. `at`: each scale in figures; `cost` of all. `whole`: whole
    pages in figures; `chosen`: the tile size of the finest scale, and `tiling` it (of the best tiles where
    none pay); `options`: every tile size looked at; `overlaps`: what smaller overlaps would cost.
    `outliers`: objects of a size that nothing else has; `nowhere`: how many objects are whole on no scale.
    `objects`: sizes (square root of the area), `longest`: longest sides. `price` US$ per unit-hour
    and `rate` tiles a second per unit are what the costs follow from; the defaults were read on
    `prices_as_of`. `on_page`, `in_tile`: px of every object as training sees it, on whole pages and in tiles.
    `expected`: label -> recall to expect on whole pages, and in tiles of the plan; `expectation` says it in words.
    """

    scales: Scales
    at: tuple[ScaleOption, ...]
    tiling: Tiling
    reasons: tuple[Reason, ...]
    reason: str
    whole: TileOption
    chosen: TileOption
    options: tuple[TileOption, ...]
    overlaps: tuple[OverlapCost, ...]
    objects: Sizes
    longest: Sizes
    pages: int
    price: float
    rate: float
    prices_as_of: str
    budget: float | None
    notes: tuple[str, ...]
    outliers: tuple[Outlier, ...]
    nowhere: int
    on_page: NDArray[np.float64] = field(repr=False, compare=False)
    in_tile: NDArray[np.float64] = field(repr=False, compare=False)
    expected: Mapping[str, tuple[Expected, Expected]] = field(default_factory=dict)

    @property
    def expectation(self) -> str:
        """The recall to expect, in one sentence that says whose curve it follows."""
        whole = Expected.mean(one for one, _ in self.expected.values())
        tiled = Expected.mean(one for _, one in self.expected.values())
        if whole is None or tiled is None:
            return ""
        return words(whole, tiled if self.needed else None, "in tiles")

    @property
    def needed(self) -> bool:
        """Whether tiling pays at all."""
        return bool(self.reasons)

    @property
    def cost(self) -> float:
        """US$ for detection on 1,000 pages, at all scales."""
        return sum(one.cost for one in self.at)

    @property
    def how(self) -> str:
        """The options of `tilekit dataset` that cut pages as planned."""
        if self.needed and len(self.scales) == 1 and self.scales[0].scale == 1:
            return f"--tile {self.chosen.tile} --overlap {self.chosen.overlap}"
        return " ".join(f"--at {words_of(one)}" for one in self.scales)

    def __str__(self) -> str:
        if not self.needed:
            said = [f"Tiling is not needed: {self.reason}."]
            said.append(f"Whole pages: US$ {self.cost:.2f} per 1,000 pages.")
        elif len(self.at) == 1:
            said = [f"Tiling pays: {self.reason}.", self._one()]
        else:
            said = [f"Tiling pays: {self.reason}.", self._several()]
        said += [f"Whole pages: {limit}." for limit in self.whole.limits]
        if self.needed:
            said += [f"{self.chosen.tile} px tiles: {limit}." for limit in self.chosen.limits]
        said += [self.expectation] if self.expectation else []
        return "\n".join([*said, *(f"{note[0].upper()}{note[1:]}." for note in self.notes)])

    def _one(self) -> str:
        chosen = self.chosen
        return (
            f"Tiling(tile={chosen.tile}, overlap={chosen.overlap}): {chosen.tiles_a_page:.1f} tiles a page, "
            f"US$ {chosen.cost:.2f} per 1,000 pages; the small objects have {chosen.small_object:.1f} px as "
            f"trained on (whole pages: {self.whole.small_object:.1f}); {chosen.cut:.1%} of the objects are "
            "whole in no tile."
        )

    def _several(self) -> str:
        calls = sum(one.tiles_a_page for one in self.at)
        return (
            f"{self.scales!r}: no one tile shows both small and large objects well; {len(self.at)} scales, "
            f"{calls:.1f} calls a page, US$ {self.cost:.2f} per 1,000 pages; the small objects have "
            f"{self.at[0].small_object:.1f} px as trained on (whole pages: {self.whole.small_object:.1f})."
        )

    def scale_table(self) -> tuple[list[str], list[list[Any]]]:
        """Column names and rows of the scales: what each costs, and the share of every label that it shows whole."""
        names = list(self.at[0].labels)
        rows: list[list[Any]] = [
            [
                words_of(one.tiling),
                f"{one.tiles_a_page:.1f}",
                f"{one.small_object:.1f}",
                f"{one.cost:.2f}",
                *(f"{one.labels[name]:.0%}" for name in names),
            ]
            for one in self.at
        ]
        return ["scale", "tiles", "small px", "US$", *names], rows

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Column names and rows: whole pages, then every tile size; the recommended one is marked.

        `tiles`: a page; `small px`, `median px`: objects as trained on; `of side`: median object / image
        side; `cut`: whole in no tile; `crowded`: images with too many boxes; `train`: training images;
        `US$`: per 1,000 pages.
        """
        columns = [
            "tile",
            "overlap",
            "tiles",
            "small px",
            "median px",
            "of side",
            "cut",
            "crowded",
            "train",
            "US$",
        ]
        return columns, [self._row(option) for option in (self.whole, *self.options)]

    def _row(self, option: TileOption) -> list[Any]:
        name = str(option.tile) if option.tile else "page"
        return [
            name + (" *" if option is (self.chosen if self.needed else self.whole) else ""),
            option.overlap,
            f"{option.tiles_a_page:.1f}",
            f"{option.small_object:.1f}",
            f"{option.typical_object:.1f}",
            f"{option.relative_size:.1%}",
            f"{option.cut:.1%}",
            f"{option.crowded:.0%}",
            option.training_images,
            f"{option.cost:.2f}",
        ]

    def overlap_table(self) -> tuple[list[str], list[list[Any]]]:
        """Column names and rows of the overlaps."""
        columns = ["overlap", "objects cut", "tiles a page", "US$ per 1,000 pages"]
        rows: list[list[Any]] = [
            [item.overlap, f"{item.cut:.1%}", f"{item.tiles_a_page:.1f}", f"{item.cost:.2f}"]
            for item in self.overlaps
        ]
        return columns, rows

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = {
            name: getattr(self, name)
            for name in (
                "reason",
                "pages",
                "price",
                "rate",
                "prices_as_of",
                "budget",
                "nowhere",
                "needed",
                "cost",
            )
        }
        return values | {
            "scales": [one.to_json() for one in self.at],
            "reasons": list(self.reasons),
            "tiling": self.tiling.to_json(),
            "whole": _option_json(self.whole),
            "chosen": _option_json(self.chosen),
            "options": [_option_json(one) for one in self.options],
            "overlaps": [asdict(one) for one in self.overlaps],
            "objects": asdict(self.objects),
            "longest": asdict(self.longest),
            "notes": list(self.notes),
            "outliers": [one.to_json() for one in self.outliers],
            "expected": {
                label: {"whole": whole.to_json(), "tiled": tiled.to_json()}
                for label, (whole, tiled) in self.expected.items()
            },
        }

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Object sizes as trained on, on whole pages and in tiles, and what each tile size costs: a figure.

        `path`: also write it there, format by the file's ending.

        Raises MissingExtra without matplotlib (the extra `report`), InvalidArgument for other endings.
        """
        figure = new_figure(11, 4.2)
        left, right = figure.subplots(1, 2)
        self._draw_sizes(left)
        self._draw_costs(right)
        return saved(figure, path)

    def _repr_html_(self) -> str:
        return as_html(self.plot, str(self))

    def _draw_sizes(self, axes: Any) -> None:
        top = max(40.0, float(np.quantile(self.in_tile, 0.98)))
        bins = np.linspace(0, top, 41)
        last = f"object size as trained on, px (the last bar: {top:.0f} px and above)"
        axes.hist(np.minimum(self.on_page, top), bins, alpha=0.65, label="whole pages", color="#d55e00")
        axes.hist(
            np.minimum(self.in_tile, top),
            bins,
            alpha=0.65,
            label=f"{self.chosen.tile} px tiles",
            color="#0072b2",
        )
        axes.axvline(
            10,
            color="black",
            linestyle="--",
            linewidth=1,
            label="10 px: much smaller is often missed on whole pages",
        )
        marks = [mark for mark in axes.get_xticks() if 0 <= mark < 0.95 * top]
        axes.set_xticks([*marks, top], [*(f"{mark:g}" for mark in marks), f">= {top:.0f}"])
        axes.set_xlim(0, top)
        axes.set(xlabel=last, ylabel="objects", title="After the service's shrink")
        axes.legend(frameon=False)

    def _draw_costs(self, axes: Any) -> None:
        places = np.arange(len(self.options))
        colors = ["#0072b2" if option is self.chosen else "#9bbcd1" for option in self.options]
        axes.bar(places, [option.cost for option in self.options], color=colors)
        axes.set_xticks(places, [str(option.tile) for option in self.options])
        axes.set(xlabel="tile, px", ylabel="US$ per 1,000 pages", title="Detection, and small objects' px")
        for place, option in zip(places, self.options, strict=True):
            axes.annotate(
                f"{option.small_object:.0f} px", (place, option.cost), ha="center", va="bottom", fontsize=8
            )


def _option_json(option: TileOption) -> dict[str, Any]:
    return asdict(option) | {"tiling": option.tiling.to_json(), "limits": list(option.limits)}
