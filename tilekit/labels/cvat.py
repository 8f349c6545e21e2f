"""CVAT 1.1 XML, of images and of videos (docs.cvat.ai, "CVAT for image", "CVAT for video").

Boxes, rotated ones as the box around them; polygons, polylines, masks, ellipses, cuboids and skeletons likewise;
points have no box and are problems. Tags are labels of the whole image. An attribute `ignore` set to true makes an
ignore region. Tracks have a shape for every frame they are seen in; a frame is page number `frame` of its task's
video, or the image of that frame where such are there (`frame_000007.png`, or the seventh in order of names).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from tilekit.boxes.shapes import Masks
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import (
    Where,
    Wrong,
    around,
    checked_score,
    number,
    number_text,
    pairs_of,
    text,
    true,
    whole,
)
from tilekit.labels.files import folder_of
from tilekit.labels.holding import HOLDS, fitted
from tilekit.labels.label_set import LabelSet
from tilekit.labels.masks import box_of_rows, runs_of
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import ellipse_outline, mask_of, oriented, outline, turned, turned_ellipse
from tilekit.labels.sources import IMAGE_SUFFIXES, PathLike, image_of, is_url, relative, resolve
from tilekit.labels.xml_files import read_xml, write_xml
from tilekit.pages import PageKey
from tilekit.storage.local import write_text

_CUBOID = [f"{axis}{corner}{face}" for face in "12" for corner in ("tl", "bl", "tr", "br") for axis in "xy"]
_OUTSIDE = "outside the picture in a frame"


def read_cvat(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a CVAT XML file of images or of tracks."""
    root, folder = read_xml(path), folder_of(path)
    names = [label.findtext("name") or "" for label in root.iterfind(".//labels/label")]
    collector = Collector(path, options, [name for name in names if name])
    for place, image in enumerate(root.iterfind("image")):
        where = Where(f"image[{place}]")
        shapes = list(image)
        try:
            key = resolve(text(image.get("name"), "name"), folder, options.images)
        except Wrong as exc:
            collector.expect(len(shapes))
            collector.refuse(where.at(exc.field), str(exc), len(shapes))
            continue
        mention = collector.page(key, (image.get("width"), image.get("height")), where, len(shapes))
        if mention is None:
            continue
        side = image.get("subset")
        if side:
            collector.splits[key] = side
        _shapes(collector, mention, shapes, where)
    tracks = list(root.iterfind("track"))
    if tracks:
        _tracks(collector, root, tracks, folder, options)
    return collector.finish("cvat")


def _shapes(collector: Collector, mention: int, shapes: list[ET.Element], where: Where) -> None:
    collector.each(
        shapes,
        lambda place: where.at(f"{shapes[place].tag}[{place}]"),
        lambda shape, spot: _shape(collector, mention, shape, shape.get("label"), spot),
        mention,
    )


def _shape(collector: Collector, mention: int, shape: ET.Element, label: str | None, where: Where) -> None:
    if shape.tag == "tag":
        collector.image_label(mention, label)
        return
    ignore = any(
        item.get("name") == "ignore" and true((item.text or "").strip())
        for item in shape.iterfind("attribute")
    )
    score = next((item.text for item in shape.iterfind("attribute") if item.get("name") == "score"), None)
    kind = "rotated box" if shape.tag == "box" and shape.get("rotation", "0").strip("0.") else shape.tag
    collector.box(
        mention,
        label,
        _sides(shape),
        where,
        ignore=ignore,
        score=None if score is None else checked_score(score),
        outline=Outline(kind, lambda: _drawn(shape)),
    )


def _drawn(shape: ET.Element) -> Any:
    """What is drawn, where it has an area of its own, or key points."""
    if shape.tag == "box":
        x0, y0, x1, y1 = sides = [number(shape.get(name), name) for name in ("xtl", "ytl", "xbr", "ybr")]
        degrees = number(shape.get("rotation", "0"), "rotation")
        return oriented(sides, degrees, ((x0 + x1) / 2, (y0 + y1) / 2)) if degrees % 360 else None
    if shape.tag == "ellipse":
        cx, cy, rx, ry = (number(shape.get(name), name) for name in ("cx", "cy", "rx", "ry"))
        return ellipse_outline((cx, cy), (rx, ry), number(shape.get("rotation", "0"), "rotation"))
    if shape.tag == "mask":
        left, top, wide, tall = (whole(shape.get(name), name) for name in ("left", "top", "width", "height"))
        runs = [int(run) for run in shape.get("rle", "").split(",")]
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return mask_of(flat.reshape(tall, wide), left, top)
    if shape.tag == "skeleton":
        joints = []
        for part in sorted(shape.iterfind("points"), key=_number_of):
            x, y = around(_points(part), "points", 1)[:2]
            hidden = part.get("occluded") == "1"
            joints.append([x, y, 0 if part.get("outside") == "1" else 1 if hidden else 2])
        return {"keypoints": joints}
    points = _points(shape) if shape.tag == "polygon" else []
    return outline(points) if len(points) > 2 else None


