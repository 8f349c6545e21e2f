"""LabelMe: a JSON file for each page, beside its image (github.com/wkentaro/labelme).

Rectangles; polygons, circles, masks and line strips as the box around them. A flag `ignore` set to true makes an
ignore region. Flags of the file that are true are labels of the whole page.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector, hull
from tilekit.labels.files import read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.labels.voc import page_files
from tilekit.rekognition.lines import decode_plain
from tilekit.storage.local import write_text


def read_labelme(path: PathLike, *, strict: bool = True, images: PathLike | None = None) -> LabelSet:
    """Read one JSON file or a folder of them, subfolders too; JSON files of other kinds are passed over."""
    alone = Path(path).is_file()
    collector = Collector(path, strict)
    for file in [Path(path)] if alone else sorted(Path(path).rglob("*.json")):
        try:
            document = decode_plain(read_bytes(file))
        except ValueError as exc:
            collector.problem("", str(exc), file=file)
            continue
        if isinstance(document, dict) and isinstance(document.get("shapes"), list):
            _page(collector, file, document, images)
        elif alone:
            raise LabelError(f"{file}: not a LabelMe file: it has no list of shapes")
    return collector.finish("labelme")


def _page(collector: Collector, file: Path, document: dict[str, Any], images: PathLike | None) -> None:
    name = document.get("imagePath")
    if not isinstance(name, str) or not name:
        collector.problem("imagePath", "is missing", file=file)
        return
    key = resolve(name, file.parent, images)
    if not collector.page(
        key, document.get("imageWidth"), document.get("imageHeight"), f"{file}: imageWidth"
    ):
        return
    flags = document.get("flags")
    for flag, raised in (flags if isinstance(flags, dict) else {}).items():
        if raised is True:
            collector.image_label(key, flag)
    for place, shape in enumerate(document["shapes"]):
        field = f"shapes[{place}]"
        if not isinstance(shape, dict):
            collector.problem(field, "is not an object", file=file)
            continue
        sides = _sides(shape)
        if sides is None:
            kind = shape.get("shape_type", "polygon")
            collector.problem(f"{field}.points", f"of a {kind!r} give no box; remove it", file=file)
            continue
        marks = shape.get("flags")
        ignore = isinstance(marks, dict) and marks.get("ignore") is True
        collector.box(key, shape.get("label"), sides, ignore=ignore, field=f"{field}.points", file=file)


def _sides(shape: dict[str, Any]) -> tuple[float, float, float, float] | None:
    points, kind = shape.get("points"), shape.get("shape_type", "polygon")
    sides = hull(points)
    if sides is None or kind in ("point", "points") or not isinstance(points, list) or len(points) < 2:
        return None
    if kind == "circle":
        (cx, cy), (ex, ey) = points[0][:2], points[1][:2]
        radius = math.hypot(ex - cx, ey - cy)
        return cx - radius, cy - radius, cx + radius, cy + radius
    return sides


def write_labelme(labels: LabelSet, path: PathLike) -> None:
    """Write a folder with a JSON file for each page, without the image's bytes. Every page needs its size."""
    for key, file in page_files(labels, path, ".json").items():
        page, size = labels[key], labels.size(key)
        shapes = [
            {
                "label": label,
                "points": [box[:2], box[2:]],
                "group_id": None,
                "description": "",
                "shape_type": "rectangle",
                "flags": {"ignore": True} if ignored else {},
                "mask": None,
            }
            for box, label, ignored in zip(
                page.boxes.tolist(), page.labels, page.ignore.tolist(), strict=True
            )
        ]
        document = {
            "version": "5.5.0",
            "flags": {mark.name: True for mark in labels.image_labels.get(key, ())},
            "shapes": shapes,
            "imagePath": relative(key, file.parent),
            "imageData": None,
            "imageHeight": size[1],
            "imageWidth": size[0],
        }
        write_text(file, json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
