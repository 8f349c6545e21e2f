"""ONNX models as detectors: YOLO-style heads and the head that tilekit's local training exports.

Which head a model has is told from the shapes of its outputs:

| head | outputs | boxes |
| --- | --- | --- |
| yolo8 (v8, v9, v11) | (n, 4 + classes, anchors) or (n, anchors, 4 + classes) | center x, y, width, height in input px |
| yolo5 (v5, v7) | (n, anchors, 5 + classes) | same, with an objectness score |
| end-to-end (v10, models with NMS inside) | (n, count, 6) | x0, y0, x1, y1, score, class in input px |
| center | `heat` (n, classes, h, w) and `box` (n, 4, h, w) | distances left, top, right, bottom in px from each cell's center |

Labels come from the model's metadata `names` (Ultralytics writes a Python dict, tilekit a JSON list).
Pixels are never resized here: a tile is placed top left on the model's input, the rest is gray 114.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.detections import Detections
from tilekit.boxes.suppression import nms
from tilekit.errors import DetectorError, InvalidArgument, MissingExtra, TilekitError
from tilekit.grid import Tiling
from tilekit.storage.local import storage_errors
from tilekit.tiles.tile import Tile

Head = Literal["yolo8", "yolo5", "end-to-end", "center"]
_HEADS = ("yolo8", "yolo5", "end-to-end", "center")
_FILL = 114
CENTER_STRIDE = 4  # input px a cell of the center head
_MULTIPLE = 32  # inputs of free size are padded to a multiple of this, as strided networks need


class OnnxDetector:
    """A detector from an ONNX file, run by ONNX Runtime (extra `onnx`).

    `names`: labels where the model does not say. `head`: where the shapes do not tell. `score`:
    boxes below are dropped. `iou`: suppression inside a tile, per label (None: none; the merge over
    tiles comes after in any case). `batch`: tiles a call, where the model's input allows it.
    `workers`: concurrent calls; a session is safe for them. `threads`: threads of one call (0: all cores).
    `providers`: ONNX Runtime's execution providers, default CPU. `tiling`: the recipe it was trained
    on, default what the model's metadata says.
    Raises StorageNotFound, MissingExtra, DetectorError where the file is no such model.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        names: Sequence[str] | None = None,
        head: Head | None = None,
        score: float = 0.05,
        iou: float | None = 0.7,
        batch: int | None = None,
        workers: int = 1,
        threads: int = 0,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        tiling: Tiling | None = None,
    ) -> None:
        if head is not None and head not in _HEADS:
            raise InvalidArgument(f"head={head!r} is unknown; choose one of {', '.join(_HEADS)}")
        self.path = os.fspath(path)
        self._session = _session(self.path, threads, list(providers))
        entry = self._session.get_inputs()[0]
        if len(entry.shape) != 4:
            raise DetectorError(f"{self.path}: input {entry.name!r} is {entry.shape}, not (n, bands, h, w)")
        self._input = entry.name
        self._dtype = _dtype(entry.type, self.path)
        fixed = [size if isinstance(size, int) and size > 0 else None for size in entry.shape]
        self._fixed_batch, self._bands, self._height, self._width = fixed
        if self._bands not in (None, 1, 3):
            raise DetectorError(f"{self.path}: the model takes {self._bands} bands; 1 or 3 are possible")
        self._outputs = [output.name for output in self._session.get_outputs()]
        meta: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.names = tuple(names) if names is not None else _names(meta.get("names"), self.path)
        self._head = head
        self._score, self._iou = score, iou
        self.batch = self._fixed_batch or batch or 1
        self.workers = workers
        self.tiling = tiling if tiling is not None else _tiling(meta.get("tiling"), self.path)
        self.decoys = tuple(json.loads(meta["decoys"])) if "decoys" in meta else ()

    def __repr__(self) -> str:
        return f"<OnnxDetector {os.path.basename(self.path)}, {len(self.names)} labels, batch {self.batch}>"

    def detect(self, tiles: Sequence[Tile]) -> list[Detections]:
        """One Detections per tile, tile-frame px; tiles larger than a fixed input are a DetectorError."""
        if not tiles:
            return []
        array = self._stack(tiles)
        outputs = self._session.run(None, {self._input: array})
        heads = dict(zip(self._outputs, outputs, strict=True))
        return [self._decode(heads, place, tile) for place, tile in enumerate(tiles)]

    def _stack(self, tiles: Sequence[Tile]) -> NDArray[Any]:
        tall = max(tile.pixels.shape[0] for tile in tiles)
        wide = max(tile.pixels.shape[1] for tile in tiles)
        height = self._height or -(-tall // _MULTIPLE) * _MULTIPLE
        width = self._width or -(-wide // _MULTIPLE) * _MULTIPLE
        if tall > height or wide > width:
            raise DetectorError(
                f"{self.path}: the model takes {width} x {height} px, the tile has {wide} x {tall}; "
                f"use Tiling(tile=({width}, {height}))"
            )
        bands = self._bands or 3
        count = self._fixed_batch or len(tiles)
        out = np.full((count, bands, height, width), _FILL, np.uint8)
        for place, tile in enumerate(tiles):
            pixels = tile.pixels
            if pixels.shape[2] != bands:
                pixels = _gray(pixels) if bands == 1 else np.broadcast_to(pixels, (*pixels.shape[:2], bands))
            out[place, :, : pixels.shape[0], : pixels.shape[1]] = pixels.transpose(2, 0, 1)
        if self._dtype == np.uint8:
            return out
        scaled: NDArray[Any] = out.astype(np.float32)
        scaled /= 255
        return scaled.astype(self._dtype, copy=False)

    def _decode(self, heads: Mapping[str, NDArray[Any]], place: int, tile: Tile) -> Detections:
        rows, scores, labels = self._boxes({name: value[place] for name, value in heads.items()})
        height, width = tile.pixels.shape[:2]
        rows = np.clip(rows, 0, (width, height, width, height))
        good = (rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])
        rows, scores, labels = rows[good], np.minimum(scores[good], 1.0), labels[good]
        if self._iou is not None and self._head_of(heads) != "center":
            kept = nms(rows, scores, labels, threshold=self._iou)
            rows, scores, labels = rows[kept], scores[kept], labels[kept]
        names = self.names
        top = int(labels.max()) if len(labels) else -1
        names += tuple(f"class {number}" for number in range(len(names), top + 1))
        return Detections(rows, scores, labels, names)

    def _boxes(
        self, heads: Mapping[str, NDArray[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        head = self._head_of(heads)
        if head == "center":
            return center_boxes(heads["heat"], heads["box"], self._score)
        first = np.asarray(next(iter(heads.values())), dtype=np.float64)
        if head == "end-to-end":
            kept = first[:, 4] >= self._score
            return first[kept, :4], first[kept, 4], first[kept, 5].round().astype(np.int64)
        if head == "yolo8" and self._is_upright(first):
            first = first.T
        return yolo_boxes(first, self._score, objectness=head == "yolo5")

    def _is_upright(self, output: NDArray[Any]) -> bool:
        """Whether rows are channels and columns anchors, as Ultralytics exports them."""
        if self.names and output.shape[1] == 4 + len(self.names):
            return bool(output.shape[0] == 4 + len(self.names))
        return bool(output.shape[0] < output.shape[1])

    def _head_of(self, heads: Mapping[str, NDArray[Any]]) -> Head:
        if self._head is not None:
            return self._head
        if {"heat", "box"} <= heads.keys():
            return "center"
        shape = next(iter(heads.values())).shape[-2:]
        if shape[1] == 6 and len(self.names) != 2 and len(self.names) != 1:
            return "end-to-end"
        if self.names and shape[1] == 5 + len(self.names):
            return "yolo5"
        if self.names and 4 + len(self.names) not in shape:
            raise DetectorError(
                f"{self.path}: output of shape {shape} does not fit {len(self.names)} labels; give head= or names="
            )
        return "yolo8"


def yolo_boxes(
    rows: NDArray[np.float64], score: float, *, objectness: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Boxes (n, 4) xyxy, scores, labels from anchors (n, 4 [+ 1] + classes), the best label of each."""
    classes = rows[:, 5:] * rows[:, 4:5] if objectness else rows[:, 4:]
    if classes.shape[1] == 0:
        classes = rows[:, 4:5]
    labels = classes.argmax(axis=1).astype(np.int64)
    scores = classes[np.arange(len(rows)), labels]
    kept = scores >= score
    half = rows[kept, 2:4] / 2
    boxes = np.hstack([rows[kept, :2] - half, rows[kept, :2] + half])
    return boxes, scores[kept], labels[kept]


def center_boxes(
    heat: NDArray[Any], distances: NDArray[Any], score: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
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


def _gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """ITU-R BT.601 luma, rounded, (h, w, 1) uint8."""
    luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    return (luma + 0.5).astype(np.uint8)[:, :, None]


def _session(path: str, threads: int, providers: list[str]) -> Any:
    try:
        import onnxruntime
    except ImportError as exc:
        raise MissingExtra("ONNX models need onnxruntime", "onnx") from exc
    with storage_errors(path), open(path, "rb"):
        pass
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as exc:  # ONNX Runtime's errors share no base class
        raise DetectorError(f"{path}: is not a model ONNX Runtime can load: {exc}") from exc


def _dtype(name: str, path: str) -> Any:
    known = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
    if name not in known:
        raise DetectorError(f"{path}: input is {name}; float, float16 and uint8 are possible")
    return known[name]


def _names(text: str | None, path: str) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError) as exc:
        raise DetectorError(f"{path}: metadata names={text[:80]!r} cannot be read; give names=") from exc
    if isinstance(value, dict):
        return tuple(str(value.get(place, f"class {place}")) for place in range(max(value, default=-1) + 1))
    return tuple(str(name) for name in value)


def _tiling(text: str | None, path: str) -> Tiling | None:
    if not text:
        return None
    try:
        value = json.loads(text)
        return None if value is None else Tiling.from_json(value)
    except (ValueError, TilekitError) as exc:
        raise DetectorError(f"{path}: metadata tiling={text[:80]!r} cannot be read: {exc}") from exc
