"""VoTT: JSON of assets with regions, one file for a project or one for each asset (github.com/microsoft/VoTT).

A region of two tags is two boxes. Its CSV is a table that `csv` reads.
"""

from __future__ import annotations

import os
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, an_object, around, number, points_of, text
from tilekit.labels.files import folder_of
from tilekit.labels.json_files import read_json
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import outline
from tilekit.labels.sources import PathLike, resolve


def read_vott(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a VoTT export; problems name the asset and region."""
    document = read_json(path)
    if not isinstance(document, dict) or not ("assets" in document or "asset" in document):
        raise LabelError(f"{os.fspath(path)}: not a VoTT file: it has no assets")
    tags = document.get("tags")
    named = [tag.get("name") for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    collector = Collector(path, options, [name for name in named if isinstance(name, str) and name])
    assets = document.get("assets", {"": document})
    entries = assets if isinstance(assets, dict) else {}
    for name, entry in entries.items():
        where = Where(f"assets[{name!r:.60}]" if name else "")
        _asset(collector, entry, where, folder_of(path))
    return collector.finish("vott")


def _asset(collector: Collector, entry: Any, where: Where, folder: str) -> None:
    found = entry.get("regions") if isinstance(entry, dict) else None
    regions = found if isinstance(found, list) else []
    count = sum(len(_tags(region)) for region in regions)
    try:
        asset = an_object(an_object(entry).get("asset"), "asset")
        key = resolve(text(asset.get("name"), "asset.name"), folder, collector.options.images)
    except Wrong as exc:
        collector.expect(max(count, 1))
        collector.refuse(where.at(exc.field), str(exc), max(count, 1))
        return
    if asset.get("state") == 0:
        collector.expect(1 + count)
        collector.unlabeled(key, "was not visited")
        collector.passed("on pages that were not visited", count)
        return
    size = asset.get("size")
    sides = (size.get("width"), size.get("height")) if isinstance(size, dict) else (None, None)
    mention = collector.page(key, sides, where, count)
    if mention is None:
        return
    for place, region in enumerate(regions):
        spot = where.at(f"regions[{place}]")
        take = lambda tag, at, region=region: _region(collector, mention, region, tag, at)  # noqa: E731
        collector.each(_tags(region), lambda _, spot=spot: spot, take, mention)  # type: ignore[misc]


def _tags(region: Any) -> list[Any]:
    found = region.get("tags") if isinstance(region, dict) else None
    return found if isinstance(found, list) and found else [None]


def _region(collector: Collector, mention: int, region: Any, tag: Any, where: Where) -> None:
    entry = an_object(region)
    box = entry.get("boundingBox")
    kind = str(entry.get("type") or "RECTANGLE").lower()
    if kind == "point":
        raise Wrong("is a point, which has no box; remove it, or read with strict=False (--lenient)")
    if isinstance(box, dict):
        x, y, w, h = (
            number(box.get(name), f"boundingBox.{name}") for name in ("left", "top", "width", "height")
        )
        sides = [x, y, x + w, y + h]
    else:
        sides = around(points_of(entry.get("points"), "points"), "points")
    drawn = None
    if kind == "polygon" and entry.get("points"):
        points = points_of(entry["points"], "points")
        drawn = outline(points) if len(points) > 2 else None
    plain = kind in ("rectangle", "square")
    collector.box(mention, tag, sides, where, outline=Outline("box" if plain else kind, drawn))