def _number_of(part: ET.Element) -> tuple[int, str]:
    """The order of a skeleton's points: by number where their labels are numbers."""
    name = part.get("label", "")
    return (int(name), "") if name.isdecimal() else (1 << 60, name)


def _sides(shape: ET.Element) -> list[float]:
    def all_of(*names: str) -> list[float]:
        return [number(shape.get(name), name) for name in names]

    if shape.tag == "box":
        x0, y0, x1, y1 = all_of("xtl", "ytl", "xbr", "ybr")
        degrees = number(shape.get("rotation", "0"), "rotation")
        return turned((x0, y0, x1, y1), degrees, ((x0 + x1) / 2, (y0 + y1) / 2))
    if shape.tag == "ellipse":
        cx, cy, rx, ry = all_of("cx", "cy", "rx", "ry")
        return turned_ellipse((cx, cy), (rx, ry), number(shape.get("rotation", "0"), "rotation"))
    if shape.tag == "mask":
        left, top, wide, tall = all_of("left", "top", "width", "height")
        runs = [whole(run, "rle") for run in shape.get("rle", "").split(",")]
        if min(runs) < 0 or sum(runs) != wide * tall:
            raise Wrong(f"has {sum(runs)} px for a mask of {wide:g} x {tall:g}", "rle")
        x0, y0, x1, y1 = box_of_rows(np.array(runs, dtype=np.int64), int(wide))
        return [left + x0, top + y0, left + x1, top + y1]
    if shape.tag in ("polygon", "polyline"):
        return around(_points(shape), "points")
    if shape.tag == "skeleton":
        seen = [part for part in shape.iterfind("points") if part.get("outside", "0") != "1"]
        return around([point for part in seen for point in _points(part)], "points")
    if shape.tag == "cuboid":
        return around(pairs_of(all_of(*_CUBOID), "points"), "points")
    raise Wrong("is not a shape with a box; remove it, or read with strict=False (--lenient)")


def _points(shape: ET.Element) -> list[tuple[float, float]]:
    parts = [point.split(",") for point in shape.get("points", "").split(";") if point.strip()]
    return pairs_of([side for part in parts for side in part], "points")


@dataclass(frozen=True)
class _Task:
    """A video, or pictures in a row: what its frames are called and how large they are."""

    source: str
    size: tuple[str | None, str | None]
    frames: tuple[str, ...] = ()


def _tracks(
    collector: Collector, root: ET.Element, tracks: list[ET.Element], folder: str, options: ReadOptions
) -> None:
    tasks = {task.findtext("id"): _task(task, folder, options) for task in root.iterfind("meta//task")}
    for job in root.iterfind("meta/job"):
        tasks.setdefault(None, _task(job, folder, options))
    only = next(iter(tasks.values()), _Task("video", (None, None)))
    for place, track in enumerate(tracks):
        task = tasks.get(track.get("task_id"), only)
        for number_, shape in enumerate(track):
            where = Where(f"track[{place}].{shape.tag}[{number_}]")
            if shape.get("outside") == "1" or _all_outside(shape):
                collector.expect(1)
                collector.passed(_OUTSIDE)
                continue
            try:
                key = _frame(task, whole(shape.get("frame"), "frame"), folder, options)
            except Wrong as exc:
                collector.expect(1)
                collector.refuse(where.at(exc.field), str(exc))
                continue
            mention = collector.page(key, task.size, where, 1, again=True)
            if mention is None:
                continue
            if track.get("subset"):
                collector.splits[key] = track.get("subset", "")
            label = track.get("label")
            collector.each(
                [shape],
                lambda _, where=where: where,  # type: ignore[misc]
                lambda shape, spot, mention=mention, label=label: _shape(
                    collector, mention, shape, label, spot
                ),  # type: ignore[misc]
                mention,
            )
    collector.note(
        "of a video only the frames that show an object are pages: an empty frame may be one nobody looked at"
    )


