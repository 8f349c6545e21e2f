"""Supervisely: a project folder with `ann/<image>.json` beside `img/` (docs.supervisely.com, "Supervisely format").

Rectangles; polygons, lines and bitmaps as the box around them; points and graphs have none and are problems. Tags of
an image are labels of the whole page.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from pathlib import Path
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, an_object, around, numbers, points_of, text
from tilekit.labels.json_files import read_json
from tilekit.labels.label_set import LabelSet
from tilekit.labels.masks import png_mask
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import mask_of, outline
from tilekit.labels.sources import PathLike, is_there, resolve


def supervisely_files(folder: Path) -> list[Path]:
    """The annotation files of a project or data set."""
    return sorted([*folder.glob("ann/*.json"), *folder.glob("*/ann/*.json")])


def read_supervisely(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a project, a data set or one annotation file."""
    place = Path(path)
    collector = Collector(path, options)
    for file in supervisely_files(place) if place.is_dir() else [place]:
        try:
            document = an_object(read_json(file))
        except (LabelError, Wrong) as exc:
            collector.expect(1)
            collector.refuse(Where(file=str(file)), str(exc).removeprefix(f"{file}: "))
            continue
        _page(collector, file, document)
    return collector.finish("supervisely")


def _page(collector: Collector, file: Path, document: dict[str, Any]) -> None:
    where = Where(file=str(file))
    shapes, marks = _list(document.get("objects")), _list(document.get("tags"))
    entries = len(shapes) + len(marks)
    name = file.name.removesuffix(".json")
    folder = file.parent.parent / "img"
    size = document.get("size")
    sides = (size.get("width"), size.get("height")) if isinstance(size, dict) else (None, None)
    try:
        key = resolve(
            text(name, ""),
            folder if is_there(folder / name) or folder.is_dir() else file.parent,
            collector.options.images,
        )
    except Wrong as exc:
        collector.expect(entries)
        collector.refuse(where, str(exc), entries)
        return
    mention = collector.page(key, sides, where.at("size"), entries)
    if mention is None:
        return
    mark = lambda tag, _: collector.image_label(mention, an_object(tag).get("name"))  # noqa: E731
    collector.each(marks, lambda place: where.at(f"tags[{place}]"), mark, mention)
    take = lambda item, spot: _object(collector, mention, an_object(item), spot)  # noqa: E731
    collector.each(shapes, lambda place: where.at(f"objects[{place}]"), take, mention)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(collector: Collector, mention: int, item: dict[str, Any], where: Where) -> None:
    kind = str(item.get("geometryType") or "rectangle")
    drawn: Any = None
    if kind == "bitmap":
        bitmap = an_object(item.get("bitmap"), "bitmap")
        left, top = numbers(bitmap.get("origin"), 2, "bitmap.origin")
        data = bitmap.get("data")
        width, height = _png_size(data)
        sides = [left, top, left + width, top + height]
        drawn = lambda: _mask(data, int(left), int(top))  # noqa: E731
    elif kind in ("rectangle", "polygon", "line", "polyline"):
        rings = an_object(item.get("points"), "points")
        points = points_of(rings.get("exterior"), "points.exterior")
        sides = around(points, "points.exterior")
        if kind == "polygon" and len(points) > 2:
            holes = [points_of(ring, "points.interior") for ring in _list(rings.get("interior"))]
            drawn = outline(points, *holes)
    else:
        raise Wrong(
            f"is a {kind!r}, which has no box; remove it, or read with strict=False (--lenient)",
            "geometryType",
        )
    shape = {"rectangle": "box", "bitmap": "mask"}.get(kind, kind)
    collector.box(mention, item.get("classTitle"), sides, where, outline=Outline(shape, drawn))


def _mask(data: Any, left: int, top: int) -> Any:
    """The pixels of a bitmap."""
    try:
        return mask_of(png_mask(zlib.decompress(base64.b64decode(data))), left, top)
    except (binascii.Error, zlib.error, ValueError) as exc:
        raise Wrong(f"cannot be unpacked: {exc}", "bitmap.data") from exc


def _png_size(data: Any) -> tuple[int, int]:
    """Width and height of a bitmap: a PNG, deflated, as base64."""
    try:
        head = zlib.decompressobj().decompress(base64.b64decode(text(data, "bitmap.data")), 24)
    except (binascii.Error, zlib.error, ValueError) as exc:
        raise Wrong(f"cannot be unpacked: {exc}", "bitmap.data") from exc
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 24:
        raise Wrong("is no PNG", "bitmap.data")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
