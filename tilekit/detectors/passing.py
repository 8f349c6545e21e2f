"""PassingDetector: a detector around another, in all that it does not change as that one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilekit.boxes.detections import Detections
from tilekit.detectors.protocol import Detector
from tilekit.tiles.tile import Tile


class PassingDetector:
    """The other detector's answers, names, batch and workers; what else it has (tiling, decoys, strict) by its name."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copies and pickles look for is not the other's
            raise AttributeError(name)
        return getattr(self._detector, name)

    @property
    def names(self) -> tuple[str, ...]:
        """See Detector."""
        return self._detector.names

    @property
    def batch(self) -> int:
        """See Detector."""
        return self._detector.batch

    @property
    def workers(self) -> int:
        """See Detector."""
        return self._detector.workers

    def detect(self, tiles: Sequence[Tile]) -> Sequence[Detections]:
        """See Detector."""
        return self._detector.detect(tiles)
