"""CVAT for images 1.1: one XML file (docs.cvat.ai, "CVAT for image" format).

Boxes, rotated ones as the box around them; polygons, polylines, masks and ellipses likewise. Tags are labels of the
whole image. An attribute `ignore` set to true makes an ignore region.
"""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from tilekit.labels.collecting import Collector, hull, number_text
from tilekit.labels.files import folder_of
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.labels.xml_files import read_xml, write_xml
from tilekit.pages import PageKey
from tilekit.storage.local import write_text

Sides = tuple[float, float, float, float]


def read_cvat(path: PathLike, *, strict: bool = True, images: PathLike | None = None) -> LabelSet:
    """Read a CVAT XML file."""
    root, folder = read_xml(path), folder_of(path)
    names = [label.findtext("name") or "" for label in root.iterfind(".//labels/label")]
    collector = Collector(path, strict, [name for name in names if name])
    for place, image in enumerate(root.iterfind("image")):
        field = f"image[{place}]"
        name = image.get("name")
        if not name:
            collector.problem(f"{field}.name", "is missing")
            continue
        key = resolve(name, folder, images)
        if collector.page(key, image.get("width"), image.get("height"), field):
            _image(collector, key, image, field)
    return collector.finish("cvat")


def _image(collector: Collector, key: PageKey, image: ET.Element, field: str) -> None:
    for number, shape in enumerate(image):
        label = shape.get("label")
        if shape.tag == "tag":
            collector.image_label(key, label or "")
            continue
        if shape.tag in ("points", "skeleton", "cuboid"):
            collector.problem(
                f"{field}.{shape.tag}[{number}]", "is not a box; remove it, or read with strict=False"
            )
            continue
        sides = _sides(shape)
        if sides is None:
            collector.problem(f"{field}.{shape.tag}[{number}]", "has no sides that are numbers")
            continue
        ignore = any(
            item.get("name") == "ignore" and (item.text or "").strip().lower() in ("true", "1", "yes")
            for item in shape.iterfind("attribute")
        )
        collector.box(key, label, sides, ignore=ignore, field=f"{field}.{shape.tag}[{number}]")


def _sides(shape: ET.Element) -> Sides | None:
    try:
        if shape.tag == "box":
            x0, y0, x1, y1 = (float(shape.get(side, "")) for side in ("xtl", "ytl", "xbr", "ybr"))
            return turned((x0, y0, x1, y1), float(shape.get("rotation", 0)), ((x0 + x1) / 2, (y0 + y1) / 2))
        if shape.tag == "ellipse":
            cx, cy, rx, ry = (float(shape.get(side, "")) for side in ("cx", "cy", "rx", "ry"))
            return turned((cx - rx, cy - ry, cx + rx, cy + ry), float(shape.get("rotation", 0)), (cx, cy))
        if shape.tag == "mask":
            left, top, wide, tall = (
                float(shape.get(side, "")) for side in ("left", "top", "width", "height")
            )
            return left, top, left + wide, top + tall
        return hull([point.split(",") for point in shape.get("points", "").split(";")])
    except ValueError:
        return None


def turned(sides: Sides, degrees: float, center: tuple[float, float]) -> Sides:
    """The box around a box turned clockwise (y points down) by `degrees` about `center`."""
    if not degrees % 360:
        return sides
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(x - center[0], y - center[1]) for x in sides[::2] for y in sides[1::2]]
    points = [(center[0] + x * cos - y * sin, center[1] + x * sin + y * cos) for x, y in corners]
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    return min(xs), min(ys), max(xs), max(ys)


def write_cvat(labels: LabelSet, path: PathLike) -> None:
    """Write a CVAT XML file. Every page needs its size."""
    folder = folder_of(path)
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    entries = ET.SubElement(task, "labels")
    for name in labels.names:
        ET.SubElement(ET.SubElement(entries, "label"), "name").text = name
    for place, (key, page) in enumerate(labels.items()):
        width, height = labels.size(key)
        sides = {"width": str(width), "height": str(height)}
        image = ET.SubElement(root, "image", {"id": str(place), "name": relative(key, folder), **sides})
        for mark in labels.image_labels.get(key, ()):
            ET.SubElement(image, "tag", {"label": mark.name, "source": "manual"})
        for box, label, ignored in zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), strict=True):
            corners = zip(("xtl", "ytl", "xbr", "ybr"), map(number_text, box), strict=True)
            shape = ET.SubElement(
                image, "box", {"label": label, "occluded": "0", **dict(corners), "z_order": "0"}
            )
            if ignored:
                ET.SubElement(shape, "attribute", {"name": "ignore"}).text = "true"
    write_text(path, write_xml(root))
