"""Annotorious, over OpenSeadragon and alone: a JSON list of W3C Web Annotations.

An annotation's label is its body of purpose `tagging`; its place a `FragmentSelector` (`xywh=pixel:` or `percent:`) or
an `SvgSelector` with a polygon, rectangle, circle, ellipse, or a path of straight lines. Its page is `target.source`,
or the image of the file's name. A score is a body of purpose `assessing`, an ignore region one of purpose `moderating`
that says "ignore"; both are motivations of the W3C's, which other programs keep and do not show.
"""

from __future__ import annotations

import json
import math
import os
import re
import uuid
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import (
    Where,
    Wrong,
    an_object,
    around,
    number,
    number_text,
    numbers,
    pairs_of,
    text,
)
from tilekit.labels.files import folder_of
from tilekit.labels.holding import HOLDS, fitted
from tilekit.labels.json_files import read_json
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.sources import PathLike, named_after, relative, resolve
from tilekit.storage.local import write_text

_CONTEXT = "http://www.w3.org/ns/anno.jsonld"
_CONFORMS = "http://www.w3.org/TR/media-frags/"
_FRAGMENT = re.compile(r"^xywh=(?:(pixel|percent):)?(.*)$")
_ELEMENT = re.compile(r"<(polygon|rect|circle|ellipse|path)\b([^>]*)>")
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*["']([^"']*)["']""")
_PATH = re.compile(r"\s*M([^A-Za-z]*)((?:L[^A-Za-z]*)*)[Zz]?\s*")
_ROUND = 64

_Place = tuple[list[float], str, Any, bool]


def read_annotorious(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a list of annotations, or an AnnotationPage; problems name the entry, such as `[3].target`."""
    document = read_json(path)
    entries = document.get("items") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise LabelError(f"{os.fspath(path)}: not a list of W3C annotations")
    collector = Collector(path, options)
    collector.expect(len(entries))

    def take(item: Any, where: Where) -> None:
        entry = an_object(item)
        target = entry.get("target")
        target = target[0] if isinstance(target, list) and len(target) == 1 else target
        about = {"source": target} if isinstance(target, str) else an_object(target, "target")
        source = about.get("source")
        source = source.get("id") if isinstance(source, dict) else source
        key = (
            named_after(path, options.images)
            if source is None
            else resolve(text(source, "target.source"), folder_of(path), options.images)
        )
        tags, score, ignore = _said(entry.get("body"))
        place = None if about.get("selector") is None else _place(about["selector"])
        if place is not None and len(tags) != 1:
            raise Wrong(
                f"has {len(tags)} bodies of purpose tagging; one is needed, which is the label", "body"
            )
        collector.expect(-1)  # page() counts it again, so that a page that is refused takes it along
        mention = collector.page(key, where=where, entries=1, again=True)
        if mention is None:
            return
        if place is None:
            collector.expect(len(tags) - 1)
            for tag in tags:
                collector.image_label(mention, tag)
            return
        sides, kind, drawn, share = place
        collector.box(
            mention,
            tags[0],
            sides,
            where.at("target.selector"),
            ignore=ignore,
            share=share,
            score=score,
            outline=Outline(kind, drawn),
        )

    collector.each(entries, lambda place: Where(f"[{place}]"), take)
    return collector.finish("annotorious")


def _said(body: Any) -> tuple[list[str], float | None, bool]:
    """Tags, score, and whether it is an ignore region."""
    tags, score, ignore = [], None, False
    for part in body if isinstance(body, list) else [] if body is None else [body]:
        said = an_object(part, "body")
        purpose, value = said.get("purpose"), said.get("value")
        if purpose == "tagging":
            tags.append(text(value, "body.value"))
        elif purpose == "assessing":
            score = number(value, "body.value")
        elif purpose == "moderating":
            ignore = value == "ignore"
    return tags, score, ignore


