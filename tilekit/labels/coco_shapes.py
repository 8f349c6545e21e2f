"""What an annotation of a COCO file draws: polygons, a mask, keypoints, a turned box, and the box around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilekit.labels.entries import (
    Wrong,
    around,
    as_number,
    numbers,
    pairs_of,
    shown,
)
from tilekit.labels.masks import box_of_columns, coco_counts
from tilekit.labels.shapes import oriented, sound, turned


def drawn(entry: Mapping[str, Any], page: tuple[int, int]) -> Any:
    """The shape of an entry: polygons, a mask, or keypoints; None where there is none."""
    found, points = entry.get("segmentation"), entry.get("keypoints")
    try:
        if isinstance(found, dict):
            _, size = coco_counts(found)
            if all(page) and size != tuple(page):
                raise Wrong(f"is a mask of {size[0]} x {size[1]} px, its image is {page[0]} x {page[1]} px")
            return sound({"mask": found, "origin": [0, 0]})
        if isinstance(found, list) and found:
            return sound({"polygon": [pairs_of(part, "segmentation") for part in found]})
        if isinstance(found, (str, int, float)) and found:
            raise Wrong(f"is {shown(found)}; polygons or a run-length code are needed")
    except Wrong as exc:
        raise Wrong(str(exc), "segmentation") from exc
    if not isinstance(points, list) or not points:
        return _turned(entry)
    flat = numbers(points, len(points) // 3 * 3, "keypoints")
    return sound({"keypoints": [flat[place : place + 3] for place in range(0, len(flat), 3)]})


def _turned(entry: Mapping[str, Any]) -> Any:
    """A box that CVAT turned about its center."""
    more = entry.get("attributes")
    degrees = as_number(more.get("rotation")) if isinstance(more, dict) else None
    if not degrees or not entry.get("bbox"):
        return None
    left, top, width, height = numbers(entry["bbox"], 4, "bbox")
    return oriented([left, top, left + width, top + height], degrees, (left + width / 2, top + height / 2))


def sides_of(entry: Mapping[str, Any]) -> tuple[list[float], str]:
    """x0, y0, x1, y1, and what they are the hull of."""
    bbox, segments = entry.get("bbox"), entry.get("segmentation")
    shape = (
        "polygon"
        if isinstance(segments, list) and segments
        else "mask"
        if isinstance(segments, dict)
        else "box"
    )
    if not bbox and shape == "polygon":
        points = [point for part in segments or [] for point in pairs_of(part, "segmentation")]
        return around(points, "segmentation"), shape
    if not bbox and shape == "mask":
        runs, size = coco_counts(segments)
        return box_of_columns(runs, size), shape
    left, top, width, height = numbers(bbox, 4, "bbox")
    sides = [left, top, left + width, top + height]
    more = entry.get("attributes")
    degrees = as_number(more.get("rotation")) if isinstance(more, dict) else None
    if degrees and not (isinstance(segments, list) and segments):
        return turned(sides, degrees, (left + width / 2, top + height / 2)), "rotated box"
    return sides, shape
