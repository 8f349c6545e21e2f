"""The recorded trainings that the expected recall rests on, from `runs.csv` beside this file.

Those of docs/demo-results.md, and both sides of the generated worlds of docs/results.md (`benchmarks/worlds.py`).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One side of a recorded training: `px` of the median object as trained on, mean `recall` over its labels."""

    what: str
    side: str
    px: float
    recall: float


def _recorded(group: str) -> tuple[RecordedRun, ...]:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            RecordedRun(row["what"], row["side"], float(row["px"]), float(row["recall"]))
            for row in csv.DictReader(file)
            if row["group"] == group
        )


DOCUMENTS = _recorded("documents")
"""Made and real documents, trained with 400 and 500 steps."""
WORLDS = _recorded("worlds")
"""Generated worlds of 10 pages, trained with 500 to 1,340 steps."""
PRETRAINED = _recorded("pretrained")
"""Worlds and a demo trained to their plateau, from the weights that come with the package; those above began at nothing."""
RUNS = (*DOCUMENTS, *WORLDS, *PRETRAINED)