def _place(selector: Any) -> _Place:
    """Sides, kind, shape, and whether sides are shares of the page."""
    first = an_object(selector[0] if isinstance(selector, list) and selector else selector, "target.selector")
    kind, value = first.get("type"), text(first.get("value"), "target.selector.value")
    if kind == "FragmentSelector":
        found = _FRAGMENT.match(value)
        if found is None:
            raise Wrong(f"is {value!r:.60}; xywh=pixel:x,y,w,h is needed", "target.selector.value")
        x, y, w, h = numbers(found[2].split(","), 4, "target.selector.value")
        by = 100.0 if found[1] == "percent" else 1.0
        return [x / by, y / by, (x + w) / by, (y + h) / by], "box", None, by == 100
    if kind == "SvgSelector":
        return _drawing(value)
    raise Wrong(f"is a {kind!r:.40}; a FragmentSelector or an SvgSelector is needed", "target.selector.type")


def _drawing(value: str) -> _Place:
    found = _ELEMENT.findall(value)
    if len(found) != 1:
        raise Wrong(f"draws {len(found)} shapes; one is needed", "target.selector.value")
    (name, inside), field = found[0], "target.selector.value"
    at = dict(_ATTRIBUTE.findall(inside))
    if name == "rect":
        x, y, w, h = (number(at.get(part), field) for part in ("x", "y", "width", "height"))
        return [x, y, x + w, y + h], "box", None, False
    if name in ("circle", "ellipse"):
        across, down = ("r", "r") if name == "circle" else ("rx", "ry")
        x, y, rx, ry = (number(at.get(part), field) for part in ("cx", "cy", across, down))
        turns = [2 * math.pi * step / _ROUND for step in range(_ROUND)]
        ring = [[x + rx * math.cos(turn), y + ry * math.sin(turn)] for turn in turns]
        return [x - rx, y - ry, x + rx, y + ry], name, {"polygon": [ring]}, False
    written = at.get("points", "")
    if name == "path":
        straight = _PATH.fullmatch(at.get("d", ""))
        if straight is None:
            raise Wrong("is a path of more than straight lines around one area", field)
        written = (straight[1] + straight[2]).replace("L", " ")
    parts = written.replace(",", " ").split()
    points = pairs_of(numbers(parts, len(parts), field), field)
    return around(points, field), "polygon", {"polygon": [[list(point) for point in points]]}, False


def write_annotorious(labels: LabelSet, path: PathLike) -> None:
    """Write a list of W3C annotations, as `loadAnnotations` of Annotorious takes it; ids are the same for the same labels."""
    folder, entries = folder_of(path), []
    for key, page in labels.items():
        source = relative(key, folder)
        scores = labels.scores[key].tolist() if key in labels.scores else [None] * len(page)
        drawn = fitted(page, HOLDS["annotorious"]).rows
        rows = zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), scores, drawn, strict=True)
        for place, (box, label, ignored, score, shape) in enumerate(rows):
            body = [_body("tagging", label)]
            body += [] if score is None else [_body("assessing", repr(score))]
            body += [_body("moderating", "ignore")] if ignored else []
            entries.append(
                {
                    "@context": _CONTEXT,
                    "id": f"#{uuid.uuid5(uuid.NAMESPACE_URL, f'{source} {place}')}",
                    "type": "Annotation",
                    "body": body,
                    "target": {"source": source, "selector": _selector(box, shape)},
                }
            )
    write_text(path, json.dumps(entries, ensure_ascii=False, allow_nan=False))


def _body(purpose: str, value: str) -> dict[str, str]:
    return {"type": "TextualBody", "purpose": purpose, "value": value}


def _selector(box: list[float], shape: Any) -> dict[str, str]:
    if shape is not None:
        points = " ".join(f"{number_text(x)},{number_text(y)}" for x, y in shape["polygon"][0])
        return {"type": "SvgSelector", "value": f'<svg><polygon points="{points}"></polygon></svg>'}
    x0, y0, x1, y1 = box
    sides = ",".join(map(number_text, (x0, y0, x1 - x0, y1 - y0)))
    return {"type": "FragmentSelector", "conformsTo": _CONFORMS, "value": f"xywh=pixel:{sides}"}
