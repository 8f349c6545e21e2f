"""The papers of a dataset: manifests of tiles and pages, the recipe, the split, pictures to look at."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.output import FolderOutput, Output
from tilekit.datasets.planned import PlannedPage
from tilekit.datasets.regions import truth_of
from tilekit.datasets.splitting import SIDES, Side, Split
from tilekit.datasets.writing import Encoding, tile_path
from tilekit.draw import contact_sheet, draw, label_colors
from tilekit.errors import InvalidArgument
from tilekit.flow import ordered_map
from tilekit.labels.ground_truth import ManifestWriter
from tilekit.labels.label_set import REGIONS_KEY, LabelSet
from tilekit.labels.sources import relative
from tilekit.pages import PageKey
from tilekit.scales import Scales
from tilekit.scans.encoding import encode_image
from tilekit.scans.versions import pixel_versions

SUMMARY, TILING, SPLIT = "summary.json", "tiling.json", "split.json"
SHEET_TILES, SHEET_CELL = 16, 256  # px: a quarter of a usual tile, at which JPEG is decoded cheaply
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Places:
    """Where a dataset's papers and images go, and what its images are called."""

    papers: Output
    images: Output
    stems: Mapping[str, str]
    extension: str


def manifest_name(side: Side) -> str:
    """`train.manifest`."""
    return f"{side}.manifest"


def pages_name(side: Side) -> str:
    """`pages-train.manifest`: the truth of whole pages."""
    return f"pages-{side}.manifest"


def sheet_name(side: Side) -> str:
    """`contact-train.jpg`."""
    return f"contact-{side}.jpg"


def paper_names() -> list[str]:
    """All papers, the one that says that a dataset is whole first."""
    each = [name(side) for side in SIDES for name in (manifest_name, pages_name, sheet_name)]
    return [SUMMARY, TILING, *each, SPLIT]


def write_manifest(places: Places, side: Side, planned: Sequence[PlannedPage]) -> int:
    """Write the manifest of a side's tiles, with the true size of each; returns how many lines."""
    with places.papers.file(manifest_name(side)) as path, ManifestWriter(path) as writer:
        for item in planned:
            if item.side != side or item.sampled_out:
                continue
            key, found = item.page.key, item.annotations
            for tile in item.plan.tiles:
                name = tile_path(places.stems[key.source], key.page, tile, places.extension, item.scale)
                boxes = Annotations(tile.boxes, found.class_ids[tile.source], found.names)
                writer.write(places.images.reference(name), (tile.window.width, tile.window.height), boxes)
        return writer.lines


def write_pages(papers: Output, side: Side, planned: Sequence[PlannedPage], labels: LabelSet) -> None:
    """Write the truth of a side's whole pages, those without symbols too, ignore regions in a key of their own.

    Of a page that is split by region, what the side's regions hold; they are in a key of their own too."""
    declare: Sequence[str] = labels.names
    with papers.file(pages_name(side)) as path, ManifestWriter(path) as writer:
        for item in planned:
            if item.side == side and item.first:
                key = item.page.key
                truth, extra = labels[key], labels.extra.get(key, {})
                if item.regions is not None:
                    truth = truth_of(truth, item.regions, side)
                    extra = extra | {REGIONS_KEY: [list(one) for one in item.regions[side]]}
                writer.write(
                    page_reference(papers, key),
                    (item.page.width, item.page.height),
                    truth,
                    image_labels=labels.image_labels.get(key, ()),
                    extra=extra,
                    declare=declare,
                )
                declare = labels.names


def page_reference(papers: Output, key: PageKey) -> str:
    """A page as a manifest among the papers writes it: relative to a local folder, else in full."""
    if isinstance(papers, FolderOutput):
        return relative(key, papers.folder)
    source = key.source if "://" in key.source else os.path.abspath(key.source)
    return str(PageKey(source, key.page))


