"""The pages of a demo: made ones, or a user's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.sources import open_page
from tilekit.datasets.splitting import split_pages
from tilekit.errors import LabelError, StorageNotFound
from tilekit.flow import ordered_map
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import read_labels, write_labels
from tilekit.labels.sources import is_url
from tilekit.pages import PageKey
from tilekit.scales import Scales
from tilekit.scans.encoding import encode_image
from tilekit.scans.opening import open_scan
from tilekit.storage.local import write_bytes


@dataclass(frozen=True, slots=True)
class DemoScale:
    """How much is made and trained. Sizes in px; `steps`, `minutes` and `limit` are the local server's.

    `tiling`: how pages are cut, as planned unless given. `table_px`: width of a large labeled table on each made page.
    """

    train: int = 14
    tune: int = 4
    test: int = 12
    width: int = 10_000
    height: int = 2520
    symbol_px: tuple[float, float] = (11.2, 13.0)
    count: int = 30
    tiling: Tiling | Scales | None = None
    table_px: tuple[float, float] | None = None
    steps: int | None = None
    minutes: float | None = 60.0
    limit: int = 1280
    threads: int = 2


FULL = DemoScale()
QUICK = DemoScale(train=10, tune=3, test=8)
MIXED_TABLE = (700.0, 900.0)
"""px of the tables on pages of mixed sizes: more than half a tile, and some hundred px on a whole page as shrunk."""


@dataclass(frozen=True)
class DemoPages:
    """Labeled pages: trained on, for thresholds (and the service's own test), and judged on.

    `tune` is `train` where there are too few pages to set some aside. `notes`: what a person should know.
    """

    train: LabelSet
    tune: LabelSet
    test: LabelSet
    notes: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        """Whether thresholds are fitted on the training pages themselves."""
        return self.tune is self.train


def make_pages(
    folder: Path, scale: DemoScale, seed: int, count: Callable[[int, int], None] | None = None
) -> DemoPages:
    """Draw engineering pages into a PDF, render them to PNG, and write their labels as manifests."""
    from tilekit.testing.scenes import Scene, SceneStyle, scene_pdf

    total = scale.train + scale.tune + scale.test
    pdf = folder / "drawings.pdf"
    dpi = 144.0
    known = scene_pdf(
        pdf,
        total,
        seed,
        dpi=dpi,
        width=scale.width,
        height=scale.height,
        scene=Scene(symbol_px=scale.symbol_px, count=scale.count, style=SceneStyle(table_px=scale.table_px)),
    )
    images: dict[PageKey, Annotations] = {}
    sizes = {}

    def scanned(place: int) -> PageKey:
        image = folder / "pages" / f"drawing-{place + 1:03d}.png"
        page = PageKey(str(image))
        with open_scan(pdf, page=known[place][0].page, dpi=dpi) as scan:
            sizes[page] = (scan.width, scan.height)
            if not image.exists():
                pixels = np.array(scan.read(0, 0, scan.width, scan.height))
                write_bytes(image, encode_image(_scanned(pixels, seed + place), "png").data)
        return page

    for place, page in enumerate(
        ordered_map(scanned, range(total), workers=scale.threads, ahead=scale.threads)
    ):
        images[page] = known[place][2]
        if count is not None:
            count(place + 1, total)
    keys = list(images)
    cuts = (0, scale.train, scale.train + scale.tune, total)
    parts = []
    for name, start, stop in zip(("train", "tune", "test"), cuts, cuts[1:], strict=False):
        side = keys[start:stop]
        part = LabelSet({key: images[key] for key in side}, sizes={key: sizes[key] for key in side})
        write_labels(part, folder / f"{name}.manifest")
        parts.append(part)
    return DemoPages(parts[0], parts[1], parts[2])


def _scanned(pixels: Any, seed: int) -> Any:
    """A clean page as a scanner would give it: gray, off-white, with grain."""
    gray = pixels[:, :, pixels.shape[2] // 2].astype(np.float32)  # drawn in black: its bands are the same
    gray *= 248 / 255
    gray += 4 * np.random.default_rng([seed, 2]).standard_normal(gray.shape, dtype=np.float32)
    return np.clip(gray, 0, 255, out=gray).astype(np.uint8)[:, :, None]


def user_pages(folder: Path, seed: int = 0) -> DemoPages:
    """A user's pages; a fifth of the training pages is set aside for thresholds.

    Every page is opened once, so that a missing or unreadable one is told before anything is trained.
    Raises LabelError where train and test share a page, a side has no symbol, or a page is not local;
    StorageNotFound for a missing manifest or page; ScanError for one that cannot be read.
    """
    train, test = _side(folder, "train"), _side(folder, "test")
    shared = sorted(set(train) & set(test))
    if shared:
        raise LabelError(
            f"{folder}: {shared[0]} is in both manifests; judge on pages that are not trained on"
        )
    notes = [
        f"{len(part.unlabeled)} lines of {name}.manifest have no labels; they are left out"
        for name, part in (("train", train), ("test", test))
        if part.unlabeled
    ]
    unknown = sorted(_used(test) - _used(train))
    if unknown:
        notes.append(f"no training page has {', '.join(unknown)}: neither side can find it")
    split = split_pages(train, (0.8, 0.2, 0.0), by="page", seed=seed)
    labeled = [sum(len(train[key]) > 0 for key in side) for side in (split.train, split.tune)]
    if min(labeled) < 1:
        notes.append("too few labeled training pages to set some aside: thresholds are fitted on them all")
        return DemoPages(train, train, test, tuple(notes))
    return DemoPages(_part(train, split.train), _part(train, split.tune), test, tuple(notes))


def _side(folder: Path, name: str) -> LabelSet:
    manifest = folder / f"{name}.manifest"
    if not manifest.is_file():
        raise StorageNotFound(
            f"{manifest}: not there; --data takes a folder with train.manifest and test.manifest"
        )
    found = read_labels(manifest, "ground-truth")
    if not found.boxes:
        raise LabelError(f"{manifest}: no page has a box; label some symbols first")
    sizes = {}
    for key in found:
        if is_url(key.source):
            raise LabelError(
                f"{manifest}: {key} is not on this machine; download the pages and write source-ref relative to "
                f"{folder}"
            )
        if not os.path.exists(key.source):
            raise StorageNotFound(f"{manifest}: {key} is not there; source-ref counts from {folder}")
        with open_page(key, found.sizes.get(key)) as scan:
            sizes[key] = (scan.width, scan.height)
    return LabelSet(dict(found), sizes=sizes, names=found.names, unlabeled=found.unlabeled)


def _used(labels: LabelSet) -> set[str]:
    return {
        page.names[label] for page in labels.values() for label in np.unique(page.class_ids[~page.ignore])
    }


def _part(labels: LabelSet, keys: Sequence[PageKey]) -> LabelSet:
    sizes = {key: labels.sizes[key] for key in keys if key in labels.sizes}
    return LabelSet({key: labels[key] for key in keys}, sizes=sizes, names=labels.names)
