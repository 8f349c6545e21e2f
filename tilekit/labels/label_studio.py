"""Label Studio: JSON and JSON-MIN exports (labelstud.io/guide/export).

Rectangles (percent of the image; rotated ones as the box around them), polygons, ellipses and brushes likewise; a
region of two labels is two boxes; key points have no box and are problems. Choices are labels of the whole image, or,
made for one region, the label of a region that has none. Two annotations of a task name its page twice, unless one is
marked as ground truth; canceled ones are passed over; a task without any is unlabeled. `meta.text` holding "ignore"
marks an ignore region.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tilekit.boxes.shapes import Masks
from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, a_list, an_object, around, number, points_of, text
from tilekit.labels.files import folder_of
from tilekit.labels.holding import HOLDS, fitted
from tilekit.labels.json_files import read_json
from tilekit.labels.label_set import LabelSet
from tilekit.labels.masks import box_of_rows, runs_of, studio_bytes, studio_mask
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import (
    ellipse_outline,
    mask_of,
    oriented,
    outline,
    turned,
    turned_corners,
    turned_ellipse,
)
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.pages import PageKey
from tilekit.rekognition.lines import is_number
from tilekit.storage.local import write_text

_SHAPES = {
    "rectanglelabels": "box",
    "polygonlabels": "polygon",
    "ellipselabels": "ellipse",
    "brushlabels": "mask",
    "keypointlabels": "point",
    "labels": "box",
    "hypertextlabels": "",
}
_PLAIN = {
    "rectangle": "box",
    "polygon": "polygon",
    "ellipse": "ellipse",
    "brush": "mask",
    "keypoint": "point",
}
_UPLOAD = re.compile(r"^/data/upload/(?:[0-9]+/)?(?:[0-9a-f]{8}-)?")
_FOLDER = re.compile(r"^/data/(?:upload/(?:[0-9]+/)?)?")


def read_label_studio(path: PathLike, options: ReadOptions, *, predictions: bool = False) -> LabelSet:
    """Read an export; problems name the task and the region, such as `[3].result[0]`.

    `predictions`: of tasks without an annotation take the first prediction, with its scores.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list):
        raise LabelError(f"{os.fspath(path)}: not a Label Studio export: a list of tasks is needed")
    collector, folder = Collector(path, options), folder_of(path)
    for place, task in enumerate(tasks):
        where = Where(f"[{place}]")
        try:
            found = an_object(task)
            key = resolve(_source(found, options.images is not None), folder, options.images)
        except Wrong as exc:
            entries = (
                sum(_entries(regions) for _, regions in _annotations(task)[0])
                if isinstance(task, dict)
                else 1
            )
            collector.expect(max(entries, 1))
            collector.refuse(where.at(exc.field), str(exc), max(entries, 1))
            continue
        _task(collector, key, found, where, predictions)
    return collector.finish("label-studio")


def _source(task: dict[str, Any], elsewhere: bool) -> str:
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    values = [data.get(name) for name in ("image", "img", "ocr", "url")] if isinstance(data, dict) else []
    found = next((value for value in values if isinstance(value, str) and value), None)
    if found is None:
        raise Wrong("names no image", "data")
    if found.startswith("/data/local-files/"):
        return text(unquote(parse_qs(urlsplit(found).query).get("d", [""])[0]), "data")
    if found.startswith("/data/"):
        return unquote((_FOLDER if elsewhere else _UPLOAD).sub("", found))
    return found


def _annotations(task: dict[str, Any]) -> tuple[list[tuple[str, list[Any]]], int]:
    """(JSON path, regions) of each annotation that counts, and the entries of those that do not."""
    if "annotations" not in task and "completions" not in task:
        lists = [
            (name, value)
            for name, value in task.items()
            if isinstance(value, list)
            and value
            and all(isinstance(part, dict) for part in value)
            and name != "predictions"
        ]
        return lists, 0
    name = "annotations" if "annotations" in task else "completions"
    listed = task[name] if isinstance(task[name], list) else []
    done = [
        (f"{name}[{place}]" if len(listed) > 1 else "", entry)
        for place, entry in enumerate(listed)
        if isinstance(entry, dict) and isinstance(entry.get("result"), list)
    ]
    kept = [(place, entry) for place, entry in done if not entry.get("was_cancelled")]
    chosen = [(place, entry) for place, entry in kept if entry.get("ground_truth") is True]
    if len(chosen) == 1:
        kept = chosen
    left = sum(
        _entries(entry["result"]) for place, entry in done if all(entry is not other for _, other in kept)
    )
    return [(f"{place}.result" if place else "result", entry["result"]) for place, entry in kept], left


def _labels_of(region: Any) -> list[Any]:
    """The labels of a region, one entry each."""
    value = region.get("value", region) if isinstance(region, dict) else None
    if not isinstance(value, dict):
        return []
    kinds = [kind for kind in _SHAPES if isinstance(value.get(kind), list) and value[kind]]
    return list(value[kinds[0]]) if kinds else []


