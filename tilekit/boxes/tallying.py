"""The boxes of many pages as one array, and what a tiling makes of them all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling

_MOST_TILES = 1 << 26  # of one page; above, the counters would take gigabytes


@dataclass(frozen=True, eq=False)
class PagedBoxes:
    """Boxes of many pages, ignored ones left out, by page and then by label.

    `boxes` (n, 4) float64 base px; `labels` (n,) int64 into `names`; `page` (n,) int64; `sizes`
    (p, 2) int64 base px. `of` makes it from annotations.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    page: NDArray[np.int64]
    sizes: NDArray[np.int64]
    names: tuple[str, ...]

    @classmethod
    def of(cls, pages: Sequence[Annotations], sizes: Sequence[tuple[int, int]]) -> PagedBoxes:
        """The boxes of pages of these sizes; labels of the same name are one."""
        names: dict[str, int] = {}
        places: dict[tuple[str, ...], NDArray[np.int64]] = {}
        for page in pages:
            if page.names not in places:
                places[page.names] = np.array(
                    [names.setdefault(name, len(names)) for name in page.names] or [0], np.int64
                )
        count = np.array([len(page) for page in pages], np.int64)
        number = np.repeat(np.arange(len(pages)), count)
        boxes = np.concatenate([page.boxes for page in pages] or [np.empty((0, 4))])
        if len(places) == 1:
            ids = np.concatenate([page.class_ids for page in pages])
            labels = next(iter(places.values()))[ids] if len(ids) else ids
        else:
            labels = np.concatenate(
                [places[page.names][page.class_ids] for page in pages if len(page)] or [np.empty(0, np.int64)]
            )
        kept = ~np.concatenate([page.ignore for page in pages] or [np.empty(0, np.bool_)])
        order = np.flatnonzero(kept)
        key = (
            number[order] * len(names) + labels[order]
        )  # pages are in order already, so this is nearly sorted
        order = order[np.argsort(key, kind="stable")]
        return cls(
            np.ascontiguousarray(boxes[order], np.float64),
            labels[order].astype(np.int64),
            number[order],
            np.array(sizes, np.int64).reshape(-1, 2),
            tuple(names),
        )

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class Tally:
    """What a tiling makes of paged boxes.

    `whole` (n,): whether each box is whole in some tile. `tiles`: of all pages; `positive` of them hold
    a box, `crowded` more boxes than allowed. `by_label` (labels,): tiles that show each label.
    """

    whole: NDArray[np.bool_]
    tiles: int
    positive: int
    crowded: int
    by_label: NDArray[np.int64]


def reduced_sizes(sizes: NDArray[np.int64], tiling: Tiling) -> NDArray[np.int64]:
    """(p, 2) px of every page's reduced scan; as `Tiling.grid` says for each."""
    scale = np.full((len(sizes), 1), tiling.scale)
    if tiling.fit is not None:
        scale = np.minimum(1.0, tiling.fit / np.maximum(sizes.max(axis=1, keepdims=True), 1))
    reduced: NDArray[np.int64] = np.maximum(1, np.rint(sizes * scale)).astype(np.int64)
    return reduced


def tile_counts(sizes: NDArray[np.int64], tiling: Tiling) -> NDArray[np.int64]:
    """(p,) tiles of every page; as the length of its grid."""
    if tiling.is_whole:
        return np.ones(len(sizes), np.int64)
    (tile, _), (overlap, _) = _square(tiling)
    beyond = np.maximum(0, reduced_sizes(sizes, tiling) - tile)
    counts: NDArray[np.int64] = (-(-beyond // (tile - overlap)) + 1).prod(axis=1)
    return counts


def tally(pages: PagedBoxes, tiling: Tiling, *, min_visible: float = 0.5, most: int = 50) -> Tally:
    """Carry all boxes of all pages: what `remap_to_tiles` says page by page, in one pass.

    `tiling`: square tiles, or the whole page. O(boxes + outputs), and 24 bytes a tile of the largest page.
    """
    from tilekit.boxes.kernels import tallying as kernel

    counts = tile_counts(pages.sizes, tiling)
    largest = int(counts.max(initial=1))
    if largest > _MOST_TILES:
        raise InvalidArgument(f"{largest:,} tiles of one page are more than can be planned; use larger tiles")
    reduced = reduced_sizes(pages.sizes, tiling)
    side = int(reduced.max(initial=1))
    tile, overlap = (side, 0) if tiling.is_whole else (_square(tiling)[0][0], _square(tiling)[1][0])
    starts = np.searchsorted(pages.page, np.arange(len(pages.sizes) + 1)).astype(np.int64)
    whole, found = np.zeros(len(pages), np.uint8), np.zeros(len(pages.names) + 2, np.int64)
    kernel.tally(
        pages.boxes,
        starts,
        pages.labels,
        np.concatenate([pages.sizes, reduced], axis=1).reshape(-1),
        tile,
        overlap,
        min_visible,
        most,
        np.full(2 * largest, -1, np.int64),
        np.zeros(largest, np.int64),
        whole,
        found,
    )
    return Tally(whole.view(np.bool_), int(counts.sum()), int(found[-2]), int(found[-1]), found[:-2])


def _square(tiling: Tiling) -> tuple[tuple[int, int], tuple[int, int]]:
    tile, overlap = tiling.tile_size, tiling.overlap_px
    if tiling.division is not None or tiling.dpi is not None or tiling.edge != "shift":
        raise InvalidArgument(f"tiling={tiling!r} cannot be planned: tiles by size and scale can")
    if tile[0] != tile[1] or overlap[0] != overlap[1]:
        raise InvalidArgument(f"tiling={tiling!r} cannot be planned: square tiles can")
    return tile, overlap
