"""An evaluation read back from the JSON that it was saved as."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from tilekit.errors import LabelError
from tilekit.evaluation.metrics import Counts, Curve
from tilekit.evaluation.pages import Region
from tilekit.evaluation.result import (
    FORMAT,
    Counting,
    Evaluation,
    Group,
    LabelResult,
    PageCounts,
    ScaleGroup,
    Side,
    SizeCounts,
)
from tilekit.pages import PageKey
from tilekit.rekognition.training_note import TrainingNote
from tilekit.storage.local import storage_errors
from tilekit.verdicts.recall import Expected


def read_evaluation(path: str | os.PathLike[str]) -> Evaluation:
    """Read what `Evaluation.save` wrote (curves as thinned there); raises LabelError naming the file."""
    with storage_errors(path), open(path, "rb") as file:
        raw = file.read()
    try:
        value = msgspec.json.decode(raw)
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise LabelError(f"{path}: is not an evaluation written by tilekit evaluate --out")
        return _from_json(value)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as exc:
        if isinstance(exc, LabelError):
            raise
        raise LabelError(f"{path}: is not a whole evaluation file: {exc}") from exc


def _from_json(value: dict[str, Any]) -> Evaluation:
    labels = tuple(
        LabelResult(row["label"], _counts(row), row["truths"], row["threshold"], row["assumed"], row["ap"])
        for row in value["labels"]
    )
    sizes = tuple(value["sizes"])
    curves = {
        label: Curve(
            np.array(line["thresholds"], dtype=np.float64),
            np.array(line["tp"], dtype=np.int64),
            np.array(line["fp"], dtype=np.int64),
            line["truths"],
        )
        for label, line in value["curves"].items()
    }
    sides = tuple(
        Side(side["criterion"], side["precision"], side["recall"], side["f1"], _counts(side["micro"]))
        for side in value["sides"]
    )
    return Evaluation(
        iou=value["iou"],
        threshold_source=value["threshold_source"],
        labels=labels,
        sides=sides,
        curves=curves,
        pages=tuple(PageKey(page["source"], page["page"]) for page in value["pages"]),
        page_counts=_page_counts(value["pages"], len(labels)),
        counting=Counting(**value["counting"]),
        sizes=SizeCounts(sizes, _page_counts([page["sizes"] for page in value["pages"]], len(sizes))),
        by_scale=tuple(
            ScaleGroup(**{name: row[name] for name in ScaleGroup.__slots__}) for row in value["by_scale"]
        ),
        by_cut=tuple(_group(row) for row in value["by_cut"]),
        by_border=tuple(_group(row) for row in value["by_border"]),
        confusion=None if value["confusion"] is None else np.array(value["confusion"], dtype=np.int64),
        by=value["by"],
        ignored=value["ignored"],
        notes=tuple(value["notes"]),
        name=value["name"],
        regions=_regions(value["pages"]),
        cut_at=tuple(value.get("cut_at", ())),
        training=TrainingNote.read(value["training"]) if value.get("training") else None,
        expected={label: Expected.read(one) for label, one in value.get("expected", {}).items()},
    )


def _regions(pages: list[dict[str, Any]]) -> tuple[Region | None, ...] | None:
    if not any("region" in page for page in pages):
        return None
    return tuple(tuple(map(float, page["region"])) if "region" in page else None for page in pages)  # type: ignore[misc]


def _counts(row: dict[str, Any]) -> Counts:
    return Counts(row["tp"], row["fp"], row["fn"])


def _page_counts(rows: Sequence[dict[str, Any]], columns: int) -> PageCounts:
    tables = (
        np.array([row[part] for row in rows], dtype=np.int64).reshape(len(rows), columns)
        for part in ("tp", "fp", "fn")
    )
    return PageCounts(*tables)


def _group(row: dict[str, Any]) -> Group:
    return Group(row["name"], Counts(row["tp"], row["fp"], row["fn"] or 0), row["found_only"])
