"""Before training: lines are gathered and checked, images copied into the model's folder.

As on the service, images are copied first, so what happens to the bucket later does not matter. The
folder holds all that training needs (`job.json` is written last), so a killed server goes on from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilekit.local.context import Service
from tilekit.local.protocol import ServiceFault
from tilekit.local.training_lines import CheckedLine, check_lines
from tilekit.storage.local import write_bytes, write_text

JOB_FILE = "job.json"


class TrainingRefused(Exception):
    """Training cannot begin; `message` is the StatusMessage."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Material:
    """The checked lines of both splits."""

    train: list[CheckedLine]
    test: list[CheckedLine]


def prepare(service: Service, version: Any) -> Material:
    """Check the version's lines and write its job; TrainingRefused where the service would refuse."""
    request = json.loads(version["request"])
    train_lines, test_lines = gather(service, version["project"], request)
    train = check_lines(train_lines, service.buckets, limit=service.settings.limit)
    test = check_lines(test_lines, service.buckets, limit=service.settings.limit)
    material = Material(train, test)
    _write_job(service, service.state.model_folder(version["folder"]), material)
    return material


def gather(service: Service, project: str, request: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Training and test lines: the project's datasets, or the manifests given; split 80/20 where needed."""
    if "TrainingData" in request:
        train = _manifest_lines(service, request["TrainingData"]["Assets"])
        assets = request.get("TestingData", {}).get("Assets")
        return (train, _manifest_lines(service, assets)) if assets else _split(train)
    lines = {"TRAIN": [], "TEST": []}  # type: dict[str, list[str]]
    for row in service.state.rows(
        "SELECT d.type, e.line FROM entries AS e JOIN datasets AS d ON d.arn = e.dataset WHERE d.project = ? ORDER BY e.id",
        project,
    ):
        lines[row["type"]].append(row["line"])
    has_test = service.state.row("SELECT 1 FROM datasets WHERE project = ? AND type = 'TEST'", project)
    return (lines["TRAIN"], lines["TEST"]) if has_test else _split(lines["TRAIN"])


def _manifest_lines(service: Service, assets: Sequence[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for asset in assets:
        where = asset["GroundTruthManifest"]["S3Object"]
        try:
            data = service.buckets.read(where["Bucket"], where["Name"], where.get("Version"))
        except ServiceFault as fault:
            raise TrainingRefused("The manifest file extension or contents are invalid.") from fault
        text = data.decode("utf-8", errors="replace")
        lines += text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
    return lines


def _split(lines: list[str]) -> tuple[list[str], list[str]]:
    return [line for place, line in enumerate(lines) if place % 5], lines[::5]


def _write_job(service: Service, folder: Path, material: Material) -> None:
    usable = [line for line in material.train if line.usable]
    labels = sorted({box.label for line in usable for box in line.boxes})
    if not labels:
        raise TrainingRefused(
            "The training dataset has no usable labels: ERROR_MANIFEST_TOO_FEW_USABLE_LABELS."
        )
    job = {
        "labels": labels,
        "limit": service.settings.limit,
        "seed": service.settings.seed,
        "threads": service.settings.threads,
        "train": _samples(service, folder, material.train, "train"),
        "test": _samples(service, folder, material.test, "test"),
    }
    write_text(folder / JOB_FILE, json.dumps(job), durable=True)


def _samples(service: Service, folder: Path, lines: list[CheckedLine], split: str) -> list[dict[str, Any]]:
    samples = []
    for place, line in enumerate(lines):
        if not line.usable:
            continue
        name = f"images/{split}-{place}"
        write_bytes(folder / name, service.buckets.read(line.bucket, line.key))
        boxes = [[box.label, *box.corners] for box in line.boxes]
        samples.append({"image": name, "line": place, "boxes": boxes})
    return samples
