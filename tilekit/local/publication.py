"""After a check or a training: the files of the results, written to the output bucket as the service does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tilekit.local.context import Backend, s3_object
from tilekit.local.metrics import Evaluation, evaluate
from tilekit.local.preparation import Material, outcome_of
from tilekit.local.training_lines import TrainingLine
from tilekit.rekognition.aggregate import manifest_summary
from tilekit.rekognition.evaluation_files import (
    EvaluationSummary,
    LabelMetrics,
    SnapshotBox,
    SnapshotLine,
    line_numbers,
    validation_line,
    write_manifest_summary,
    write_snapshot,
    write_summary,
)
from tilekit.rekognition.training_note import TrainingNote
from tilekit.storage.local import write_text

THRESHOLDS_FILE = "thresholds.json"


@dataclass(frozen=True, slots=True)
class Predicted:
    """A predicted box on a test image: line place, label, score 0..1, x0, y0, x1, y1 in px of the image."""

    line: int
    label: str
    score: float
    corners: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Output:
    """Where a version's files go."""

    backend: Backend
    bucket: str
    prefix: str
    project: str
    version: str

    @classmethod
    def of(cls, backend: Backend, version: Any) -> _Output:
        """The output of a version's request."""
        output = json.loads(version["request"])["OutputConfig"]
        project = version["arn"].split(":project/")[1].split("/")[0]
        prefix = output.get("S3KeyPrefix", "").strip("/")
        return cls(backend, output["S3Bucket"], prefix, project, version["name"])

    def write(self, kind: str, data: bytes) -> dict[str, Any]:
        """Put the file of a kind, named as the service names it, and give its S3Object structure."""
        key = "/".join(part for part in (self.prefix, f"{kind}-{self.project}-{self.version}.json") if part)
        self.backend.buckets.write(self.bucket, key, data)
        return s3_object(self.bucket, key)

    def assets(self, kind: str, data: bytes) -> dict[str, Any]:
        """Put a manifest and give its Assets structure."""
        return {"Assets": [{"GroundTruthManifest": self.write(kind, data)}]}


def publish_checks(backend: Backend, version: Any, material: Material) -> dict[str, Any]:
    """Write the manifest summary and the validation manifests; gives the fields that point to them."""
    output = _Output.of(backend, version)
    summary = write_manifest_summary(manifest_summary(material.training, material.testing, material.verdict))
    result: dict[str, Any] = {"ManifestSummary": output.write("ManifestSummary", summary)}
    for split, lines in (("Training", material.train), ("Testing", material.test)):
        checked = "".join(
            json.dumps(validation_line(line.raw, line.checked), ensure_ascii=False) + "\n" for line in lines
        )
        result[f"{split}DataResult"] = {
            "Validation": output.assets(f"{split}ManifestWithValidation", checked.encode())
        }
    return result


def publish_results(
    backend: Backend, version: Any, material: Material, predicted: Sequence[Predicted], result: dict[str, Any]
) -> dict[str, Any]:
    """Evaluate, write summary, snapshot and thresholds; gives `result` with the fields that point to them."""
    output = _Output.of(backend, version)
    evaluation = evaluate(material.test, predicted)
    folder = backend.state.model_folder(version["folder"])
    write_text(folder / THRESHOLDS_FILE, json.dumps(evaluation.thresholds), durable=True)
    ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    summary = write_summary(_summary(version["arn"], material, evaluation, ended, outcome_of(folder)))
    snapshot = b"".join(write_snapshot(line, ended) for line in _snapshot(material, predicted, evaluation))
    used = b"".join(_training_line(line, number) for number, line in enumerate(material.train) if line.usable)
    splits = json.loads(version["request"]).get("TestingData", {}).get("AutoCreate", False)
    training = {**result["TrainingDataResult"], "Output": output.assets("TrainingGroundTruth", used)}
    testing = {
        **result["TestingDataResult"],
        "Output": {**output.assets("TestingGroundTruth", snapshot), "AutoCreate": splits},
    }
    return {
        **result,
        "TrainingDataResult": training,
        "TestingDataResult": testing,
        "EvaluationResult": {
            "F1Score": evaluation.f1,
            "Summary": output.write("EvaluationResultSummary", summary),
        },
    }


def _training_line(line: TrainingLine, number: int) -> bytes:
    """A line of the training's output: as it was given, with the numbers that the service adds."""
    document = {**json.loads(line.raw), **line_numbers(number)}
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def _summary(
    arn: str, material: Material, evaluation: Evaluation, ended: str, outcome: dict[str, Any] | None
) -> EvaluationSummary:
    rows = tuple(
        LabelMetrics(row.label, row.images, row.threshold, row.precision, row.recall, row.f1)
        for row in evaluation.labels
    )
    return EvaluationSummary(
        arn,
        ended,
        tuple(row.label for row in rows),
        sum(line.usable for line in material.train),
        sum(line.usable for line in material.test),
        evaluation.mean("precision"),
        evaluation.mean("recall"),
        evaluation.f1,
        rows,
        evaluation.mean("average_precision"),
        evaluation.mean("recall"),
        training=None if outcome is None else TrainingNote.read(outcome),
    )


def _snapshot(
    material: Material, predicted: Sequence[Predicted], evaluation: Evaluation
) -> list[SnapshotLine]:
    by_line: dict[int, list[SnapshotBox]] = {}
    for box, hit in zip(predicted, evaluation.matched, strict=True):
        above = box.score >= evaluation.thresholds.get(box.label, 0.5)
        if above or hit:  # what is neither said nor there is no box of the snapshot
            outcome = ("tp" if hit else "fp") if above else "fn"
            made = _snapshot_box(box.label, box.corners, box.score, outcome, hit)
            by_line.setdefault(box.line, []).append(made)
    return [
        SnapshotLine(line.checked.source_ref, _size(line), _truth(line), tuple(by_line.get(place, ())), place)
        for place, line in enumerate(material.test)
        if line.usable
    ]


def _size(line: TrainingLine) -> tuple[int, int]:
    return line.facts.width, line.facts.height


def _truth(line: TrainingLine) -> tuple[SnapshotBox, ...]:
    return tuple(_snapshot_box(box.label, box.corners, 1.0, "", True) for box in line.boxes)


def _snapshot_box(
    label: str, corners: tuple[float, float, float, float], score: float, outcome: str, true: bool
) -> SnapshotBox:
    x0, y0, x1, y1 = (round(value) for value in corners)  # the service's boxes are whole px
    return SnapshotBox(label, x0, y0, max(1, x1 - x0), max(1, y1 - y0), score, outcome, true)
