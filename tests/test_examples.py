"""Every example runs in an empty folder and does what it says."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tilekit.errors import ScanNotFound
from tilekit.grid import Tiling
from tilekit.testing.scans import write_scan

FOLDER = Path(__file__).resolve().parent.parent / "examples"
LONG = {
    "whole_against_tiles",
    "archive_on_batch",
    "archive_on_dask",
    "archive_on_ray",
    "bench_own_scans",
    "train_with_torch",
    "coco_to_tiles",
}
RUNS = {
    "tile_a_pdf": ([], "plans.pdf#page=2: "),
    "coco_to_tiles": ([], "tiles in dataset"),
    "whole_against_tiles": (["--tiny"], "look at story/report/index.html"),
    "own_detector": ([], "{'square': 5}"),
    "review_and_retrain": ([], "2 pages added, 0 replaced"),
    "archive_on_dask": ([], "6 pages done, 0 were done before, 0 failed"),
    "archive_on_ray": ([], "6 pages done, 0 were done before, 0 failed"),
    "archive_on_batch": ([], "6 pages of 3 jobs merged, exit codes [0, 0, 0]"),
    "train_with_torch": ([], "2 workers gave 24 tiles"),
    "scan_as_dask_array": ([], "darkest 256 px: "),
    "detect_over_http": ([], "found: {'dark': "),
    "bench_own_scans": ([], "512"),
}
RAY = Path(__file__).parent / "ray_api"  # what stands in for Ray: a hundred megabytes that nothing else needs


def run(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *arguments],
        cwd=folder, capture_output=True, text=True, timeout=200, env=_environment(),
    )  # fmt: skip


def _environment() -> dict[str, str]:
    if importlib.util.find_spec("ray"):
        return dict(os.environ)
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(RAY)]).strip(os.pathsep)
    }


def test_each_example_is_short_and_known():
    for path in FOLDER.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 60, path.name
        assert text.startswith('"""'), path.name
        assert path.stem in {*RUNS, "read_text"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in RUNS]
)
def test_it_runs_in_an_empty_folder(name, tmp_path):
    arguments, said = RUNS[name]
    ran = run(name, tmp_path, *arguments)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert said in ran.stdout
    assert "Warning" not in ran.stderr


def test_reading_text_counts_its_calls_before_it_makes_any(tmp_path):
    write_scan(tmp_path / "plan.png", 2000, 1500, "png")
    ran = run("read_text", tmp_path, "plan.png", "--dry-run")
    assert (ran.returncode, ran.stdout) == (0, "6 calls of DetectText, one a tile\n")


def test_reading_text_gives_words_on_the_page(tmp_path):
    spec = importlib.util.spec_from_file_location("read_text", FOLDER / "read_text.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Client:
        def detect_text(self, **request):
            assert request["Image"]["Bytes"]
            box = {"Left": 0.25, "Top": 0.5, "Width": 0.1, "Height": 0.05}
            word = {"DetectedText": "PUMP", "Type": "WORD", "Confidence": 99.0}
            return {"TextDetections": [word | {"Geometry": {"BoundingBox": box}}]}

    write_scan(tmp_path / "plan.png", 1600, 800, "png")
    found = module.read_words(str(tmp_path / "plan.png"), Tiling(800, 0), Client())
    assert found.detections.labels == ["PUMP", "PUMP"]
    assert found.detections.boxes.round().tolist() == [[200, 400, 280, 440], [1000, 400, 1080, 440]]
    with pytest.raises(ScanNotFound):
        module.read_words(str(tmp_path / "none.png"), Tiling(800, 0), Client())


def test_what_was_found_can_be_read_again(tmp_path):
    assert run("own_detector", tmp_path).returncode == 0
    (line,) = (tmp_path / "detections.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(json.loads(line)["detections"]) == 5
