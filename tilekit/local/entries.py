"""Dataset entries: what the service keeps of a manifest's lines.

Lines that are too long, are no JSON, or lack a well-formed `source-ref` are removed without a word,
and of lines with the same `source-ref` one stays (Custom Labels guide, "debugging datasets").
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tilekit.rekognition.limits import LIMITS

_SOURCE = re.compile(r"s3://[0-9A-Za-z.\-_]{3,255}/.{1,1024}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept line: its key, its text as listed, its labels and whether it has errors."""

    source_ref: str
    line: str
    labels: tuple[str, ...]
    errors: bool

    @property
    def labeled(self) -> bool:
        """Whether any label stands in it."""
        return bool(self.labels)


def read_entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of a manifest's lines, in order; what the service drops silently is left out."""
    for raw in lines:
        entry = _entry(raw)
        if entry is not None:
            yield entry


def _entry(raw: bytes) -> Entry | None:
    text = raw.decode("utf-8", errors="replace").strip()
    if not text or len(text) > LIMITS.max_line_chars:
        return None
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    source = fields.get("source-ref") if isinstance(fields, dict) else None
    if not isinstance(source, str) or not _SOURCE.fullmatch(source):
        return None
    return Entry(source, text, tuple(_labels(fields)), errors=False)


def _labels(fields: dict[str, Any]) -> list[str]:
    found: dict[str, None] = {}
    for name, metadata in fields.items():
        if not name.endswith("-metadata") or not isinstance(metadata, dict):
            continue
        value = fields.get(name.removesuffix("-metadata"))
        if metadata.get("type") == "groundtruth/image-classification" and metadata.get("class-name"):
            found[str(metadata["class-name"])] = None
        class_map = metadata.get("class-map")
        boxes = value.get("annotations") if isinstance(value, dict) else None
        if isinstance(class_map, dict) and isinstance(boxes, list):
            for box in boxes:
                label = class_map.get(str(box.get("class_id"))) if isinstance(box, dict) else None
                if isinstance(label, str):
                    found[label] = None
    return list(found)
