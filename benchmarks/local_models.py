"""The local trainer without its server: manifests in, a detector and how its training ended out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tilekit import CallableDetector, Detections, LabelSet, read_labels
from tilekit.local.budget import Caps
from tilekit.local.inference import find
from tilekit.local.learning import LearningPlan, learn
from tilekit.local.network import CenterNetwork, fused
from tilekit.local.pixels import shrink
from tilekit.local.pretraining import new_network
from tilekit.local.training import read_pictures
from tilekit.rekognition.limits import LIMITS
from tilekit.rekognition.training_note import TrainingNote


@dataclass(frozen=True)
class Trained:
    """A detector, and how its training ended."""

    detector: CallableDetector
    note: TrainingNote
    reviews: tuple[dict[str, float], ...]


def train(
    manifests: Sequence[Path], names: Sequence[str], seed: int, caps: Caps, *, limit: int = LIMITS.shrink_side
) -> Trained:
    """Train on the images of manifests, as the server does, on one core."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    samples = [sample for manifest in manifests for sample in _samples(read_labels(manifest))]
    pictures, groups = read_pictures(Path("/"), samples, list(names), limit)
    network = new_network(pictures[0].pixels.shape[2], len(names))
    outcome = learn(
        network, pictures, groups, LearningPlan(seed, caps), lambda message: print(message, file=sys.stderr)
    )
    return Trained(
        _detector(fused(network), names, limit), TrainingNote.read(outcome.to_json()), outcome.reviews
    )


def _samples(labels: LabelSet) -> list[dict[str, Any]]:
    return [
        {
            "image": Path(key.source).resolve(),
            "page": Path(key.source).name.split(".")[0],
            "boxes": [[name, *box] for name, box in zip(page.labels, page.boxes.tolist(), strict=True)],
        }
        for key, page in labels.items()
    ]


def _detector(network: CenterNetwork, names: Sequence[str], limit: int) -> CallableDetector:
    network.eval()

    def detect(pixels: Any) -> Detections:
        small = shrink(pixels, limit)
        if network.bands == 1 and small.shape[2] == 3:
            small = small.mean(axis=2, keepdims=True).astype(np.uint8)
        found = find(network, np.ascontiguousarray(small))
        ratio = np.array([pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]] * 2)
        boxes = np.clip(found.boxes * ratio, 0, [pixels.shape[1], pixels.shape[0]] * 2)
        kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return Detections(boxes[kept], found.scores[kept], found.labels[kept], tuple(names))

    return CallableDetector(detect, names=names)
