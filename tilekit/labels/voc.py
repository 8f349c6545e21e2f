"""Pascal VOC: an XML file for each page (host.robots.ox.ac.uk/pascal/VOC, devkit documentation).

`difficult` objects are ignore regions; the parts of an object are boxes of their own. Coordinates are taken as
labelImg, CVAT and others write them: x and y of the corners, counted from 0. The devkit itself counts pixels from 1:
`first_pixel=1` reads and writes that. roLabelImg's turned boxes and the polygons of LabelMe's old XML, which looks
alike, are read as the box around them.
"""

from __future__ import annotations

import math
import posixpath
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, around, number, number_text, text, true
from tilekit.labels.holding import HOLDS, fitted
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import oriented, outline, turned
from tilekit.labels.sources import PathLike, image_of, is_there, relative, resolve
from tilekit.labels.xml_files import read_xml, write_xml
from tilekit.pages import PageKey
from tilekit.storage.local import write_text

_IMAGE_FOLDERS = ("JPEGImages", "images", "Images")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_TURNED = ("cx", "cy", "w", "h", "angle")


def read_voc(path: PathLike, options: ReadOptions, *, first_pixel: int = 0) -> LabelSet:
    """Read one XML file or a folder of them, subfolders too."""
    alone = Path(path).is_file()
    collector = Collector(path, options)
    for file in [Path(path)] if alone else sorted(Path(path).rglob("*.xml")):
        try:
            root = read_xml(file)
        except LabelError as exc:
            if alone:
                raise
            collector.expect(1)
            collector.refuse(Where(file=str(file)), str(exc).removeprefix(f"{file}: "))
            continue
        if root.tag == "annotation":
            _page(collector, file, root, options, first_pixel)
    return collector.finish("voc")


def _page(collector: Collector, file: Path, root: ET.Element, options: ReadOptions, first_pixel: int) -> None:
    where = Where(file=str(file))
    objects = root.findall("object")
    items = [(f"object[{place}]", item) for place, item in enumerate(objects)]
    items += [
        (f"object[{place}].part[{number}]", part)
        for place, item in enumerate(objects)
        for number, part in enumerate(item.findall("part"))
    ]
    try:
        name = (root.findtext("filename") or root.findtext("path") or "").strip()
        key = _key(collector, file, text(name, "filename"), options)
    except Wrong as exc:
        collector.expect(len(items))
        collector.refuse(where.at(exc.field), str(exc), len(items))
        return
    size = root.find("size")
    sides = (None, None) if size is None else (size.findtext("width"), size.findtext("height"))
    old = root.find("imagesize")
    if size is None and old is not None:
        sides = (old.findtext("ncols"), old.findtext("nrows"))
    mention = collector.page(key, sides, where.at("size"), len(items))
    if mention is None:
        return
    collector.each(
        items,
        lambda place: where.at(items[place][0]),
        lambda item, spot: _object(collector, mention, item[1], spot, first_pixel),
        mention,
    )


def _object(collector: Collector, mention: int, item: ET.Element, where: Where, first_pixel: int) -> None:
    if true(item.findtext("deleted") or "0"):
        collector.passed("deleted in the tool")
        return
    label = (item.findtext("name") or "").strip("\n\r\t")
    difficult = (item.findtext("difficult") or "0").strip()
    ignore = difficult.lower() not in ("0", "", "unspecified", "false")
    box, turned_box, polygon = item.find("bndbox"), item.find("robndbox"), item.find("polygon")
    drawn = lambda: _drawn(turned_box, polygon)  # noqa: E731
    if box is None and turned_box is not None:
        cx, cy, w, h, angle = (number(turned_box.findtext(side), "robndbox") for side in _TURNED)
        around_it = turned((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), math.degrees(angle), (cx, cy))
        spot = where.at("robndbox")
        collector.box(mention, label, around_it, spot, ignore=ignore, outline=Outline("rotated box", drawn))
        return
    if box is None and polygon is not None:
        points = _polygon(polygon)
        sides, spot = around(points, "polygon"), where.at("polygon")
        collector.box(mention, label, sides, spot, ignore=ignore, outline=Outline("polygon", drawn))
        return
    texts = [None if box is None else box.findtext(side) for side in _CORNERS]
    try:
        sides = [number(value, "") for value in texts]
    except Wrong as exc:
        raise Wrong(f"has the sides {texts}; numbers are needed", "bndbox") from exc
    sides[0] -= first_pixel
    sides[1] -= first_pixel
    shape = "polygon" if polygon is not None else "box" if turned_box is None else "rotated box"
    collector.box(mention, label, sides, where.at("bndbox"), ignore=ignore, outline=Outline(shape, drawn))


def _drawn(turned_box: ET.Element | None, polygon: ET.Element | None) -> dict[str, Any] | None:
    """What stands beside a box."""
    if polygon is not None:
        points = _polygon(polygon)
        return outline(points) if len(points) > 2 else None
    return None if turned_box is None else _oriented(turned_box)


