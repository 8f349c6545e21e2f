"""The files a training leaves behind: evaluation summary, evaluation snapshot, manifest summary, validation lines.

Source: Custom Labels guide, pages "im-summary-file-api", "im-evaluation-manifest-snapshot-api",
"tm-debugging-summary", "tm-debugging-scope-json-line". Aggregates of the evaluation summary are read both
flat, as in AWS's example and real files, and nested under `Metrics`, as in the reference page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilekit.errors import LabelError
from tilekit.rekognition.checked import CheckedLine
from tilekit.rekognition.lines import DETECTION, METADATA, decode_plain, is_number
from tilekit.rekognition.training_note import TrainingNote

TRUTH = "rekognition-custom-labels-training-0"
PREDICTED = "rekognition-custom-labels-evaluation"
DETAILS = "rekognition-custom-labels-evaluation-details"


@dataclass(frozen=True)
class LabelMetrics:
    """One label's row of the summary; all from 0 to 1."""

    label: str
    test_images: int
    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class EvaluationSummary:
    """The evaluation summary. `training`: how the training ended, None where nothing is said.

    `average_precision`, `average_recall`: detection only, not defined by AWS.

    `confusion`: classification only, rows of (true label, predicted label, value).
    """

    version_arn: str
    ended: str
    labels: tuple[str, ...]
    training_images: int
    testing_images: int
    precision: float
    recall: float
    f1: float
    rows: tuple[LabelMetrics, ...] = ()
    average_precision: float | None = None
    average_recall: float | None = None
    confusion: tuple[tuple[str, str, float], ...] = ()
    training: TrainingNote | None = None


def read_summary(data: bytes | str) -> EvaluationSummary:
    """Read an evaluation summary, flat or nested; LabelError names the field that is missing."""
    try:
        document = json.loads(data)
    except ValueError as exc:
        raise LabelError(f"the evaluation summary is not JSON: {exc}") from exc
    try:
        details = document["EvaluationDetails"]
        whole = document["AggregatedEvaluationResults"]
        metrics = {**whole, **whole.get("Metrics", {})}
        return EvaluationSummary(
            str(details.get("ProjectVersionArn", "")),
            str(details.get("EvaluationEndTimestamp", "")),
            tuple(details.get("Labels", ())),
            int(details.get("NumberOfTrainingImages", 0)),
            int(details.get("NumberOfTestingImages", 0)),
            float(metrics["Precision"]),
            float(metrics["Recall"]),
            float(metrics["F1Score"]),
            tuple(_row(entry) for entry in document.get("LabelEvaluationResults", ())),
            _maybe(metrics.get("AveragePrecision")),
            _maybe(metrics.get("AverageRecall")),
            tuple(
                (str(cell["GroundTruthLabel"]), str(cell["PredictedLabel"]), float(cell["Value"]))
                for cell in metrics.get("ConfusionMatrix") or ()
            ),
            TrainingNote.read(document["TilekitTraining"]) if "TilekitTraining" in document else None,
        )
    except KeyError as exc:
        raise LabelError(f"the evaluation summary has no {exc.args[0]!r}") from exc
    except (TypeError, AttributeError, ValueError) as exc:
        raise LabelError(f"the evaluation summary has a field of the wrong kind: {exc}") from exc


def write_summary(summary: EvaluationSummary, *, nested: bool = False) -> bytes:
    """The summary as the service writes it; `nested` puts the aggregates under `Metrics`."""
    metrics: dict[str, Any] = {
        "Precision": summary.precision,
        "Recall": summary.recall,
        "F1Score": summary.f1,
    }
    if summary.average_precision is not None:
        metrics["AveragePrecision"] = summary.average_precision
    if summary.average_recall is not None:
        metrics["AverageRecall"] = summary.average_recall
    whole: dict[str, Any] = {"Metrics": metrics} if nested else dict(metrics)
    if summary.confusion:
        whole["ConfusionMatrix"] = [
            {"GroundTruthLabel": true, "PredictedLabel": said, "Value": value}
            for true, said, value in summary.confusion
        ]
    document = {
        "Version": 1,
        "EvaluationDetails": {
            "ProjectVersionArn": summary.version_arn,
            "EvaluationEndTimestamp": summary.ended,
            "Labels": list(summary.labels),
            "NumberOfTrainingImages": summary.training_images,
            "NumberOfTestingImages": summary.testing_images,
        },
        "AggregatedEvaluationResults": whole,
        "LabelEvaluationResults": [
            {
                "Label": row.label,
                "NumberOfTestingImages": row.test_images,
                "Metrics": {
                    "Threshold": row.threshold,
                    "Precision": row.precision,
                    "Recall": row.recall,
                    "F1Score": row.f1,
                },
            }
            for row in summary.rows
        ],
    }
    if summary.training is not None:
        document["TilekitTraining"] = summary.training.to_json()
    return _bytes(document)


