"""Manifest lines to break."""

from __future__ import annotations

import json
from typing import Any

META = "bb-metadata"


def line(
    boxes: list[tuple[int, int, int, int, int]] | None = None,
    size: tuple[int, int] = (1000, 800),
    names: dict[str, str] | None = None,
    ref: str = "s3://bucket/a.jpg",
) -> dict[str, Any]:
    rows = [(1, 10, 20, 30, 40), (0, 100, 100, 60, 60)] if boxes is None else boxes
    keys = ("class_id", "left", "top", "width", "height")
    return {
        "source-ref": ref,
        "bb": {
            "image_size": [{"width": size[0], "height": size[1], "depth": 3}],
            "annotations": [dict(zip(keys, row, strict=True)) for row in rows],
        },
        META: {
            "objects": [{"confidence": 1}] * len(rows),
            "class-map": {"0": "Echo", "1": "Echo Dot"} if names is None else names,
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": "2018-10-18T22:18:13.527256",
            "job-name": "my job",
        },
    }


def sport(label: str = "Football") -> dict[str, Any]:
    return {
        "source-ref": "s3://bucket/s.jpg",
        "sport": 0,
        "sport-metadata": {
            "confidence": 1,
            "job-name": "j",
            "class-name": label,
            "human-annotated": "yes",
            "creation-date": "2018-10-18T22:18:13Z",
            "type": "groundtruth/image-classification",
        },
    }


def raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()


def without(value: dict[str, Any], *path: str) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(value))
    part = copy
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    return copy


def changed(value: dict[str, Any], new: Any, *path: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(value))
    part: Any = copy
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = new
    return copy
