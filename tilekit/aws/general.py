"""What the service's own models have in common: one image a call, boxes as ratios, no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tilekit.aws.calling import TileCaller
from tilekit.aws.imaging import SentImage, TileFormat, boxes_from_ratios, sent_tile
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument
from tilekit.tiles.recipe import Quality, check_quality
from tilekit.tiles.tile import Tile

MIN_SIDE = 80
MAX_CALL_BYTES = 5_000_000


class GeneralDetector(TileCaller):
    """A detector by a model of the service that needs no training; billed per call.

    `min_confidence`: 0 to 1. `format`, `quality`: of the tiles sent, as RekognitionDetector's. Other options are TileCaller's.
    """

    def __init__(
        self,
        *,
        min_confidence: float = 0.0,
        format: TileFormat = "jpeg",
        quality: Quality = "keep",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not 0 <= min_confidence <= 1:
            raise InvalidArgument(f"min_confidence={min_confidence!r} must be a number from 0 to 1")
        check_quality(quality)
        self.min_confidence = min_confidence
        self.format: TileFormat = format
        self.quality = quality

    @property
    def takes_jpeg(self) -> bool:
        """Whether tiles may come as the files they were cut as."""
        return self.format == "jpeg" and self.quality == "keep"

    def encoded(self, tile: Tile) -> SentImage:
        """The tile as these operations take it."""
        return sent_tile(
            tile,
            format=self.format,
            quality=self.quality,
            min_side=MIN_SIDE,
            max_bytes=MAX_CALL_BYTES,
        )

    def detections(
        self,
        tile: Tile,
        sent: SentImage,
        labels: Sequence[str],
        places: Sequence[Mapping[str, Any]],
        confidences: Sequence[float],
    ) -> Detections:
        """Detections in tile pixels of labels, `BoundingBox`es and confidences in percent."""
        width, height = tile.window.width, tile.window.height
        boxes = boxes_from_ratios(places, (sent.width, sent.height), (width, height))
        ids, names = self.class_ids(labels)
        scores = np.clip(np.array(confidences, dtype=np.float64) / 100.0, 0.0, 1.0)
        return Detections(boxes, scores, np.array(ids, dtype=np.int64), names)
