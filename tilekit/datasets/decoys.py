"""Decoys: false alarms on training pages become boxes of a class that teaches what to ignore."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import checks
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.suppression import nms
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PredictionSet
from tilekit.pages import PageKey

DECOY = "decoy"
_TOUCH = 0.1  # a detection that shares more of the smaller box than this with a true one is no false alarm


def find_decoys(
    detections: Detections, truth: Annotations, *, score: float = 0.3, name: str = DECOY
) -> Annotations:
    """False alarms of at least `score` as annotations of the label `name`, each place once, best first.

    A detection counts as a false alarm where it shares at most a tenth of the smaller box with every
    true box and every ignore region, whatever the labels: a badly placed hit must not be taught as a
    thing to ignore. Boxes in base pixels.
    """
    checks.ratio(score, "decoy_score")
    sides = detections.boxes[:, 2:] - detections.boxes[:, :2]
    likely = detections[(detections.scores >= score) & (sides > 0).all(axis=1)]
    free = likely[_shared(likely.boxes, truth.boxes) <= _TOUCH]
    chosen = free[nms(free.boxes, free.scores, threshold=0.3)]
    return Annotations(chosen.boxes, np.zeros(len(chosen), np.int64), (name,))


def with_decoys(
    labels: LabelSet,
    pages: Iterable[PageKey],
    predictions: PredictionSet,
    *,
    score: float = 0.3,
    name: str = DECOY,
) -> tuple[dict[PageKey, Annotations], int]:
    """Annotations of the training `pages` with decoys added, and how many decoys there are.

    Raises InvalidArgument where a label is called like the decoys, LabelError where the predictions
    are of another size of the page, or of none of the training pages.
    """
    if name in labels.names:
        raise InvalidArgument(f"decoy_name={name!r} is a label of the pages; choose another name")
    places = _by_path(predictions)
    result, count, seen = {}, 0, 0
    names = (*labels.names, name)
    for key in pages:
        found = places.get(_path(key))
        if found is None:
            continue
        seen += 1
        _check_size(key, labels.sizes, predictions.sizes[found])
        decoys = find_decoys(predictions[found], labels[key], score=score, name=name)
        if len(decoys):
            empty = Annotations.empty(names)
            result[key] = Annotations.concat([empty, labels[key], decoys])
            count += len(decoys)
    if not seen:
        raise LabelError(
            "decoys: the detections are of none of the training pages; detect on the training pages "
            "(pages-train.manifest of an earlier dataset lists them)"
        )
    return result, count


def _shared(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) largest share of the smaller box that each box has in common with any other; in chunks."""
    result = np.zeros(len(boxes))
    if not len(others):
        return result
    area = np.prod(others[:, 2:] - others[:, :2], axis=1)
    step = max(1, 1_000_000 // len(others))
    for start in range(0, len(boxes), step):
        part = boxes[start : start + step, None]
        low, high = np.maximum(part[..., :2], others[:, :2]), np.minimum(part[..., 2:], others[:, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=2)
        own = np.prod(part[..., 2:] - part[..., :2], axis=2)
        smaller = np.maximum(np.minimum(own, area), np.finfo(np.float64).tiny)
        result[start : start + step] = (common / smaller).max(axis=1)
    return result


def _check_size(key: PageKey, sizes: Mapping[PageKey, tuple[int, int]], size: tuple[int, int]) -> None:
    if sizes.get(key, size) != size:
        raise LabelError(
            f"{key}: the detections are of a page of {size[0]} x {size[1]} px, the labels of "
            f"{sizes[key][0]} x {sizes[key][1]}; detect again at the size that was labeled"
        )


def _by_path(predictions: PredictionSet) -> dict[tuple[str, int], PageKey]:
    return {_path(key): key for key in predictions}


def _path(key: PageKey) -> tuple[str, int]:
    """The page by its absolute path, so that labels and detections may say it differently."""
    return (key.source if "://" in key.source else os.path.abspath(key.source)), key.page
