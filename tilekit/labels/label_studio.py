"""Label Studio: JSON and JSON-MIN exports (labelstud.io/guide/export).

Rectangles (percent of the image; rotated ones as the box around them), polygons and ellipses likewise; choices are
labels of the whole image. Of several annotations of a task the last that was not canceled counts; a task without
any is unlabeled. `meta.text` holding "ignore" marks an ignore region.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector, hull, snapped
from tilekit.labels.cvat import turned
from tilekit.labels.files import folder_of, read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.pages import PageKey
from tilekit.rekognition.lines import decode_plain, is_number
from tilekit.storage.local import write_text

_KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels", "labels")
_UPLOAD = re.compile(r"^/data/upload/(?:[0-9]+/)?(?:[0-9a-f]{8}-)?")


def read_label_studio(path: PathLike, *, strict: bool = True, images: PathLike | None = None) -> LabelSet:
    """Read an export; problems name the task and the region, such as `[3].result[0]`."""
    try:
        tasks = decode_plain(read_bytes(path))
    except ValueError as exc:
        raise LabelError(f"{path}: {exc}") from exc
    if not isinstance(tasks, list):
        raise LabelError(f"{path}: not a Label Studio export: a list of tasks is needed")
    collector, folder = Collector(path, strict), folder_of(path)
    for place, task in enumerate(tasks):
        source = _source(task) if isinstance(task, dict) else None
        if source is None:
            collector.problem(f"[{place}].data", "names no image")
            continue
        key = resolve(source, folder, images)
        regions = _regions(task)
        if regions is None:
            collector.unlabeled(key, "has no annotation yet")
            continue
        _task(collector, key, task, regions, f"[{place}]")
    return collector.finish("label-studio")


def _source(task: dict[str, Any]) -> str | None:
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    values = [data.get(name) for name in ("image", "img", "ocr", "url")] if isinstance(data, dict) else []
    text = next((value for value in values if isinstance(value, str) and value), None)
    if text is None:
        return None
    if text.startswith("/data/local-files/"):
        return unquote(parse_qs(urlsplit(text).query).get("d", [""])[0]) or None
    return unquote(_UPLOAD.sub("", text)) if text.startswith("/data/") else text


def _regions(task: dict[str, Any]) -> list[Any] | None:
    if "annotations" in task or "completions" in task:
        entries = task.get("annotations", task.get("completions"))
        done = [
            entry
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict)
            and not entry.get("was_cancelled")
            and isinstance(entry.get("result"), list)
        ]
        return list(done[-1]["result"]) if done else None
    lists = [
        value
        for value in task.values()
        if isinstance(value, list) and all(isinstance(x, dict) for x in value)
    ]
    return lists[0] if lists else None


def _task(collector: Collector, key: PageKey, task: dict[str, Any], regions: list[Any], field: str) -> None:
    sized = [entry for entry in regions if isinstance(entry, dict) and is_number(entry.get("original_width"))]
    data = task.get("data")
    about = sized[0] if sized else (data if isinstance(data, dict) else {})
    names = ("original_width", "original_height") if sized else ("width", "height")
    size = [about.get(name) for name in names]
    known = all(is_number(side) for side in size)
    if not collector.page(key, size[0] if known else None, size[1] if known else None, field):
        return
    for place, region in enumerate(regions):
        where = f"{field}.result[{place}]"
        if not isinstance(region, dict):
            collector.problem(where, "is not an object")
            continue
        value = region.get("value", region)
        for choice in value.get("choices", ()) if isinstance(value, dict) else ():
            collector.image_label(key, str(choice))
        kinds = [kind for kind in _KINDS if isinstance(value, dict) and value.get(kind)]
        if not kinds:
            if region.get("type") in _KINDS:
                collector.problem(where, f"is a region of type {region['type']} without a label")
            continue
        wide: Any = region.get("original_width")
        tall: Any = region.get("original_height")
        if not is_number(wide) or not is_number(tall):
            collector.problem(where, "has no original_width and original_height, so percent cannot become px")
            continue
        sides = _sides(value, float(wide), float(tall))
        meta = region.get("meta")
        notes = meta.get("text", ()) if isinstance(meta, dict) else ()
        label = value[kinds[0]][0]
        collector.box(key, label, sides or (), ignore="ignore" in notes, field=where)


def _sides(value: dict[str, Any], wide: float, tall: float) -> list[float] | None:
    points = value.get("points")
    if points is not None:
        around = hull(points)
        return (
            None
            if around is None
            else snapped([side * (wide, tall)[i % 2] / 100 for i, side in enumerate(around)])
        )
    if "radiusX" in value:
        parts = [value.get(name) for name in ("x", "y", "radiusX", "radiusY")]
        if not all(is_number(part) for part in parts):
            return None
        x, y, rx, ry = (float(part) for part in parts if part is not None)
        box = ((x - rx) * wide / 100, (y - ry) * tall / 100, (x + rx) * wide / 100, (y + ry) * tall / 100)
        return snapped(turned(box, float(value.get("rotation") or 0), (x * wide / 100, y * tall / 100)))
    parts = [value.get(name) for name in ("x", "y", "width", "height")]
    if not all(is_number(part) for part in parts):
        return None
    x, y, w, h = (float(part) for part in parts if part is not None)
    box = (x * wide / 100, y * tall / 100, (x + w) * wide / 100, (y + h) * tall / 100)
    return snapped(turned(box, float(value.get("rotation") or 0), box[:2]))


def write_label_studio(labels: LabelSet, path: PathLike) -> None:
    """Write a JSON export that Label Studio imports again. Every page needs its size."""
    folder = folder_of(path)
    tasks = []
    for number, (key, page) in enumerate(labels.items(), 1):
        size = labels.size(key)
        result = [
            _region(f"{number}-{place}", size, box, label, ignored)
            for place, (box, label, ignored) in enumerate(
                zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), strict=True)
            )
        ]
        result += [
            {"type": "choices", "from_name": "page", "to_name": "image", "value": {"choices": [mark.name]}}
            for mark in labels.image_labels.get(key, ())
        ]
        data = {"image": relative(key, folder), "width": size[0], "height": size[1]}
        tasks.append({"id": number, "data": data, "annotations": [{"result": result}]})
    for key in labels.unlabeled:
        tasks.append({"id": len(tasks) + 1, "data": {"image": relative(key, folder)}, "annotations": []})
    write_text(path, json.dumps(tasks, ensure_ascii=False, allow_nan=False))


def _region(name: str, size: tuple[int, int], box: list[float], label: str, ignored: bool) -> dict[str, Any]:
    wide, tall = size
    region: dict[str, Any] = {
        "id": name,
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": wide,
        "original_height": tall,
        "image_rotation": 0,
        "value": {
            "x": 100 * box[0] / wide,
            "y": 100 * box[1] / tall,
            "width": 100 * (box[2] - box[0]) / wide,
            "height": 100 * (box[3] - box[1]) / tall,
            "rotation": 0,
            "rectanglelabels": [label],
        },
    }
    if ignored:
        region["meta"] = {"text": ["ignore"]}
    return region
