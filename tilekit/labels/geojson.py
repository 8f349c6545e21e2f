"""GeoJSON in pixels, as QuPath exports it: a FeatureCollection (RFC 7946), y pointing down.

A feature's label is `properties.classification.name`, or `label`, `name` or `class`; its box is the one around its
geometry. Its page is `properties.source`, or the collection's own `source`, or the image of the file's name. Where
`properties.ignore` does not say, QuPath's ignored classes, whose names end in `*`, make ignore regions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector, hull
from tilekit.labels.files import folder_of, read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.pages import PageKey
from tilekit.rekognition.lines import decode_plain
from tilekit.storage.local import write_text

_LABELS = ("label", "name", "class")


def read_geojson(path: PathLike, *, strict: bool = True, images: PathLike | None = None) -> LabelSet:
    """Read a GeoJSON file; problems name the feature, such as `features[3].geometry`."""
    try:
        document = decode_plain(read_bytes(path))
    except ValueError as exc:
        raise LabelError(f"{path}: {exc}") from exc
    features = document.get("features") if isinstance(document, dict) else document
    if not isinstance(features, list):
        raise LabelError(f"{path}: not a GeoJSON FeatureCollection: features is missing")
    collector, folder = Collector(path, strict), folder_of(path)
    whole = document if isinstance(document, dict) else {}
    for page in whole.get("pages", ()) if isinstance(whole.get("pages"), list) else ():
        if isinstance(page, dict) and isinstance(page.get("source"), str):
            key = resolve(page["source"], folder, images)
            collector.page(key, page.get("width"), page.get("height"), "pages")
    default = whole.get("source") if isinstance(whole.get("source"), str) else None
    for place, feature in enumerate(features):
        _feature(collector, feature, f"features[{place}]", default, path, images)
    return collector.finish("geojson")


def _feature(
    collector: Collector,
    feature: Any,
    field: str,
    default: str | None,
    path: PathLike,
    images: PathLike | None,
) -> None:
    if not isinstance(feature, dict):
        collector.problem(field, "is not an object")
        return
    properties = feature.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    label = _label(properties)
    if label is None:
        collector.problem(f"{field}.properties", "has no classification.name, label, name or class")
        return
    source = properties.get("source", default)
    key = resolve(source, folder_of(path), images) if isinstance(source, str) else _beside(path, images)
    geometry = feature.get("geometry")
    points = list(_points(geometry.get("coordinates"))) if isinstance(geometry, dict) else []
    sides = hull(points)
    if sides is None:
        collector.problem(f"{field}.geometry", "has no coordinates that are numbers")
        return
    if not collector.page(key):
        return
    ignore = properties.get("ignore", label.endswith("*")) is True
    collector.box(key, label, sides, ignore=ignore, field=f"{field}.geometry")


def _label(properties: dict[str, Any]) -> str | None:
    named = properties.get("classification")
    if isinstance(named, dict) and isinstance(named.get("name"), str):
        return str(named["name"])
    return next((properties[name] for name in _LABELS if isinstance(properties.get(name), str)), None)


def _points(value: Any) -> Iterator[Any]:
    """Positions of any geometry, however deep."""
    if isinstance(value, list) and value and not isinstance(value[0], list):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _points(part)


def _beside(path: PathLike, images: PathLike | None) -> PageKey:
    """The image a GeoJSON file is named after, beside it or in `images`."""
    folder = Path(images) if images is not None else Path(folder_of(path))
    stem = Path(path).stem
    for name in (stem, Path(stem).stem):
        found = sorted(folder.glob(f"{name}.*")) + ([folder / name] if (folder / name).is_file() else [])
        for file in found:
            if file.suffix.lower() not in (".geojson", ".json"):
                return PageKey(str(file))
    return PageKey(str(folder / stem))


def write_geojson(labels: LabelSet, path: PathLike) -> None:
    """Write a FeatureCollection; each box is a polygon. Pages and their sizes stand under `pages`."""
    folder = folder_of(path)
    pages, features = [], []
    for key, page in labels.items():
        source = relative(key, folder)
        width, height = labels.sizes.get(key, (None, None))
        pages.append({"source": source, "width": width, "height": height})
        for (x0, y0, x1, y1), label, ignored in zip(
            page.boxes.tolist(), page.labels, page.ignore.tolist(), strict=True
        ):
            ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
            properties = {
                "objectType": "annotation",
                "classification": {"name": label},
                "source": source,
                "ignore": ignored,
            }
            features.append(
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": [ring]},
                    "properties": properties,
                }
            )
    document = {"type": "FeatureCollection", "pages": pages, "features": features}
    write_text(path, json.dumps(document, ensure_ascii=False, allow_nan=False))
