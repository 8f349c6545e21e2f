"""Manifests of any size, and the plain loop that checking them is measured against."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any


def line(number: int, boxes: int, dated: bool = False) -> bytes:
    """A line; `dated`: its creation date is its own, as a labeling job writes it."""
    rows = [
        {
            "class_id": place % 4,
            "left": 10 + 17 * place,
            "top": (number * 7 + place) % 900,
            "width": 24,
            "height": 31,
        }
        for place in range(boxes)
    ]
    document = {
        "source-ref": f"s3://tiles/archive/{number // 12}/plan.p0.x{number % 12 * 896}.y0.w1024.h1024.jpg",
        "bounding-box": {"image_size": [{"width": 1024, "height": 1024, "depth": 3}], "annotations": rows},
        "bounding-box-metadata": {
            "objects": [{"confidence": 1}] * boxes,
            "class-map": {"0": "empty_triangle", "1": "solid_triangle", "2": "up_arrow", "3": "down_arrow"},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": f"2024-05-01T00:{number // 60 % 60:02d}:{number % 60:02d}.{number % 10**6:06d}"
            if dated
            else "2024-05-01T00:00:00",
            "job-name": "labels",
        },
    }
    return json.dumps(document).encode() + b"\n"


def plain_loop(path: Path, out: Path | None = None) -> Counter[str]:
    """The same checks as a straightforward loop over json.loads; lines go to `out` by json.dumps."""
    found: Counter[str] = Counter()
    seen: set[str] = set()
    images: Counter[str] = Counter()
    buckets: set[str] = set()
    with path.open(encoding="utf-8") as file, open(out or os.devnull, "w", encoding="utf-8") as target:
        for text in file:
            if len(text) > 100_000:
                found["long"] += 1
            try:
                row: dict[str, Any] = json.loads(text)
            except ValueError:
                found["json"] += 1
                continue
            source = row.get("source-ref", "")
            if not source.startswith("s3://") or "/" not in source[5:]:
                found["source"] += 1
            found["repeat"] += source in seen
            seen.add(source)
            buckets.add(source[5:].split("/", 1)[0])
            names = [key for key in row if key + "-metadata" in row]
            for name in names:
                part, meta = row[name], row[name + "-metadata"]
                size = part["image_size"][0]
                width, height = size["width"], size["height"]
                found["size"] += not (min(width, height) >= 64 and max(width, height) <= 4096)
                found["aspect"] += max(width, height) > 20 * min(width, height)
                found["type"] += meta["type"] != "groundtruth/object-detection"
                found["human"] += meta["human-annotated"] not in ("yes", "no")
                datetime.fromisoformat(meta["creation-date"])
                for label in meta["class-map"].values():
                    found["label"] += not 0 < len(label) <= 255
                found["confidences"] += len(meta["objects"]) != len(part["annotations"])
                for entry in meta["objects"]:
                    found["confidence"] += not 0 <= entry["confidence"] <= 1
                found["many"] += len(part["annotations"]) > 50
                least = max(width, height, 1280) / 1280
                used = set()
                for box in part["annotations"]:
                    left, top, wide, tall = box["left"], box["top"], box["width"], box["height"]
                    if left < 0 or top < 0 or left + wide > width or top + tall > height:
                        found["off"] += 1
                    if wide <= least or tall <= least:
                        found["small"] += 1
                    if str(box["class_id"]) not in meta["class-map"]:
                        found["class"] += 1
                    used.add(box["class_id"])
                for number in used:
                    images[meta["class-map"][str(number)]] += 1
            if out is not None:
                target.write(json.dumps(row) + "\n")
    return +found


def write_manifest(
    path: Path, lines: int | None = None, *, boxes: int = 40, size: int | None = None, dated: bool = False
) -> Path:
    """A clean manifest of so many lines, or of `size` bytes."""
    number = written = 0
    with path.open("wb") as file:
        while (lines is None or number < lines) and (size is None or written < size):
            written += file.write(line(number, boxes, dated))
            number += 1
    return path


def large_manifest(cache: Path, size: int) -> Path:
    """A manifest of `size` bytes, from the cache."""
    path = cache / f"manifest-{size}.manifest"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        write_manifest(path.with_suffix(".part"), size=size).rename(path)
    return path
