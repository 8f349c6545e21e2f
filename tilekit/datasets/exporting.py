"""The tiled dataset for other trainers, beside the Ground Truth manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.output import FolderOutput, Output
from tilekit.datasets.planned import PlannedPage
from tilekit.datasets.splitting import Side
from tilekit.datasets.writing import tile_path
from tilekit.errors import InvalidArgument
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import write_labels
from tilekit.pages import PageKey

EXPORTS = ("coco", "yolo")


def tile_labels(
    planned: Sequence[PlannedPage], side: Side, folder: str, stems: Mapping[str, str], extension: str
) -> LabelSet:
    """The tiles of a side as pages of their own, with their boxes in the tile's frame."""
    pages, sizes = {}, {}
    names: tuple[str, ...] = ()
    for item in planned:
        if item.side != side or item.sampled_out:
            continue
        found = item.annotations
        names = tuple(dict.fromkeys((*names, *found.names)))
        for tile in item.plan.tiles:
            name = tile_path(stems[item.page.key.source], item.page.key.page, tile, extension)
            key = PageKey(f"{folder}/{name}")
            pages[key] = Annotations(tile.boxes, found.class_ids[tile.source], found.names)
            sizes[key] = (tile.window.width, tile.window.height)
    return LabelSet(pages, sizes=sizes, names=names)


def export_side(
    kind: str,
    papers: Output,
    side: Side,
    planned: Sequence[PlannedPage],
    stems: Mapping[str, str],
    extension: str,
) -> str:
    """Write a side as COCO (`coco/train.json`) or YOLO (`yolo/train/`); returns its name."""
    if not isinstance(papers, FolderOutput):
        raise InvalidArgument("export= needs a local folder")
    name = f"coco/{side}.json" if kind == "coco" else f"yolo/{side}"
    labels = tile_labels(planned, side, str(papers.folder), stems, extension)
    target = papers.folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    write_labels(labels, target, kind)
    return name
