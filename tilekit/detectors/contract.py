"""What a detector may give for a tile, checked where the mistakes are typical; each has its sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.detections import Detections
from tilekit.errors import DetectorMistake

_MEANT = "pass strict=False if this is meant"
_SMALLEST = 8  # px: on smaller tiles shares and pixels cannot be told apart
_FAR = 0.5  # of the tile's side: detectors may pass the edge a little, not by this much


def check_answer(result: Any) -> None:
    """Raise DetectorMistake for None, which a function without `return` gives, and which is not "nothing found"."""
    if result is None:
        raise DetectorMistake(
            "the detector returned None, as a function without `return` does; return an empty list where nothing is "
            f"found, or {_MEANT}"
        )


def check_rows(
    boxes: NDArray[Any], scores: NDArray[Any], class_ids: NDArray[Any], names: Sequence[str]
) -> None:
    """Raise DetectorMistake for boxes that end before they begin, scores over 1, and class ids without a name."""
    if boxes.ndim == 2 and boxes.shape[1:] == (4,):
        wrong = np.flatnonzero((boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1]))
        if wrong.size:
            raise DetectorMistake(
                f"the detector gave the box {_words(boxes[wrong[0]])}, which ends before it begins: it looks like x, y, "
                "width, height; give x0, y0, x1, y1"
            )
    top = float(np.max(scores, initial=0.0)) if scores.dtype.kind in "fiu" else 0.0
    if 1.0 < top <= 100.0:
        raise DetectorMistake(f"the detector gave the score {top:g}, which looks like percent; give 0..1")
    if names and class_ids.size and class_ids.dtype.kind in "iuf" and class_ids.max() >= len(names):
        raise DetectorMistake(
            f"the detector gave class id {class_ids.max():g}, but has {len(names)} name(s): {', '.join(names[:5])}; ids count "
            f"from 0; give names= for all of them, or {_MEANT}"
        )


def check_boxes(found: Detections, width: int, height: int) -> None:
    """Raise DetectorMistake for boxes that look like shares of a tile of this size (px), or lie far outside it."""
    if not len(found) or min(width, height) < _SMALLEST:
        return
    boxes = found.boxes
    if boxes.min() >= 0 and boxes.max() <= 1 and not np.array_equal(boxes, np.round(boxes)):
        raise DetectorMistake(
            f"the detector gave boxes within 0..1 only, such as {_words(boxes[0])}, on a tile of {width} x {height} px: they "
            f"look like shares of its sides; multiply them by its width and height, or {_MEANT}"
        )
    over = boxes.min(axis=0)[:2] < (-_FAR * width, -_FAR * height)
    over |= boxes.max(axis=0)[2:] > ((1 + _FAR) * width, (1 + _FAR) * height)
    if over.any():
        far = np.maximum(-boxes[:, :2] / (width, height), boxes[:, 2:] / (width, height)).max(axis=1).argmax()
        raise DetectorMistake(
            f"the detector gave the box {_words(boxes[far])} on a tile of {width} x {height} px: it lies far outside; boxes "
            f"are in the tile's own px, not the page's or the network's, or {_MEANT}"
        )


def _words(box: NDArray[Any]) -> str:
    return ", ".join(f"{value:g}" for value in box)
