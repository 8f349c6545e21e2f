"""What the outputs of ONNX detectors mean: boxes, scores and labels of one image, by the form its model was exported in.

| head | outputs | boxes |
| --- | --- | --- |
| yolo8 (YOLO v6, v8, v9, v11, v12) | (n, 4 + classes, anchors), or turned | center x, y, width, height in input px |
| yolo5 (v5, v7) | (n, anchors, 5 + classes) | the same, with an objectness score |
| end-to-end (v10, v26, exports with NMS inside) | (n, count, 6) | x0, y0, x1, y1, score, class in input px |
| rows (YOLOv7 end2end) | (count, 7) | image, x0, y0, x1, y1, class, score in input px |
| queries (RT-DETR as Ultralytics exports it) | (n, queries, 4 + classes) | center x, y, width, height as shares |
| detr (RF-DETR, RT-DETR and DETR as transformers exports them) | `dets` or `pred_boxes`, and `labels` or `logits` | the same; scores before the sigmoid |
| lists (RT-DETR with its own decoder, torchvision's SSD, RetinaNet, Faster R-CNN) | `boxes`, `scores`, `labels` | x0, y0, x1, y1 in input px |
| padded (EfficientNMS; TensorFlow's detection API) | `num_dets`, `det_boxes`, `det_scores`, `det_classes` | x0, y0, x1, y1 in input px; TensorFlow's y0, x0, y1, x1 as shares |
| center (tilekit's local training) | `heat` (n, classes, h, w), `box` (n, 4, h, w) | distances left, top, right, bottom in px from each cell's center |

Sources: each project's own export code and notes (ultralytics exporter, lyuwenyu/RT-DETR, roboflow/rf-detr, WongKinYiu/yolov7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import DetectorError

Head = Literal["yolo8", "yolo5", "end-to-end", "rows", "queries", "detr", "lists", "padded", "center"]
HEADS: tuple[Head, ...] = get_args(Head)
CENTER_STRIDE = 4  # input px a cell of the center head
_MOST_QUERIES = 1000  # anchors are thousands, queries hundreds
_LARGEST_SHARE = 2.0  # boxes of queries may pass the edge a little
Arrays = Mapping[str, NDArray[Any]]
Found = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
_BOXES = ("dets", "pred_boxes", "boxes")
_LOGITS = ("logits", "labels")
_PADDED = {
    "count": ("num_dets", "num_detections"), "boxes": ("det_boxes", "nmsed_boxes", "detection_boxes"),
    "scores": ("det_scores", "nmsed_scores", "detection_scores"), "classes": ("det_classes", "nmsed_classes", "detection_classes"),
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """How the outputs of one model are read: its labels' count, the input's size, and what is dropped.

    `classes`: how many labels are known, 0 for none. `score`: what is below is dropped.
    """

    head: Head
    classes: int
    score: float

    def boxes(self, outputs: Arrays, place: int, size: tuple[int, int]) -> Found:
        """Boxes xyxy (n, 4) in input px, scores, labels of image `place` of the batch; `size` is the input's (w, h)."""
        return _READERS[self.head](outputs, place, size, self)


def head_of(outputs: Arrays, classes: int, path: str) -> Head:
    """The head that names and shapes tell. Raises DetectorError where they fit none."""
    names = set(outputs)
    if {"heat", "box"} <= names:
        return "center"
    if _named(outputs, _PADDED["boxes"]) is not None:
        return "padded"
    if {"boxes", "scores", "labels"} <= names:
        return "lists"
    if _named(outputs, _BOXES) is not None and _named(outputs, _LOGITS) is not None:
        return "detr"
    first = next(iter(outputs.values()))
    if first.ndim == 2 and first.shape[1] == 7:
        return "rows"
    if first.ndim != 3:
        raise DetectorError(
            f"{path}: outputs {sorted(names)} of shape {first.shape} are no head known here; give head="
        )
    return _single(first, classes, path)


def _single(first: NDArray[Any], classes: int, path: str) -> Head:
    rows, columns = first.shape[1:]
    if columns == 6 and classes not in (1, 2):
        return "end-to-end"
    if columns == 6 and rows <= _MOST_QUERIES and _whole(first[..., 5]):
        return "end-to-end"
    if classes and columns == 5 + classes:
        return "yolo5"
    if columns == 4 + (classes or columns - 4) and rows <= _MOST_QUERIES and _shares(first[..., :4]):
        return "queries"
    if classes and 4 + classes not in (rows, columns):
        raise DetectorError(
            f"{path}: output of shape {(rows, columns)} does not fit {classes} labels; give head= or names="
        )
    return "yolo8"


def _whole(values: NDArray[Any]) -> bool:
    return bool(np.array_equal(values, np.round(values)))


def _shares(values: NDArray[Any]) -> bool:
    return bool(values.size and np.abs(values).max() <= _LARGEST_SHARE)


def _named(outputs: Arrays, names: tuple[str, ...]) -> NDArray[Any] | None:
    return next((outputs[name] for name in names if name in outputs), None)


def _needed(outputs: Arrays, names: tuple[str, ...]) -> NDArray[Any]:
    found = _named(outputs, names)
    if found is None:
        raise DetectorError(
            f"outputs {sorted(outputs)} lack {' or '.join(names)}, which this head has; give another head="
        )
    return np.asarray(found)


def _first(outputs: Arrays, place: int) -> NDArray[np.float64]:
    return np.asarray(next(iter(outputs.values()))[place], dtype=np.float64)


def _from_centers(rows: NDArray[np.float64], scale: Any = 1.0) -> NDArray[np.float64]:
    rows = rows * scale
    half = rows[:, 2:] / 2
    return np.hstack([rows[:, :2] - half, rows[:, :2] + half])