def _entries(regions: list[Any]) -> int:
    """How many entries regions are: one for each label or choice, at least one each."""
    return sum(len(_labels_of(region)) or len(_choices(region)) or 1 for region in regions)


def _choices(region: Any) -> list[Any]:
    value = region.get("value", region) if isinstance(region, dict) else None
    found = value.get("choices") if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _task(collector: Collector, key: PageKey, task: dict[str, Any], where: Where, predictions: bool) -> None:
    kept, left = _annotations(task)
    guesses = task.get("predictions")
    guess = guesses[0] if predictions and isinstance(guesses, list) and guesses else None
    if not kept and isinstance(guess, dict) and isinstance(guess.get("result"), list):
        kept = [("predictions[0].result", guess["result"])]
    collector.expect(left)
    collector.passed("in annotations that were canceled, or are not the one marked as ground truth", left)
    minimal = "annotations" not in task and "completions" not in task
    if not kept:
        collector.expect(1)
        collector.unlabeled(
            key,
            "has predictions but no annotation yet" if task.get("predictions") else "has no annotation yet",
        )
        return
    data = task.get("data")
    for turn, (place, regions) in enumerate(kept):
        sized = [
            entry for entry in regions if isinstance(entry, dict) and is_number(entry.get("original_width"))
        ]
        about = sized[0] if sized else (data if isinstance(data, dict) else {})
        names = ("original_width", "original_height") if sized else ("width", "height")
        size = (about.get(names[0]), about.get(names[1]))
        known = all(is_number(side) for side in size)
        spot = where.at(place)
        again = minimal and turn > 0
        mention = collector.page(key, size if known else (None, None), spot, _entries(regions), again=again)
        if mention is not None:
            _regions(collector, mention, regions, spot)


def _regions(collector: Collector, mention: int, regions: list[Any], where: Where) -> None:
    """The regions of an annotation; choices made for a region are taken with it."""
    drawn = {_id(region) for region in regions if _is_drawn(region)}
    named: dict[str, list[Any]] = {}
    for region in regions:
        if not _is_drawn(region) and _choices(region) and _id(region) in drawn:
            named.setdefault(_id(region), []).extend(_choices(region))
    for place, region in enumerate(regions):
        spot = Where(f"{where.field}[{place}]", where.line, where.file)
        choices = [] if _is_drawn(region) else _choices(region)
        if choices and _id(region) in drawn:
            collector.passed("choices made for one region, of which a box keeps the label", len(choices))
            continue
        own = named.get(_id(region), [])
        for label in choices or _labels_of(region) or own[:1] or [None]:
            try:
                if choices:
                    collector.image_label(mention, label)
                else:
                    _take(collector, mention, region, label, spot)
            except Wrong as exc:
                collector.refuse(spot.at(exc.field), str(exc), mention=mention)


def _id(region: Any) -> str:
    """What ties the results of one region together; those without it stand alone."""
    found = region.get("id") if isinstance(region, dict) else None
    return str(found) if isinstance(found, (str, int)) else f"{id(region)} stands alone"


def _is_drawn(region: Any) -> bool:
    """Whether it has a place on the page."""
    value = region.get("value", region) if isinstance(region, dict) else None
    if not isinstance(value, dict) or region.get("type") == "choices":
        return False
    return bool(_labels_of(region)) or any(name in value for name in ("x", "points", "rle"))


def _take(collector: Collector, mention: int, region: Any, label: Any, where: Where) -> None:
    value = an_object(an_object(region).get("value", region), "value")
    kind = str(region.get("type") or "")
    shape = (
        next((_SHAPES[name] for name in _SHAPES if value.get(name)), None)
        or _SHAPES.get(kind)
        or _PLAIN.get(kind)
    )
    if label is None and (_is_drawn(region) or kind in _SHAPES or kind in _PLAIN):
        raise Wrong(f"is a region of type {kind or 'box'} without a label; label it, or remove it")
    if label is None or not shape:
        collector.passed("of a kind that marks nothing on the page (relations, texts, ratings)")
        return
    if shape == "point":
        raise Wrong("is a key point, which has no box; read with strict=False (--lenient) to leave it out")
    wide, tall = region.get("original_width"), region.get("original_height")
    if not is_number(wide) or not is_number(tall) or wide <= 0 or tall <= 0:
        raise Wrong("has no original_width and original_height, so percent cannot become px")
    sides = [round(side, 6) for side in _sides(value, shape, float(wide), float(tall))]
    if shape == "box" and value.get("rotation"):
        shape = "rotated box"
    meta = region.get("meta")
    notes = meta.get("text") if isinstance(meta, dict) else None
    ignore = "ignore" in notes if isinstance(notes, (list, str)) else False
    collector.box(
        mention,
        label,
        sides,
        where,
        ignore=ignore,
        share=False,
        score=region.get("score"),
        outline=Outline(shape, lambda: _drawn(value, shape, float(wide), float(tall))),
    )


