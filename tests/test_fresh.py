"""Fresh means replace, not delete first; a misspelled option is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tilekit import Tiling
from tilekit.boxes.detections import Detections
from tilekit.detection.batch import detect_scans
from tilekit.detection.options import DetectionOptions, ScansOptions
from tilekit.errors import InvalidArgument
from tilekit.scans.encoding import encode_image


class Finder:
    names = ("a",)
    batch = workers = 1

    def __init__(self, fault: type[BaseException] | None = None) -> None:
        self.fault = fault

    def detect(self, tiles):  # type: ignore[no-untyped-def]
        if self.fault is not None:
            raise self.fault
        return [Detections.empty(self.names) for _ in tiles]


def test_old_results_stay_until_the_new_are_whole(tmp_path: Path) -> None:
    scan, out = tmp_path / "a.png", tmp_path / "out" / "detections.jsonl"
    scan.write_bytes(encode_image(np.zeros((40, 40, 3), np.uint8), "png").data)
    detect_scans([str(scan)], Finder(), Tiling(32), out)
    before = out.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        detect_scans([str(scan)], Finder(KeyboardInterrupt), Tiling(32), out, fresh=True)
    assert out.read_bytes() == before
    assert detect_scans([str(tmp_path / "none.png")], Finder(), Tiling(32), out, fresh=True).failed
    assert out.read_bytes() == before
    assert detect_scans([str(scan)], Finder(), Tiling(16), out, fresh=True).done == 1
    assert out.read_bytes() != before
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_options_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="must be ScansOptions"):
        detect_scans([], Finder(), Tiling(32), tmp_path / "x.jsonl", options=DetectionOptions())  # type: ignore[arg-type]
    for wrong in (-1, True, 1.0):
        with pytest.raises(InvalidArgument, match=f"retries={wrong}"):
            ScansOptions(retries=wrong)  # type: ignore[arg-type]
    assert ScansOptions(retries=0).retries == 0


def test_a_run_that_reads_nothing_leaves_what_was_there(tmp_path: Path) -> None:
    none, new, old = str(tmp_path / "none.png"), tmp_path / "made" / "x.jsonl", tmp_path / "kept.jsonl"
    old.touch()
    for out in (new, old):
        assert detect_scans([none], Finder(), Tiling(32), out).failed
    assert old.exists()
    assert not new.parent.exists()
    detect_scans([none], Finder(), Tiling(32), tmp_path / "y.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.jsonl"]
