"""TileDataset: tiles of scans by number, as tensors, with the labels each shows."""

from __future__ import annotations

import operator
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import checks
from tilekit.boxes.remap import remap_to_tiles
from tilekit.errors import InvalidArgument, MissingExtra
from tilekit.grid import TileGrid, Tiling, Window
from tilekit.labels.label_set import LabelSet
from tilekit.pages import PageKey
from tilekit.scans.opening import open_scan
from tilekit.scans.reopening import OpenScans
from tilekit.scans.scan import Scan
from tilekit.tiles.reading import read_tiles

_OPEN = 8  # pages that a process keeps open


@dataclass(frozen=True)
class _Shown:
    """What the tiles of a page show of its labels, a row a box and tile, by tile."""

    tile: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignore: NDArray[np.bool_]
    visible: NDArray[np.float32]


@dataclass(frozen=True)
class _Page:
    """A page with its grid, and what each tile shows of its labels (None: there are none)."""

    key: PageKey
    grid: TileGrid
    bands: int
    shown: _Shown | None


class TileDataset:
    """A map-style dataset for `torch.utils.data.DataLoader`: number -> tile of a scan.

    `scans`: a scan, all its pages; a PageKey, that page; any number of them; or a LabelSet, its pages with its labels.
    A tile is a (bands, height, width) uint8 tensor with the pixels that `read_tiles` gives; where one page is in color
    all tiles have three bands. With `labels` an item is (tile, target), of target `boxes` (n, 4) float32 xyxy px of
    the tile, clipped to it, `labels` (n,) int64, places in `names` (networks of torchvision count from 1), `ignore`
    (n,) bool, and `visible` (n,) float32, the share of the box's area that is in the tile: at least `min_visible`, of ignore regions any.
    `transform` is called with the tile, or with tile and target. `dpi`: what PDF pages are rendered at.

    Picklable; every worker opens the scans for itself and keeps up to 8 open. Once tiles were read in this process,
    start workers with `DataLoader(..., multiprocessing_context="spawn")`. A tile of a PNG or of strips costs
    the rows above it: `tile_scan` once, or a tiled TIFF, is quicker for many epochs.
    Raises MissingExtra without torch, ScanError, and InvalidArgument where labels are of another size than the scan.
    """

    def __init__(
        self,
        scans: str | os.PathLike[str] | PageKey | LabelSet | Iterable[str | os.PathLike[str] | PageKey],
        tiling: Tiling,
        *,
        labels: LabelSet | None = None,
        min_visible: float = 0.5,
        transform: Callable[..., Any] | None = None,
        dpi: float | None = None,
    ) -> None:
        _torch()
        if not isinstance(tiling, Tiling):
            raise InvalidArgument(
                f"tiling={tiling!r} must be a Tiling; make a dataset of each of several scales"
            )
        if labels is None and isinstance(scans, LabelSet):
            labels = scans
        self.tiling, self.transform = tiling, transform
        self.min_visible = checks.ratio(min_visible, "min_visible")
        self.names = () if labels is None else labels.names
        self._dpi = dpi
        given = [scans] if isinstance(scans, (str, os.PathLike, PageKey)) else list(scans)
        self._pages = [page for scan in given for page in self._pages_of(scan, labels)]
        self._ends = list(accumulate(len(page.grid) for page in self._pages))
        self._bands = max((page.bands for page in self._pages), default=1)
        self._opened = OpenScans(_OPEN)

    def _pages_of(self, scan: str | os.PathLike[str] | PageKey, labels: LabelSet | None) -> list[_Page]:
        first = scan if isinstance(scan, PageKey) else PageKey(os.fspath(scan))
        pages, count = [], first.page + 1
        for place in range(first.page, 2**31):
            if place >= count:
                break
            with self._open(PageKey(first.source, place)) as opened:
                if not isinstance(scan, PageKey):
                    count = opened.pages
                key = PageKey(first.source, place)
                grid = opened.grid(self.tiling)
                shown = None if labels is None else self._shown(key, opened, grid, labels)
                pages.append(_Page(key, grid, opened.bands, shown))
        return pages

    def _shown(self, key: PageKey, scan: Scan, grid: TileGrid, labels: LabelSet) -> _Shown:
        if key not in labels:
            raise InvalidArgument(
                f"{key}: is not among the labels; give labels for it, or leave it out of scans"
            )
        size = labels.sizes.get(key, (scan.width, scan.height))
        if size != (scan.width, scan.height):
            raise InvalidArgument(
                f"{key}: its labels are for {size[0]} x {size[1]} px, the scan has {scan.width} x {scan.height}; "
                "resolve_scans(labels, scale_to_scan=True) fits them"
            )
        page = labels[key]
        found = remap_to_tiles(page.boxes, grid, 0)
        ignore = page.ignore[found.source_index]
        kept = (found.visible >= self.min_visible) | ignore
        rows = found.source_index[kept]
        return _Shown(
            found.tile_index[kept],
            found.boxes[kept].astype(np.float32),
            page.class_ids[rows],
            ignore[kept],
            found.visible[kept].astype(np.float32),
        )

    def _open(self, key: PageKey) -> Scan:
        return open_scan(key.source, page=key.page, dpi=self._dpi, **self.tiling.shown)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._opened = OpenScans(_OPEN)

    def __repr__(self) -> str:
        return f"<TileDataset {len(self)} tiles of {len(self._pages)} page(s), {len(self.names)} labels>"

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def place(self, index: int) -> tuple[PageKey, int, Window]:
        """Of a tile: its page, its number in that page's grid, and its window, as `merge` and `remap_to_scan` want them."""
        page, tile = self._find(index)
        return page.key, tile, page.grid[tile]

    def __getitem__(self, index: int) -> Any:
        """The tile, or (tile, target) where there are labels; IndexError beyond the last."""
        page, tile = self._find(index)
        torch = _torch()
        pixels = self._pixels(page, tile).transpose(2, 0, 1)
        if pixels.shape[0] < self._bands:
            pixels = np.broadcast_to(pixels, (self._bands, *pixels.shape[1:]))
        item: tuple[Any, ...] = (torch.from_numpy(np.array(pixels, order="C")),)
        if page.shown is not None:
            item += (_target(torch, page.shown, tile),)
        if self.transform is not None:
            return self.transform(*item)
        return item if len(item) > 1 else item[0]

    def _pixels(self, page: _Page, tile: int) -> Any:
        with self._opened.lock:
            scan = self._opened.get(page.key, partial(self._open, page.key))
            (found,) = read_tiles(scan, self.tiling, only=[tile], workers=1)
            return found.pixels

    def _find(self, index: int) -> tuple[_Page, int]:
        place = operator.index(index)
        place += len(self) * (place < 0)
        if not 0 <= place < len(self):
            raise IndexError(f"tile {index} of {len(self)}")
        page = bisect_right(self._ends, place)
        return self._pages[page], place - (self._ends[page - 1] if page else 0)


def _target(torch: Any, shown: _Shown, tile: int) -> dict[str, Any]:
    rows = slice(*np.searchsorted(shown.tile, (tile, tile + 1)))
    return {
        name: torch.from_numpy(getattr(shown, name)[rows].copy())
        for name in ("boxes", "labels", "ignore", "visible")
    }


def _torch() -> Any:
    try:
        import torch
    except ImportError as exc:
        raise MissingExtra("TileDataset needs PyTorch, which is not installed; pip install torch") from exc
    return torch
