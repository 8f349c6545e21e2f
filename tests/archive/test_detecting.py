"""DetectJob: one line a page, joined at the end; a page with a failed tile is set aside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tilekit import Scales, TileJob, Tiling, read_predictions
from tilekit.archive import DetectJob, process_archive
from tilekit.archive.retrying import job_from_recipe
from tilekit.boxes.detections import Detections
from tilekit.detectors.naming import ModelRef
from tilekit.errors import InvalidArgument
from tilekit.scans.encoding import encode_image

TILING = Tiling(128, 32)


def find_dark(pixels: NDArray[np.uint8]) -> Detections:
    """The bounding box of everything dark; fails on a pure red corner."""
    if tuple(pixels[0, 0]) == (255, 0, 0):
        raise RuntimeError("cannot look at this")
    ys, xs = np.nonzero(pixels.min(axis=2) < 100)
    if len(ys) == 0:
        return Detections.empty(("dark",))
    return Detections([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], [0.9], None, ("dark",))


def page(folder: Path, name: str, box: tuple[int, int, int, int] | None, *, bad: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    pixels = np.full((300, 400, 3), 255, np.uint8)
    if box:
        pixels[box[1] : box[3], box[0] : box[2]] = 0
    if bad:
        pixels[0, 0] = (255, 0, 0)
    (folder / name).write_bytes(encode_image(pixels, "png").data)


def test_lines_are_joined_and_failures_set_aside(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    page(folder, "a.png", (10, 20, 30, 44))
    page(folder, "b.png", None)
    page(folder, "c.png", (5, 5, 9, 9), bad=True)
    job = DetectJob(TILING, f"{__name__}:find_dark")
    summary = process_archive(folder, tmp_path / "out", job, ThreadPoolExecutor(1))
    assert (summary.done, summary.failed) == (2, 1)
    assert "cannot look at this" in summary.failures["c.png"]
    found = read_predictions(tmp_path / "out/detections.jsonl")
    boxes = {Path(key.source).name: value.boxes.tolist() for key, value in found.items()}
    assert boxes == {"a.png": [[10, 20, 30, 44]], "b.png": []}
    page(folder, "c.png", (5, 5, 9, 9))
    again = process_archive(folder, tmp_path / "out", job, ThreadPoolExecutor(1))
    assert (again.done, again.skipped) == (1, 2)
    assert len(read_predictions(tmp_path / "out/detections.jsonl")) == 3


def test_recipes_come_back_as_jobs() -> None:
    job = DetectJob(TILING, ModelRef("some.module:thing", ("a", "b"), conf=0.2), decoy=("decoy",), dpi=200.0)
    assert job_from_recipe(job.recipe()) == job
    strict = DetectJob(TILING, "some.module:thing", thresholds={"a": 0.7})
    assert job_from_recipe(strict.recipe()) == strict


def test_other_thresholds_redo_the_pages(tmp_path: Path) -> None:
    page(tmp_path / "in", "a.png", (10, 20, 30, 44))
    found = []
    for limit, done in ((None, 1), (0.5, 1), (0.5, 0), ({"dark": 0.95}, 1)):
        job = DetectJob(TILING, f"{__name__}:find_dark", thresholds=limit)
        summary = process_archive(tmp_path / "in", tmp_path / "out", job, ThreadPoolExecutor(1))
        assert summary.done == done
        found.append(
            sum(len(boxes) for boxes in read_predictions(tmp_path / "out/detections.jsonl").values())
        )
    assert found == [1, 1, 1, 0]
    with pytest.raises(InvalidArgument, match="thresholds"):
        DetectJob(TILING, "some.module:thing", thresholds=1.5)


def test_a_model_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="model='' must be"):
        DetectJob(TILING, "")


def test_scales_are_part_of_what_a_run_remembers(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    page(folder, "a.png", (10, 20, 30, 44))
    scales = Scales(TILING, Tiling.whole(200))
    job = DetectJob(scales, f"{__name__}:find_dark")
    assert job_from_recipe(job.recipe()) == job
    assert process_archive(folder, tmp_path / "out", job, ThreadPoolExecutor(1)).done == 1
    found = next(read_predictions(tmp_path / "out/detections.jsonl").pages())
    assert found.tilings == tuple(scales)
    assert found.boxes.tolist() == [[10, 20, 30, 44]]
    assert process_archive(folder, tmp_path / "out", job, ThreadPoolExecutor(1)).skipped == 1
    with pytest.raises(InvalidArgument, match="one scale"):
        TileJob(scales)
