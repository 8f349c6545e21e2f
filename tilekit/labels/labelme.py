"""LabelMe: a JSON file for each page, beside its image (github.com/wkentaro/labelme).

Rectangles; polygons, circles, masks, lines and line strips as the box around them; points have none and are
problems. A flag `ignore` set to true makes an ignore region. Flags of the file that are true are labels of the whole
page.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.shapes import Masks
from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, an_object, around, points_of, text
from tilekit.labels.files import read_bytes
from tilekit.labels.holding import HOLDS, fitted
from tilekit.labels.label_set import LabelSet
from tilekit.labels.masks import mask_png, png_mask
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import Point, corners, ellipse_outline, mask_of, outline
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
    drawn = _drawn(str(kind), points, shape) if collector.options.shapes else None
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
        outline=Outline(named, drawn),
    )


def _drawn(kind: str, points: list[Point], shape: dict[str, Any]) -> Any:
    """What is drawn, where it has an area of its own."""
    if kind == "circle":
        radius = math.dist(*points)
        return ellipse_outline(points[0], (radius, radius))
    if kind == "mask":
        mask, box = labelme_mask(shape.get("mask")), around(points, "points")
        if mask.shape != (round(box[3] - box[1]) + 1, round(box[2] - box[0]) + 1):
            said = f"is of {mask.shape[1]} x {mask.shape[0]} px, and its corners say {points}"
            raise Wrong(said, "mask")
        return mask_of(mask, round(box[0]), round(box[1]))
    if kind == "rotation" and len(points) == 4:
        return corners(points)
    return outline(points) if kind in ("polygon", "rotation") and len(points) > 2 else None


def labelme_mask(data: Any) -> NDArray[np.bool_]:
    """A PNG as base64."""
    try:
        return png_mask(base64.b64decode(text(data, "mask"), validate=True))
    except (binascii.Error, ValueError) as exc:
        raise Wrong(f"cannot be unpacked: {exc}", "mask") from exc


def write_labelme(labels: LabelSet, path: PathLike) -> None:
    """Write a folder with a JSON file for each page, without the image's bytes. Every page needs its size."""
    for key, file in page_files(labels, path, ".json").items():
        page, size = labels[key], labels.size(key)
        rows = zip(
            page.boxes.tolist(),
            page.labels,
            page.ignore.tolist(),
            fitted(page, HOLDS["labelme"]).rows,
            strict=True,
        )
        shapes: list[dict[str, Any]] = [
            {
                "label": label,
                "group_id": None,
                "description": "",
                "flags": {"ignore": True} if ignored else {},
                **_written(box, drawn),
            }
            for box, label, ignored, drawn in rows
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


def _written(box: list[float], drawn: Any) -> dict[str, Any]:
    """Points, type and mask of a shape; a mask's corners are its first and its last pixel."""
    if drawn is None:
        return {"points": [box[:2], box[2:]], "shape_type": "rectangle", "mask": None}
    if "polygon" in drawn:
        return {"points": drawn["polygon"][0], "shape_type": "polygon", "mask": None}
    height, width = drawn["mask"]["size"]
    picture = Masks.from_rle([drawn["mask"]]).to_arrays(width, height)[0]
    x, y = map(float, drawn["origin"])
    png = base64.b64encode(mask_png(picture)).decode()
    return {"points": [[x, y], [x + width - 1, y + height - 1]], "shape_type": "mask", "mask": png}
