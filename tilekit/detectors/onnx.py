"""ONNX models as detectors: input, layout, names and head are read from the model; `heads` says which heads.

Labels come from the model's metadata `names` (Ultralytics writes a Python dict, tilekit a JSON list).
A tile is placed top left on the model's input, the rest is gray 114; it is never resized unless asked for.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.detections import Detections
from tilekit.boxes.suppression import nms
from tilekit.detectors.heads import HEADS, Head, Reading, head_of
from tilekit.errors import DetectorError, InvalidArgument, MissingExtra, TilekitError
from tilekit.grid import Tiling
from tilekit.scales import Scales, tiling_from_json
from tilekit.storage.local import storage_errors
from tilekit.tiles.tile import Tile

_FILL = 114
_MULTIPLE = 32  # inputs of free size are padded to a multiple of this, as strided networks need
_LEARNS_SIZE = {"orig_target_sizes", "image_shape", "im_shape"}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SUPPRESSED = {
    "end-to-end",
    "rows",
    "queries",
    "detr",
    "lists",
    "padded",
    "center",
}  # heads whose boxes are final


@dataclass(frozen=True)
class OnnxInput:
    """How pixels are given to a model.

    `fit`: tiles larger than a fixed input are refused in words ("refuse"), or reduced to it and the boxes
    put back ("shrink"); `mean`, `std`: per band, of values 0..1, as `OnnxInput.imagenet()` for RF-DETR.
    """

    fit: Literal["refuse", "shrink"] = "refuse"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.fit not in ("refuse", "shrink"):
            raise InvalidArgument(f'fit={self.fit!r} must be "refuse" or "shrink"')
        if min(self.std, default=0) <= 0:
            raise InvalidArgument(f"std={self.std!r} must be above 0 for each band")

    @classmethod
    def imagenet(cls, fit: Literal["refuse", "shrink"] = "refuse") -> OnnxInput:
        """Mean and deviation of ImageNet's photos, which RF-DETR and torchvision's models are trained with."""
        return cls(fit, *IMAGENET)


@dataclass(frozen=True)
class OnnxRun:
    """How a model is run: `batch` tiles a call where its input allows, `workers` concurrent calls (a session is
    safe for them), `threads` of one call (0: all cores), ONNX Runtime's execution `providers`.
    """

    batch: int = 1
    workers: int = 1
    threads: int = 0
    providers: tuple[str, ...] = ("CPUExecutionProvider",)


class OnnxDetector:
    """A detector from an ONNX file, run by ONNX Runtime (extra `onnx`).

    `names`: labels where the model does not say. `head`: where names and shapes of its outputs do not tell.
    `score`: boxes below are dropped. `iou`: suppression inside a tile, per label, for heads that leave
    it to the caller (None: none; the merge over tiles comes after in any case). `tiling`: the recipe it was
    trained on, default what the model's metadata says. `input`, `run`: see OnnxInput, OnnxRun.
    `input_size`: (w, h) px a tile may have, None where any.
    Raises StorageNotFound, MissingExtra, DetectorError where the file is no such model.
    """

    strict = False  # its boxes are clipped to the tile here

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        names: Sequence[str] | None = None,
        head: Head | None = None,
        score: float = 0.05,
        iou: float | None = 0.7,
        tiling: Tiling | Scales | None = None,
        input: OnnxInput | None = None,
        run: OnnxRun | None = None,
    ) -> None:
        if head is not None and head not in HEADS:
            raise InvalidArgument(f"head={head!r} is unknown; choose one of {', '.join(HEADS)}")
        self.path = os.fspath(path)
        self._pixels, run = input or OnnxInput(), run or OnnxRun()
        self._session = _session(self.path, run.threads, list(run.providers))
        self._read_input()
        self._outputs = [output.name for output in self._session.get_outputs()]
        meta: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.names = tuple(names) if names is not None else _names(meta.get("names"), self.path)
        self._head = head
        self._score, self._iou = score, iou
        self.batch = self._fixed_batch or run.batch
        self.workers = run.workers
        self.tiling = tiling if tiling is not None else _tiling(meta.get("tiling"), self.path)
        self.decoys = tuple(json.loads(meta["decoys"])) if "decoys" in meta else ()

    def _read_input(self) -> None:
        entries = self._session.get_inputs()
        entry = entries[0]
        if len(entry.shape) != 4:
            raise DetectorError(f"{self.path}: input {entry.name!r} is {entry.shape}, not (n, bands, h, w)")
        self._input = entry.name
        self._sizes_input = next((other.name for other in entries[1:] if other.name in _LEARNS_SIZE), None)
        unknown = [other.name for other in entries[1:] if other.name != self._sizes_input]
        if unknown:
            raise DetectorError(
                f"{self.path}: inputs {unknown} are not known here; export the model without them"
            )
        self._dtype = _dtype(entry.type, self.path)
        fixed = [size if isinstance(size, int) and size > 0 else None for size in entry.shape]
        self._channels_last = fixed[3] in (1, 3) and fixed[1] not in (1, 3)
        if self._channels_last:
            self._fixed_batch, self._height, self._width, self._bands = fixed
        else:
            self._fixed_batch, self._bands, self._height, self._width = fixed
        if self._bands not in (None, 1, 3):
            raise DetectorError(f"{self.path}: the model takes {self._bands} bands; 1 or 3 are possible")

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(w, h) px of the model's input, None where it takes any size."""
        return (self._width, self._height) if self._width and self._height else None

    def __repr__(self) -> str:
        return f"<OnnxDetector {os.path.basename(self.path)}, {len(self.names)} labels, batch {self.batch}>"

    def detect(self, tiles: Sequence[Tile]) -> list[Detections]:
        """One Detections per tile, tile-frame px; see OnnxInput for tiles larger than a fixed input."""
        if not tiles:
            return []
        fitted = [self._fitted(tile.pixels) for tile in tiles]
        array = self._stack(fitted)
        down, across = (1, 2) if self._channels_last else (2, 3)
        size = (array.shape[across], array.shape[down])
        given: dict[str, Any] = {self._input: array}
        if self._sizes_input is not None:
            given[self._sizes_input] = np.tile(np.array([size], np.int64), (len(array), 1))
        outputs = dict(zip(self._outputs, self._session.run(None, given), strict=True))
        how = Reading(
            self._head or head_of(outputs, len(self.names), self.path), len(self.names), self._score
        )
        return [
            self._found(how, how.boxes(outputs, place, size), pixels.shape, tile)
            for place, (tile, pixels) in enumerate(zip(tiles, fitted, strict=True))
        ]

    def _fitted(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The tile as it is, or reduced to the input where that is asked for."""
        height, width = pixels.shape[:2]
        share = min(1.0, (self._height or height) / height, (self._width or width) / width)
        if share == 1.0:
            return pixels
        if self._pixels.fit == "refuse":
            raise DetectorError(
                f"{self.path}: the model takes {self._width} x {self._height} px, the tile has {width} x {height}; "
                f'use Tiling(tile=({self._width}, {self._height})), or OnnxInput(fit="shrink") to reduce each tile'
            )
        return _shrunk(pixels, (max(1, int(width * share)), max(1, int(height * share))))

    def _stack(self, tiles: Sequence[NDArray[np.uint8]]) -> NDArray[Any]:
        height = self._height or -(-max(pixels.shape[0] for pixels in tiles) // _MULTIPLE) * _MULTIPLE
        width = self._width or -(-max(pixels.shape[1] for pixels in tiles) // _MULTIPLE) * _MULTIPLE
        bands = self._bands or 3
        count = self._fixed_batch or len(tiles)
        out = np.full((count, bands, height, width), _FILL, np.uint8)
        for place, pixels in enumerate(tiles):
            if pixels.shape[2] != bands:
                pixels = _gray(pixels) if bands == 1 else np.broadcast_to(pixels, (*pixels.shape[:2], bands))
            out[place, :, : pixels.shape[0], : pixels.shape[1]] = pixels.transpose(2, 0, 1)
        values: NDArray[Any] = out
        if self._dtype != np.uint8:
            values = out.astype(np.float32)
            values /= 255
            if (self._pixels.mean, self._pixels.std) != (OnnxInput.mean, OnnxInput.std):
                values -= np.array(self._pixels.mean, np.float32)[:, None, None]
                values /= np.array(self._pixels.std, np.float32)[:, None, None]
        if self._channels_last:
            values = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
        return values.astype(self._dtype, copy=False)

    def _found(self, how: Reading, boxes: Any, shape: tuple[int, ...], tile: Tile) -> Detections:
        rows, scores, labels = boxes
        if (
            self._iou is not None and how.head not in _SUPPRESSED
        ):  # before clipping, as the models' own code does
            sound = np.flatnonzero(np.isfinite(rows).all(axis=1) & (rows[:, 2:] > rows[:, :2]).all(axis=1))
            kept = sound[nms(rows[sound], scores[sound], labels[sound], threshold=self._iou)]
            rows, scores, labels = rows[kept], scores[kept], labels[kept]
        height, width = tile.pixels.shape[:2]
        rows = rows * (width / shape[1], height / shape[0], width / shape[1], height / shape[0])
        rows = np.clip(rows, 0, (width, height, width, height))
        good = (rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])
        rows, scores, labels = rows[good], np.minimum(scores[good], 1.0), labels[good]
        names = self.names
        top = int(labels.max()) if len(labels) else -1
        if names and top >= len(names):
            raise DetectorError(
                f"{self.path}: gave class {top}, but has {len(names)} name(s): {', '.join(names[:5])}; give all names"
            )
        names += tuple(f"class {number}" for number in range(len(names), top + 1))
        return Detections(rows, scores, labels, names)


def _shrunk(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    reduced = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    return reduced.reshape(size[1], size[0], pixels.shape[2])


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


def _tiling(text: str | None, path: str) -> Tiling | Scales | None:
    if not text:
        return None
    try:
        value = json.loads(text)
        return None if value is None else tiling_from_json(value)
    except (ValueError, TilekitError) as exc:
        raise DetectorError(f"{path}: metadata tiling={text[:80]!r} cannot be read: {exc}") from exc
