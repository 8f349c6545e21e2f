"""Object detection models of Hugging Face, run by transformers where that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tilekit.boxes.detections import Detections
from tilekit.detectors.ultralytics_models import as_array, clipped, named, rgb
from tilekit.errors import DetectorError, MissingExtra
from tilekit.tiles.tile import Tile


class HuggingFaceDetector:
    """A detector from a model on Hugging Face's hub or in a folder, run by `transformers` and PyTorch.

    `name`: such as "PekingU/rtdetr_r50vd", or a folder that `save_pretrained` wrote (model and image processor). `score`:
    boxes below are dropped. `batch`: tiles of one size a call. `fit`: tiles larger than the fixed size that the
    model's processor gives it are refused in words ("refuse"), or reduced by it ("shrink"). A processor that brings
    pictures to a shortest side does so with tiles too. `device`: as PyTorch names it. `input_size`: that fixed (w, h).
    Raises MissingExtra, DetectorError where there is no such model.
    """

    strict = False  # its boxes are clipped to the tile here
    workers = 1

    def __init__(
        self,
        name: str,
        *,
        score: float = 0.05,
        batch: int = 4,
        fit: Literal["refuse", "shrink"] = "refuse",
        device: str = "cpu",
    ) -> None:
        self.name, self.batch = name, batch
        self._score, self._fit, self._device = score, fit, device
        try:
            from transformers import AutoImageProcessor, AutoModelForObjectDetection
        except ImportError as exc:
            raise MissingExtra(
                f"hf:{name}: models of Hugging Face need transformers and PyTorch: pip install transformers torch"
            ) from exc
        try:
            self._processor = AutoImageProcessor.from_pretrained(name)
            model = AutoModelForObjectDetection.from_pretrained(name)
        except (OSError, ValueError, ImportError) as exc:
            said = str(exc).strip().splitlines() or [type(exc).__name__]
            raise DetectorError(f"hf:{name}: cannot be loaded for object detection: {said[0]}") from exc
        self._model = model.to(device).eval()
        self._model.requires_grad_(False)
        self.names = named(model.config.id2label)
        size = dict(getattr(self._processor, "size", None) or {})
        fixed = "height" in size and "width" in size and getattr(self._processor, "do_resize", True)
        self.input_size = (int(size["width"]), int(size["height"])) if fixed else None

    def __repr__(self) -> str:
        return f"<HuggingFaceDetector {self.name}, {len(self.names)} labels, batch {self.batch}>"

    def detect(self, tiles: Sequence[Tile]) -> list[Detections]:
        """One Detections per tile, tile-frame px."""
        out: list[Detections] = [Detections.empty(self.names)] * len(tiles)
        sizes: dict[tuple[int, ...], list[int]] = {}
        for place, tile in enumerate(tiles):
            sizes.setdefault(tile.pixels.shape[:2], []).append(place)
        for shape, places in sizes.items():
            for place, found in zip(places, self._of([tiles[place] for place in places], shape), strict=True):
                out[place] = found
        return out

    def _of(self, tiles: Sequence[Tile], shape: tuple[int, ...]) -> list[Detections]:
        """Tiles of one shape."""
        height, width = shape
        if self.input_size is not None and self._fit == "refuse":
            wide, high = self.input_size
            if width > wide or height > high:
                raise DetectorError(
                    f"hf:{self.name}: the model takes {wide} x {high} px, the tile has {width} x {height}; use "
                    f'Tiling(tile=({wide}, {high})), or fit="shrink" to reduce each tile'
                )
        pictures = [np.ascontiguousarray(rgb(tile.pixels)) for tile in tiles]
        given = self._processor(images=pictures, return_tensors="pt", input_data_format="channels_last")
        answers = self._processor.post_process_object_detection(
            self._model(**given.to(self._device)),
            threshold=self._score,
            target_sizes=[(height, width)] * len(tiles),
        )
        return [
            clipped(
                as_array(answer["boxes"]),
                np.minimum(as_array(answer["scores"]), 1.0),
                as_array(answer["labels"]).astype(np.int64),
                self.names,
                (width, height),
            )
            for answer in answers
        ]
