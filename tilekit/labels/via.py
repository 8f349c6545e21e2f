"""VGG Image Annotator 2 and 3: JSON of images with regions, or version 2's CSV (robots.ox.ac.uk/~vgg/software/via).

Rectangles; circles, ellipses, polygons and polylines as the box around them; points have none and are problems. The
label is the region attribute named label, class, name, type or category, or the only one there is; a checkbox with
two marks is two boxes.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.csv_table import table_rows
from tilekit.labels.entries import Where, Wrong, a_list, an_object, around, number, numbers, pairs_of, text
from tilekit.labels.files import folder_of
from tilekit.labels.holding import HOLDS, fitted
from tilekit.labels.json_files import read_json
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import ellipse_outline, outline, turned_ellipse
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.rekognition.lines import decode_plain
from tilekit.storage.local import write_text

COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
"""Columns that make a CSV one of VIA."""
_LABELS = ("label", "class", "name", "type", "category", "labels")
_Shape = tuple[list[float], str, Any]  # the box, what it is the hull of, and that
_SHAPES = {1: "point", 2: "rect", 3: "circle", 4: "ellipse", 5: "line", 6: "polyline", 7: "polygon"}


def read_via(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a VIA file: JSON of a project or its annotations, of version 2 or 3, or CSV."""
    collector = Collector(path, options)
    if os.fspath(path).lower().endswith(".csv"):
        _csv(collector, path)
        return collector.finish("via")
    document = read_json(path)
    if isinstance(document, dict) and "metadata" in document and "file" in document:
        _third(collector, document, folder_of(path))
        return collector.finish("via")
    images = document.get("_via_img_metadata", document) if isinstance(document, dict) else None
    if not isinstance(images, dict):
        raise LabelError(f"{os.fspath(path)}: not a file of VIA: an object of images is needed")
    for name, image in images.items():
        _image(collector, Where(f"[{name!r:.60}]"), image, folder_of(path))
    return collector.finish("via")


def _image(collector: Collector, where: Where, image: Any, folder: str) -> None:
    found = image.get("regions") if isinstance(image, dict) else None
    regions = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else []
    try:
        key = resolve(text(an_object(image).get("filename"), "filename"), folder, collector.options.images)
    except Wrong as exc:
        collector.expect(max(len(regions), 1))
        collector.refuse(where.at(exc.field), str(exc), max(len(regions), 1))
        return
    mention = collector.page(key, where=where, entries=len(regions))
    if mention is not None:
        take = lambda item, spot: _region(collector, mention, item, spot)  # noqa: E731
        collector.each(regions, lambda place: where.at(f"regions[{place}]"), take, mention)


def _region(collector: Collector, mention: int, region: Any, where: Where) -> None:
    shape = an_object(an_object(region).get("shape_attributes"), "shape_attributes")
    marks = an_object(region.get("region_attributes"), "region_attributes")
    sides, kind, drawn = _sides(shape)
    labels = _labels(marks)
    collector.expect(len(labels) - 1)
    for label in labels:
        ignore = marks.get("ignore") in (True, "true", "1")
        collector.box(mention, label, sides, where, ignore=ignore, outline=Outline(kind, drawn))


def _labels(marks: dict[str, Any]) -> list[str]:
    """The labels of a region; at least one."""
    names = [name for name in _LABELS if name in marks] or [name for name in marks if name != "ignore"]
    if not names or (len(names) > 1 and names[0] not in _LABELS):
        raise Wrong(
            f"has {len(names)} attributes and none is named label; name the one that is", "region_attributes"
        )
    value = marks[names[0]]
    if isinstance(value, dict):
        found = [str(name) for name, marked in value.items() if marked]
        if not found:
            raise Wrong(f"has no mark at {names[0]!r}", "region_attributes")
        return found
    return [text(value, f"region_attributes.{names[0]}")]


def _sides(shape: dict[str, Any]) -> _Shape:
    kind = shape.get("name")

    def at(*names: str) -> list[float]:
        return [number(shape.get(name), f"shape_attributes.{name}") for name in names]

    if kind == "rect":
        x, y, w, h = at("x", "y", "width", "height")
        return [x, y, x + w, y + h], "box", None
    if kind == "circle":
        return _round("circle", at("cx", "cy"), at("r", "r"), 0.0)
    if kind == "ellipse":
        return _round(
            "ellipse", at("cx", "cy"), at("rx", "ry"), math.degrees(number(shape.get("theta") or 0, "theta"))
        )
    if kind in ("polygon", "polyline"):
        xs, ys = (
            a_list(shape.get(name), f"shape_attributes.{name}") for name in ("all_points_x", "all_points_y")
        )
        if len(xs) != len(ys):
            raise Wrong(f"has {len(xs)} x and {len(ys)} y", "shape_attributes")
        points = list(
            zip(numbers(xs, len(xs), "all_points_x"), numbers(ys, len(ys), "all_points_y"), strict=True)
        )
        return around(points, "shape_attributes"), str(kind), _drawn(str(kind), points)
    raise Wrong(
        f"is a {kind!r}, which has no box; remove it, or read with strict=False (--lenient)",
        "shape_attributes",
    )


