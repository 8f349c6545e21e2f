"""Label sets as documents of JSON and as tables: what COCO and GeoJSON files hold, and pandas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from tilekit.boxes import interop
from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument, MissingExtra
from tilekit.pages import PageKey

if TYPE_CHECKING:
    from tilekit.labels.label_set import LabelSet

Named = Callable[[PageKey], str]


class _Image(msgspec.Struct):
    id: int
    file_name: str
    width: int
    height: int


class _Box(msgspec.Struct, gc=False, omit_defaults=True):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    iscrowd: int | msgspec.UnsetType = msgspec.UNSET
    score: float | msgspec.UnsetType = msgspec.UNSET
    segmentation: Any = msgspec.UNSET
    keypoints: Any = msgspec.UNSET
    num_keypoints: int | msgspec.UnsetType = msgspec.UNSET


def coco_document(labels: LabelSet, name_of: Named = str) -> dict[str, Any]:
    """A COCO document, to be encoded by msgspec; category ids count from one, in the order of names.

    `name_of`: the file name of a page. Every page needs its size.
    """
    images: list[_Image] = []
    entries: list[_Box] = []
    for place, (key, page) in enumerate(labels.items(), 1):
        size = labels.size(key)
        images.append(_Image(place, name_of(key), *size))
        if not len(page):
            continue
        boxes = page.boxes
        wide = boxes[:, 2:] - boxes[:, :2]
        rows = np.concatenate([boxes[:, :2], wide], axis=1).tolist()
        areas = (wide[:, 0] * wide[:, 1]).tolist()
        scores = labels.scores[key].tolist() if key in labels.scores else [msgspec.UNSET] * len(page)
        columns = (rows, areas, page.class_ids.tolist(), page.ignore.tolist(), scores)
        begin = len(entries)
        for row, area, number, ignored, score in zip(*columns, strict=True):
            entries.append(_Box(len(entries) + 1, place, number + 1, row, area, int(ignored), score))
        if page.shapes is not None:
            for entry, more in zip(entries[begin:], interop.coco_shapes(page.shapes, size), strict=True):
                for field, value in more.items():
                    setattr(entry, field, value)
    categories = [{"id": place, "name": name} for place, name in enumerate(labels.names, 1)]
    return {"images": images, "annotations": entries, "categories": categories}


def geojson_document(labels: LabelSet, name_of: Named = str) -> dict[str, Any]:
    """A FeatureCollection in image pixels. Pages and their sizes stand under `pages`."""
    pages, features = [], []
    for key, page in labels.items():
        source = name_of(key)
        width, height = labels.sizes.get(key, (None, None))
        pages.append({"source": source, "width": width, "height": height})
        scores = labels.scores.get(key)
        features += interop.to_geojson(page, scores, source=source)
    return {"type": "FeatureCollection", "pages": pages, "features": features}


def table(labels: LabelSet) -> Any:
    """A DataFrame, a row a box: source, page, width, height, what `Annotations.to_pandas` gives, and score."""
    try:
        import pandas as pd
    except ImportError as exc:
        raise MissingExtra("pandas is not installed; pip install pandas") from exc
    parts = []
    for key, page in labels.items():
        part = page.to_pandas()
        width, height = labels.sizes.get(key, (None, None))
        for place, (name, value) in enumerate(
            (("source", key.source), ("page", key.page), ("width", width), ("height", height))
        ):
            part.insert(place, name, value)
        if key in labels.scores:
            part["score"] = labels.scores[key]
        if len(part):
            parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["source", "page"])


def table_fields(found: Any) -> dict[str, Any]:
    """The arguments of a LabelSet from a table as `table` gives it; pages come in order of first appearance."""
    if not hasattr(found, "columns"):
        raise InvalidArgument(f"table must be a pandas DataFrame, not a {type(found).__name__}")
    if "source" not in found:
        raise InvalidArgument("the table has no column 'source'; it says which page a box is of")
    numbers = found["page"] if "page" in found else [0] * len(found)
    keys = [PageKey(str(source), int(page)) for source, page in zip(found["source"], numbers, strict=True)]
    order = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    of = np.array([order[key] for key in keys], np.int64)
    names = tuple(dict.fromkeys(str(label) for label in found["label"])) if "label" in found else ()
    pages, sizes, scores = {}, {}, {}
    for key, place in order.items():
        part = found[of == place]
        pages[key] = Annotations.from_pandas(part, names)
        if "score" in part and not part["score"].isna().any():
            scores[key] = part["score"].to_numpy(np.float64)
        if {"width", "height"} <= set(part) and not part["width"].isna().any():
            sizes[key] = (int(part["width"].iloc[0]), int(part["height"].iloc[0]))
    return {"pages": pages, "sizes": sizes, "names": names, "scores": scores}


def plain(document: Any) -> Any:
    """A document as dicts and lists."""
    return msgspec.to_builtins(document)
