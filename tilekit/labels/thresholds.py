"""Thresholds for use, one a label: read from and written to a file, applied to detections."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument, LabelError
from tilekit.storage.local import storage_errors, write_text

DEFAULT_THRESHOLD = 0.5
Thresholds = float | Mapping[str, float]


def check_thresholds(thresholds: Thresholds) -> Thresholds:
    """The thresholds, each a number in 0..1; raises InvalidArgument naming the label."""
    if isinstance(thresholds, Mapping):
        for label, value in thresholds.items():
            _number(value, f"thresholds[{label!r}]")
        return {str(label): float(value) for label, value in thresholds.items()}
    return _number(thresholds, "thresholds")


def threshold_of(thresholds: Thresholds, label: str) -> float:
    """The threshold of a label; DEFAULT_THRESHOLD for labels a mapping does not name."""
    if isinstance(thresholds, Mapping):
        return float(thresholds.get(label, DEFAULT_THRESHOLD))
    return float(thresholds)


def apply_thresholds(detections: Detections, thresholds: Thresholds) -> Detections:
    """Only the boxes whose score reaches their label's threshold, in order."""
    checked = check_thresholds(thresholds)
    floors = np.array([threshold_of(checked, name) for name in detections.names] or [0.0])
    return detections[detections.scores >= floors[detections.class_ids]]


def read_thresholds(path: str | os.PathLike[str]) -> dict[str, float]:
    """Read a thresholds file: a JSON object label -> number in 0..1, or an evaluation's JSON.

    Raises StorageNotFound, or LabelError naming the file and the label.
    """
    with storage_errors(path), open(path, "rb") as file:
        raw = file.read()
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise LabelError(f"{path}: is not JSON: {exc}") from exc
    if isinstance(value, dict) and isinstance(value.get("thresholds"), dict):
        value = {label: number for label, number in value["thresholds"].items() if number is not None}
    if not isinstance(value, dict):
        raise LabelError(f"{path}: must be a JSON object label -> threshold")
    try:
        checked = check_thresholds(value)
    except InvalidArgument as exc:
        raise LabelError(f"{path}: {exc}") from exc
    assert isinstance(checked, dict)
    return checked


def write_thresholds(thresholds: Mapping[str, float], path: str | os.PathLike[str]) -> None:
    """Write a thresholds file that `read_thresholds` and `tilekit detect --thresholds` read."""
    checked = check_thresholds(dict(thresholds))
    write_text(path, json.dumps({"thresholds": checked}, ensure_ascii=False, indent=2) + "\n")


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidArgument(f"{name}={value!r} must be a number from 0 to 1")
    if not 0 <= value <= 1:
        raise InvalidArgument(
            f"{name}={value!r} must be a number from 0 to 1 (the service's percent divided by 100)"
        )
    return float(value)
