"""DatasetJob: what tile_dataset makes, with its pages on worker processes."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tilekit import Annotations, LabelSet, PageKey, Tiling, tile_dataset, write_labels
from tilekit.archive import ArchiveOptions, DatasetJob, process_archive
from tilekit.datasets import DatasetOptions
from tilekit.errors import InvalidArgument
from tilekit.scans.encoding import encode_image

TILING = Tiling(200, 40)


def labeled(folder: Path, count: int = 6, bad: bool = False) -> Path:
    folder.mkdir()
    pages, sizes = {}, {}
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = rng.integers(200, 256, (500, 400, 3), dtype=np.uint8)
        data = encode_image(pixels, "png").data
        key = PageKey(str(folder / f"page{number}.png"))
        Path(key.source).write_bytes(data[: len(data) // 2] if bad and number == 0 else data)
        corners = rng.integers(0, 350, (5, 2))
        pages[key] = Annotations(np.hstack([corners, corners + 30]), None, ("mark",))
        sizes[key] = (400, 500)
    path = folder / "labels.manifest"
    write_labels(LabelSet(pages, sizes=sizes), path, "ground-truth")
    return path


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".tilekit" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_bytes_as_tile_dataset(tmp_path: Path) -> None:
    labels = labeled(tmp_path / "in")
    tile_dataset(labels, tmp_path / "alone", TILING, options=DatasetOptions(seed=3))
    summary = process_archive(
        labels, tmp_path / "out", DatasetJob(TILING, options=DatasetOptions(seed=3)), workers=2
    )
    assert summary.ok
    assert summary.done == 6
    alone, there = tree(tmp_path / "alone"), tree(tmp_path / "out")
    assert alone.keys() == there.keys()
    papers = {"summary.json"}  # names its own folder
    assert {name for name in alone if alone[name] != there[name]} <= papers


def test_a_damaged_page_is_set_aside_and_tried_again(tmp_path: Path) -> None:
    labels = labeled(tmp_path / "in", bad=True)
    summary = process_archive(labels, tmp_path / "out", DatasetJob(TILING), workers=1)
    assert (summary.done, summary.failed) == (5, 1)
    assert "page0.png" in next(iter(summary.failures.values()))
    (tmp_path / "in/page0.png").write_bytes((tmp_path / "in/page1.png").read_bytes())
    assert process_archive(labels, tmp_path / "out", DatasetJob(TILING), workers=1).ok


def test_no_shards_and_one_input(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="shard"):
        process_archive("x.manifest", tmp_path, DatasetJob(TILING), shard="1/2")
    with pytest.raises(InvalidArgument, match="one label file"):
        process_archive(["x.manifest", "y.manifest"], tmp_path, DatasetJob(TILING))


def test_limits_and_events_are_those_of_any_archive(tmp_path: Path) -> None:
    labels = labeled(tmp_path / "in")
    for number in range(4):
        (tmp_path / f"in/page{number}.png").write_bytes(b"garbage")
    events: list[dict[str, object]] = []
    stopped = process_archive(
        labels,
        tmp_path / "out",
        DatasetJob(TILING),
        ThreadPoolExecutor(1),
        on_event=events.append,
        options=ArchiveOptions(max_failures=1, memory=1),  # a page at a time
    )
    assert "more than 1 pages failed" in stopped.stopped
    assert {event["event"] for event in events} >= {"failed"}
    assert stopped.failed == sum(event["event"] == "failed" for event in events)
