"""Trying failed pages again: what was run is remembered beside the records, wherever those are."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tilekit import Tiling
from tilekit.archive import ArchiveOptions, DetectJob, TileJob, process_archive, retry_archive
from tilekit.archive.retrying import remember_run
from tilekit.errors import InvalidArgument, StorageError, StorageNotFound
from tilekit.scans.encoding import encode_image

JOB = TileJob(Tiling(64, 0))


def write_page(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode_image(np.zeros((80, 90, 1), np.uint8), "png").data)


@pytest.mark.parametrize("state", [None, "elsewhere"])
@pytest.mark.parametrize("relative", [True, False])
def test_what_failed_is_run_again_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str | None, relative: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    write_page(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    inputs, out = ["in" if relative else str(tmp_path / "in")], tmp_path / "out"
    options = None if state is None else ArchiveOptions(state=tmp_path / state)
    remember_run(out, inputs, JOB, None if options is None else options.state)
    first = process_archive(inputs, out, JOB, ThreadPoolExecutor(1), options=options)
    assert (first.done, first.failed) == (1, 1)
    write_page(tmp_path / "in" / "bad.png")
    monkeypatch.chdir(os.sep)
    again = retry_archive(out, workers=1, options=options)
    assert (again.done, again.skipped, again.failed) == (1, 1, 0)
    with pytest.raises(StorageNotFound, match="no archive was run into"):
        retry_archive(tmp_path / "none")


def test_what_makes_no_sense_or_is_damaged_is_said(tmp_path: Path) -> None:
    out = tmp_path / "out"
    remember_run(out, tmp_path, JOB)
    for wrong in ({"deadline": 60.0}, {"guard_role": "role"}, {"force": True}):
        with pytest.raises(InvalidArgument, match="what was run here uses no model"):
            retry_archive(out, **wrong)
    for text in ("{", "[]", "{}", '{"inputs": [], "folder": "", "recipe": "{}"}'):
        (out / ".tilekit" / "run.json").write_text(text)
        with pytest.raises(StorageError, match=r"run\.json: is damaged"):
            retry_archive(out)


def test_a_guard_needs_a_deadline_and_that_a_model_that_costs() -> None:
    assert DetectJob(Tiling(64), "p/v", deadline=60.0, guard_role="role").units == 1
    with pytest.raises(InvalidArgument, match="guard_role: needs deadline="):
        DetectJob(Tiling(64), "p/v", guard_role="role")
    for deadline in (0, -1.0):
        with pytest.raises(InvalidArgument, match="deadline="):
            DetectJob(Tiling(64), "p/v", deadline=deadline)
    with pytest.raises(InvalidArgument, match="is no Custom Labels model"):
        DetectJob(Tiling(64), "net.onnx", deadline=60.0)
