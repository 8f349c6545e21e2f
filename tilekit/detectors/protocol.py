"""The Detector protocol: what `detect_tiles` needs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tilekit.boxes.detections import Detections
from tilekit.tiles.tile import Tile


@runtime_checkable
class Detector(Protocol):
    """Anything that finds objects in tiles.

    `names`: class names, class_id is the place in it. `batch`: tiles it likes per call.
    `workers`: concurrent calls that are safe (1 = not thread-safe). Encoding and retries are the
    detector's own; order and concurrency are the caller's. One that says `strict = False` may give boxes
    that look like a mistake (shares of the tile's sides, far outside it). One that says `takes_jpeg = True` sends
    files on: it gets tiles that were cut from the bits of a JPEG scan as `tile.jpeg`, and others by their pixels.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Class names; a class_id is the place in it."""

    @property
    def batch(self) -> int:
        """Preferred number of tiles per call."""

    @property
    def workers(self) -> int:
        """Concurrent calls that are safe."""

    def detect(self, tiles: Sequence[Tile]) -> Sequence[Detections]:
        """One Detections per tile, in tile-frame pixels, same order."""