def _row(entry: Mapping[str, Any]) -> LabelMetrics:
    metrics = entry["Metrics"]
    return LabelMetrics(
        str(entry["Label"]),
        int(entry.get("NumberOfTestingImages", 0)),
        float(metrics["Threshold"]),
        float(metrics["Precision"]),
        float(metrics["Recall"]),
        float(metrics["F1Score"]),
    )


def _maybe(value: Any) -> float | None:
    return float(value) if is_number(value) else None


@dataclass(frozen=True)
class SnapshotBox:
    """A box of the snapshot: left, top, width, height in px; `outcome` "tp", "fp", "fn", "tn" or "" for truth."""

    label: str
    left: float
    top: float
    width: float
    height: float
    confidence: float = 1.0
    outcome: str = ""
    in_truth: bool = False


@dataclass(frozen=True)
class SnapshotLine:
    """A test image: what was there and what the model said, `size` (width, height) px.

    `number`: place of its line in the test manifest, from zero.
    """

    source_ref: str
    size: tuple[int, int]
    truth: tuple[SnapshotBox, ...] = ()
    predicted: tuple[SnapshotBox, ...] = ()
    number: int = 0


def line_numbers(number: int) -> dict[str, int]:
    """What the service adds to each line it gives back: its image counted from one, its line from zero."""
    return {"rekognition-custom-labels-object-id": number + 1, "line-idx": number}


_OUTCOMES = {
    "tp": "is-true-positive",
    "tn": "is-true-negative",
    "fp": "is-false-positive",
    "fn": "is-false-negative",
}


def read_snapshot(lines: Iterable[bytes | str]) -> Iterable[SnapshotLine]:
    """Read the evaluation snapshot of a detection model, line by line; LabelError names the line."""
    for number, raw in enumerate(lines, 1):
        data = raw.encode() if isinstance(raw, str) else raw
        if not data.strip():
            continue
        try:
            line = decode_plain(data)
            truth, size = _read_boxes(line, TRUTH)
            predicted, other = _read_boxes(line, PREDICTED)
            place = int(line.get("line-idx", number - 1))
            yield SnapshotLine(str(line["source-ref"]), size or other or (0, 0), truth, predicted, place)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as exc:
            raise LabelError(
                f"evaluation snapshot, line {number}: not as the guide describes it: {exc}"
            ) from exc


def write_snapshot(line: SnapshotLine, created: str) -> bytes:
    """One line of the snapshot, its line end included; `created` ISO 8601 UTC."""
    labels = tuple(dict.fromkeys(box.label for box in (*line.truth, *line.predicted)))
    document: dict[str, Any] = {"source-ref": line.source_ref}
    for name, boxes, human in ((TRUTH, line.truth, "yes"), (PREDICTED, line.predicted, "no")):
        job = "training" if human == "yes" else "evaluation"
        document[name] = {
            "annotations": [
                {
                    "class_id": labels.index(box.label),
                    "left": box.left,
                    "top": box.top,
                    "width": box.width,
                    "height": box.height,
                }
                for box in boxes
            ],
            "image_size": [{"width": line.size[0], "height": line.size[1], "depth": 3}],
        }
        document[name + METADATA] = {
            "objects": [_object(box, human == "no") for box in boxes],
            "class-map": {str(place): label for place, label in enumerate(labels)},
            "type": DETECTION,
            "human-annotated": human,
            "creation-date": created,
            "job-name": f"rekognition-custom-labels-{job}-job",
        }
    scores = [box.confidence for box in line.predicted]
    document[PREDICTED + METADATA]["confidence"] = max(scores, default=0.0)
    document |= line_numbers(line.number)
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _object(box: SnapshotBox, predicted: bool) -> dict[str, Any]:
    if not predicted:
        return {"confidence": box.confidence}
    flags = {key: box.outcome == short for short, key in _OUTCOMES.items()}
    details = {
        "version": 1,
        **flags,
        "is-present-in-ground-truth": box.in_truth,
        "ground-truth-labelling-jobs": ["rekognition-custom-labels-training-job"],
    }
    return {"confidence": box.confidence, DETAILS: details}