def _best(boxes: NDArray[np.float64], classes: NDArray[np.float64], score: float) -> Found:
    """The best label of each box, where it is at least `score`."""
    labels = classes.argmax(axis=1).astype(np.int64)
    scores = classes[np.arange(len(classes)), labels]
    kept = scores >= score
    return boxes[kept], scores[kept], labels[kept]


def _yolo8(outputs: Arrays, place: int, size: tuple[int, int], how: Reading) -> Found:
    rows = _first(outputs, place)
    return yolo_boxes(rows.T if _is_upright(rows.shape, how.classes) else rows, how.score, objectness=False)


def _is_upright(shape: tuple[int, ...], classes: int) -> bool:
    """Whether rows are channels and columns anchors, as Ultralytics exports them."""
    if classes and shape[1] == 4 + classes:
        return shape[0] == 4 + classes
    return shape[0] < shape[1]


def _yolo5(outputs: Arrays, place: int, size: tuple[int, int], how: Reading) -> Found:
    return yolo_boxes(_first(outputs, place), how.score, objectness=True)


def yolo_boxes(rows: NDArray[np.float64], score: float, *, objectness: bool) -> Found:
    """Boxes (n, 4) xyxy, scores, labels from anchors (n, 4 [+ 1] + classes), the best label of each."""
    classes = rows[:, 5:] * rows[:, 4:5] if objectness else rows[:, 4:]
    if classes.shape[1] == 0:
        classes = rows[:, 4:5]
    return _best(_from_centers(rows[:, :4]), classes, score)


def _end_to_end(outputs: Arrays, place: int, size: tuple[int, int], how: Reading) -> Found:
    rows = _first(outputs, place)
    rows = rows[rows[:, 4] >= how.score]
    return rows[:, :4], rows[:, 4], rows[:, 5].round().astype(np.int64)


def _rows(outputs: Arrays, place: int, size: tuple[int, int], how: Reading) -> Found:
    rows = np.asarray(next(iter(outputs.values())), dtype=np.float64)
    rows = rows[(rows[:, 0].round() == place) & (rows[:, 6] >= how.score)]
    return rows[:, 1:5], rows[:, 6], rows[:, 5].round().astype(np.int64)


def _queries(outputs: Arrays, place: int, size: tuple[int, int], how: Reading) -> Found:
    rows = _first(outputs, place)
    return _best(_from_centers(rows[:, :4], (*size, *size)), rows[:, 4:], how.score)


def _detr(outputs: Arrays, place: int, size: tuple[int, int], how: Reading) -> Found:
    boxes, logits = _needed(outputs, _BOXES), _needed(outputs, _LOGITS)
    scores = 1 / (1 + np.exp(-np.asarray(logits[place], dtype=np.float64)))
    if how.classes:
        scores = scores[:, : how.classes]  # what is beyond the labels is "nothing here"
    return _best(_from_centers(np.asarray(boxes[place], dtype=np.float64), (*size, *size)), scores, how.score)


def _lists(outputs: Arrays, place: int, size: tuple[int, int], how: Reading) -> Found:
    boxes, scores, labels = (_needed(outputs, (name,)) for name in ("boxes", "scores", "labels"))
    if boxes.ndim == 3:
        boxes, scores, labels = boxes[place], scores[place], labels[place]
    kept = scores >= how.score
    return boxes[kept].astype(np.float64), scores[kept].astype(np.float64), labels[kept].astype(np.int64)


def _padded(outputs: Arrays, place: int, size: tuple[int, int], how: Reading) -> Found:
    boxes, scores, classes = (_needed(outputs, _PADDED[key]) for key in ("boxes", "scores", "classes"))
    counts = _named(outputs, _PADDED["count"])
    count = len(boxes[place]) if counts is None else int(np.ravel(counts)[place])
    found = boxes[place][:count].astype(np.float64)
    if "detection_boxes" in outputs:
        found = found[:, [1, 0, 3, 2]] * (*size, *size)
    kept = scores[place][:count] >= how.score
    return (
        found[kept],
        scores[place][:count][kept].astype(np.float64),
        classes[place][:count][kept].round().astype(np.int64),
    )


def _center(outputs: Arrays, place: int, size: tuple[int, int], how: Reading) -> Found:
    return center_boxes(_needed(outputs, ("heat",))[place], _needed(outputs, ("box",))[place], how.score)


def center_boxes(heat: NDArray[Any], distances: NDArray[Any], score: float) -> Found:
    """Boxes from peaks: cells at least `score` and no lower than their 8 neighbors, of each class.

    `heat` (classes, h, w) 0..1; `distances` (4, h, w) input px; a cell is CENTER_STRIDE input px.
    """
    classes, height, width = heat.shape
    padded = np.full((classes, height + 2, width + 2), -1.0, heat.dtype)
    padded[:, 1:-1, 1:-1] = heat
    around = np.maximum.reduce(
        [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    )
    labels, ys, xs = np.nonzero((heat >= score) & (heat >= around))
    scores = heat[labels, ys, xs].astype(np.float64)
    left, top, right, bottom = distances[:, ys, xs].astype(np.float64)
    x, y = (xs + 0.5) * CENTER_STRIDE, (ys + 0.5) * CENTER_STRIDE
    boxes = np.stack([x - left, y - top, x + right, y + bottom], axis=1)
    return boxes, scores, labels.astype(np.int64)


_READERS: dict[Head, Callable[[Arrays, int, tuple[int, int], Reading], Found]] = {
    "yolo8": _yolo8,
    "yolo5": _yolo5,
    "end-to-end": _end_to_end,
    "rows": _rows,
    "queries": _queries,
    "detr": _detr,
    "lists": _lists,
    "padded": _padded,
    "center": _center,
}
