"""Labelbox: NDJSON exports, one data row a line (docs.labelbox.com, "Export overview"), and the older JSON list.

Bounding boxes; polygons and lines as the box around them; points and masks behind an address have none here and are
problems. Answers about the whole image are labels of the page. Two labels of a data row name its page twice.
"""

from __future__ import annotations

import os
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, an_object, around, number, points_of, text
from tilekit.labels.files import folder_of, read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import outline
from tilekit.labels.sources import PathLike, resolve
from tilekit.rekognition.lines import decode_plain


def read_labelbox(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read an export; problems name the line, or the place in the list."""
    collector, folder = Collector(path, options), folder_of(path)
    data = read_bytes(path)
    if data.lstrip()[:1] == b"[":
        try:
            rows = [(Where(f"[{place}]"), row) for place, row in enumerate(decode_plain(data))]
        except ValueError as exc:
            raise LabelError(f"{os.fspath(path)}: {exc}") from exc
    else:
        rows = []
        for line, raw in enumerate(data.split(b"\n"), 1):
            if raw.strip():
                try:
                    rows.append((Where(line=line), decode_plain(raw)))
                except ValueError as exc:
                    collector.expect(1)
                    collector.refuse(Where(line=line), str(exc))
    for where, row in rows:
        _row(collector, row, where, folder)
    return collector.finish("labelbox")


def _labels(row: dict[str, Any]) -> list[tuple[list[Any], list[Any]]]:
    """(objects, answers) of each label of a row; answers one by one."""
    found = []
    if isinstance(row.get("Label"), dict):
        found = [row["Label"]]
    projects = row.get("projects")
    for project in projects.values() if isinstance(projects, dict) else ():
        labels = project.get("labels") if isinstance(project, dict) else None
        for label in labels if isinstance(labels, list) else ():
            annotations = label.get("annotations") if isinstance(label, dict) else None
            found.append(annotations if isinstance(annotations, dict) else {})
    return [(_list(label.get("objects")), _answers(_list(label.get("classifications")))) for label in found]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _answers(entries: list[Any]) -> list[Any]:
    answers: list[Any] = []
    for entry in entries:
        value = entry if isinstance(entry, dict) else {}
        one = value.get("radio_answer", value.get("answer"))
        many = _list(value.get("checklist_answers", value.get("answers")))
        answers += many or [one]
    return answers


def _row(collector: Collector, row: Any, where: Where, folder: str) -> None:
    try:
        entry = an_object(row)
        found = entry.get("data_row")
        about: dict[str, Any] = found if isinstance(found, dict) else {}
        name = (
            about.get("external_id")
            or about.get("row_data")
            or entry.get("External ID")
            or entry.get("Labeled Data")
        )
        key = resolve(text(name, "data_row.external_id"), folder, collector.options.images)
    except Wrong as exc:
        count = max(1, sum(len(a) + len(b) for a, b in _labels(row))) if isinstance(row, dict) else 1
        collector.expect(count)
        collector.refuse(where.at(exc.field), str(exc), count)
        return
    media = entry.get("media_attributes")
    size = (media.get("width"), media.get("height")) if isinstance(media, dict) else (None, None)
    labels = _labels(entry)
    if not labels:
        collector.expect(1)
        collector.unlabeled(key, "has no label yet")
    for objects, answers in labels:
        mention = collector.page(key, size, where, len(objects) + len(answers))
        if mention is None:
            continue
        take = lambda item, spot, mention=mention: _object(collector, mention, an_object(item), spot)  # noqa: E731
        collector.each(objects, lambda place: where.at(f"objects[{place}]"), take, mention)
        mark = lambda item, spot, mention=mention: _answer(collector, mention, item)  # noqa: E731
        collector.each(answers, lambda place: where.at(f"classifications[{place}]"), mark, mention)


def _answer(collector: Collector, mention: int, item: Any) -> None:
    if not isinstance(item, dict):
        collector.passed("answers in words, which are no labels")
        return
    collector.image_label(mention, item.get("name") or item.get("title") or item.get("value"))


def _object(collector: Collector, mention: int, item: dict[str, Any], where: Where) -> None:
    label = item.get("name") or item.get("title") or item.get("value")
    box = item.get("bounding_box") or item.get("bbox")
    if isinstance(box, dict):
        x, y, w, h = (
            number(box.get(name), f"bounding_box.{name}") for name in ("left", "top", "width", "height")
        )
        collector.box(mention, label, [x, y, x + w, y + h], where)
        return
    for kind in ("polygon", "line"):
        if kind in item:
            points = points_of(item[kind], kind)
            drawn = outline(points) if kind == "polygon" and len(points) > 2 else None
            collector.box(mention, label, around(points, kind), where, outline=Outline(kind, drawn))
            return
    kinds = [kind for kind in ("point", "mask", "instanceURI") if kind in item]
    raise Wrong(
        f"is a {kinds[0] if kinds else 'shape'} without a box; remove it, or read with strict=False (--lenient)"
    )