def _read_boxes(line: Mapping[str, Any], name: str) -> tuple[tuple[SnapshotBox, ...], tuple[int, int] | None]:
    if name not in line:
        return (), None
    part, meta = line[name], line[name + METADATA]
    sizes = part.get("image_size") or [None]
    size = (int(sizes[0]["width"]), int(sizes[0]["height"])) if sizes[0] else None
    names, boxes = meta["class-map"], []
    for box, entry in zip(part["annotations"], meta["objects"], strict=True):
        details = entry.get(DETAILS, {})
        outcome = next((short for short, key in _OUTCOMES.items() if details.get(key)), "")
        boxes.append(
            SnapshotBox(
                names[str(box["class_id"])],
                box["left"],
                box["top"],
                box["width"],
                box["height"],
                float(entry.get("confidence", 0)),
                outcome,
                bool(details.get("is-present-in-ground-truth", False)),
            )
        )
    return tuple(boxes), size


@dataclass(frozen=True)
class ManifestStatistics:
    """One manifest's part of `manifest_summary.json`; `error_lines` count from one."""

    use_case: str
    total: int
    valid: int
    invalid: int
    ignored: int
    error_lines: tuple[int, ...]
    errors: tuple[tuple[str, str], ...]
    """(code, message) of the content errors."""


@dataclass(frozen=True)
class ManifestSummary:
    """`manifest_summary.json`: both manifests, and the errors that span them."""

    training: ManifestStatistics
    testing: ManifestStatistics
    errors: tuple[tuple[str, str], ...] = ()


def read_manifest_summary(data: bytes | str) -> ManifestSummary:
    """Read `manifest_summary.json`; LabelError where it is not one."""
    try:
        document = json.loads(data)
        parts = document.get("statistics", {})
        return ManifestSummary(
            _statistics(parts.get("training", {})),
            _statistics(parts.get("testing", {})),
            _errors(document.get("errors", ())),
        )
    except (ValueError, AttributeError, TypeError, KeyError) as exc:
        raise LabelError(f"the manifest summary is not as the guide describes it: {exc}") from exc


def write_manifest_summary(document: Mapping[str, Any]) -> bytes:
    """`manifest_summary.json` of what `aggregate.manifest_summary` gives."""
    return _bytes(document)


def _statistics(part: Mapping[str, Any]) -> ManifestStatistics:
    return ManifestStatistics(
        str(part.get("use_case", "NOT_DETERMINED")),
        int(part.get("total_json_lines", 0)),
        int(part.get("valid_json_lines", 0)),
        int(part.get("invalid_json_lines", 0)),
        int(part.get("ignored_json_lines", 0)),
        tuple(int(number) for number in part.get("error_json_line_indices", ())),
        _errors(part.get("errors", ())),
    )


def _errors(entries: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(entry["code"]), str(entry.get("message", ""))) for entry in entries)


def validation_line(raw: bytes, checked: CheckedLine, *, key: str = "errors") -> dict[str, Any]:
    """A line of the validation manifests: the line, with what the service says put where it belongs.

    `key`: "errors", or "cl-errors" as in later files; warnings go under "warnings". Broken JSON is replaced by
    the error alone. Findings that are not the service's own are left out.
    """
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        line = {}
    if not isinstance(line, dict):
        line = {}
    for finding in checked.findings:
        if finding.about.level not in ("line", "warning"):
            continue
        target = _target(line, finding.attribute, finding.index)
        target.setdefault("warnings" if finding.about.level == "warning" else key, []).append(
            {"code": finding.code, "message": finding.about.message}
        )
    return line


def _target(line: dict[str, Any], attribute: str, index: int) -> dict[str, Any]:
    part = line.get(attribute) if attribute else None
    if not isinstance(part, dict):
        return line
    boxes = part.get("annotations")
    if index >= 0 and isinstance(boxes, list) and index < len(boxes) and isinstance(boxes[index], dict):
        box: dict[str, Any] = boxes[index]
        return box
    return part


def _bytes(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False).encode() + b"\n"
