"""Datumaro's own JSON (openvinotoolkit.github.io/datumaro): items with boxes, polygons, masks and labels.

A file, or a folder `annotations/` with one for each subset and `images/<subset>/` beside it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tilekit.boxes.shapes import Masks
from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import (
    Where,
    Wrong,
    a_list,
    an_object,
    around,
    numbers,
    pairs_of,
    shown,
    text,
    true,
)
from tilekit.labels.files import folder_of
from tilekit.labels.holding import HOLDS, fitted
from tilekit.labels.json_files import read_json
from tilekit.labels.label_set import LabelSet
from tilekit.labels.masks import box_of_columns, coco_counts
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import ellipse_outline, oriented, outline, turned
from tilekit.labels.sources import PathLike, is_there, relative, resolve
from tilekit.storage.local import write_text


def datumaro_files(folder: Path) -> list[Path]:
    """The subsets of a folder."""
    files = sorted([*folder.glob("annotations/*.json"), *folder.glob("*.json")])
    return [file for file in files if is_datumaro(file)]


def is_datumaro(file: Path) -> bool:
    """Whether a JSON file is Datumaro's."""
    with file.open("rb") as opened:
        head = opened.read(1 << 20)
    return b'"items"' in head and b'"categories"' in head


def read_datumaro(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a file or a folder; problems name the item, such as `items[3].annotations[0]`."""
    collector = Collector(path, options)
    inside = os.path.isdir(path)
    for file in datumaro_files(Path(path)) if inside else [Path(os.fspath(path))]:
        document = read_json(file if inside else path)
        items = document.get("items") if isinstance(document, dict) else None
        if not isinstance(items, list):
            raise LabelError(f"{file}: not a file of Datumaro: it has no list of items")
        names = _names(document)
        for name in names:
            collector.declare(name)
        for place, item in enumerate(items):
            where = Where(f"items[{place}]", 0, str(file) if inside else "")
            _item(
                collector,
                item,
                where,
                names,
                file.stem if inside else "",
                folder_of(file if inside else path),
            )
    return collector.finish("datumaro")


def _names(document: dict[str, Any]) -> list[str]:
    categories = document.get("categories")
    about = categories.get("label") if isinstance(categories, dict) else None
    labels = about.get("labels") if isinstance(about, dict) else None
    found = [entry.get("name") if isinstance(entry, dict) else entry for entry in labels or []]
    return [name if isinstance(name, str) else "" for name in found]


def _item(collector: Collector, item: Any, where: Where, names: list[str], side: str, folder: str) -> None:
    found = item.get("annotations") if isinstance(item, dict) else None
    entries = found if isinstance(found, list) else []
    try:
        entry = an_object(item)
        image = entry.get("image")
        about: dict[str, Any] = image if isinstance(image, dict) else {}
        name = text(about.get("path") or entry.get("id"), "image.path")
        size = about.get("size")
        sides = (size[1], size[0]) if isinstance(size, list) and len(size) == 2 else (None, None)
        key = resolve(name, _place(folder, name, side), collector.options.images)
    except Wrong as exc:
        collector.expect(max(len(entries), 1))
        collector.refuse(where.at(exc.field), str(exc), max(len(entries), 1))
        return
    mention = collector.page(key, sides, where, len(entries))
    if mention is None:
        return
    if side:
        collector.splits[key] = side
    take = lambda value, spot: _annotation(collector, mention, an_object(value), names, spot)  # noqa: E731
    collector.each(entries, lambda place: where.at(f"annotations[{place}]"), take, mention)


def _place(folder: str, name: str, side: str) -> str:
    """Where the images are: beside the file, or in `images/` and its folder for the subset."""
    root = Path(folder).parent
    for place in (root / "images" / side, root / "images", Path(folder)):
        if is_there(place / name):
            return str(place)
    return folder


def _annotation(
    collector: Collector, mention: int, entry: dict[str, Any], names: list[str], where: Where
) -> None:
    kind, number = entry.get("type"), entry.get("label_id")
    if kind == "caption":
        collector.passed("captions, which mark nothing on the page")
        return
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(names):
        raise Wrong(f"is {shown(number)}, which categories has no label for", "label_id")
    if kind == "label":
        collector.image_label(mention, names[number])
        return
    marks = entry.get("attributes")
    more: dict[str, Any] = marks if isinstance(marks, dict) else {}
    sides, shape = _sides(str(kind), entry, more)
    ignore = any(true(more.get(name, False)) for name in ("ignore", "is_crowd", "difficult"))
    drawn = lambda: _drawn(str(kind), entry, more)  # noqa: E731
    score = more.get("score")
    collector.box(
        mention, names[number], sides, where, ignore=ignore, score=score, outline=Outline(shape, drawn)
    )


def _drawn(kind: str, entry: dict[str, Any], more: dict[str, Any]) -> Any:
    """What is drawn, where it is more than a box."""
    if kind == "mask":
        return {"mask": entry["rle"], "origin": [0, 0]}
    if kind == "bbox":
        x, y, w, h = numbers(entry.get("bbox"), 4, "bbox")
        degrees = more.get("rotation")
        turn = float(degrees) if isinstance(degrees, (int, float)) else 0.0
        return oriented((x, y, x + w, y + h), turn, (x + w / 2, y + h / 2)) if turn % 360 else None
    points = pairs_of(entry.get("points"), "points")
    if kind == "ellipse":
        (x0, y0), (x1, y1) = points[0], points[-1]
        return ellipse_outline(((x0 + x1) / 2, (y0 + y1) / 2), (abs(x1 - x0) / 2, abs(y1 - y0) / 2))
    return outline(points) if kind == "polygon" and len(points) > 2 else None


def _sides(kind: str, entry: dict[str, Any], more: dict[str, Any]) -> tuple[list[float], str]:
    if kind == "bbox":
        x, y, w, h = numbers(entry.get("bbox"), 4, "bbox")
        degrees = more.get("rotation")
        if isinstance(degrees, (int, float)) and degrees:
            return turned((x, y, x + w, y + h), float(degrees), (x + w / 2, y + h / 2)), "rotated box"
        return [x, y, x + w, y + h], "box"
    if kind in ("polygon", "polyline", "ellipse"):
        return around(pairs_of(a_list(entry.get("points"), "points"), "points"), "points"), kind
    if kind == "mask":
        runs, size = coco_counts(entry.get("rle"))
        return box_of_columns(runs, size), kind
    raise Wrong(
        f"is of type {kind!r}, which has no box; remove it, or read with strict=False (--lenient)", "type"
    )


def write_datumaro(labels: LabelSet, path: PathLike) -> None:
    """Write one file. Every page needs its size."""
    folder, items = folder_of(path), []
    for key, page in labels.items():
        width, height = labels.size(key)
        entries: list[dict[str, Any]] = []
        scores = labels.scores[key].tolist() if key in labels.scores else [None] * len(page)
        shapes = fitted(page, HOLDS["datumaro"]).rows
        ids, ignored_ones = page.class_ids.tolist(), page.ignore.tolist()
        for box, number, ignored, score, drawn in zip(
            page.boxes.tolist(), ids, ignored_ones, scores, shapes, strict=True
        ):
            marks: dict[str, Any] = {"is_crowd": True} if ignored else {}
            if score is not None:
                marks["score"] = score
            entry = {"id": len(entries), "type": "bbox", "attributes": marks, "group": 0, "label_id": number}
            entries.append({**entry, "z_order": 0, **_written(box, drawn, (width, height), marks)})
        name = relative(key, folder)
        image = {"path": name, "size": [height, width]}
        items.append({"id": os.path.splitext(name)[0], "annotations": entries, "image": image})
    categories = {
        "label": {"labels": [{"name": name, "parent": "", "attributes": []} for name in labels.names]}
    }
    document = {"info": {}, "categories": categories, "items": items}
    write_text(path, json.dumps(document, ensure_ascii=False, allow_nan=False))


def _written(box: list[float], drawn: Any, size: tuple[int, int], marks: dict[str, Any]) -> dict[str, Any]:
    """Type and place of an annotation; the turn of a box stands among its attributes."""
    x0, y0, x1, y1 = box
    if drawn is not None and "polygon" in drawn:
        return {"type": "polygon", "points": [side for point in drawn["polygon"][0] for side in point]}
    if drawn is not None and "mask" in drawn:
        return {"type": "mask", "rle": Masks.from_json([drawn]).to_rle(*size)[0]}
    if drawn is not None:
        cx, cy, w, h, marks["rotation"] = drawn["oriented"]
        x0, y0, x1, y1 = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    return {"bbox": [x0, y0, x1 - x0, y1 - y0]}
