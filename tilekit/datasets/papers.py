"""The papers of a dataset: manifests of tiles and pages, the recipe, the split, pictures to look at."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.output import FolderOutput, Output
from tilekit.datasets.planned import PlannedPage
from tilekit.datasets.splitting import SIDES, Side
from tilekit.datasets.writing import Encoding, tile_path
from tilekit.draw import contact_sheet, draw, label_colors
from tilekit.grid import Tiling
from tilekit.labels.ground_truth import ManifestWriter
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import relative
from tilekit.pages import PageKey
from tilekit.scans.encoding import decode_image, encode_image

SUMMARY, TILING, SPLIT = "summary.json", "tiling.json", "split.json"
SHEET_TILES = 24


def manifest_name(side: Side) -> str:
    """`train.manifest`."""
    return f"{side}.manifest"


def pages_name(side: Side) -> str:
    """`pages-train.manifest`: the truth of whole pages."""
    return f"pages-{side}.manifest"


def sheet_name(side: Side) -> str:
    """`contact-train.png`."""
    return f"contact-{side}.png"


def paper_names() -> list[str]:
    """All papers, the one that says that a dataset is whole first."""
    each = [name(side) for side in SIDES for name in (manifest_name, pages_name, sheet_name)]
    return [SUMMARY, TILING, *each, SPLIT]


def write_manifest(
    papers: Output,
    images: Output,
    side: Side,
    planned: Sequence[PlannedPage],
    stems: Mapping[str, str],
    extension: str,
) -> int:
    """Write the manifest of a side's tiles, with the true size of each; returns how many lines."""
    with papers.file(manifest_name(side)) as path, ManifestWriter(path) as writer:
        for item in planned:
            if item.side != side or item.sampled_out:
                continue
            key, found = item.page.key, item.annotations
            for tile in item.plan.tiles:
                name = tile_path(stems[key.source], key.page, tile, extension)
                boxes = Annotations(tile.boxes, found.class_ids[tile.source], found.names)
                writer.write(images.reference(name), (tile.window.width, tile.window.height), boxes)
        return writer.lines


def write_pages(papers: Output, side: Side, planned: Sequence[PlannedPage], labels: LabelSet) -> None:
    """Write the truth of a side's whole pages, those without symbols too, ignore regions in a key of their own."""
    declare: Sequence[str] = labels.names
    with papers.file(pages_name(side)) as path, ManifestWriter(path) as writer:
        for item in planned:
            if item.side == side:
                key = item.page.key
                writer.write(
                    page_reference(papers, key),
                    (item.page.width, item.page.height),
                    labels[key],
                    image_labels=labels.image_labels.get(key, ()),
                    extra=labels.extra.get(key),
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
    papers.put(name, text.encode("utf-8") + b"\n")


def write_tiling(
    papers: Output, tiling: Tiling, encoding: Encoding, names: Sequence[str], decoy: str | None
) -> None:
    """Write `tiling.json`: the recipe that a model and its detections carry on."""
    value = {
        "version": 1,
        "tiling": tiling.to_json(),
        "format": encoding.format,
        "quality": encoding.quality if encoding.format == "jpeg" else None,
        "subsampling": encoding.subsampling if encoding.format == "jpeg" else None,
        "names": list(names),
        "decoy": decoy,
    }
    write_json(papers, TILING, value)


def write_sheet(
    papers: Output,
    images: Output,
    side: Side,
    planned: Sequence[PlannedPage],
    stems: Mapping[str, str],
    extension: str,
    names: Sequence[str],
    seed: int,
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
    pictures, captions = [], []
    for place in chosen:
        item, tile = tiles[place]
        name = tile_path(stems[item.page.key.source], item.page.key.page, tile, extension)
        boxes = Annotations(tile.boxes, item.annotations.class_ids[tile.source], item.annotations.names)
        pixels = decode_image(images.get(name))
        pictures.append(draw(pixels, boxes, colors=colors, names=False, line=1, max_side=320))
        captions.append(name)
    count = sum(len(tile.source) for _, tile in tiles)
    title = f"{side}: {len(tiles)} tiles with {count} boxes, {len(chosen)} shown"
    sheet = contact_sheet(pictures, captions, title=title, legend=colors)
    papers.put(sheet_name(side), encode_image(sheet, "png").data)


def local_folder(papers: Output) -> Path | None:
    """The folder of local papers."""
    return papers.folder if isinstance(papers, FolderOutput) else None
