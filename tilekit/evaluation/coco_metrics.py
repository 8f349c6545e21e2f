"""COCO's own figures by a kept library, pycocotools, with its limit of 100 boxes a page raised."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tilekit.boxes.shapes import Masks, Shapes
from tilekit.errors import InvalidArgument, MissingExtra
from tilekit.evaluation.matching import By, find_overlaps, match_pages
from tilekit.evaluation.metrics import mean
from tilekit.evaluation.pages import FlatPages, Missing, Predictions, Truth, flatten

COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())


@dataclass(frozen=True)
class CocoMetrics:
    """AP as COCO counts it. `ap`: mean over IoU 0.50 to 0.95; `ap50`, `ap75`; `per_label`: label -> AP
    at each of `ious`. None where a label has no true box."""

    ap: float | None
    ap50: float | None
    ap75: float | None
    per_label: dict[str, dict[float, float | None]]
    ious: tuple[float, ...]
    max_boxes: int


def coco_metrics(
    truth: Truth,
    predictions: Predictions,
    *,
    ious: Sequence[float] = COCO_IOUS,
    labels: Sequence[str] | None = None,
    missing: Missing = "error",
    by: By = "box",
) -> CocoMetrics:
    """AP by pycocotools (extra `coco`); arguments as in `evaluate`.

    `by="shape"`: by masks ("segm"), polygons as it rasterizes them; every object and prediction needs a mask or polygon.
    Ignore regions are given to it as crowds of their label, of every label where they have none of
    their own. Its limit of boxes a page is set to the largest number found on a page.
    Raises MissingExtra where pycocotools is not installed.
    """
    wanted = tuple(float(iou) for iou in ious)
    if not wanted or any(not 0 < iou <= 1 for iou in wanted):
        raise InvalidArgument(f"ious={tuple(ious)!r} must be numbers above 0 and up to 1")
    flat = _in_regions(flatten(truth, predictions, missing=missing, labels=labels), by)
    most = max(100, int(np.bincount(flat.page, minlength=1).max()))
    table = _average_precisions(flat, wanted, most, by)
    by_label = {
        name: {
            iou: None if np.isnan(table[row, place]) else float(table[row, place])
            for row, iou in enumerate(wanted)
        }
        for place, name in enumerate(flat.names)
    }

    def at(iou: float) -> float | None:
        return mean(row.get(iou) for row in by_label.values())

    every = [value for row in by_label.values() for value in row.values()]
    return CocoMetrics(mean(every), at(0.5), at(0.75), by_label, wanted, most)


def _in_regions(flat: FlatPages, by: By) -> FlatPages:
    """Without predictions beyond the parts of pages that count, save those that found something in them."""
    if flat.outside is None:
        return flat
    kept = ~flat.outside | (match_pages(flat, find_overlaps(flat, by)) >= 0)
    return replace(
        flat,
        boxes=flat.boxes[kept],
        scores=flat.scores[kept],
        page=flat.page[kept],
        label=flat.label[kept],
        cut=None,
        seen_at=None,
        shapes=None if flat.shapes is None else flat.shapes[kept],
        regions=None,
        truth_unit=None,
        unit=None,
    )


def _average_precisions(flat: FlatPages, ious: tuple[float, ...], most: int, by: By) -> Any:
    """(ious, labels) AP, NaN where a label has no true box."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as exc:
        raise MissingExtra("COCO's figures need pycocotools", "coco") from exc
    size = _extent(flat)
    images = [{"id": place + 1, "width": size[0], "height": size[1]} for place in range(len(flat.pages))]
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(flat.names)]
    annotations = _rows(flat.truth_boxes, flat.truth_page, flat.truth_label, 0)
    for place in range(len(flat.names)):
        here = (flat.ignore_label == place) | (flat.ignore_label < 0)
        label = np.full(int(here.sum()), place)
        annotations += _rows(flat.ignore_boxes[here], flat.ignore_page[here], label, 1)
    for number, row in enumerate(annotations, start=1):
        row["id"] = number
    found = _rows(flat.boxes, flat.page, flat.label, 0)
    if by == "shape":
        _segment(annotations[: len(flat.truth_boxes)], flat.truth_shapes, size)
        _segment(annotations[len(flat.truth_boxes) :], _regions(flat), size)
        _segment(found, flat.shapes, size)
    for number, (row, score) in enumerate(zip(found, flat.scores.tolist(), strict=True), start=1):
        row |= {"score": score, "id": number}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
        truth, given = COCO(), COCO()
        truth.dataset = {"images": images, "categories": categories, "annotations": annotations}
        given.dataset = {"images": images, "categories": categories, "annotations": found}
        truth.createIndex()
        given.createIndex()
        run = COCOeval(truth, given, "segm" if by == "shape" else "bbox")
        run.params.iouThrs = np.array(ious)
        run.params.maxDets = [most]
        run.params.areaRng = [[0, 1e10]]
        run.params.areaRngLbl = ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, 0]  # (ious, recall points, labels); -1: no true box
    return np.where((precision < 0).any(axis=1), np.nan, precision.mean(axis=1))


def _extent(flat: FlatPages) -> tuple[int, int]:
    """A page large enough for everything."""
    every = np.concatenate([flat.boxes, flat.truth_boxes, flat.ignore_boxes, [[0, 0, 1, 1]]])
    return int(np.ceil(every[:, 2].max())), int(np.ceil(every[:, 3].max()))


def _regions(flat: FlatPages) -> Shapes | None:
    if flat.ignore_shapes is None:
        return None
    order = [
        np.flatnonzero((flat.ignore_label == place) | (flat.ignore_label < 0))
        for place in range(len(flat.names))
    ]
    return flat.ignore_shapes[np.concatenate(order)]


def _segment(rows: list[dict[str, Any]], shapes: Shapes | None, size: tuple[int, int]) -> None:
    """Give each row its mask as COCO writes it: a code, or flat rings."""
    if not rows:
        return
    if shapes is None or not shapes.given.all() or shapes.kind == "keypoints":
        raise InvalidArgument("by='shape' needs a mask, a polygon or an oriented box beside every box")
    if isinstance(shapes, Masks):
        for row, code, area in zip(rows, shapes.to_rle(*size), shapes.areas.tolist(), strict=True):
            row |= {"segmentation": code | {"counts": code["counts"].encode()}, "area": area}
        return
    outlines = shapes.to_polygons()
    if outlines.holes.any():
        raise InvalidArgument("COCO's polygons have no holes; turn the shapes into Masks first")
    for row, entry in zip(rows, outlines.to_json(), strict=True):
        row["segmentation"] = [[number for point in ring for number in point] for ring in entry["polygon"]]


def _rows(boxes: Any, pages: Any, labels: Any, crowd: int) -> list[dict[str, Any]]:
    sizes = boxes[:, 2:] - boxes[:, :2]
    return [
        {
            "image_id": page + 1,
            "category_id": label + 1,
            "bbox": [x, y, w, h],
            "area": w * h,
            "iscrowd": crowd,
        }
        for page, label, (x, y), (w, h) in zip(
            pages.tolist(), labels.tolist(), boxes[:, :2].tolist(), sizes.tolist(), strict=True
        )
    ]
