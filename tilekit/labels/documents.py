"""Label sets as documents of JSON and as tables: what COCO and GeoJSON files hold, and pandas."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from tilekit.boxes import interop
from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument, MissingExtra
from tilekit.labels.options import ReadOptions
from tilekit.labels.sources import PathLike
from tilekit.pages import PageKey
from tilekit.storage import json_names

if TYPE_CHECKING:
    from tilekit.labels.label_set import LabelSet, Size

Named = Callable[[PageKey], str]
_PART = 1 << 16  # boxes at a time


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
    return {
        "images": coco_images(labels, name_of),
        "annotations": list(chain.from_iterable(coco_entries(labels))),
        "categories": coco_categories(labels),
    }


def coco_images(labels: LabelSet, name_of: Named = str) -> list[Any]:
    """The images of a COCO document."""
    return [_Image(place, name_of(key), *labels.size(key)) for place, key in enumerate(labels, 1)]


def coco_categories(labels: LabelSet) -> list[dict[str, Any]]:
    """The categories of a COCO document."""
    return [{"id": place, "name": name} for place, name in enumerate(labels.names, 1)]


def coco_entries(labels: LabelSet) -> Iterator[list[Any]]:
    """The annotations of a COCO document, some pages at a time; none is empty."""
    part: list[tuple[int, PageKey, Annotations]] = []
    first, held = 1, 0
    for place, (key, page) in enumerate(labels.items(), 1):
        if not len(page):
            continue
        part.append((place, key, page))
        held += len(page)
        if held >= _PART:
            yield _entries(labels, part, first)
            part, first, held = [], first + held, 0
    if part:
        yield _entries(labels, part, first)


def _entries(labels: LabelSet, part: list[tuple[int, PageKey, Annotations]], first: int) -> list[_Box]:
    pages = [page for _, _, page in part]
    boxes = np.concatenate([page.boxes for page in pages])
    wide = boxes[:, 2:] - boxes[:, :2]
    images = np.repeat([place for place, _, _ in part], [len(page) for page in pages])
    scores: Any = repeat(msgspec.UNSET)
    if labels.scores:
        scores = chain.from_iterable(
            labels.scores[key].tolist() if key in labels.scores else [msgspec.UNSET] * len(page)
            for _, key, page in part
        )
    columns: Any = (
        range(first, first + len(boxes)),
        images.tolist(),
        (np.concatenate([page.class_ids for page in pages]) + 1).tolist(),
        np.concatenate([boxes[:, :2], wide], axis=1).tolist(),
        (wide[:, 0] * wide[:, 1]).tolist(),
        np.concatenate([page.ignore for page in pages]).astype(np.int64).tolist(),
    )
    entries = list(map(_Box, *columns, scores))
    begin = 0
    for _, key, page in part:
        if page.shapes is not None:
            drawn = interop.coco_shapes(page.shapes, labels.size(key))
            for entry, more in zip(entries[begin : begin + len(page)], drawn, strict=True):
                for field, value in more.items():
                    setattr(entry, field, value)
        begin += len(page)
    return entries


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


def coco_labels(document: Mapping[str, Any] | PathLike, options: ReadOptions | None) -> LabelSet:
    """The labels of a COCO document, or of the file or folder at a path; shapes come along."""
    from tilekit.labels.coco import labels_of_coco, read_coco

    how = options or ReadOptions(shapes=True)
    if isinstance(document, (str, os.PathLike)):
        return read_coco(document, how)
    return labels_of_coco(_encoded(document), how)


def geojson_labels(document: Mapping[str, Any] | PathLike, options: ReadOptions | None) -> LabelSet:
    """The labels of a GeoJSON document, or of the file at a path; shapes come along."""
    from tilekit.labels.geojson import labels_of_geojson, read_geojson
    from tilekit.rekognition.lines import decode_plain

    how = options or ReadOptions(shapes=True)
    if isinstance(document, (str, os.PathLike)):
        return read_geojson(document, how)
    return labels_of_geojson(decode_plain(_encoded(document)), how)


def _encoded(document: Mapping[str, Any]) -> bytes:
    """As JSON, so that a document in memory goes through what a file goes through."""
    if not isinstance(document, Mapping):
        raise InvalidArgument(f"document must be a dict or a path, not a {type(document).__name__}")
    try:
        return json_names.encoded(document)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidArgument(f"document holds what JSON has no place for: {exc}") from exc


def pages_of(
    found: Mapping[PageKey, Any],
    sizes: Mapping[PageKey, Size],
    read: Callable[[Any, PageKey], Annotations],
    scores_of: Callable[[Any], Any],
) -> dict[str, Any]:
    """The arguments of a LabelSet from another package's detections of pages, scores where they have them."""
    pages = {key: read(one, key) for key, one in found.items()}
    scores = {key: scores_of(one) for key, one in found.items()}
    return {
        "pages": pages,
        "sizes": {key: sizes[key] for key in found if key in sizes},
        "scores": {key: np.asarray(one, np.float64) for key, one in scores.items() if one is not None},
    }


def confidences(found: Any) -> Any:
    """The scores of a `fiftyone.Detections`; None where a box has none."""
    given = [row.confidence for row in found.detections]
    return given if given and None not in given else None
