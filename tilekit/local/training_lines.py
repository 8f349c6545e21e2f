"""A dataset's lines as training sees them: boxes, errors, and whether the line is used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tilekit.local.images import read_header
from tilekit.local.objects import Buckets


@dataclass(frozen=True, slots=True)
class LineBox:
    """A true box: its label and x0, y0, x1, y1 in px of the image as uploaded."""

    label: str
    corners: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class CheckedLine:
    """One line: its text, image, boxes, and what is wrong with it."""

    text: str
    bucket: str = ""
    key: str = ""
    width: int = 0
    height: int = 0
    boxes: tuple[LineBox, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def usable(self) -> bool:
        """Whether training and test use it: no error, at least one box."""
        return bool(self.boxes) and not self.errors


def check_lines(lines: Sequence[str], buckets: Buckets, *, limit: int) -> list[CheckedLine]:
    """Each line checked, image headers included."""
    return [_check(line, buckets) for line in lines]


def _check(text: str, buckets: Buckets) -> CheckedLine:
    try:
        fields: dict[str, Any] = json.loads(text)
        bucket, _, key = fields["source-ref"].removeprefix("s3://").partition("/")
    except (ValueError, KeyError, TypeError, AttributeError):
        return CheckedLine(text, errors=("ERROR_INVALID_JSON_LINE",))
    if buckets.size(bucket, key) is None:
        return CheckedLine(text, bucket, key, errors=("ERROR_INVALID_IMAGE",))
    header = read_header(buckets.read(bucket, key))
    if header is None:
        return CheckedLine(text, bucket, key, errors=("ERROR_INVALID_IMAGE",))
    boxes = tuple(_boxes(fields))
    return CheckedLine(text, bucket, key, header.width, header.height, boxes)


def _boxes(fields: dict[str, Any]) -> list[LineBox]:
    found = []
    for name, value in fields.items():
        metadata = fields.get(f"{name}-metadata")
        if not isinstance(value, dict) or not isinstance(metadata, dict) or "annotations" not in value:
            continue
        for box in value["annotations"]:
            left, top = float(box["left"]), float(box["top"])
            label = metadata["class-map"][str(box["class_id"])]
            found.append(LineBox(label, (left, top, left + float(box["width"]), top + float(box["height"]))))
    return found