def _drawn(value: dict[str, Any], shape: str, wide: float, tall: float) -> Any:
    """What is drawn, in px, where it is more than a box."""
    if shape == "mask":
        return mask_of(studio_mask(a_list(value.get("rle"), "rle"), int(wide), int(tall)))
    if "points" in value:
        points = [(x * wide / 100, y * tall / 100) for x, y in points_of(value["points"], "points")]
        return outline(points) if len(points) > 2 else None
    degrees = number(value.get("rotation") or 0, "rotation")
    if "radiusX" in value:
        x, y, rx, ry = (number(value.get(name), name) for name in ("x", "y", "radiusX", "radiusY"))
        return ellipse_outline((x * wide / 100, y * tall / 100), (rx * wide / 100, ry * tall / 100), degrees)
    if not degrees % 360:
        return None
    x, y, w, h = (number(value.get(name), name) for name in ("x", "y", "width", "height"))
    sides = (x * wide / 100, y * tall / 100, (x + w) * wide / 100, (y + h) * tall / 100)
    return oriented(sides, degrees, sides[:2])


def _sides(value: dict[str, Any], shape: str, wide: float, tall: float) -> list[float]:
    if shape == "mask":
        mask = studio_mask(a_list(value.get("rle"), "rle"), int(wide), int(tall))
        return box_of_rows(runs_of(mask.ravel()), int(wide))
    if "points" in value:
        return around(
            [(x * wide / 100, y * tall / 100) for x, y in points_of(value["points"], "points")], "points"
        )
    degrees = number(value.get("rotation") or 0, "rotation")
    if "radiusX" in value:
        x, y, rx, ry = (number(value.get(name), name) for name in ("x", "y", "radiusX", "radiusY"))
        return turned_ellipse((x * wide / 100, y * tall / 100), (rx * wide / 100, ry * tall / 100), degrees)
    x, y, w, h = (number(value.get(name), name) for name in ("x", "y", "width", "height"))
    box = (x * wide / 100, y * tall / 100, (x + w) * wide / 100, (y + h) * tall / 100)
    return turned(box, degrees, (box[0], box[1]))


def write_label_studio(labels: LabelSet, path: PathLike) -> None:
    """Write a JSON export that Label Studio imports again; with scores, as predictions. Every page needs its size."""
    folder = folder_of(path)
    tasks = []
    for task, (key, page) in enumerate(labels.items(), 1):
        size = labels.size(key)
        result = [
            _region_of(f"{task}-{place}", size, _value(box, drawn, size), label, ignored)
            for place, (box, drawn, label, ignored) in enumerate(
                zip(
                    page.boxes.tolist(),
                    fitted(page, HOLDS["label-studio"]).rows,
                    page.labels,
                    page.ignore.tolist(),
                    strict=True,
                )
            )
        ]
        result += [
            {"type": "choices", "from_name": "page", "to_name": "image", "value": {"choices": [mark.name]}}
            for mark in labels.image_labels.get(key, ())
        ]
        data = {"image": relative(key, folder), "width": size[0], "height": size[1]}
        if key in labels.scores:
            for region, score in zip(result, labels.scores[key].tolist(), strict=False):
                region["score"] = score
            tasks.append(
                {"id": task, "data": data, "predictions": [{"model_version": "tilekit", "result": result}]}
            )
            continue
        tasks.append({"id": task, "data": data, "annotations": [{"result": result}]})
    for key in labels.unlabeled:
        tasks.append({"id": len(tasks) + 1, "data": {"image": relative(key, folder)}, "annotations": []})
    write_text(path, json.dumps(tasks, ensure_ascii=False, allow_nan=False))


def _region_of(
    name: str, size: tuple[int, int], value: dict[str, Any], label: str, ignored: bool
) -> dict[str, Any]:
    kind = "polygonlabels" if "points" in value else "brushlabels" if "rle" in value else "rectanglelabels"
    region: dict[str, Any] = {
        "id": name,
        "type": kind,
        "from_name": {"rectanglelabels": "label"}.get(kind, kind.removesuffix("labels")),
        "to_name": "image",
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "value": {**value, kind: [label]},
    }
    if ignored:
        region["meta"] = {"text": ["ignore"]}
    return region


def _value(box: list[float], drawn: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Where a region is, in percent: a box turned about its top left corner, a polygon, or a brush."""
    wide, tall = size
    if drawn is not None and "polygon" in drawn:
        return {"points": [[100 * x / wide, 100 * y / tall] for x, y in drawn["polygon"][0]], "closed": True}
    if drawn is not None and "mask" in drawn:
        picture = Masks.from_json([drawn]).to_arrays(wide, tall)[0]
        return {"format": "rle", "rle": studio_bytes(picture)}
    degrees, left, top, width, height = 0, box[0], box[1], box[2] - box[0], box[3] - box[1]
    if drawn is not None:
        cx, cy, width, height, degrees = drawn["oriented"]
        sides = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
        left, top = turned_corners(sides, degrees, (cx, cy))[0]
    return {
        "x": 100 * left / wide,
        "y": 100 * top / tall,
        "width": 100 * width / wide,
        "height": 100 * height / tall,
        "rotation": degrees,
    }
