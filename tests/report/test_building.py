"""What write_report writes: whole, resumable, and told clearly when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.report.pages import NAMES, make_pages
from tilekit.cli.report import report as command
from tilekit.errors import EvaluationError, InvalidArgument, ScanError
from tilekit.evaluation.rules import EvaluationRules
from tilekit.labels.reading import write_labels
from tilekit.report.building import ReportOptions, write_report


def page_data(folder: Path, number: int) -> dict[str, object]:
    text = (folder / "data" / f"{number:05d}.js").read_text()
    value: dict[str, object] = json.loads(text.removeprefix("window.TILEKIT_PAGE=").rstrip(";\n"))
    return value


def test_counts_in_the_data_equal_the_evaluation(tmp_path: Path) -> None:
    truth, poor, good = make_pages(tmp_path / "scans")
    written = write_report(tmp_path / "report", truth, {"whole pages": poor, "tiles": good})
    result = written.evaluations["tiles"]
    for place in range(3):
        data = page_data(tmp_path / "report", place + 1)
        run = data["runs"][1]  # type: ignore[index]
        kept = [box for box in run["boxes"] if box[5] >= run["thresholds"][box[4]]]
        assert sum(box[6] >= 0 for box in kept) == result.page_counts.tp[place].sum()
        assert sum(box[6] == -1 for box in kept) == result.page_counts.fp[place].sum()
        assert data["names"] == list(NAMES)
        assert len(data["grid"]) == 12  # type: ignore[arg-type]
    assert written.pages == 3


def test_a_rerun_keeps_pyramids_and_a_changed_size_redoes_them(tmp_path: Path) -> None:
    truth, _, good = make_pages(tmp_path / "scans", 1)
    write_report(tmp_path / "report", truth, {"tiles": good})
    tile = tmp_path / "report/tiles/00001/0/0_0.jpg"
    tile.write_bytes(b"kept")
    write_report(tmp_path / "report", truth, {"tiles": good}, options=ReportOptions(crops=0))
    assert tile.read_bytes() == b"kept"
    write_report(tmp_path / "report", truth, {"tiles": good}, options=ReportOptions(tile=256, crops=0))
    assert tile.read_bytes() != b"kept"


def test_no_run_and_a_scan_of_another_size_are_told(tmp_path: Path) -> None:
    truth, _, good = make_pages(tmp_path / "scans", 1)
    with pytest.raises(EvaluationError, match="at least one"):
        write_report(tmp_path / "report", truth, {})
    key = next(iter(truth))
    with pytest.raises(ScanError, match="was labeled at 800 x 600"):
        write_report(tmp_path / "report", truth.replace(sizes={key: (800, 600)}), {"tiles": dict(good)})


def test_pages_that_do_not_fit_are_refused_as_evaluate_does(tmp_path: Path) -> None:
    truth, _, good = make_pages(tmp_path / "scans", 2)
    first = next(iter(truth))
    with pytest.raises(EvaluationError, match="no predictions"):
        write_report(tmp_path / "report", truth, {"tiles": {first: good[first]}})
    with pytest.raises(InvalidArgument, match="missing"):
        write_report(tmp_path / "report", truth, {"tiles": good}, rules=EvaluationRules(missing="skip"))
    assert not (tmp_path / "report").exists()
    assert (
        write_report(
            tmp_path / "report",
            truth,
            {"tiles": {first: good[first]}},
            rules=EvaluationRules(missing="empty"),
        ).pages
        == 2
    )


def test_the_command(tmp_path: Path) -> None:
    truth, _, good = make_pages(tmp_path / "scans", 1)
    write_labels(truth, tmp_path / "truth.manifest", "ground-truth")
    (tmp_path / "detections.jsonl").write_text(
        "".join(json.dumps(page.to_json()) + "\n" for page in good.pages())
    )
    done = CliRunner().invoke(command, [str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert Path(answer["index"]).exists()
    assert CliRunner().invoke(command, [str(tmp_path / "scans")]).exit_code == 2
