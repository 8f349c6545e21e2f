"""LabelsDetector: DetectLabels on tiles; only labels with a place in the picture count."""

from __future__ import annotations

from typing import Any

from tilekit.aws.calling import subject_of
from tilekit.aws.general import GeneralDetector
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument
from tilekit.tiles.tile import Tile


class LabelsDetector(GeneralDetector):
    """Everyday objects by the service's own model, as a Detector; no training, billed per call.

    `max_labels`: at most this many labels a tile (1 to 1,000); other options are GeneralDetector's.
    """

    operation = "DetectLabels"

    def __init__(self, *, max_labels: int = 1000, **options: Any) -> None:
        super().__init__(**options)
        if not 1 <= max_labels <= 1000:
            raise InvalidArgument(f"max_labels={max_labels!r} must be from 1 to 1000")
        self.max_labels = max_labels

    def detect_tile(self, tile: Tile) -> Detections:
        """The objects of one tile that have a box."""
        encoded = self.encoded(tile)
        request = {
            "Image": {"Bytes": encoded.data},
            "MaxLabels": self.max_labels,
            "MinConfidence": 100.0 * self.min_confidence,
        }
        answer = self.call(subject_of(tile), lambda client: client.detect_labels(**request))
        found = [
            (label["Name"], instance)
            for label in answer.get("Labels", ())
            for instance in label.get("Instances", ())
            if "BoundingBox" in instance
        ]
        return self.detections(
            tile,
            encoded,
            [name for name, _ in found],
            [item["BoundingBox"] for _, item in found],
            [item["Confidence"] for _, item in found],
        )