def _round(kind: str, center: list[float], radii: list[float], degrees: float) -> _Shape:
    middle, both = (center[0], center[1]), (radii[0], radii[1])
    return turned_ellipse(middle, both, degrees), kind, ellipse_outline(middle, both, degrees)


def _drawn(kind: str, points: list[tuple[float, float]]) -> Any:
    return outline(points) if kind == "polygon" and len(points) > 2 else None


def _csv(collector: Collector, path: PathLike) -> None:
    header, rows = table_rows(path)
    lacking = [name for name in COLUMNS if name not in header]
    if lacking:
        raise LabelError(f"{os.fspath(path)}, line 1: has no column {', '.join(lacking)}")
    for line, row in rows:
        cell, where = dict(zip(header, row, strict=False)), Where(line=line)
        try:
            key = resolve(text(cell.get("filename"), "filename"), folder_of(path), collector.options.images)
            parts = {}
            for name in COLUMNS[1:]:
                try:
                    parts[name.removeprefix("region_") if "shape" in name else name] = decode_plain(
                        cell.get(name, "").encode()
                    )
                except ValueError as exc:
                    raise Wrong(str(exc), name) from exc
        except Wrong as exc:
            collector.expect(1)
            collector.refuse(where.at(exc.field), str(exc))
            continue
        entry = bool(parts["shape_attributes"])
        mention = collector.page(key, where=where, entries=int(entry), again=True)
        if mention is not None and entry:
            take = lambda item, spot, mention=mention: _region(collector, mention, item, spot)  # noqa: E731
            collector.each([parts], lambda _, where=where: where, take, mention)  # type: ignore[misc]


def _third(collector: Collector, document: dict[str, Any], folder: str) -> None:
    """Version 3: files, views of them, and metadata in views."""
    files, views, metadata = (document.get(name) for name in ("file", "view", "metadata"))
    marks = document.get("attribute")
    entries = metadata if isinstance(metadata, dict) else {}
    for name, item in entries.items():
        where = Where(f"metadata[{name!r:.60}]")
        collector.expect(1)
        try:
            value = an_object(item)
            shape = a_list(value.get("xy"), "xy")
            if not shape:
                collector.passed("of times or whole files, which mark nothing on the page")
                continue
            view = an_object(an_object(views, "view").get(str(value.get("vid"))), "vid")
            file = an_object(an_object(files, "file").get(str((view.get("fid_list") or [""])[0])), "fid_list")
            key = resolve(text(file.get("fname"), "fname"), folder, collector.options.images)
            label = _third_label(value.get("av"), marks)
            sides, kind, drawn = _third_sides(shape)
        except Wrong as exc:
            collector.refuse(where.at(exc.field), str(exc))
            continue
        mention = collector.page(key, where=where, again=True)
        if mention is None:
            collector.expect(-1)
            continue
        collector.box(mention, label, sides, where, outline=Outline(kind, drawn))


def _third_label(values: Any, marks: Any) -> str:
    found = an_object(values, "av")
    if len(found) != 1:
        raise Wrong(f"has {len(found)} attributes; one is needed, which is the label", "av")
    number_, value = next(iter(found.items()))
    about = marks.get(number_) if isinstance(marks, dict) else None
    options = about.get("options") if isinstance(about, dict) else None
    return text(
        options.get(value, value) if isinstance(options, dict) and isinstance(value, str) else value, "av"
    )


def _third_sides(shape: list[Any]) -> _Shape:
    kind = _SHAPES.get(int(number(shape[0], "xy")), "")
    values = numbers(shape[1:], len(shape) - 1, "xy")
    if kind == "rect" and len(values) == 4:
        x, y, w, h = values
        return [x, y, x + w, y + h], "box", None
    if kind == "circle" and len(values) == 3:
        return _round("circle", values[:2], [values[2], values[2]], 0.0)
    if kind == "ellipse" and len(values) >= 4:
        return _round("ellipse", values[:2], values[2:4], 0.0)
    if kind in ("line", "polyline", "polygon"):
        points = pairs_of(values, "xy")
        return around(points, "xy"), kind, _drawn(kind, points)
    raise Wrong(
        f"is a {kind or shape[0]!r}, which has no box; remove it, or read with strict=False (--lenient)", "xy"
    )


def write_via(labels: LabelSet, path: PathLike) -> None:
    """Write annotations that VIA 2 imports; the region attribute is `label`."""
    folder, images = folder_of(path), {}
    for key, page in labels.items():
        regions = []
        shapes = fitted(page, HOLDS["via"]).rows
        rows = zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), shapes, strict=True)
        for (x0, y0, x1, y1), label, ignored, drawn in rows:
            shape: dict[str, Any] = {"name": "rect", "x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
            if drawn is not None:
                xs, ys = zip(*drawn["polygon"][0], strict=True)
                shape = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
            marks = {"label": label, **({"ignore": "true"} if ignored else {})}
            regions.append({"shape_attributes": shape, "region_attributes": marks})
        name = relative(key, folder)
        images[f"{name}-1"] = {"filename": name, "size": -1, "regions": regions, "file_attributes": {}}
    write_text(path, json.dumps(images, ensure_ascii=False, allow_nan=False))
