"""COCO detection files: one JSON object with images, annotations, categories (cocodataset.org/#format-data).

`iscrowd` regions are ignore regions. Annotations without a bbox take the box around their polygons. Category ids
may have gaps; names come in their order.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector, hull
from tilekit.labels.files import folder_of, read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.pages import PageKey
from tilekit.storage.local import write_text


class _Image(msgspec.Struct):
    id: int | str
    file_name: str
    width: Any = None
    height: Any = None


class _Category(msgspec.Struct):
    id: int
    name: str


class _Annotation(msgspec.Struct, gc=False):
    image_id: int | str
    category_id: int
    bbox: Any = None
    segmentation: Any = None
    iscrowd: int | bool = 0


class _Coco(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation] = []
    categories: list[_Category] = []


def read_coco(path: PathLike, *, strict: bool = True, images: PathLike | None = None) -> LabelSet:
    """Read a COCO file; problems name the entry, such as `annotations[3].bbox`. Memory: the whole file."""
    try:
        coco = msgspec.json.decode(read_bytes(path), type=_Coco)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise LabelError(f"{path}: not a COCO file: {exc}") from exc
    folder = folder_of(path)
    names = {entry.id: entry.name for entry in sorted(coco.categories, key=lambda entry: entry.id)}
    collector = Collector(path, strict, tuple(dict.fromkeys(names.values())))
    keys: dict[int | str, PageKey] = {}
    for place, image in enumerate(coco.images):
        key = resolve(image.file_name, folder, images)
        if collector.page(key, image.width, image.height, f"images[{place}]"):
            keys[image.id] = key
    for place, entry in enumerate(coco.annotations):
        _add(collector, f"annotations[{place}]", entry, keys, names)
    return collector.finish("coco")


def _add(
    collector: Collector,
    field: str,
    entry: _Annotation,
    keys: dict[int | str, PageKey],
    names: dict[int, str],
) -> None:
    key = keys.get(entry.image_id)
    if key is None:
        collector.problem(f"{field}.image_id", f"is {entry.image_id!r}, which no image has; add the image")
        return
    label = names.get(entry.category_id)
    if label is None:
        collector.problem(f"{field}.category_id", f"is {entry.category_id}, which no category has; add it")
        return
    sides = _sides(entry)
    if sides is None:
        collector.problem(f"{field}.bbox", f"is {entry.bbox!r:.100}; [x, y, width, height] is needed")
        return
    collector.box(key, label, sides, ignore=bool(entry.iscrowd), field=f"{field}.bbox")


def _sides(entry: _Annotation) -> tuple[float, float, float, float] | None:
    if entry.bbox is None and isinstance(entry.segmentation, list):
        points = [
            part[place : place + 2]
            for part in entry.segmentation
            if isinstance(part, list)
            for place in range(0, len(part) - 1, 2)
        ]
        return hull(points)
    if not isinstance(entry.bbox, list) or len(entry.bbox) != 4:
        return None
    if not all(isinstance(side, (int, float)) for side in entry.bbox):
        return None
    left, top, width, height = entry.bbox
    return left, top, left + width, top + height


def write_coco(labels: LabelSet, path: PathLike) -> None:
    """Write a COCO file; category ids count from one, in the order of names. Every page needs its size."""
    folder = folder_of(path)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for place, (key, page) in enumerate(labels.items(), 1):
        width, height = labels.size(key)
        images.append({"id": place, "file_name": relative(key, folder), "width": width, "height": height})
        for box, number, ignored in zip(
            page.boxes.tolist(), page.class_ids.tolist(), page.ignore.tolist(), strict=True
        ):
            wide, tall = box[2] - box[0], box[3] - box[1]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": place,
                    "category_id": number + 1,
                    "bbox": [box[0], box[1], wide, tall],
                    "area": wide * tall,
                    "iscrowd": int(ignored),
                }
            )
    categories = [{"id": place, "name": name} for place, name in enumerate(labels.names, 1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    write_text(path, json.dumps(document, ensure_ascii=False, allow_nan=False))
