"""Everyone else who suppresses or fuses boxes, each as the call to time: imports are no part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.bench.peers import Fuser, Suppressor, Way

Boxes = NDArray[np.float64]


def _torchvision() -> Way:
    from torchvision.ops import boxes as peer

    tensor = peer.torch.from_numpy  # torchvision's own torch: none of ours is loaded here
    return lambda boxes, scores: peer.nms(tensor(boxes), tensor(scores), 0.5).numpy()


def _lsnms() -> Way:
    from lsnms import nms

    return lambda boxes, scores: nms(boxes, scores, iou_threshold=0.5)


def _powerboxes() -> Way:
    from powerboxes import nms

    return lambda boxes, scores: nms(boxes, scores, 0.5, 0.0)


def _rtree() -> Way:
    from powerboxes import rtree_nms

    return lambda boxes, scores: rtree_nms(boxes, scores, 0.5, 0.0)


def _opencv() -> Way:
    import cv2

    suppress: Any = cv2.dnn.NMSBoxes

    def call(boxes: Boxes, scores: NDArray[np.float64]) -> Any:
        sides = np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
        return np.asarray(suppress(sides, scores, 0.0, 0.5))

    return call


def _supervision() -> Way:
    import supervision

    suppress = supervision.box_non_max_suppression
    return lambda boxes, scores: np.flatnonzero(suppress(np.column_stack([boxes, scores]), 0.5))


def _sahi() -> Way:
    from sahi.postprocess.combine import nms

    def call(boxes: Boxes, scores: NDArray[np.float64]) -> Any:
        return np.asarray(nms(np.column_stack([boxes, scores, np.zeros(len(boxes))]), "IOU", 0.5))

    return call


def _lists(boxes: Boxes, scores: NDArray[np.float64]) -> tuple[Any, Any, Any]:
    return [boxes.tolist()], [scores.tolist()], [[0] * len(boxes)]


def _soft_nms(boxes: Boxes, scores: NDArray[np.float64]) -> Callable[[], Any]:
    from ensemble_boxes import soft_nms

    lists = _lists(boxes, scores)
    return lambda: soft_nms(*lists, iou_thr=0.5, sigma=0.5, thresh=0.001)


def _wbf(boxes: Boxes, scores: NDArray[np.float64]) -> Callable[[], Any]:
    from ensemble_boxes import weighted_boxes_fusion

    lists = _lists(boxes, scores)
    return lambda: weighted_boxes_fusion(*lists, iou_thr=0.55)


SUPPRESSORS = {
    "torchvision": Suppressor("torchvision", _torchvision, 10_000),
    "lsnms": Suppressor("lsnms", _lsnms),
    "powerboxes rtree": Suppressor("powerboxes", _rtree),
    "powerboxes": Suppressor("powerboxes", _powerboxes, 10_000),
    "OpenCV": Suppressor("cv2", _opencv, 10_000),
    "SAHI": Suppressor("sahi", _sahi, 100_000),
    "supervision": Suppressor("supervision", _supervision, 1_000),
}
FUSERS = {"ensemble-boxes": Fuser("ensemble_boxes", _soft_nms, _wbf)}
