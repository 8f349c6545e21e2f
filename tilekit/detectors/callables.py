"""Any callable as a detector: pixels in, boxes out, in whatever struct it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from tilekit.boxes import interop
from tilekit.boxes.detections import Detections
from tilekit.detectors.contract import check_answer, check_boxes, check_rows
from tilekit.detectors.protocol import Detector
from tilekit.errors import DetectorError, InvalidArgument
from tilekit.tiles.tile import Tile


class CallableDetector:
    """A detector from a function.

    `function` takes the pixels of one tile, (h, w, 1 or 3) uint8, read-only; with `batch` over 1 a
    list of them, and gives a sequence. What it returns per tile may be Detections, an object with
    `xyxy`, `confidence`, `class_id` (supervision's Detections; its masks and oriented boxes are kept), a tuple (boxes, scores[, class_ids]),
    an array (n, 5 or 6) of x0, y0, x1, y1, score[, class id]; an empty list for nothing.
    `names`: labels, a class id is the place in it. `strict`: what looks like a mistake is one (None, shares
    instead of px, boxes far outside the tile, class ids without a name), with False it is taken as it is:
    ids beyond the names are named "class 7".
    `workers`: concurrent calls that are safe; 1 unless you know better.
    `tiling`: the recipe it was trained on, if it should refuse others. `decoys`: names it finds only to ignore.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        names: Sequence[str] = (),
        batch: int = 1,
        workers: int = 1,
        tiling: Any = None,
        decoys: Sequence[str] = (),
        strict: bool = True,
    ) -> None:
        if not callable(function):
            raise InvalidArgument(f"function={function!r} must be callable: pixels -> detections")
        for name, value in (("batch", batch), ("workers", workers)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidArgument(f"{name}={value!r} must be a whole number of at least 1")
        self._function = function
        self.names = tuple(names)
        self.batch = batch
        self.workers = workers
        self.tiling = tiling
        self.decoys = tuple(decoys)
        self.strict = strict

    def __repr__(self) -> str:
        name = getattr(self._function, "__qualname__", type(self._function).__name__)
        return f"<CallableDetector {name}, batch {self.batch}, {self.workers} worker(s)>"

    def detect(self, tiles: Sequence[Tile]) -> list[Detections]:
        """One Detections per tile; raises DetectorError where the function returns something else."""
        if self.batch == 1:
            return [self._checked(self._function(tile.pixels), tile) for tile in tiles]
        results = list(self._function([tile.pixels for tile in tiles]))
        if len(results) != len(tiles):
            raise DetectorError(f"the detector gave {len(results)} results for a batch of {len(tiles)} tiles")
        return [self._checked(result, tile) for result, tile in zip(results, tiles, strict=True)]

    def _checked(self, result: Any, tile: Tile) -> Detections:
        found = as_detections(result, self.names, strict=self.strict)
        if self.strict:
            check_boxes(found, tile.pixels.shape[1], tile.pixels.shape[0])
        return found


def as_detector(detector: Any, names: Sequence[str] = (), *, strict: bool = True) -> Detector:
    """A Detector as it is, anything callable wrapped; InvalidArgument for all else."""
    if isinstance(detector, Detector) and not isinstance(detector, type):
        return detector
    if callable(detector) and not isinstance(detector, type):
        return CallableDetector(detector, names=names, strict=strict)
    raise InvalidArgument(
        f"detector={detector!r} must have detect(), names, batch and workers, or be a callable pixels -> detections"
    )


def import_detector(text: str, names: Sequence[str] = (), *, strict: bool = True) -> Detector:
    """The detector or callable that `module:attribute` names, as a Detector.

    Raises InvalidArgument where there is no such module or attribute.
    """
    place, _, attribute = text.partition(":")
    try:
        value: Any = import_module(place)
        for part in attribute.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError, ValueError) as exc:
        raise InvalidArgument(f"the detector {text!r} cannot be imported: {exc}") from exc
    return as_detector(value, names, strict=strict)


def as_detections(result: Any, names: Sequence[str] = (), *, strict: bool = True) -> Detections:
    """What a detector function returned, as Detections; the forms are those of CallableDetector.

    Raises DetectorMistake where `strict` and it looks like a mistake, DetectorError where it is none of the forms.
    """
    if isinstance(result, Detections):
        return result
    if strict:
        check_answer(result)
    if result is None:
        return Detections.empty(names)
    if hasattr(result, "xyxy"):
        return _from_supervision(result, names, strict)
    if isinstance(result, tuple) and len(result) in (2, 3):
        boxes, scores = np.asarray(result[0], dtype=np.float64), np.asarray(result[1])
        return _named(boxes, scores, result[2] if len(result) == 3 else None, names, strict)
    try:
        rows = np.asarray(result, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise DetectorError(_WHAT.format(type(result).__name__)) from exc
    if rows.size == 0:
        return Detections.empty(names)
    if rows.ndim != 2 or rows.shape[1] not in (5, 6):
        raise DetectorError(_WHAT.format(f"an array of shape {rows.shape}"))
    return _named(rows[:, :4], rows[:, 4], rows[:, 5] if rows.shape[1] == 6 else None, names, strict)


_WHAT = (
    "the detector returned {}; it must be Detections, supervision's Detections, (boxes, scores, class_ids), "
    "or rows of x0, y0, x1, y1, score, class id"
)


def _from_supervision(result: Any, names: Sequence[str], strict: bool) -> Detections:
    found = _boxes_of_supervision(result, names, strict)
    try:
        shapes = interop.shapes_of(result, len(found))
        return found if shapes is None else found.replaced(shapes=shapes)
    except (InvalidArgument, ValueError, IndexError, TypeError) as exc:
        raise DetectorError(f"the detector returned boxes whose shapes cannot be read: {exc}") from exc


def _boxes_of_supervision(result: Any, names: Sequence[str], strict: bool) -> Detections:
    boxes = np.asarray(result.xyxy, dtype=np.float64).reshape(-1, 4)
    given = getattr(result, "confidence", None)
    scores = np.ones(len(boxes)) if given is None else np.asarray(given, dtype=np.float64)
    words = (getattr(result, "data", None) or {}).get("class_name")
    if words is not None and len(words) == len(boxes):
        places = {name: place for place, name in enumerate(names)}
        ids = [places.setdefault(str(word), len(places)) for word in words]
        return Detections(boxes, scores, np.array(ids, dtype=np.int64), tuple(places))
    return _named(boxes, scores, getattr(result, "class_id", None), names, strict)


def _named(boxes: Any, scores: Any, class_ids: Any, names: Sequence[str], strict: bool) -> Detections:
    """Detections with names for every class id."""
    ids = np.zeros(len(boxes), np.int64) if class_ids is None else np.asarray(class_ids)
    if strict:
        check_rows(np.asarray(boxes), np.asarray(scores), ids, tuple(names))
    if ids.dtype.kind == "f" and np.array_equal(ids, np.round(ids)):
        ids = ids.astype(np.int64)
    known = tuple(names)
    top = int(ids.max()) if ids.size and ids.dtype.kind in "iu" else -1
    known += tuple(f"class {place}" for place in range(len(known), top + 1))
    return Detections(np.asarray(boxes).reshape(-1, 4), scores, ids, known)
