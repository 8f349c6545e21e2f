"""LabelMe: a JSON file for each page, beside its image (github.com/wkentaro/labelme).

Rectangles; polygons, circles, masks, lines and line strips as the box around them; points have none and are
problems. A flag `ignore` set to true makes an ignore region. Flags of the file that are true are labels of the whole
page.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, an_object, around, points_of, text
from tilekit.labels.files import read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.labels.voc import page_files
from tilekit.rekognition.lines import decode_plain
from tilekit.storage.local import write_text


def read_labelme(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read one JSON file or a folder of them, subfolders too; JSON files of other kinds are passed over."""
    alone = Path(path).is_file()
    collector = Collector(path, options)
    for file in [Path(path)] if alone else sorted(Path(path).rglob("*.json")):
        try:
            document = decode_plain(read_bytes(file))
        except ValueError as exc:
            collector.expect(1)
            collector.refuse(Where(file=str(file)), str(exc))
            continue
        if isinstance(document, dict) and isinstance(document.get("shapes"), list):
            _page(collector, file, document, options)
        elif alone:
            raise LabelError(f"{file}: not a LabelMe file: it has no list of shapes")
    return collector.finish("labelme")


def _page(collector: Collector, file: Path, document: dict[str, Any], options: ReadOptions) -> None:
    where = Where(file=str(file))
    flags = document.get("flags")
    raised = [flag for flag, value in (flags if isinstance(flags, dict) else {}).items() if value is True]
    shapes = document["shapes"]
    entries = len(shapes) + len(raised)
    try:
        key = resolve(text(document.get("imagePath"), "imagePath"), file.parent, options.images)
    except Wrong as exc:
        collector.expect(entries)
        collector.refuse(where.at(exc.field), str(exc), entries)
        return
    size = (document.get("imageWidth"), document.get("imageHeight"))
    mention = collector.page(key, size, where.at("imageWidth"), entries)
    if mention is None:
        return
    collector.each(
        raised, lambda _: where.at("flags"), lambda flag, _: collector.image_label(mention, flag), mention
    )
    collector.each(
        shapes,
        lambda place: where.at(f"shapes[{place}]"),
        lambda shape, spot: _shape(collector, mention, an_object(shape), spot),
        mention,
    )


def _shape(collector: Collector, mention: int, shape: dict[str, Any], where: Where) -> None:
    kind = shape.get("shape_type") or "polygon"
    points = points_of(shape.get("points"), "points")
    if kind in ("point", "points"):
        raise Wrong(f"of a {kind!r} give no box; remove it", "points")
    if kind == "circle":
        if len(points) != 2:
            raise Wrong(f"of a circle are {len(points)}; its center and a point on it are needed", "points")
        (cx, cy), (ex, ey) = points
        radius = math.hypot(ex - cx, ey - cy)
        sides = [cx - radius, cy - radius, cx + radius, cy + radius]
    else:
        sides = around(points, "points")
    if kind == "mask":  # its corners are pixels, the last one within
        sides[2:] = sides[2] + 1, sides[3] + 1
    marks = shape.get("flags")
    ignore = isinstance(marks, dict) and marks.get("ignore") is True
    named = "box" if kind == "rectangle" else str(kind)
    collector.box(
        mention,
        shape.get("label"),
        sides,
        where.at("points"),
        ignore=ignore,
        score=shape.get("score"),
        shape=named,
    )


def write_labelme(labels: LabelSet, path: PathLike) -> None:
    """Write a folder with a JSON file for each page, without the image's bytes. Every page needs its size."""
    for key, file in page_files(labels, path, ".json").items():
        page, size = labels[key], labels.size(key)
        shapes: list[dict[str, Any]] = [
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
        for shape, score in zip(
            shapes, labels.scores[key].tolist() if key in labels.scores else (), strict=False
        ):
            shape["score"] = score  # as X-AnyLabeling writes it
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
