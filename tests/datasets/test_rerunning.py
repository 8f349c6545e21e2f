"""Runs of tile_dataset over what is there: the same bytes by any way, also after a kill; what was made otherwise is refused."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.datasets.pages import TILING, contents
from tilekit.datasets import DatasetOptions, building
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.output import LedgerProgress
from tilekit.datasets.splitting import split_from_file
from tilekit.errors import InvalidArgument, LedgerError, ScanNotFound
from tilekit.grid import Tiling
from tilekit.labels.reading import read_labels, write_labels
from tilekit.pages import PageKey


def test_any_number_of_workers_gives_the_same_bytes_and_a_rerun_writes_nothing(labels, tmp_path):
    one = tile_dataset(labels, tmp_path / "one", TILING, options=DatasetOptions(workers=1))
    tile_dataset(labels, tmp_path / "three", TILING, options=DatasetOptions(workers=3))
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    again = tile_dataset(labels, tmp_path / "one", TILING, options=DatasetOptions(workers=2))
    assert one.bytes > 0
    assert again.bytes == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    tile_dataset(labels, tmp_path / "other", TILING, options=DatasetOptions(seed=8))
    assert contents(tmp_path / "other") != contents(tmp_path / "one")


def test_large_pages_are_cut_tile_by_tile_to_the_same_bytes(labels, tmp_path, monkeypatch):
    tile_dataset(labels, tmp_path / "a", TILING)
    monkeypatch.setattr(building, "_SMALL_PAGE", 1)
    tile_dataset(labels, tmp_path / "b", TILING, options=DatasetOptions(workers=3))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


SCRIPT = """
import os, sys
from tilekit.datasets import DatasetOptions, building, writing
from tilekit.datasets.output import FolderOutput
from tilekit.grid import Tiling
from tilekit.labels.reading import read_labels
real, left = FolderOutput.put, int(sys.argv[3])
def put(self, name, data):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    real(self, name, data)
FolderOutput.put = put
building.tile_dataset(read_labels(sys.argv[1]), sys.argv[2], Tiling(160, 40), options=DatasetOptions(workers=1))
"""


@pytest.mark.parametrize("writes", [0, 17, 40])
def test_a_killed_run_never_looks_whole_and_goes_on_to_the_same_bytes(labels, tmp_path, writes):
    write_labels(labels, tmp_path / "labels.manifest", "ground-truth")
    read = read_labels(tmp_path / "labels.manifest")
    out = tmp_path / "out"
    arguments = [str(tmp_path / "labels.manifest"), str(out), str(writes)]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "summary.json").exists()
    assert not (out / "train.manifest").exists()
    whole = tile_dataset(read, tmp_path / "whole", TILING)
    resumed = tile_dataset(read, out, TILING)
    assert contents(out) == contents(tmp_path / "whole")
    if writes == 40:
        assert 0 < resumed.bytes < whole.bytes


def test_a_failed_run_leaves_no_papers_of_the_run_before(labels, tmp_path):
    out = tmp_path / "out"
    split = tile_dataset(labels, out, TILING).split
    missing = PageKey(str(tmp_path / "none.png"))
    split = replace(split, train=(*split.train, missing))
    more = labels.replace(
        pages={**labels, missing: labels[labels.pages()[0]]}, sizes={**labels.sizes, missing: (400, 300)}
    )
    with pytest.raises(ScanNotFound):
        tile_dataset(more, out, TILING, split=split)
    assert not (out / "summary.json").exists()
    assert not (out / "train.manifest").exists()
    summary = tile_dataset(more, out, TILING, split=split, options=DatasetOptions(strict=False))
    assert list(summary.failed) == [missing]
    assert (out / "summary.json").exists()


def test_changed_labels_replace_the_tiles_of_their_page_only(labels, tmp_path):
    out = tmp_path / "out"
    whole = tile_dataset(labels, out, TILING)
    key = whole.split.train[0]
    fewer = labels.replace(pages={**labels, key: labels[key][:1]})
    changed = tile_dataset(fewer, out, TILING, split=whole.split)
    assert 0 < changed.bytes < whole.bytes
    tile_dataset(fewer, tmp_path / "fresh", TILING, split=whole.split)
    assert contents(out) == contents(tmp_path / "fresh")


def test_other_settings_are_refused_unless_asked(labels, tmp_path):
    out = tmp_path / "out"
    tile_dataset(labels, out, TILING)
    with pytest.raises(InvalidArgument, match="other settings"):
        tile_dataset(labels, out, Tiling(128, 40))
    tile_dataset(labels, out, Tiling(128, 40), options=DatasetOptions(overwrite=True))
    tile_dataset(labels, tmp_path / "fresh", Tiling(128, 40))
    assert contents(out) == contents(tmp_path / "fresh")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "train.manifest").write_text("")
    with pytest.raises(InvalidArgument, match="other settings"):
        tile_dataset(labels, tmp_path / "foreign", TILING)


def test_pages_stay_on_their_sides_unless_asked(labels, tmp_path):
    out = tmp_path / "out"
    split = tile_dataset(labels, out, TILING, split=(0.5, 0.25, 0.25)).split
    before = contents(out)
    page = split.train[0]
    turned = replace(split, train=split.train[1:], test=(*split.test, page))
    with pytest.raises(
        InvalidArgument, match=rf"1 of these pages .*{page}: train there, test now.*split\.json"
    ):
        tile_dataset(labels, out, TILING, split=turned)
    assert contents(out) == before
    assert tile_dataset(labels, out, TILING, split=out / "split.json").bytes == 0
    tile_dataset(labels, out, TILING, split=turned, options=DatasetOptions(overwrite=True))
    assert page in split_from_file(labels, out / "split.json").test


def test_a_second_run_into_the_same_folder_is_refused(labels, tmp_path):
    running = LedgerProgress(tmp_path)
    with pytest.raises(LedgerError, match="is being written by process"):
        tile_dataset(labels, tmp_path, TILING)
    running.close()
    assert tile_dataset(labels, tmp_path, TILING).tiles
