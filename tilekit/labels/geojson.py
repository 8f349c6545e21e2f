"""GeoJSON in image pixels, as QuPath exports it: a FeatureCollection (RFC 7946), y pointing down.

A feature's label is `properties.classification.name`, or `label`, `name` or `class`; its score `score`, or the
measurement of that name; its box is the one around its
geometry. Its page is `properties.source`, or the collection's own `source`, or the image of the file's name. Where
`properties.ignore` does not say, QuPath's ignored classes, whose names end in `*`, make ignore regions. Coordinates on
the earth, in degrees or meters, are no pixels and are refused.
"""

from __future__ import annotations

import json
import os
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.documents import geojson_document
from tilekit.labels.entries import Where, Wrong, an_object, around, as_number, numbers, text
from tilekit.labels.files import folder_of
from tilekit.labels.json_files import read_json
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.sources import PathLike, named_after, relative, resolve
from tilekit.storage.local import write_text

_LABELS = ("label", "name", "class")


def read_geojson(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a GeoJSON file; problems name the feature, such as `features[3].geometry`."""
    return labels_of_geojson(read_json(path), options, path)


def labels_of_geojson(document: Any, options: ReadOptions, path: PathLike = "document") -> LabelSet:
    """The labels of a GeoJSON document in memory; sources count from the folder of `path`."""
    features = document.get("features") if isinstance(document, dict) else document
    if not isinstance(features, list):
        raise LabelError(f"{os.fspath(path)}: not a GeoJSON FeatureCollection: features is missing")
    collector, folder = Collector(path, options), folder_of(path)
    whole: dict[str, Any] = document if isinstance(document, dict) else {}
    for place, page in enumerate(whole.get("pages", ()) if isinstance(whole.get("pages"), list) else ()):
        where = Where(f"pages[{place}]")
        try:
            key = resolve(text(an_object(page).get("source"), "source"), folder, options.images)
        except Wrong as exc:
            collector.refuse(where.at(exc.field), str(exc), 0)
            continue
        collector.page(key, (page.get("width"), page.get("height")), where, again=True)
    collector.expect(len(features))
    if _on_earth(whole, features):
        said = (
            "are places on the earth (degrees or meters), not pixels; export them in pixel coordinates, "
            "or bring them onto the raster with its transform first"
        )
        collector.refuse(Where("features"), said, len(features))
        return collector.finish("geojson")
    default = whole.get("source") if isinstance(whole.get("source"), str) else None
    collector.each(
        features,
        lambda place: Where(f"features[{place}]"),
        lambda feature, where: _feature(collector, an_object(feature), where, default, path, options),
    )
    return collector.finish("geojson")


def _on_earth(whole: dict[str, Any], features: list[Any]) -> bool:
    """Whether a file is a map: it says so by `crs`, or everything lies within degrees and is under a unit in size."""
    if whole.get("crs") is not None:
        return True
    boxes = []
    for feature in features:
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        try:
            boxes.append(
                around(_points(geometry.get("coordinates") if isinstance(geometry, dict) else None), "")
            )
        except Wrong:
            continue
    small = all(x1 - x0 < 1 and y1 - y0 < 1 for x0, y0, x1, y1 in boxes)
    near = all(abs(x) <= 180 and abs(y) <= 90 for x0, y0, x1, y1 in boxes for x, y in ((x0, y0), (x1, y1)))
    return bool(boxes) and small and near and any(side > 1 or side < 0 for box in boxes for side in box)


def _feature(
    collector: Collector,
    feature: dict[str, Any],
    where: Where,
    default: str | None,
    path: PathLike,
    options: ReadOptions,
) -> None:
    found = feature.get("properties")
    properties: dict[str, Any] = found if isinstance(found, dict) else {}
    label = _label(properties)
    if label is None:
        raise Wrong("has no classification.name, label, name or class", "properties")
    source = properties.get("source", default)
    key = (
        resolve(source, folder_of(path), options.images)
        if isinstance(source, str)
        else named_after(path, options.images)
    )
    geometry = feature.get("geometry")
    sides = around(_points(geometry.get("coordinates") if isinstance(geometry, dict) else None), "geometry")
    kind = str(geometry.get("type") if isinstance(geometry, dict) else "")
    score = as_number(properties.get("score", _measured(properties.get("measurements"))))
    ignore = properties.get("ignore", label.endswith("*")) is True
    collector.expect(-1)  # page() counts it again, so that a page that is refused takes it along
    mention = collector.page(key, where=where, entries=1, again=True)
    if mention is not None:
        shape = "box" if properties.get("shape") == "box" else kind.lower() or "polygon"
        collector.box(
            mention,
            label,
            sides,
            where.at("geometry"),
            ignore=ignore,
            score=score,
            outline=Outline(shape, lambda: _drawn(geometry, properties)),
        )


def _measured(values: Any) -> Any:
    """The measurement `score`, in an object as QuPath writes since 0.4, or in a list of names and values as before."""
    if isinstance(values, list):
        values = {item.get("name"): item.get("value") for item in values if isinstance(item, dict)}
    return values.get("score") if isinstance(values, dict) else None


def _drawn(geometry: Any, properties: dict[str, Any]) -> Any:
    """The shape of a feature; None for a box, and for what has no area."""
    for kind in ("oriented", "keypoints"):
        if kind in properties:
            return {kind: properties[kind]}
    kind = geometry.get("type")
    if properties.get("shape") == "box" or kind not in ("Polygon", "MultiPolygon"):
        return None
    parts = geometry["coordinates"] if kind == "MultiPolygon" else [geometry["coordinates"]]
    rings: list[Any] = []
    holes: list[int] = []
    try:
        for part in parts:
            holes += range(len(rings) + 1, len(rings) + len(part))
            rings += [[point[:2] for point in ring] for ring in part]
    except TypeError as exc:
        raise Wrong(f"has no coordinates of a {kind}", "geometry") from exc
    return {"polygon": rings, "holes": holes}


def _label(properties: dict[str, Any]) -> str | None:
    named = properties.get("classification")
    if isinstance(named, dict) and isinstance(named.get("name"), str):
        return str(named["name"])
    return next((properties[name] for name in _LABELS if isinstance(properties.get(name), str)), None)


def _points(value: Any) -> list[tuple[float, float]]:
    """Positions of any geometry, however deep."""
    found, todo = [], [value]
    while todo:
        part = todo.pop()
        if isinstance(part, list) and part and not isinstance(part[0], list):
            x, y = numbers(part[:2], 2, "geometry")
            found.append((x, y))
        elif isinstance(part, list):
            todo.extend(part)
        elif part is not None:
            raise Wrong("has no coordinates that are numbers", "geometry")
    return found


def write_geojson(labels: LabelSet, path: PathLike) -> None:
    """Write a FeatureCollection; each box, or its shape, is a polygon. Pages and their sizes stand under `pages`."""
    folder = folder_of(path)
    document = geojson_document(labels, lambda key: relative(key, folder))
    write_text(path, json.dumps(document, ensure_ascii=False, allow_nan=False))
