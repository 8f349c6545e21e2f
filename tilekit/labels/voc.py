"""Pascal VOC: an XML file for each page (host.robots.ox.ac.uk/pascal/VOC, devkit documentation).

`difficult` objects are ignore regions. Coordinates are taken as labelImg, CVAT and others write them: x and y of
the corners, counted from 0. The devkit itself counts pixels from 1: `first_pixel=1` reads and writes that.
"""

from __future__ import annotations

import posixpath
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

from tilekit.labels.collecting import Collector, number_text
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.labels.xml_files import read_xml, write_xml
from tilekit.pages import PageKey
from tilekit.storage.local import write_text

_IMAGE_FOLDERS = ("JPEGImages", "images")


def read_voc(
    path: PathLike, *, strict: bool = True, images: PathLike | None = None, first_pixel: int = 0
) -> LabelSet:
    """Read one XML file or a folder of them, subfolders too."""
    files = [Path(path)] if Path(path).is_file() else sorted(Path(path).rglob("*.xml"))
    collector = Collector(path, strict)
    for file in files:
        root = read_xml(file)
        if root.tag == "annotation":
            _page(collector, file, root, images, first_pixel)
    return collector.finish("voc")


def _page(
    collector: Collector, file: Path, root: ET.Element, images: PathLike | None, first_pixel: int
) -> None:
    name = (root.findtext("filename") or root.findtext("path") or "").strip()
    if not name:
        collector.problem("filename", "is missing", file=file)
        return
    key = _key(file, name, images)
    size = root.find("size")
    width, height = (None, None) if size is None else (size.findtext("width"), size.findtext("height"))
    if width in ("0", None) or height in ("0", None):
        width = height = None
    if not collector.page(key, width, height, f"{file}: size"):
        return
    for place, item in enumerate(root.findall("object")):
        box = item.find("bndbox")
        texts = [None if box is None else box.findtext(side) for side in ("xmin", "ymin", "xmax", "ymax")]
        try:
            sides = [float(text or "") for text in texts]
        except ValueError:
            collector.problem(
                f"object[{place}].bndbox", f"has the sides {texts}; numbers are needed", file=file
            )
            continue
        sides[0] -= first_pixel
        sides[1] -= first_pixel
        ignore = (item.findtext("difficult") or "0").strip() not in ("0", "")
        label = (item.findtext("name") or "").strip("\n\r\t")
        collector.box(key, label, sides, ignore=ignore, field=f"object[{place}].bndbox", file=file)


def _key(file: Path, name: str, images: PathLike | None) -> PageKey:
    folder = file.parent
    if images is None:
        for sibling in _IMAGE_FOLDERS:
            if (folder.parent / sibling / name).is_file():
                return resolve(name, folder.parent / sibling)
    return resolve(name, folder, images)


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
        for box, label, ignored in zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), strict=True):
            item = ET.SubElement(root, "object")
            _text(item, "name", label)
            _text(item, "difficult", str(int(ignored)))
            corners = ET.SubElement(item, "bndbox")
            shifted = (box[0] + first_pixel, box[1] + first_pixel, box[2], box[3])
            for tag, side in zip(("xmin", "ymin", "xmax", "ymax"), shifted, strict=True):
                _text(corners, tag, number_text(side))
        write_text(file, write_xml(root))


def _text(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text
