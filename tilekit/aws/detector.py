"""RekognitionDetector: DetectCustomLabels on tiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilekit.aws.calling import TileCaller, subject_of
from tilekit.aws.imaging import TileFormat, boxes_from_ratios, sent_tile
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument, checked_kind
from tilekit.grid import Tiling
from tilekit.rekognition.arns import parse_version_arn
from tilekit.rekognition.training_note import TrainingNote
from tilekit.scales import Scales
from tilekit.storage.s3 import S3Location
from tilekit.tiles.recipe import Quality, check_quality
from tilekit.tiles.tile import Tile


@dataclass(frozen=True)
class Trained:
    """What a model's training fixed. `names`: its labels. `tiling`: how the training's tiles were cut. `decoys`: labels
    that are dropped after merging. `note`: how the training ended, written into what is found."""

    names: Sequence[str] = ()
    tiling: Tiling | Scales | None = None
    decoys: Sequence[str] = ()
    note: TrainingNote | None = None


_TRAINED = Trained()


class RekognitionDetector(TileCaller):
    """A running Custom Labels model as a Detector. Thread-safe; `detect` from up to `workers` threads.

    `arn`: the model version's. `trained`: see Trained. `min_confidence`: 0 to 1, what the service is asked for;
    the default 0 asks for everything, so that merging and thresholds come after. `thresholds`: per label,
    0 to 1, below which a detection is dropped here; labels not named keep everything. `format`, `quality`:
    of the bytes sent, which stay under 4 MB by lowering the quality; "keep": tiles cut from the bits of a JPEG
    scan are sent as they are, others with quality 90. `reference(tile)`: an S3 place to send
    instead of bytes (the object must be the tile's image), or None for bytes.
    Other options are TileCaller's: workers, access, limiter, max_rate, attempts, patience.
    """

    operation = "DetectCustomLabels"

    def __init__(
        self,
        arn: str,
        *,
        trained: Trained = _TRAINED,
        min_confidence: float = 0.0,
        max_results: int | None = None,
        thresholds: Mapping[str, float] | None = None,
        format: TileFormat = "jpeg",
        quality: Quality = "keep",
        reference: Callable[[Tile], S3Location | None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(names=checked_kind(trained, Trained, "trained").names, **options)
        parse_version_arn(arn)
        if not 0 <= min_confidence <= 1:
            raise InvalidArgument(f"min_confidence={min_confidence!r} must be a number from 0 to 1")
        for label, value in (thresholds or {}).items():
            if not 0 <= value <= 1:
                raise InvalidArgument(f"thresholds[{label!r}]={value!r} must be a number from 0 to 1")
        check_quality(quality)
        self.arn = arn
        self.min_confidence = min_confidence
        self.max_results = max_results
        self.thresholds = dict(thresholds or {})
        self.format: TileFormat = format
        self.quality = quality
        self.reference = reference
        self.tiling = trained.tiling
        self.decoys = tuple(trained.decoys)
        self.training = trained.note

    @property
    def takes_jpeg(self) -> bool:
        """Whether tiles may come as the files they were cut as."""
        return self.format == "jpeg" and self.quality == "keep"

    def detect_tile(self, tile: Tile) -> Detections:
        """The detections of one tile."""
        width, height = tile.window.width, tile.window.height
        place = self.reference(tile) if self.reference is not None else None
        if place is not None:
            image: dict[str, Any] = {"S3Object": {"Bucket": place.bucket, "Name": place.key}}
            sent = width, height
        else:
            encoded = sent_tile(tile, format=self.format, quality=self.quality)
            image, sent = {"Bytes": encoded.data}, (encoded.width, encoded.height)
        request: dict[str, Any] = {
            "ProjectVersionArn": self.arn,
            "Image": image,
            "MinConfidence": 100.0 * self.min_confidence,
        }
        if self.max_results is not None:
            request["MaxResults"] = self.max_results
        answer = self.call(subject_of(tile), lambda client: client.detect_custom_labels(**request))
        return self._detections(answer.get("CustomLabels", ()), sent, (width, height))

    def _detections(
        self, labels: Sequence[Mapping[str, Any]], sent: tuple[int, int], tile: tuple[int, int]
    ) -> Detections:
        """Boxes in tile pixels; labels without a place (a classification model's) cover the whole tile."""
        whole = {"Left": 0.0, "Top": 0.0, "Width": 1.0, "Height": 1.0}
        kept = [
            item for item in labels if item["Confidence"] >= 100.0 * self.thresholds.get(item["Name"], 0.0)
        ]
        boxes = boxes_from_ratios(
            [item.get("Geometry", {}).get("BoundingBox", whole) for item in kept], sent, tile
        )
        ids, names = self.class_ids([item["Name"] for item in kept])
        scores = np.clip(np.array([item["Confidence"] for item in kept], dtype=np.float64) / 100.0, 0.0, 1.0)
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return Detections(boxes[inside], scores[inside], np.array(ids, dtype=np.int64)[inside], names)
