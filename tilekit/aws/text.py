"""TextDetector: DetectText on tiles, which lifts its limit of 100 words an image to 100 a tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tilekit.aws.calling import TileCaller, subject_of
from tilekit.aws.imaging import TileFormat, boxes_from_ratios, encode_tile
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument
from tilekit.rekognition.limits import LIMITS
from tilekit.tiles.tile import Tile

MIN_SIDE = 80
MAX_CALL_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class Crowded:
    """A tile with as many words as the service gives at most: there may be more, use smaller tiles."""

    tile: int
    words: int


class TextDetector(TileCaller):
    """Printed words or lines as a Detector: a label is the text itself, so `names` grow as text is found.

    `level`: "WORD" or "LINE". Words at borders come back from two tiles; merging by class keeps one where the
    text was read alike, and cut pieces are told by `cut`. For words read differently in two tiles merge with
    `class_agnostic`. `crowded` lists the tiles that reached the service's limit of words.
    """

    operation = "DetectText"

    def __init__(
        self,
        *,
        level: Literal["WORD", "LINE"] = "WORD",
        min_confidence: float = 0.0,
        format: TileFormat = "jpeg",
        quality: int = 90,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if level not in ("WORD", "LINE"):
            raise InvalidArgument(f"level={level!r} must be 'WORD' or 'LINE'")
        if not 0 <= min_confidence <= 1:
            raise InvalidArgument(f"min_confidence={min_confidence!r} must be a number from 0 to 1")
        self.level = level
        self.min_confidence = min_confidence
        self.format: TileFormat = format
        self.quality = quality
        self.crowded: list[Crowded] = []

    def detect_tile(self, tile: Tile) -> Detections:
        """The words or lines of one tile."""
        encoded = encode_tile(
            tile.pixels,
            format=self.format,
            quality=self.quality,
            min_side=MIN_SIDE,
            max_bytes=MAX_CALL_BYTES,
        )
        request = {
            "Image": {"Bytes": encoded.data},
            "Filters": {"WordFilter": {"MinConfidence": 100.0 * self.min_confidence}},
        }
        answer = self.call(subject_of(tile), lambda client: client.detect_text(**request))
        found: Sequence[Any] = answer.get("TextDetections", ())
        words = sum(item.get("Type") == "WORD" for item in found)
        if words >= LIMITS.max_words:
            self.crowded.append(Crowded(tile.index, words))
        kept = [item for item in found if item.get("Type") == self.level and item.get("DetectedText")]
        height, width = tile.pixels.shape[:2]
        boxes = boxes_from_ratios(
            [item["Geometry"]["BoundingBox"] for item in kept],
            (encoded.width, encoded.height),
            (width, height),
        )
        ids, names = self.class_ids([item["DetectedText"] for item in kept])
        scores = np.clip(np.array([item["Confidence"] for item in kept], dtype=np.float64) / 100.0, 0.0, 1.0)
        return Detections(boxes, scores, np.array(ids, dtype=np.int64), names)
