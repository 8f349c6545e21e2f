"""Canned mode: no training, no network; for measuring clients and testing their flow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tilekit.local.context import ModelStore
from tilekit.local.preparation import JOB_FILE
from tilekit.local.publication import Predicted
from tilekit.rekognition.images import image_facts

BOX = {"Left": 0.4, "Top": 0.4, "Width": 0.2, "Height": 0.2}
CONFIDENCE = 90.0


class CannedModels(ModelStore):
    """Answers each image with one box under the model's first label."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._labels: dict[str, tuple[str, ...]] = {}

    def detect(self, folder: str, image: bytes) -> list[dict[str, Any]]:
        """The same box for any image."""
        labels = self._known(folder)
        return [
            {"Name": name, "Confidence": CONFIDENCE, "Geometry": {"BoundingBox": dict(BOX)}}
            for name in labels[:1]
        ]

    def thresholds(self, folder: str) -> Mapping[str, float]:
        """No threshold filters."""
        return {}

    def warm(self, folder: str) -> None:
        """Nothing to load."""

    def _known(self, folder: str) -> tuple[str, ...]:
        if folder not in self._labels:
            job = json.loads((self._models / folder / JOB_FILE).read_text(encoding="utf-8"))
            self._labels[folder] = tuple(job["labels"])
        return self._labels[folder]


def fit_canned(folder: Path, say: Callable[[str], None]) -> list[Predicted]:
    """Predictions of the canned answer on the job's test images."""
    job = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    say("Canned mode: nothing is trained.")
    predicted = []
    for sample in job["test"]:
        facts = image_facts((folder / sample["image"]).read_bytes(), 0)
        corners = (0.4 * facts.width, 0.4 * facts.height, 0.6 * facts.width, 0.6 * facts.height)
        predicted.append(Predicted(sample["line"], job["labels"][0], CONFIDENCE / 100, corners))
    return predicted
