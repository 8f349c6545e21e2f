"""Before training: lines are gathered and checked, images copied into the model's folder.

As on the service, images are copied first, so what happens to the bucket later does not matter. The
folder holds all that training needs (`job.json` is written last), so a killed server goes on from it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilekit.errors import InvalidArgument
from tilekit.local.context import Backend
from tilekit.local.manifests import manifest_lines, manifest_text
from tilekit.local.protocol import ServiceFault
from tilekit.local.training_lines import TrainingLine, check_lines
from tilekit.rekognition.aggregate import Tally, Verdict, judge
from tilekit.rekognition.codes import CODES
from tilekit.rekognition.findings import Finding
from tilekit.rekognition.limits import LIMITS
from tilekit.storage.local import write_bytes, write_text
from tilekit.tiles.naming import parse_tile_name

JOB_FILE = "job.json"
OUTCOME_FILE = "training.json"
WARM_START = "tilekit-warm-start"
"""Tag of a version: the version of the same project whose model its training goes on from."""


class TrainingRefused(Exception):
    """Training cannot begin; `message` is the StatusMessage."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Material:
    """The checked lines of both splits, their counts, and what the service says of them as a whole."""

    train: list[TrainingLine]
    test: list[TrainingLine]
    training: Tally
    testing: Tally
    verdict: Verdict

    @property
    def refusal(self) -> str | None:
        """Why nothing can be trained, or None."""
        if self.verdict.terminal:
            return self.verdict.terminal[0].about.message
        if self.training.use_case == "IMAGE_LEVEL_LABELS":
            return "Models of image-level labels are not done by this local server; give bounding boxes."
        return None


def collect(backend: Backend, version: Any) -> Material:
    """The version's lines, checked; TrainingRefused for an error of the files themselves."""
    request = json.loads(version["request"])
    train_lines, test_lines = _gather(backend, version["project"], request)
    if not train_lines or (test_lines is not None and not test_lines):
        raise TrainingRefused(CODES["ERROR_EMPTY_MANIFEST"].message)
    limits = dataclasses.replace(LIMITS, shrink_side=backend.settings.limit)
    train = check_lines(train_lines, backend.buckets, limits)
    test = None if test_lines is None else check_lines(test_lines, backend.buckets, limits)
    training, testing = _tally(train), None if test is None else _tally(test)
    verdict = judge(training, testing, limits)
    if test is None:
        train, test = _split(train)
        testing = _tally(test)
    assert testing is not None
    verdict.training.extend(_bucket_findings(backend, training))
    return Material(train, test, training, testing, verdict)


def write_job(backend: Backend, folder: Path, material: Material, version: Any) -> None:
    """Copy the images and write what training needs."""
    warm, notes = _earlier(backend, version)
    untaught = sorted(_labels(material.test) - _labels(material.train))
    if untaught:
        notes.append(f"No training image has a box of {', '.join(untaught)}, so none will be found.")
    job = {
        "labels": sorted(_labels(material.train)),
        "limit": backend.settings.limit,
        "shrink_inference": backend.settings.shrink_inference,
        "seed": backend.settings.seed,
        "steps": backend.settings.steps,
        "minutes": backend.settings.minutes,
        "warm_start": warm,
        "notes": notes,
        "threads": backend.settings.threads,
        "train": _samples(backend, folder, material.train, "train"),
        "test": _samples(backend, folder, material.test, "test"),
    }
    write_text(folder / JOB_FILE, json.dumps(job), durable=True)


def _labels(lines: Sequence[TrainingLine]) -> set[str]:
    return {box.label for line in lines if line.usable for box in line.boxes}


def _earlier(backend: Backend, version: Any) -> tuple[str | None, list[str]]:
    """The model file that a version's tag names to go on from, and what to say where there is none."""
    name = json.loads(version["request"]).get("Tags", {}).get(WARM_START)
    if name is None:
        return None, []
    row = backend.state.row(
        "SELECT folder FROM versions WHERE project = ? AND name = ? AND f1 IS NOT NULL",
        version["project"],
        name,
    )
    if row is None:
        return None, [f"There is no trained model {name} in the project to go on from."]
    return str(backend.state.model_folder(row["folder"]) / "model.pt"), []


def _gather(backend: Backend, project: str, request: dict[str, Any]) -> tuple[list[str], list[str] | None]:
    """Training and test lines: the project's datasets, or the manifests given; None: the service splits."""
    if "TrainingData" in request:
        train = _manifest_lines(backend, request["TrainingData"]["Assets"])
        assets = request.get("TestingData", {}).get("Assets")
        return train, _manifest_lines(backend, assets) if assets else None
    lines: dict[str, list[str]] = {"TRAIN": [], "TEST": []}
    for row in backend.state.rows(
        "SELECT d.type, e.line FROM entries AS e JOIN datasets AS d ON d.arn = e.dataset "
        "WHERE d.project = ? ORDER BY e.id",
        project,
    ):
        lines[row["type"]].append(row["line"])
    has_test = backend.state.row("SELECT 1 FROM datasets WHERE project = ? AND type = 'TEST'", project)
    return lines["TRAIN"], lines["TEST"] if has_test else None


def _manifest_lines(backend: Backend, assets: Sequence[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for asset in assets:
        where = asset["GroundTruthManifest"]["S3Object"]
        try:
            data = backend.buckets.read(where["Bucket"], where["Name"], where.get("Version"))
        except ServiceFault as fault:
            raise TrainingRefused(
                CODES["ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT"].message
            ) from fault
        lines += manifest_lines(manifest_text(data))
    return lines


def _tally(lines: Sequence[TrainingLine]) -> Tally:
    tally = Tally()
    for number, line in enumerate(lines, 1):
        tally.add(number, line.checked)
    return tally


def _split(lines: list[TrainingLine]) -> tuple[list[TrainingLine], list[TrainingLine]]:
    """80/20 of the usable lines, in order: each fifth is for test."""
    usable = [line for line in lines if line.usable]
    return [line for place, line in enumerate(usable) if place % 5 != 4], usable[4::5] or usable[-1:]


def _bucket_findings(backend: Backend, tally: Tally) -> list[Finding]:
    missing = [bucket for bucket in tally.buckets if not backend.buckets.has_bucket(bucket)]
    return [
        Finding("ERROR_INVALID_PERMISSIONS_IMAGES_S3_BUCKET", f"no bucket {bucket}") for bucket in missing
    ]


def _samples(backend: Backend, folder: Path, lines: list[TrainingLine], split: str) -> list[dict[str, Any]]:
    samples = []
    for place, line in enumerate(lines):
        if not line.usable:
            continue
        name = f"images/{split}-{place}"
        write_bytes(folder / name, backend.buckets.read(*line.place))
        boxes = [[box.label, *box.corners] for box in line.boxes]
        samples.append({"image": name, "line": place, "boxes": boxes, "page": _page(line.place[1])})
    return samples


def _page(key: str) -> str:
    """The page that an image is of: a tile's name says it, any other image is its own."""
    try:
        tile = parse_tile_name(key)
    except InvalidArgument:
        return key
    return f"{tile.stem}#{tile.page}"


def told(folder: Path) -> list[str]:
    """What a person should know of a training that is done: that it did not converge, and what it met."""
    outcome = outcome_of(folder)
    if outcome is None:
        return []
    return [*([] if outcome["converged"] else [outcome["sentence"]]), *outcome["notes"]]


def outcome_of(folder: Path) -> dict[str, Any] | None:
    """How the training of a model's folder ended; None where nothing was trained."""
    file = folder / OUTCOME_FILE
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None
