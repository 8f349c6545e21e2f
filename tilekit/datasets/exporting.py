"""The tiled dataset for other trainers, beside the Ground Truth manifests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.planned import PlannedPage
from tilekit.datasets.splitting import SIDES, Side
from tilekit.datasets.writing import TILES, tile_path
from tilekit.errors import StorageError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import write_labels
from tilekit.pages import PageKey
from tilekit.storage.local import storage_errors, write_text

EXPORTS = ("coco", "yolo")
_YOLO = "yolo"
_OURS = ".tilekit-export"  # in a folder that an export made, and may replace


def export(
    kind: str,
    folder: Path,
    planned: Sequence[PlannedPage],
    stems: Mapping[str, str],
    extension: str,
    names: tuple[str, ...],
) -> list[str]:
    """Write the tiles in `folder` as "coco" or "yolo"; returns the names of what was written.

    COCO: `train|tune|test.coco.json`, images named relative to the folder. YOLO: `yolo/data.yaml` with
    `images/` and `labels/` by side in the layout that Ultralytics reads, tune as its `val`; images are hard
    links to the tiles where the disk can, else copies.
    """
    if kind == "yolo":
        return [_yolo(folder, planned, stems, extension, names)]
    written = []
    for side in SIDES:
        labels = _side_labels(planned, side, stems, extension, names, lambda name: os.path.join(folder, name))
        write_labels(labels, folder / f"{side}.coco.json", "coco")
        written.append(f"{side}.coco.json")
    return written


def _yolo(
    folder: Path,
    planned: Sequence[PlannedPage],
    stems: Mapping[str, str],
    extension: str,
    names: tuple[str, ...],
) -> str:
    import yaml

    root = folder / _YOLO
    with storage_errors(root):
        if root.exists() and not (root / _OURS).exists():
            raise StorageError(f"{root}: is in the way of the YOLO export and not made by one; move it away")
        if root.exists():
            shutil.rmtree(root)
        root.mkdir(parents=True)
        (root / _OURS).touch()
    parts = []
    for side in SIDES:

        def linked(name: str, side: Side = side) -> str:
            target = root / "images" / side / name.removeprefix(f"{TILES}/")
            _link(folder / name, target)
            return str(target)

        parts.append(_side_labels(planned, side, stems, extension, names, linked))
        (root / "images" / side).mkdir(parents=True, exist_ok=True)
    together = LabelSet(
        {key: value for part in parts for key, value in part.items()},
        sizes={key: size for part in parts for key, size in part.sizes.items()},
        names=names,
    )
    write_labels(together, root, "yolo")
    with storage_errors(root):
        written = yaml.safe_load((root / "data.yaml").read_text("utf-8"))
    document = {
        **written,
        "path": ".",
        "train": "images/train",
        "val": "images/tune",
        "test": "images/test",
        "names": dict(enumerate(names)),
    }
    write_text(root / "data.yaml", yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
    return f"{_YOLO}/data.yaml"


def _side_labels(
    planned: Sequence[PlannedPage],
    side: Side,
    stems: Mapping[str, str],
    extension: str,
    names: tuple[str, ...],
    place: Callable[[str], str],
) -> LabelSet:
    """The tiles of a side as pages of their own, with their boxes in the tile's frame."""
    pages, sizes = {}, {}
    for item in planned:
        if item.side != side or item.sampled_out:
            continue
        found = item.annotations
        for tile in item.plan.tiles:
            name = tile_path(stems[item.page.key.source], item.page.key.page, tile, extension, item.scale)
            key = PageKey(place(name))
            ids = found.class_ids[tile.source]
            pages[key] = Annotations(tile.boxes, ids, found.names, None, tile.shapes)
            sizes[key] = (tile.window.width, tile.window.height)
    return LabelSet(pages, sizes=sizes, names=names)


def _link(source: Path, target: Path) -> None:
    """The same file under another name: a hard link, or a copy where the disk has none."""
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