def write_json(papers: Output, name: str, value: Any) -> None:
    """Write a JSON paper, readable by people."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    papers.put(name, text.encode("utf-8", "backslashreplace") + b"\n")


def write_tiling(
    papers: Output, scales: Scales, encoding: Encoding, names: Sequence[str], decoy: str | None
) -> None:
    """Write `tiling.json`: the recipe that a model and its detections carry on; `scales` where it is several."""
    value = {
        "version": 1,
        "pixels": pixel_versions(),
        "tiling": scales[0].to_json(),
        **({"scales": scales.to_json()} if len(scales) > 1 else {}),
        "format": encoding.format,
        "quality": encoding.quality if encoding.format == "jpeg" else None,
        "subsampling": encoding.subsampling if encoding.format == "jpeg" else None,
        "names": list(names),
        "decoy": decoy,
    }
    write_json(papers, TILING, value)


def write_sheet(
    places: Places,
    side: Side,
    planned: Sequence[PlannedPage],
    names: Sequence[str],
    seed: int,
    workers: int,
) -> None:
    """Write the contact sheet of a side: tiles with their boxes, chosen by the seed, in their order."""
    tiles = [
        (item, tile)
        for item in planned
        if item.side == side and not item.sampled_out
        for tile in item.plan.tiles
        if len(tile.source)
    ]
    if not tiles:
        return
    chosen = sorted(random.Random(f"sheet {seed}").sample(range(len(tiles)), min(SHEET_TILES, len(tiles))))
    colors = label_colors(names)
    shown = [tiles[place] for place in chosen]
    files = [
        tile_path(places.stems[item.page.key.source], item.page.key.page, tile, places.extension, item.scale)
        for item, tile in shown
    ]

    def picture(place: int) -> Pixels:
        item, tile = shown[place]
        small = _thumbnail(places.images.get(files[place]))
        scale = np.array([small.shape[1], small.shape[0]] * 2) / ([tile.window.width, tile.window.height] * 2)
        boxes = Annotations(
            tile.boxes * scale, item.annotations.class_ids[tile.source], item.annotations.names
        )
        return draw(small, boxes, colors=colors, names=False, line=1)

    pictures = list(ordered_map(picture, range(len(shown)), workers=workers))
    count = sum(len(tile.source) for _, tile in tiles)
    title = f"{side}: {len(tiles)} tiles with {count} boxes, {len(shown)} shown"
    sheet = contact_sheet(pictures, files, title=title, legend=colors, cell=SHEET_CELL)
    places.papers.put(sheet_name(side), encode_image(sheet, "jpeg", quality=92).data)


def _thumbnail(data: bytes) -> Pixels:
    """A tile reduced to the sheet's cells; JPEG is decoded at a fraction of its size."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        image.draft(image.mode, (SHEET_CELL, SHEET_CELL))
        image.thumbnail((SHEET_CELL, SHEET_CELL), Image.Resampling.BOX, reducing_gap=1.0)
        return np.array(image.convert("RGB"), dtype=np.uint8)


def local_folder(papers: Output) -> Path | None:
    """The folder of local papers."""
    return papers.folder if isinstance(papers, FolderOutput) else None


def split_json(papers: Output, split: Split) -> dict[str, Any]:
    """The split with pages as the pages manifests name them, so that it can be given again."""
    return split.to_json(lambda key: page_reference(papers, key))


def check_sides(papers: Output, chosen: Split) -> None:
    """Refuse that a page of the whole dataset there changes its side: a model has been taught by the old one."""
    if not papers.has(SPLIT):
        return
    try:
        before, now = json.loads(papers.get(SPLIT)), split_json(papers, chosen)
        was, is_now = ({page: side for side in SIDES for page in one.get(side, ())} for one in (before, now))
    except (ValueError, AttributeError, TypeError):
        return  # a file of somebody else's making says nothing
    moved = [page for page, side in was.items() if page in is_now and is_now[page] != side]
    if moved:
        page = moved[0]
        raise InvalidArgument(
            f"{papers} holds a dataset in which {len(moved)} of these pages are on other sides ({page}: {was[page]} there, "
            f"{is_now[page]} now), and what was trained on it has seen them; keep the sides with split= its split.json "
            "(--split), choose another place, or overwrite it with overwrite=True (--overwrite)"
        )
