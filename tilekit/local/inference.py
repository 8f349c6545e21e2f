"""Detection with a trained network, and the cache of models in use."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tilekit.errors import ScanError
from tilekit.local.context import ModelStore
from tilekit.local.network import CenterNetwork, Found, decode, load, save, to_tensor
from tilekit.local.pixels import read_pixels
from tilekit.local.preparation import JOB_FILE
from tilekit.local.protocol import ServiceFault
from tilekit.local.publication import THRESHOLDS_FILE
from tilekit.storage.local import atomic_path

MODEL_FILE = "model.pt"
_KEPT_MODELS = 4


def find(network: CenterNetwork, pixels: NDArray[np.uint8]) -> Found:
    """What a network (in evaluation mode) finds in pixels as they are."""
    with torch.inference_mode():
        images = to_tensor(pixels, network.bands).to(network.device)
        maps = [level[0].cpu() for level in network(images)]
        return decode(maps, network.labels, pixels.shape[1], pixels.shape[0])


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network ready for use. `limit`: images with a longer side are shrunk first; None: never."""

    network: CenterNetwork
    names: tuple[str, ...]
    limit: int | None

    def detect(self, image: bytes) -> Found:
        """What is found in an encoded image, in px of the image as sent. Raises ScanError."""
        pixels, size = read_pixels(image, self.limit)
        found = find(self.network, pixels)
        ratio = np.array([size[0] / pixels.shape[1], size[1] / pixels.shape[0]] * 2)
        return Found(found.boxes * ratio, found.scores, found.labels)


def write_model(path: Path, network: CenterNetwork, names: list[str]) -> None:
    """Write a network so that it appears whole or not at all."""
    with atomic_path(path, durable=True) as part:
        save(part, network, names)


class TrainedModels(ModelStore):
    """Models by folder, the last few kept; at most one detection a core at once."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._lock = threading.Lock()
        self._loaded: dict[str, LoadedModel] = {}
        self._thresholds: dict[str, Mapping[str, float]] = {}
        self._turns = threading.BoundedSemaphore(os.cpu_count() or 1)
        torch.set_num_threads(1)

    def detect(self, folder: str, image: bytes) -> list[dict[str, Any]]:
        """Everything found: ratios in steps of 1e-5 and confidences of 1e-3, as the service gives them."""
        model = self._model(folder)
        try:
            with self._turns:
                pixels, _ = read_pixels(image, model.limit)
                found = find(model.network, pixels)
        except ScanError as exc:
            raise ServiceFault("InvalidImageFormatException", "Request has invalid image format") from exc
        ratios = found.boxes / [pixels.shape[1], pixels.shape[0], pixels.shape[1], pixels.shape[0]]
        return [
            _label(model.names[label], float(score), *(float(value) for value in box))
            for box, score, label in zip(ratios, found.scores, found.labels, strict=True)
        ]

    def thresholds(self, folder: str) -> Mapping[str, float]:
        """Assumed threshold of each label, 0..1."""
        if folder not in self._thresholds:
            text = (self._models / folder / THRESHOLDS_FILE).read_text(encoding="utf-8")
            self._thresholds[folder] = json.loads(text)
        return self._thresholds[folder]

    def warm(self, folder: str) -> None:
        """Load a model in the background."""
        threading.Thread(target=self._model, args=(folder,), daemon=True).start()

    def _model(self, folder: str) -> LoadedModel:
        with self._lock:
            model = self._loaded.pop(folder, None)
            if model is None:
                job = json.loads((self._models / folder / JOB_FILE).read_text(encoding="utf-8"))
                network, names = load(self._models / folder / MODEL_FILE)
                model = LoadedModel(network, names, job["limit"] if job["shrink_inference"] else None)
                while len(self._loaded) >= _KEPT_MODELS:
                    self._loaded.pop(next(iter(self._loaded)))
            self._loaded[folder] = model
            return model


def _label(name: str, score: float, x0: float, y0: float, x1: float, y1: float) -> dict[str, Any]:
    box = {"Left": x0, "Top": y0, "Width": x1 - x0, "Height": y1 - y0}
    rounded = {side: round(value, 5) for side, value in box.items()}
    return {"Name": name, "Confidence": round(100 * score, 3), "Geometry": {"BoundingBox": rounded}}
