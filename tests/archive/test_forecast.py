"""--dry-run: what a run would take, before anything is written."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from tilekit import PageKey, TileJob, Tiling
from tilekit.archive import process_archive
from tilekit.archive.dataset import page_cost
from tilekit.archive.detecting import DetectJob
from tilekit.archive.forecast import SAMPLE, forecast
from tilekit.archive.jobs import PROCESS
from tilekit.cli import cli
from tilekit.datasets.sources import Page
from tilekit.scans.encoding import encode_image
from tilekit.scans.opening import open_scan

JOB = TileJob(Tiling(64, 0))


def archive(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (150, 200, 3), np.uint8)
        (folder / f"{number}.png").write_bytes(encode_image(pixels, "png").data)
    return folder


def test_it_says_what_the_run_then_does_and_writes_nothing(tmp_path: Path) -> None:
    source, out = archive(tmp_path / "in", SAMPLE), tmp_path / "out"
    (source / "broken.png").write_bytes(b"no picture")
    found = forecast([str(source)], out, JOB, workers=1)
    assert not out.exists()
    assert list(found.unreadable) == [str(source / "broken.png")]
    with open_scan(source / "0.png") as scan:
        assert found.memory == JOB.cost(scan)
    done = process_archive(source, out, JOB, ThreadPoolExecutor(1))
    assert (found.pages, found.tiles, found.pixels) == (done.done, done.tiles, done.pixels)
    written = sum(path.stat().st_size for path in out.glob("*/*"))
    assert found.bytes == pytest.approx(written, rel=0.05)
    assert forecast([str(source)], out, JOB).done == SAMPLE


def test_what_a_disk_has_no_room_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = archive(tmp_path / "in", 2)
    command = [
        "archive",
        "run",
        str(source),
        str(tmp_path / "out"),
        "--dry-run",
        "--tile",
        "64",
        "--overlap",
        "0",
    ]
    assert CliRunner().invoke(cli, [*command]).exit_code == 0
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    full = CliRunner().invoke(cli, [*command, "--json"])
    assert full.exit_code == 1
    assert json.loads(full.stdout)["fits"] is False
    assert not (tmp_path / "out").exists()


def test_a_model_is_counted_and_not_called(tmp_path: Path) -> None:
    found = forecast([str(archive(tmp_path / "in", 3))], tmp_path / "out", DetectJob(Tiling(64, 0), "p/v"))
    assert (found.pages, found.calls) == (3, 3 * 12)
    assert found.dollars is not None
    assert found.dollars > 0


def test_a_datasets_page_costs_what_its_scan_does(tmp_path: Path) -> None:
    path = archive(tmp_path / "in", 1) / "0.png"
    tiling = Tiling(64, 0)
    with open_scan(path) as scan:
        cost = PROCESS + scan.cost(scan.grid(tiling))
    known = SimpleNamespace(page=Page(PageKey(str(path)), 200, 150), tiling=tiling, dpi=None)
    assert page_cost([known]) == cost
    gone = SimpleNamespace(page=Page(PageKey("s3://bucket/0.png"), 200, 150), tiling=tiling, dpi=None)
    assert page_cost([gone]) == PROCESS + 3 * 200 * 150
