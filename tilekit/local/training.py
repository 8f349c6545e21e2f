"""Training, in a process of its own: reads a model folder's job, writes the model and its test predictions.

Deterministic by the job's seed (and number of threads). A job is begun again from its start when it was
killed; its files are written beside and renamed, so a half-written model never looks whole.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tilekit.errors import ScanError
from tilekit.local.budget import Caps
from tilekit.local.crops import Picture
from tilekit.local.inference import MODEL_FILE, LoadedModel, write_model
from tilekit.local.learning import RATE, LearningPlan, Say, learn
from tilekit.local.network import fused, start_from, to_gray
from tilekit.local.pixels import is_gray, read_pixels
from tilekit.local.preparation import OUTCOME_FILE
from tilekit.local.pretraining import new_network
from tilekit.storage.local import write_text

PREDICTIONS_FILE = "predictions.json"


def train_job(folder: Path, say: Say) -> None:
    """Train the job in `folder` and predict its test images."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    torch.manual_seed(job["seed"])
    torch.set_num_threads(job["threads"])
    names = list(job["labels"])
    say(f"Reading {len(job['train'])} training images.")
    pictures, groups = read_pictures(folder, job["train"], names, job["limit"])
    network = new_network(pictures[0].pixels.shape[2] if pictures else 1, len(names))
    notes, rate = list(job["notes"]), RATE
    if job["warm_start"]:
        reason = start_from(network, names, Path(job["warm_start"]))
        notes += [f"It did not go on from the earlier model: {reason}."] if reason else []
        rate = RATE if reason else RATE / 2
    plan = LearningPlan(job["seed"], Caps(job["steps"], job["minutes"]), rate)
    outcome = learn(network, pictures, groups, plan, say)
    write_model(folder / MODEL_FILE, network, names)
    if outcome.missed and outcome.converged:
        lost = ", ".join(names[place] for place in outcome.missed)
        notes.append(f"Nothing was found of {lost} on the images held out.")
    told = {**outcome.to_json(), "notes": notes}
    write_text(folder / OUTCOME_FILE, json.dumps(told), durable=True)
    model = LoadedModel(fused(network), tuple(names), job["limit"] if job["shrink_inference"] else None)
    predicted = _predict(folder, job["test"], model, say)
    write_text(folder / PREDICTIONS_FILE, json.dumps(predicted), durable=True)


def read_pictures(
    folder: Path, samples: list[dict[str, Any]], names: list[str], limit: int
) -> tuple[list[Picture], list[str]]:
    """Training images as the network sees them, and the page of each; what does not decode is left out.

    Memory: all shrunk images, w x h x 1 or 3 bytes each.
    """
    places = {name: place for place, name in enumerate(names)}
    read, groups = [], []
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
        groups.append(str(sample["page"]))
    if any(picture.pixels.shape[2] == 3 for picture in read):
        read = [Picture(_colored(picture.pixels), picture.boxes, picture.labels) for picture in read]
    return read, groups


def _colored(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


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
