"""Checking a manifest: against a plain json.loads loop over the same checks; memory over a manifest of 1 GB.

TILEKIT_BENCH_BYTES sets the size of the large manifest (default: 1 GB, as the service allows at most).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tilekit.labels.checking import check_manifest
from tilekit.labels.ground_truth import iter_manifest

LINES = 20_000
BYTES = int(os.environ.get("TILEKIT_BENCH_BYTES", 999_000_000))


def line(number: int, boxes: int) -> bytes:
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
            "creation-date": "2024-05-01T00:00:00",
            "job-name": "labels",
        },
    }
    return json.dumps(document).encode() + b"\n"


def plain_loop(path: Path) -> Counter[str]:
    """The same checks as a straightforward loop over json.loads."""
    found: Counter[str] = Counter()
    seen: set[str] = set()
    images: Counter[str] = Counter()
    buckets: set[str] = set()
    with path.open(encoding="utf-8") as file:
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
    return +found


@pytest.fixture(scope="module", params=[5, 20, 50])
def manifest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("manifest") / f"train-{request.param}.manifest"
    with path.open("wb") as file:
        for number in range(LINES):
            file.write(line(number, request.param))
    return path


def test_check_against_a_plain_loop(manifest: Path) -> None:
    ratios, rates = [], []
    for _ in range(5):
        start = time.perf_counter()
        assert not plain_loop(manifest)
        middle = time.perf_counter()
        assert check_manifest(manifest, uploaded=True).clean
        end = time.perf_counter()
        ratios.append((middle - start) / (end - middle))
        rates.append(LINES / (end - middle))
    print(
        f"{manifest.stem}: {statistics.median(ratios):.2f} x a json.loads loop "
        f"({min(ratios):.2f} to {max(ratios):.2f}), {statistics.median(rates):,.0f} lines/s"
    )


def test_read_against_json_loads(manifest: Path) -> None:
    ratios = []
    for _ in range(5):
        start = time.perf_counter()
        with manifest.open("rb") as file:
            for text in file:
                json.loads(text)
        middle = time.perf_counter()
        for _line in iter_manifest(manifest):
            pass
        ratios.append((middle - start) / (time.perf_counter() - middle))
    print(f"{manifest.stem}: iter_manifest {statistics.median(ratios):.2f} x json.loads alone")


_CHILD = """
import resource, sys, time
from tilekit.labels.checking import check_manifest
from tilekit.labels.ground_truth import ManifestWriter, iter_manifest
start = time.perf_counter()
if sys.argv[2] == "check":
    assert check_manifest(sys.argv[1], uploaded=True).clean
else:
    with ManifestWriter(sys.argv[1] + ".copy") as writer:
        for line in iter_manifest(sys.argv[1]):
            writer.write(line.source, line.size, line.annotations())
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_over_the_largest_manifest(tmp_path: Path) -> None:
    path = tmp_path / "train.manifest"
    size = number = 0
    with path.open("wb") as file:
        while size < BYTES:
            size += file.write(line(number, 40 if number % 10 else 50))
            number += 1
    for what in ("check", "copy"):
        answer = subprocess.run(
            [sys.executable, "-c", _CHILD, str(path), what], check=True, capture_output=True, text=True
        )
        seconds, peak = map(float, answer.stdout.split())
        print(f"{what}: {size / 1e9:.2f} GB, {number:,} lines in {seconds:.1f} s, peak {peak:.0f} MB")
        assert peak <= 300
