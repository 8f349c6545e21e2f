"""What a job tells of a page's files, and which files it takes for its own."""

from __future__ import annotations

import hashlib
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.archive import TileJob
from tilekit.archive.jobs import discard_page, output_of, page_place, roll_of
from tilekit.archive.retrying import job_from_recipe
from tilekit.archive.sources import ScanFile
from tilekit.archive.working import Task
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling
from tilekit.scans.encoding import encode_image
from tilekit.scans.opening import open_scan
from tilekit.storage.local import part_path
from tilekit.storage.place import FolderPlace

TILING = Tiling(64, 0)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    path = tmp_path / "in" / "plan.png"
    path.parent.mkdir()
    path.write_bytes(
        encode_image(np.random.default_rng(0).integers(0, 255, (150, 200, 1), np.uint8), "png").data
    )
    return Task(ScanFile(str(path), "sub/plan.png", ""), 2)


def run(job: TileJob, task: Task, out: Path) -> dict[str, Any]:
    with open_scan(task.source.uri) as scan:
        return job.run(task, scan, str(out))


@given(st.integers(0, 3), st.binary(max_size=50))
def test_an_output_is_its_bytes_and_their_checksum(
    tmp_path_factory: pytest.TempPathFactory, megabytes: int, more: bytes
) -> None:
    folder, data = tmp_path_factory.mktemp("out"), bytes(megabytes << 20) + more
    (folder / "file").write_bytes(data)
    assert output_of(FolderPlace(folder), "file") == ["file", len(data), zlib.crc32(data)]


names = st.dictionaries(
    st.sampled_from(["a", "b", "ab", "ü", ".hidden", "c.jpg"]), st.integers(0, 3), max_size=4
)


@given(names, names, st.booleans())
def test_a_roll_is_of_names_and_sizes_that_are_shown(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, int], other: dict[str, int], by_path: bool
) -> None:
    rolls = []
    for files in (one, other):
        folder = tmp_path_factory.mktemp("roll")
        for name, size in files.items():
            (folder / name).write_bytes(bytes(size))
        rolls.append(roll_of(folder))
        with pytest.MonkeyPatch.context() as patch:
            if by_path:
                patch.setattr(os, "supports_fd", set())  # as on Windows
            assert roll_of(folder) == rolls[-1] != ""
    shown = [{name: size for name, size in files.items() if name[0] != "."} for files in (one, other)]
    assert (rolls[0] == rolls[1]) == (shown[0] == shown[1])


def test_a_roll_is_written_as_ledgers_keep_it(tmp_path: Path) -> None:
    """Another text for the same folder would have every index of an archive read again."""
    (tmp_path / "b").write_bytes(bytes(12))
    (tmp_path / "a").write_bytes(b"")
    assert roll_of(tmp_path) == hashlib.blake2b(b"a\x000\nb\x0012", digest_size=8).hexdigest()


def test_a_folder_that_is_not_there_has_no_roll(tmp_path: Path) -> None:
    assert roll_of(tmp_path / "none") == ""


@pytest.mark.parametrize("container", ["folder", "tar", "zip"])
def test_a_page_is_in_one_container_and_says_what_it_wrote(
    task: Task, tmp_path: Path, container: str
) -> None:
    out = tmp_path / "out"
    for before in ("folder", "tar", "zip"):
        run(TileJob(TILING, container=before), task, out)
    info = run(TileJob(TILING, container=container), task, out)
    place = page_place(task)
    assert place == "sub/plan.png.p2"
    assert (info["tiles"], info["blank"], info["pixels"]) == (12, 0, 200 * 150)
    (found,) = (out / "sub").iterdir()
    assert found.name == {"folder": "plan.png.p2"}.get(container, f"plan.png.p2.{container}")
    assert info["outputs"] == [output_of(FolderPlace(out), name) for name, _, _ in info["outputs"]]
    if container == "folder":
        assert [name for name, _, _ in info["outputs"]] == [f"{place}/tiles.jsonl", f"{place}/tiling.json"]
        assert (info["index"], info["roll"]) == (place, roll_of(found))
    else:
        assert [name for name, _, _ in info["outputs"]] == [f"{place}.{container}"]


def test_what_is_discarded_is_the_page_and_what_was_left_of_it(task: Task, tmp_path: Path) -> None:
    out = tmp_path / "out"
    discard_page(task, str(out))
    for container in ("folder", "tar", "zip"):
        run(TileJob(TILING, container=container), task, out)
    place = out / page_place(task)
    kept = [place.with_name(f"{place.name}0.tar"), place.with_name("plan.png.p20.jsonl")]
    gone = [place.with_name(place.name + suffix) for suffix in (".tar", ".zip", ".jsonl")]
    for file in (*kept, *gone, *[part_path(file) for file in gone]):
        file.touch()
    discard_page(task, str(out))
    assert sorted(place.parent.iterdir()) == sorted(kept)


def test_a_job_is_made_from_its_recipe_again() -> None:
    job = TileJob(Tiling(100, 10, edge="pad"), "webp", 80, None, True, 10_000, "zip", 300.0)
    assert job_from_recipe(job.recipe()) == job
    assert TileJob(TILING, threads=4, untrusted=True).recipe() == TileJob(TILING).recipe()
    for text in ('{"job": "fly", "tiling": {}}', "{}", "[]", "no"):
        with pytest.raises((ValueError, KeyError, TypeError, InvalidArgument)):
            job_from_recipe(text)
    with pytest.raises(InvalidArgument, match="container='box'"):
        TileJob(TILING, container="box")
    with pytest.raises(InvalidArgument, match="tar and zip are for local outputs"):
        TileJob(TILING, container="tar").run(Task(ScanFile("a", "a", ""), 0), None, "s3://bucket/out")