def _all_outside(shape: ET.Element) -> bool:
    points = list(shape.iterfind("points"))
    return shape.tag == "skeleton" and bool(points) and all(part.get("outside") == "1" for part in points)


def _task(task: ET.Element, folder: str, options: ReadOptions) -> _Task:
    size = task.find("original_size")
    sides = (None, None) if size is None else (size.findtext("width"), size.findtext("height"))
    source = task.findtext("source") or task.findtext("name") or f"task-{task.findtext('id') or 0}"
    frames: tuple[str, ...] = ()
    places = [os.fspath(options.images)] if options.images is not None else [os.path.join(folder, "images")]
    for place in places:
        if not is_url(place) and os.path.isdir(place):
            frames = tuple(
                sorted(str(file) for file in Path(place).iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
            )
    return _Task(source, sides, frames)


def _frame(task: _Task, frame: int, folder: str, options: ReadOptions) -> PageKey:
    """The page of a frame."""
    if frame < 0:
        raise Wrong(f"is {frame}; frames count from 0", "frame")
    if task.frames:
        named = image_of(os.path.dirname(task.frames[0]), f"frame_{frame:06d}")
        if named is not None:
            return PageKey(named)
        if frame >= len(task.frames):
            raise Wrong(
                f"is {frame}, but there are only {len(task.frames)} images in {os.path.dirname(task.frames[0])}",
                "frame",
            )
        return PageKey(task.frames[frame])
    return PageKey(resolve(task.source, folder, options.images).source, frame)


def write_cvat(labels: LabelSet, path: PathLike) -> None:
    """Write a CVAT XML file. Every page needs its size."""
    folder = folder_of(path)
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    entries = ET.SubElement(ET.SubElement(ET.SubElement(root, "meta"), "task"), "labels")
    for name in labels.names:
        ET.SubElement(ET.SubElement(entries, "label"), "name").text = name
    for place, (key, page) in enumerate(labels.items()):
        width, height = labels.size(key)
        sides = {"width": str(width), "height": str(height)}
        if key in labels.reading.splits:
            sides["subset"] = labels.reading.splits[key]
        image = ET.SubElement(root, "image", {"id": str(place), "name": relative(key, folder), **sides})
        for mark in labels.image_labels.get(key, ()):
            ET.SubElement(image, "tag", {"label": mark.name, "source": "manual"})
        scores = labels.scores[key].tolist() if key in labels.scores else [None] * len(page)
        shapes = fitted(page, HOLDS["cvat"]).rows
        rows = zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), scores, shapes, strict=True)
        for box, label, ignored, score, drawn in rows:
            shape = _written(image, label, box, drawn)
            if ignored:
                ET.SubElement(shape, "attribute", {"name": "ignore"}).text = "true"
            if score is not None:
                ET.SubElement(shape, "attribute", {"name": "score"}).text = repr(score)
    write_text(path, write_xml(root), escape=False)


def _written(image: ET.Element, label: str, box: list[float], drawn: Any) -> ET.Element:
    """A box or its shape, below an image."""
    about = {"label": label, "occluded": "0", "z_order": "0"}
    if drawn is None or "oriented" in drawn:
        if drawn is not None:
            cx, cy, w, h, degrees = drawn["oriented"]
            box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
            about["rotation"] = number_text(degrees)
        return ET.SubElement(
            image, "box", about | dict(zip(("xtl", "ytl", "xbr", "ybr"), map(number_text, box), strict=True))
        )
    if "polygon" in drawn:
        said = ";".join(f"{number_text(x)},{number_text(y)}" for x, y in drawn["polygon"][0])
        return ET.SubElement(image, "polygon", {**about, "points": said})
    if "mask" in drawn:
        height, width = drawn["mask"]["size"]
        picture = Masks.from_rle([drawn["mask"]]).to_arrays(width, height)[0]
        frame = {"left": drawn["origin"][0], "top": drawn["origin"][1], "width": width, "height": height}
        rle = ", ".join(map(str, runs_of(picture.ravel()).tolist()))
        return ET.SubElement(
            image, "mask", about | {name: str(side) for name, side in frame.items()} | {"rle": rle}
        )
    shape = ET.SubElement(image, "skeleton", about)
    for place, (x, y, seen) in enumerate(drawn["keypoints"], 1):
        marks = {"label": str(place), "outside": str(int(seen == 0)), "occluded": str(int(seen == 1))}
        ET.SubElement(shape, "points", {**marks, "points": f"{number_text(x)},{number_text(y)}"})
    return shape
