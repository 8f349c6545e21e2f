"""What a dataset holds, what was left out of it, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tilekit.datasets.planned import PlannedPage
from tilekit.datasets.splitting import SIDES, Split
from tilekit.grid import Tiling
from tilekit.pages import PageKey
from tilekit.scales import Scales, words_of

HOMELESS = "too large for one scale and too small for the next: it belongs to none"


@dataclass(frozen=True)
class LabelCount:
    """One label on one side: pages that show it, objects on them, tiles with it, boxes in those.

    `left_out`: objects that are in no tile of the dataset.
    """

    pages: int = 0
    objects: int = 0
    tiles: int = 0
    boxes: int = 0
    left_out: int = 0


@dataclass(frozen=True)
class ScaleCount:
    """One scale on one side: tiles, and by label the objects that belong to it and the boxes in its tiles."""

    scale: str
    tiles: int
    objects: dict[str, int]
    boxes: dict[str, int]


@dataclass(frozen=True)
class SideSummary:
    """One side of the dataset. `scales`: counts by scale, where there are several.

    `pages`, `empty_pages`: all pages of the side, and those without any symbol. `tiles`: lines of the
    manifest, `empty_tiles` of them without a box, `shifted` beside the grid, `copies` further masked
    copies of a window. `labels`: counts by label. `tiles_left_out`: grid tiles by reason;
    `objects_left_out`: objects by reason. `slivers`: objects of which tiles show too little to be
    positives. `sampled_out`: pages that give no tiles because a test set may hold only so many images
    of a label. `too_small`: boxes that training would lose, at most 1 px in the tile.
    """

    pages: int
    empty_pages: int
    tiles: int
    empty_tiles: int
    shifted: int
    copies: int
    boxes: int
    slivers: int
    too_small: int
    labels: dict[str, LabelCount]
    tiles_left_out: dict[str, int]
    objects_left_out: dict[str, int]
    sampled_out: tuple[PageKey, ...] = ()
    scales: tuple[ScaleCount, ...] = ()


@dataclass(frozen=True)
class BaselineSummary:
    """The dataset of whole pages from the same split, or why there is none.

    `images`: pages by side that it holds. `shrunk`: pages with a side over the limit, with the size
    they were reduced to. `crowded`: pages with more boxes than an image may have, which are there
    several times, each time with other boxes painted over. `refused`: pages whose sides the service
    refuses. `lost`: boxes that vanish when training shrinks the page.
    """

    possible: bool
    reason: str
    images: dict[str, int]
    shrunk: tuple[tuple[PageKey, tuple[int, int]], ...] = ()
    crowded: tuple[PageKey, ...] = ()
    refused: tuple[PageKey, ...] = ()
    lost: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "possible": self.possible,
            "reason": self.reason,
            "images": self.images,
            "shrunk": [{"page": str(key), "width": size[0], "height": size[1]} for key, size in self.shrunk],
            "crowded": [str(key) for key in self.crowded],
            "refused": [str(key) for key in self.refused],
            "lost_boxes": self.lost,
        }


@dataclass(frozen=True)
class DatasetSummary:
    """What `tile_dataset` wrote. `sides`: by name; `failed`: pages that could not be read, with the reason.

    `decoy`: the label of decoys, which detection drops after merging, or None. `bytes` are those
    written by this run: 0 where all was there already.
    """

    out: str
    tiling: Tiling | Scales
    seed: int
    split: Split
    sides: dict[str, SideSummary]
    names: tuple[str, ...]
    decoy: str | None = None
    baseline: BaselineSummary | None = None
    failed: dict[PageKey, str] = field(default_factory=dict)
    exports: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bytes: int = 0

    @property
    def tiles(self) -> int:
        """Tiles on all sides."""
        return sum(side.tiles for side in self.sides.values())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: what `summary.json` holds. Equal for equal datasets, wherever they are."""
        return {
            "version": 1,
            "tiling": self.tiling.to_json(),
            "seed": self.seed,
            "names": list(self.names),
            "decoy": self.decoy,
            "sides": {name: _side_json(side) for name, side in self.sides.items()},
            "baseline": self.baseline.to_json() if self.baseline else None,
            "failed": {str(key): reason for key, reason in self.failed.items()},
            "exports": list(self.exports),
            "notes": list(self.notes),
        }

    def scale_table(self) -> tuple[list[str], list[list[Any]]]:
        """Column names and rows: one a side and scale, objects of each label that belong to it."""
        rows: list[list[Any]] = [
            [name, one.scale, one.tiles, *(one.objects[label] for label in self.names)]
            for name, side in self.sides.items()
            for one in side.scales
        ]
        return ["side", "scale", "tiles", *self.names], rows

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Column names and rows: one a side and label, then one a side in all."""
        rows: list[list[Any]] = []
        for name, side in self.sides.items():
            for label, count in side.labels.items():
                rows.append(
                    [name, label, count.pages, count.objects, count.tiles, count.boxes, count.left_out]
                )
            left_out = sum(side.objects_left_out.values())
            objects = sum(count.objects for count in side.labels.values())
            rows.append([name, "all", side.pages, objects, side.tiles, side.boxes, left_out])
        return ["side", "label", "pages", "objects", "tiles", "boxes", "left out"], rows


def summarize_side(
    planned: Sequence[PlannedPage], names: tuple[str, ...], sampled_out: tuple[PageKey, ...]
) -> SideSummary:
    """Count one side."""
    count = len(names)
    pages, objects, tiles, boxes, lost = (np.zeros(count, np.int64) for _ in range(5))
    totals: Counter[str] = Counter()
    tiles_left_out: Counter[str] = Counter()
    objects_left_out: Counter[str] = Counter()
    for item in planned:
        real = item.annotations.class_ids[~item.annotations.ignore]
        if item.first:
            present = np.bincount(real, minlength=count)
            objects += present
            pages += present > 0
            totals.update(pages=1, empty_pages=int(not len(real)))
        if item.sampled_out:
            continue
        for row in item.homeless:
            objects_left_out[HOMELESS] += 1
            lost[item.annotations.class_ids[row]] += 1
        for tile in item.plan.tiles:
            found = np.bincount(item.annotations.class_ids[tile.source], minlength=count)
            boxes += found
            tiles += found > 0
            small = ((tile.boxes[:, 2:] - tile.boxes[:, :2]) <= 1).any(axis=1)
            totals.update(tiles=1, empty_tiles=int(not len(tile.source)), too_small=int(small.sum()))
        totals.update(shifted=item.plan.shifted, copies=item.plan.copies, slivers=item.plan.slivers)
        tiles_left_out.update(item.plan.tiles_left_out)
        for row, reason in item.plan.objects_left_out:
            objects_left_out[reason] += 1
            lost[item.annotations.class_ids[row]] += 1
    counts = zip(names, *(array.tolist() for array in (pages, objects, tiles, boxes, lost)), strict=True)
    return SideSummary(
        pages=totals["pages"],
        empty_pages=totals["empty_pages"],
        tiles=totals["tiles"],
        empty_tiles=totals["empty_tiles"],
        shifted=totals["shifted"],
        copies=totals["copies"],
        boxes=int(boxes.sum()),
        slivers=totals["slivers"],
        too_small=totals["too_small"],
        labels={name: LabelCount(*values) for name, *values in counts},
        tiles_left_out=dict(sorted(tiles_left_out.items())),
        objects_left_out=dict(sorted(objects_left_out.items())),
        sampled_out=sampled_out,
        scales=_by_scale(planned, names),
    )


def _by_scale(planned: Sequence[PlannedPage], names: tuple[str, ...]) -> tuple[ScaleCount, ...]:
    found = []
    places = sorted({item.scale for item in planned})
    for place in places if len(places) > 1 else ():
        objects, boxes = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
        here = [item for item in planned if item.scale == place and not item.sampled_out]
        for item in here:
            page = item.annotations
            own = ~page.ignore if item.belongs is None else ~page.ignore & item.belongs
            objects += np.bincount(page.class_ids[own], minlength=len(names))
            for tile in item.plan.tiles:
                boxes += np.bincount(page.class_ids[tile.source], minlength=len(names))
        tiling = next(item.tiling for item in planned if item.scale == place)
        found.append(
            ScaleCount(
                words_of(tiling),
                sum(len(item.plan.tiles) for item in here),
                dict(zip(names, objects.tolist(), strict=True)),
                dict(zip(names, boxes.tolist(), strict=True)),
            )
        )
    return tuple(found)


def side_notes(sides: dict[str, SideSummary], max_test: int) -> list[str]:
    """What a person should know of the counts."""
    notes = []
    for name in SIDES:
        side = sides[name]
        if side.pages and not side.tiles:
            notes.append(f"{name} has {side.pages} pages but not one tile with a box")
        if side.sampled_out:
            notes.append(
                f"{name}: a test set may hold {max_test} images of a label, so whole pages were sampled: "
                f"{len(side.sampled_out)} of {side.pages} pages give no tiles; all pages are still evaluated"
            )
        for reason, count in side.objects_left_out.items():
            notes.append(f"{name}: {count} objects are in no tile: {reason}")
        if len(side.scales) > 1:
            balance = ", ".join(f"{one.scale} {one.tiles}" for one in side.scales)
            notes.append(
                f"{name}: tiles by scale: {balance}; a trainer that draws images evenly sees them so"
            )
        if side.too_small:
            notes.append(f"{name}: {side.too_small} boxes of 1 px or less will be lost in training")
    return notes


def _side_json(side: SideSummary) -> dict[str, Any]:
    values = {name: getattr(side, name) for name in side.__dataclass_fields__}
    values["labels"] = {name: vars(count) for name, count in side.labels.items()}
    values["scales"] = [vars(one) for one in side.scales]
    if not side.scales:
        del values["scales"]
    values["sampled_out"] = [str(key) for key in side.sampled_out]
    return values
