"""The service's own figures read and put beside ours, with the reasons they differ."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import EvaluationError
from tilekit.evaluation.evaluating import evaluate
from tilekit.evaluation.matching import Criterion
from tilekit.evaluation.metrics import Counts
from tilekit.evaluation.result import Evaluation, align_text, text_of
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.pages import PageKey
from tilekit.rekognition.evaluation_files import (
    EvaluationSummary,
    SnapshotBox,
    SnapshotLine,
    read_snapshot,
    read_summary,
)
from tilekit.storage.local import storage_errors

REASONS = (
    "The service counts tiles, we count pages after merging: a symbol cut by a tile border, or seen in two "
    "overlapping tiles, counts once here and up to several times there",
    "The service leaves images without boxes out of its test, so false alarms on empty tiles are in our "
    "figures only",
    "The service fits each label's threshold on its own test set, which flatters it",
    "The service does not publish the overlap it asks of a hit; ours is stated",
    "The service's figures cannot be reproduced exactly from its own snapshot: no equality is promised",
)


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One label's figures: the service's summary, its snapshot's own flags, and ours; None where not known."""

    label: str
    threshold: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    flags: Counts | None
    ours: Counts | None
    our_threshold: float | None


@dataclass(frozen=True)
class ServiceTables:
    """The service's summary (and snapshot, where given) beside an evaluation of ours.

    `rows`: one a label, then the aggregate ("mean of labels"). `reasons`: why they differ.
    `recounted`: our evaluation of the snapshot's own boxes, or None.
    """

    summary: EvaluationSummary
    rows: tuple[ServiceRow, ...]
    recounted: Evaluation | None
    reasons: tuple[str, ...] = REASONS

    def table(self) -> str:
        """A plain text table for people, with the reasons."""
        head = ["label", "threshold", "precision", "recall", "f1", "flags f1", "ours f1", "our threshold"]
        body = [
            [
                row.label,
                text_of(row.threshold),
                text_of(row.precision),
                text_of(row.recall),
                text_of(row.f1),
                text_of(None if row.flags is None else row.flags.f1),
                text_of(None if row.ours is None else row.ours.f1),
                text_of(row.our_threshold),
            ]
            for row in self.rows
        ]
        return "\n".join([*align_text([head, *body]), "", *(f"- {reason}." for reason in self.reasons)])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "model": self.summary.version_arn,
            "testing_images": self.summary.testing_images,
            "rows": [
                {
                    "label": row.label,
                    "service": {
                        "threshold": row.threshold,
                        "precision": row.precision,
                        "recall": row.recall,
                        "f1": row.f1,
                    },
                    "snapshot_flags": None if row.flags is None else row.flags.to_json(),
                    "ours": None if row.ours is None else row.ours.to_json(),
                    "our_threshold": row.our_threshold,
                }
                for row in self.rows
            ],
            "reasons": list(self.reasons),
        }


def service_tables(
    summary: EvaluationSummary | str | os.PathLike[str],
    snapshot: Iterable[SnapshotLine] | str | os.PathLike[str] | None = None,
    ours: Evaluation | None = None,
    *,
    iou: Criterion = 0.5,
) -> ServiceTables:
    """The service's evaluation summary and snapshot beside our evaluation.

    `summary`, `snapshot`: read ones or paths of the files. Without `ours` the boxes of the snapshot
    are evaluated here, tile by tile, at the service's own thresholds. Raises LabelError for files that
    are not what they should be, EvaluationError where the snapshot is empty.
    """
    told: EvaluationSummary = (
        summary
        if isinstance(summary, EvaluationSummary)
        else _read(summary, lambda file: read_summary(file.read()))
    )
    lines: list[SnapshotLine] | None = None
    if isinstance(snapshot, (str, os.PathLike)):
        lines = _read(snapshot, lambda file: list(read_snapshot(file)))
    elif snapshot is not None:
        lines = list(snapshot)
    recounted = None
    flags: dict[str, Counts] = {}
    if lines is not None:
        if not lines:
            raise EvaluationError("the evaluation snapshot holds no lines; nothing can be counted")
        flags = count_flags(lines)
        truth, found = snapshot_pages(lines)
        recounted = evaluate(truth, found, iou, thresholds={row.label: row.threshold for row in told.rows})
    shown = ours if ours is not None else recounted
    own = {} if shown is None else {result.label: result for result in shown.labels}
    rows = [
        ServiceRow(
            row.label,
            row.threshold,
            row.precision,
            row.recall,
            row.f1,
            flags.get(row.label),
            own[row.label].counts if row.label in own else None,
            own[row.label].threshold if row.label in own else None,
        )
        for row in told.rows
    ]
    rows.append(
        ServiceRow(
            "mean of labels",
            None,
            told.precision,
            told.recall,
            told.f1,
            _total(flags.values()),
            None if shown is None else shown.micro,
            None,
        )
    )
    return ServiceTables(told, tuple(rows), recounted)


def count_flags(lines: Iterable[SnapshotLine]) -> dict[str, Counts]:
    """Label -> counts by the flags the snapshot itself carries."""
    table: dict[str, dict[str, int]] = {}
    for line in lines:
        for box in line.predicted:
            row = table.setdefault(box.label, {"tp": 0, "fp": 0, "fn": 0, "tn": 0, "": 0})
            row[box.outcome] += 1
    return {label: Counts(row["tp"], row["fp"], row["fn"]) for label, row in table.items()}


def snapshot_pages(lines: Iterable[SnapshotLine]) -> tuple[dict[PageKey, Annotations], PredictionSet]:
    """Truth and predictions of a snapshot, an image a page.

    Misses stand in it as predictions of low confidence flagged false negative; they are left out here.
    """
    truth: dict[PageKey, Annotations] = {}
    pages = []
    for line in lines:
        key = PageKey(line.source_ref)
        boxes, ids, names = _arrays(line.truth)
        truth[key] = Annotations(boxes, ids, names)
        said = [box for box in line.predicted if box.outcome != "fn"]
        boxes, ids, names = _arrays(said)
        found = Detections(boxes, [box.confidence for box in said], ids, names)
        pages.append(PageDetections(key, max(1, line.size[0]), max(1, line.size[1]), found))
    return truth, PredictionSet(pages)


def _arrays(boxes: Iterable[SnapshotBox]) -> tuple[list[list[float]], list[int], tuple[str, ...]]:
    names: dict[str, int] = {}
    rows, ids = [], []
    for box in boxes:
        rows.append([box.left, box.top, box.left + box.width, box.top + box.height])
        ids.append(names.setdefault(box.label, len(names)))
    return rows, ids, tuple(names)


def _total(parts: Iterable[Counts]) -> Counts | None:
    given = list(parts)
    if not given:
        return None
    return Counts(sum(c.tp for c in given), sum(c.fp for c in given), sum(c.fn for c in given))


def _read(path: str | os.PathLike[str], reader: Callable[[Any], Any]) -> Any:
    with storage_errors(path), open(path, "rb") as file:
        return reader(file)
