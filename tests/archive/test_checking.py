"""What cannot be done is refused before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tilekit import Tiling
from tilekit.archive import ArchiveOptions, TileJob, process_archive
from tilekit.cli import cli
from tilekit.errors import InvalidArgument
from tilekit.testing.scans import write_scan


@pytest.mark.parametrize("job", [Tiling(64), TileJob, None, "tile"])
def test_what_is_no_job_is_named(tmp_path: Path, job: Any) -> None:
    with pytest.raises(InvalidArgument, match="job="):
        process_archive(tmp_path, tmp_path / "out", job)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        "a.jpg --workers 0",
        "a.jpg --workers -2",
        "a.jpg --shard 4/3",
        "a.jpg --shard x",
        "a.jpg --memory 0",
        "a.jpg --staging much",
        "a.jpg --max-failures -1",
        "a.jpg --dask tcp://nowhere",
        "none.jpg",
        "a.jpg none/",
        "*.tif",
    ],
)
def test_nothing_is_made_for_a_wrong_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scan("a.jpg", 80, 60, "jpeg")
    first, *more = wrong.split()
    inputs = [first, *(more[:1] if more and more[0] == "none/" else [])]
    done = CliRunner().invoke(cli, ["archive", "run", *inputs, "out", *more[len(inputs) - 1 :]])
    assert done.exit_code != 0
    assert not (tmp_path / "out").exists()


def test_a_failed_tiling_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    done = CliRunner().invoke(cli, ["tile", str(tmp_path / "bad.jpg"), str(tmp_path / "out")])
    assert done.exit_code == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "least"), [("max_failures", 0), ("memory", 1), ("staging", 1), ("parts", 1)]
)
def test_options_are_counts(name: str, least: int) -> None:
    assert getattr(ArchiveOptions(**{name: least}), name) == least
    for wrong in (least - 1, True, 1.5, "2"):
        with pytest.raises(InvalidArgument, match=f"{name}=.* must be a whole number of at least {least}"):
            ArchiveOptions(**{name: wrong})


def test_a_lease_takes_time_and_an_identity_is_known() -> None:
    for wrong in (0, -1.0):
        with pytest.raises(InvalidArgument, match="lease="):
            ArchiveOptions(lease=wrong)
    assert ArchiveOptions(lease=0.5).lease == 0.5
    with pytest.raises(InvalidArgument, match="identity='name' must be one of sample, full, stat"):
        ArchiveOptions(identity="name")
