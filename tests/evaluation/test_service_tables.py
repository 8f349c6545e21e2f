from __future__ import annotations

import pytest

from tilekit.errors import EvaluationError, LabelError
from tilekit.evaluation.service_tables import REASONS, count_flags, service_tables, snapshot_pages
from tilekit.rekognition.evaluation_files import (
    EvaluationSummary,
    LabelMetrics,
    SnapshotBox,
    SnapshotLine,
    write_snapshot,
    write_summary,
)

SUMMARY = EvaluationSummary(
    "arn:aws:rekognition:us-east-1:123456789012:project/p/version/v/1",
    "2026-01-01T00:00:00Z",
    ("up",),
    10,
    2,
    0.6,
    0.7,
    0.646,
    (LabelMetrics("up", 2, 0.258, 0.6, 0.7, 0.646),),
)


def box(left, confidence=0.9, outcome=""):
    return SnapshotBox("up", left, 0, 10, 10, confidence, outcome, outcome in ("tp", "fn"))


LINES = [
    SnapshotLine(
        "s3://b/1.png",
        (100, 50),
        (box(0), box(20)),
        (box(0, 0.9, "tp"), box(50, 0.6, "fp"), box(20, 0.01, "fn")),
    ),
    SnapshotLine("s3://b/2.png", (100, 50), (box(0),), (box(1, 0.5, "tp"),)),
]


def test_beside_our_own_count_of_the_snapshot():
    tables = service_tables(SUMMARY, LINES)
    row, mean = tables.rows
    assert (row.threshold, row.f1) == (0.258, 0.646)
    assert (row.flags.tp, row.flags.fp, row.flags.fn) == (2, 1, 1)
    assert (row.ours.tp, row.ours.fp, row.ours.fn) == (2, 1, 1)
    assert mean.f1 == 0.646
    assert tables.to_json()["reasons"] == list(REASONS)
    assert "not publish the overlap" in tables.table()


def test_from_files(tmp_path):
    (tmp_path / "s.json").write_bytes(write_summary(SUMMARY))
    lines = b"".join(write_snapshot(line, "2026-01-01T00:00:00Z") for line in LINES)
    (tmp_path / "snapshot.json").write_bytes(lines)
    tables = service_tables(tmp_path / "s.json", tmp_path / "snapshot.json")
    assert tables.rows == service_tables(SUMMARY, LINES).rows
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(LabelError):
        service_tables(tmp_path / "s.json")


def test_without_a_snapshot():
    (row, _) = service_tables(SUMMARY).rows
    assert row.flags is None
    assert row.ours is None
    with pytest.raises(EvaluationError, match="no lines"):
        service_tables(SUMMARY, [])


def test_misses_are_not_predictions():
    truth, found = snapshot_pages(LINES)
    assert sum(map(len, truth.values())) == 3
    assert sum(map(len, found.values())) == 3
    assert count_flags(LINES)["up"].fn == 1
