"""Training, in a process of its own: reads a model folder's job, writes the model and its test predictions.

Deterministic by the job's seed (and number of threads). A job is begun again from its start when it was
killed; its files are written beside and renamed, so a half-written model never looks whole.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from tilekit.errors import ScanError
from tilekit.local.crops import CropSource, Picture, crop_plans
from tilekit.local.inference import MODEL_FILE, LoadedModel, find, write_model
from tilekit.local.network import CenterNetwork, fused, to_gray
from tilekit.local.pixels import is_gray, read_pixels
from tilekit.local.targets import LevelTargets, Targets
from tilekit.storage.local import write_text

PREDICTIONS_FILE = "predictions.json"
RATE = 4e-3
_REVIEWS = (0.4, 0.65)
_REVIEW_PICTURES = 40

Say = Callable[[str], None]


def train_job(folder: Path, say: Say) -> None:
    """Train the job in `folder` and predict its test images."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    torch.manual_seed(job["seed"])
    torch.set_num_threads(job["threads"])
    names = list(job["labels"])
    say(f"Reading {len(job['train'])} training images.")
    pictures = read_pictures(folder, job["train"], names, job["limit"])
    network = train(pictures, len(names), job["seed"], say, job["steps"])
    write_model(folder / MODEL_FILE, network, names)
    model = LoadedModel(fused(network), tuple(names), job["limit"] if job["shrink_inference"] else None)
    predicted = _predict(folder, job["test"], model, say)
    write_text(folder / PREDICTIONS_FILE, json.dumps(predicted), durable=True)


def read_pictures(folder: Path, samples: list[dict[str, Any]], names: list[str], limit: int) -> list[Picture]:
    """Training images as the network sees them; what does not decode is left out.

    Memory: all shrunk images, w x h x 1 or 3 bytes each.
    """
    places = {name: place for place, name in enumerate(names)}
    read = []
    for sample in samples:
        try:
            pixels, size = read_pixels((folder / sample["image"]).read_bytes(), limit)
        except ScanError:
            continue
        if pixels.shape[2] == 3 and is_gray(pixels):
            pixels = to_gray(pixels)
        ratio = np.array([pixels.shape[1] / size[0], pixels.shape[0] / size[1]] * 2)
        boxes = np.array([box[1:] for box in sample["boxes"]], dtype=np.float64).reshape(-1, 4) * ratio
        labels = np.array([places[box[0]] for box in sample["boxes"]], dtype=np.int64)
        read.append(Picture(pixels, boxes, labels))
    if any(picture.pixels.shape[2] == 3 for picture in read):
        return [Picture(_colored(picture.pixels), picture.boxes, picture.labels) for picture in read]
    return read


def _colored(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def train(pictures: list[Picture], labels: int, seed: int, say: Say, steps: int) -> CenterNetwork:
    """A network trained on the pictures; RuntimeError where there are none."""
    if not pictures:
        raise RuntimeError("none of the training images could be decoded")
    network = CenterNetwork(pictures[0].pixels.shape[2], labels)
    network.to(memory_format=torch.channels_last)
    plans = crop_plans(pictures)
    source = CropSource(pictures, labels, np.random.default_rng(seed))
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.2)
    reviews = {round(steps * share) for share in _REVIEWS}
    begun = time.monotonic()
    for step in range(steps):
        network.train()
        images, targets = source.batch(plans[step % len(plans)])
        value = loss(network(images), targets, labels)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if step in reviews:
            source.mistakes = _mistakes(network, source)
        if step % 20 == 19:
            left = (time.monotonic() - begun) / (step + 1) * (steps - step - 1)
            say(
                f"Training: step {step + 1} of {steps}, loss {float(value.detach()):.3f}, about {left:.0f} s left."
            )
    return network


def loss(maps: Sequence[torch.Tensor], targets: Targets, labels: int) -> torch.Tensor:
    """Penalty-reduced focal loss of the centers, and L1 of the shapes near them, per object."""
    parts = [_level_loss(one, level, labels) for one, level in zip(maps, targets.levels, strict=True)]
    centers, objects, shapes, near = (torch.stack(values).sum() for values in zip(*parts, strict=True))
    return centers / objects.clamp(min=1.0) + shapes / near.clamp(min=1.0)


def _level_loss(maps: torch.Tensor, targets: LevelTargets, labels: int) -> tuple[torch.Tensor, ...]:
    """Sums over one level: of the centers' loss, objects, the shapes' loss, its weights."""
    heat, weight = torch.from_numpy(targets.heat), torch.from_numpy(targets.weight)
    near, shape = torch.from_numpy(targets.near), torch.from_numpy(targets.shape)
    logits = maps[:, :labels].float()
    score = logits.sigmoid().clamp(1e-5, 1 - 1e-5)
    center = (heat >= 0.999).float()
    found = -((1 - score) ** 2) * score.log() * center
    wrong = -((1 - heat) ** 4) * score**2 * (1 - score).log() * (1 - center) * weight
    off = F.smooth_l1_loss(maps[:, labels:].float(), shape, reduction="none", beta=0.1) * near
    return found.sum() + wrong.sum(), center.sum(), off.sum(), near.sum()


def _mistakes(network: CenterNetwork, source: CropSource) -> list[tuple[int, float, float]]:
    """Where the network finds what is not there, in some of the pictures."""
    network.eval()
    found: list[tuple[int, float, float]] = []
    step = max(1, len(source.pictures) // _REVIEW_PICTURES)
    for number in range(0, len(source.pictures), step):
        picture = source.pictures[number]
        seen = find(network, picture.pixels)
        for box, score, label in zip(seen.boxes, seen.scores, seen.labels, strict=True):
            if score < 0.15:
                break
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            same = picture.boxes[picture.labels == label]
            hit = (same[:, 0] <= x) & (x <= same[:, 2]) & (same[:, 1] <= y) & (y <= same[:, 3])
            if not hit.any():
                found.append((number, float(x), float(y)))
    return found


def _predict(folder: Path, samples: list[dict[str, Any]], model: LoadedModel, say: Say) -> list[list[Any]]:
    predicted: list[list[Any]] = []
    for number, sample in enumerate(samples):
        try:
            found = model.detect((folder / sample["image"]).read_bytes())
        except ScanError:
            continue
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            corners = [round(float(value), 2) for value in box]
            predicted.append([sample["line"], model.names[label], round(float(score), 5), *corners])
        if number % 20 == 19:
            say(f"Evaluating: {number + 1} of {len(samples)} test images.")
    return predicted


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(3)


def main() -> None:
    """Train the job of the folder given as argument; progress as lines of JSON."""

    def say(message: str) -> None:
        sys.stdout.write(json.dumps({"message": message}) + "\n")
        sys.stdout.flush()

    threading.Thread(target=_leave_with_parent, daemon=True).start()
    train_job(Path(sys.argv[1]), say)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the thread that waits for the parent would hold the process