def _oriented(item: ET.Element) -> dict[str, Any]:
    """roLabelImg's turned box."""
    cx, cy, w, h, angle = (number(item.findtext(side), "robndbox") for side in _TURNED)
    return oriented((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), math.degrees(angle), (cx, cy))


def _polygon(item: ET.Element) -> list[tuple[float, float]]:
    """Points as LabelMe's XML has them, `pt` with x and y, or as Roboflow's: x1, y1, x2, y2, ..."""
    found = [(pt.findtext("x"), pt.findtext("y")) for pt in item.iter("pt")]
    while not item.findall("pt") and item.find(f"x{len(found) + 1}") is not None:
        found.append((item.findtext(f"x{len(found) + 1}"), item.findtext(f"y{len(found) + 1}")))
    return [(number(x, "polygon"), number(y, "polygon")) for x, y in found]


def _key(collector: Collector, file: Path, name: str, options: ReadOptions) -> PageKey:
    """The page: the image that the file names, or the one of its own stem where both are there."""
    folder = file.parent
    places = [Path(options.images)] if options.images is not None else [folder]
    places += [folder.parent / sibling for sibling in _IMAGE_FOLDERS]
    if Path(name.replace("\\", "/")).stem != file.stem:
        for place in places:
            own = image_of(place, file.stem)
            if own is not None:
                collector.note(
                    f"{file.name} names {name!r}, but {Path(own).name} lies beside it: its boxes are taken for that one",
                    "{count} files name another image than the one of their own name beside them: theirs is taken",
                )
                return PageKey(own)
    if options.images is None:
        for place in places[1:]:
            if is_there(place / name):
                return resolve(name, place)
    return resolve(name, folder, options.images)


def page_files(labels: LabelSet, folder: PathLike, suffix: str) -> dict[PageKey, Path]:
    """A file below `folder` for each page: its stem, and its folder below what all have in common; none collide."""
    used: set[str] = set()
    files = {}
    plain = {key: key.source.split("://")[-1].replace("\\", "/").replace(":", "") for key in labels}
    parents = {str(PurePosixPath(text).parent) for text in plain.values()}
    alike = len({text.startswith("/") for text in parents}) == 1
    common = posixpath.commonpath(parents) if alike else ""
    for key in labels:
        inside = posixpath.relpath(plain[key], common) if common else plain[key]
        parts = [part for part in PurePosixPath(inside).parts if part not in ("..", "/", ".")]
        base = str(PurePosixPath(*parts).with_suffix("")) + (f".p{key.page}" if key.page else "")
        name, number = base, 1
        while name.casefold() in used:
            number += 1
            name = f"{base}-{number}"
        used.add(name.casefold())
        files[key] = Path(folder) / f"{name}{suffix}"
    return files


def write_voc(labels: LabelSet, path: PathLike, *, first_pixel: int = 0) -> None:
    """Write a folder with an XML file for each page, in the pages' relative folders."""
    for key, file in page_files(labels, path, ".xml").items():
        page, size = labels[key], labels.sizes.get(key)
        root = ET.Element("annotation")
        _text(root, "folder", file.parent.name)
        _text(root, "filename", relative(key, file.parent))
        sides = ET.SubElement(root, "size")
        for tag, value in zip(("width", "height", "depth"), (*(size or (0, 0)), 3), strict=True):
            _text(sides, tag, str(value))
        shapes = fitted(page, HOLDS["voc"]).rows
        rows = zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), shapes, strict=True)
        for box, label, ignored, drawn in rows:
            item = ET.SubElement(root, "object")
            _text(item, "name", label)
            _text(item, "difficult", str(int(ignored)))
            corners = ET.SubElement(item, "bndbox")
            shifted = (box[0] + first_pixel, box[1] + first_pixel, box[2], box[3])
            for tag, side in zip(("xmin", "ymin", "xmax", "ymax"), shifted, strict=True):
                _text(corners, tag, number_text(side))
            _draw(item, drawn)
        write_text(file, write_xml(root), escape=False)


def _draw(item: ET.Element, drawn: Any) -> None:
    """A shape beside its box: roLabelImg's turned box, or a polygon as Roboflow writes it."""
    if drawn is None:
        return
    if "oriented" in drawn:
        *sides, degrees = drawn["oriented"]
        part = ET.SubElement(item, "robndbox")
        for tag, value in zip(_TURNED, (*sides, math.radians(degrees)), strict=True):
            _text(part, tag, number_text(value))
        return
    part = ET.SubElement(item, "polygon")
    for place, (x, y) in enumerate(drawn["polygon"][0], 1):
        _text(part, f"x{place}", number_text(x))
        _text(part, f"y{place}", number_text(y))


def _text(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text
