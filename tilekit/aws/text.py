"""TextDetector: DetectText on tiles, which lifts its limit of 100 words an image to 100 a tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tilekit.aws.calling import subject_of
from tilekit.aws.general import GeneralDetector
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument
from tilekit.rekognition.limits import LIMITS
from tilekit.tiles.tile import Tile


@dataclass(frozen=True, slots=True)
class Crowded:
    """A tile with as many words as the service gives at most: there may be more, use smaller tiles."""

    tile: int
    words: int


class TextDetector(GeneralDetector):
    """Printed words or lines as a Detector: a label is the text itself, so `names` grow as text is found.

    `level`: "WORD" or "LINE"; other options are GeneralDetector's. Words at borders come back from two tiles; merging by class keeps one where the
    text was read alike, and cut pieces are told by `cut`. For words read differently in two tiles merge with
    `class_agnostic`. `crowded` lists the tiles that reached the service's limit of words.
    """

    operation = "DetectText"

    def __init__(self, *, level: Literal["WORD", "LINE"] = "WORD", **options: Any) -> None:
        super().__init__(**options)
        if level not in ("WORD", "LINE"):
            raise InvalidArgument(f"level={level!r} must be 'WORD' or 'LINE'")
        self.level = level
        self.crowded: list[Crowded] = []

    def detect_tile(self, tile: Tile) -> Detections:
        """The words or lines of one tile."""
        encoded = self.encoded(tile)
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
        return self.detections(
            tile,
            encoded,
            [item["DetectedText"] for item in kept],
            [item["Geometry"]["BoundingBox"] for item in kept],
            [item["Confidence"] for item in kept],
        )
