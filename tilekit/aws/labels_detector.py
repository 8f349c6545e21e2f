"""LabelsDetector: DetectLabels on tiles; only labels with a place in the picture count."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilekit.aws.calling import TileCaller, subject_of
from tilekit.aws.imaging import TileFormat, boxes_from_ratios, encode_tile
from tilekit.aws.text import MAX_CALL_BYTES, MIN_SIDE
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument
from tilekit.tiles.tile import Tile


class LabelsDetector(TileCaller):
    """Everyday objects by the service's own model, as a Detector; no training, billed per call.

    `min_confidence`: 0 to 1. `max_labels`: at most this many labels a tile (1 to 1,000).
    """

    operation = "DetectLabels"

    def __init__(
        self,
        *,
        min_confidence: float = 0.0,
        max_labels: int = 1000,
        format: TileFormat = "jpeg",
        quality: int = 90,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not 0 <= min_confidence <= 1:
            raise InvalidArgument(f"min_confidence={min_confidence!r} must be a number from 0 to 1")
        if not 1 <= max_labels <= 1000:
            raise InvalidArgument(f"max_labels={max_labels!r} must be from 1 to 1000")
        self.min_confidence = min_confidence
        self.max_labels = max_labels
        self.format: TileFormat = format
        self.quality = quality

    def detect_tile(self, tile: Tile) -> Detections:
        """The objects of one tile that have a box."""
        encoded = encode_tile(
            tile.pixels,
            format=self.format,
            quality=self.quality,
            min_side=MIN_SIDE,
            max_bytes=MAX_CALL_BYTES,
        )
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
        height, width = tile.pixels.shape[:2]
        boxes = boxes_from_ratios(
            [item["BoundingBox"] for _, item in found], (encoded.width, encoded.height), (width, height)
        )
        ids, names = self.class_ids([name for name, _ in found])
        scores = np.clip(
            np.array([item["Confidence"] for _, item in found], dtype=np.float64) / 100.0, 0.0, 1.0
        )
        return Detections(boxes, scores, np.array(ids, dtype=np.int64), names)
