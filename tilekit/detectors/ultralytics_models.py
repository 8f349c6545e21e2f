"""Models of Ultralytics (`.pt`), run by its own package where that is installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.detections import Detections
from tilekit.boxes.shapes.oriented import OrientedBoxes
from tilekit.errors import DetectorError, MissingExtra
from tilekit.storage.local import storage_errors
from tilekit.tiles.tile import Tile

_MULTIPLE = 32
_MOST = 3000  # boxes a tile; the package's own 300 would drop the rest of a dense one in silence


class UltralyticsDetector:
    """A detector from a `.pt` file of Ultralytics (YOLO, RT-DETR), run by the package `ultralytics`.

    Tiles are given in their own size, filled up to a multiple of 32 px, never reduced. `score`: boxes below are
    dropped. `iou`: suppression inside a tile. `batch`: tiles a call. `device`: as the package takes it, such as "cpu"
    or 0. Models of oriented boxes give those as shapes. `input_size`: (w, h) px it was trained on, where the file says.
    Opening a `.pt` file runs code that is in it: open files of people you trust, or export to ONNX.
    Raises MissingExtra, StorageNotFound, DetectorError where the file is no such model.
    """

    strict = False  # its boxes are clipped to the tile here
    workers = 1  # the package's predictor keeps state

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        score: float = 0.05,
        iou: float = 0.7,
        batch: int = 4,
        device: Any = None,
    ) -> None:
        self.path, self.batch = os.fspath(path), batch
        self._options = {"conf": score, "iou": iou, "device": device, "max_det": _MOST, "verbose": False}
        with storage_errors(self.path), open(self.path, "rb"):
            pass  # the package would download a file of a name it knows
        try:
            from ultralytics import YOLO
        except ImportError as exc:
            raise MissingExtra(
                f"{self.path}: models of Ultralytics need its package: pip install ultralytics (or export the model to ONNX)"
            ) from exc
        try:
            self._model = YOLO(self.path)
            names = self._model.names
        except Exception as exc:  # unpickling raises anything
            raise DetectorError(f"{self.path}: is no model that ultralytics can load: {exc}") from exc
        self.names = named(names)
        side = (getattr(self._model, "overrides", None) or {}).get("imgsz")
        self.input_size = None if side is None else _pair(side)

    def __repr__(self) -> str:
        return f"<UltralyticsDetector {os.path.basename(self.path)}, {len(self.names)} labels, batch {self.batch}>"

    def detect(self, tiles: Sequence[Tile]) -> list[Detections]:
        """One Detections per tile, tile-frame px."""
        out: list[Detections] = [Detections.empty(self.names)] * len(tiles)
        sizes: dict[tuple[int, ...], list[int]] = {}
        for place, tile in enumerate(tiles):
            sizes.setdefault(tile.pixels.shape[:2], []).append(place)
        for shape, places in sizes.items():
            pictures = [_blue_first(tiles[place].pixels) for place in places]
            side = tuple(-(-length // _MULTIPLE) * _MULTIPLE for length in shape)
            try:
                found = list(self._model.predict(pictures, imgsz=side, **self._options))
            except Exception as exc:  # the package's errors share no base class
                raise DetectorError(
                    f"{self.path}: failed on a tile of {shape[1]} x {shape[0]} px: {exc}"
                ) from exc
            for place, result in zip(places, found, strict=True):
                out[place] = self._found(result, shape[1], shape[0])
        return out

    def _found(self, result: Any, width: int, height: int) -> Detections:
        turned = getattr(result, "obb", None)
        rows = turned if turned is not None else result.boxes
        if rows is None:
            raise DetectorError(
                f"{self.path}: gives no boxes; a model for detection or oriented boxes is needed"
            )
        scores, ids = np.minimum(as_array(rows.conf), 1.0), as_array(rows.cls).astype(np.int64)
        if turned is not None:
            shapes = OrientedBoxes.from_corners(as_array(turned.xyxyxyxy).reshape(-1, 4, 2))
            return Detections.from_shapes(shapes, scores, ids, self.names)
        return clipped(as_array(rows.xyxy), scores, ids, self.names, (width, height))


def named(names: Any) -> tuple[str, ...]:
    """Labels by class id of a dict or list; a name that comes again gets its id, an id without a name is `class 7`."""
    items = names.items() if isinstance(names, dict) else enumerate(names)
    table = {int(place): str(name) for place, name in items}
    out: list[str] = []
    for place in range(max(table, default=-1) + 1):
        name = table.get(place, f"class {place}")
        out.append(f"{name} {place}" if name in out else name)
    return tuple(out)


def as_array(values: Any) -> NDArray[np.float64]:
    """A tensor of torch on any device, or an array, as float64."""
    found = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    return np.asarray(found, np.float64)


def clipped(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    ids: NDArray[np.int64],
    names: tuple[str, ...],
    size: tuple[int, int],
) -> Detections:
    """Detections of a tile of `size` (w, h) px: what passes its edge is clipped, what lies outside is left out."""
    rows = np.clip(boxes.reshape(-1, 4), 0, (*size, *size))
    good = (rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])
    return Detections(rows[good], scores[good], ids[good], names)


def rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) of gray or color."""
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _blue_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Arrays are BGR to this package."""
    return np.ascontiguousarray(rgb(pixels)[:, :, ::-1])


def _pair(side: Any) -> tuple[int, int]:
    """(w, h) of a side, or of (h, w)."""
    if isinstance(side, (list, tuple)):
        return int(side[-1]), int(side[0])
    return int(side), int(side)
