"""TileJob on real files: the same tiles as tile_scan, in folders, tar and zip, through kills and bad inputs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tilekit import Tiling, tile_scan
from tilekit.archive import TileJob, archive_status, process_archive, verify_archive
from tilekit.scans.encoding import encode_image

TILING = Tiling(128, 16)


def archive(folder: Path, count: int, bad: int = 0) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (150 + number % 7 * 20, 300, 3), dtype=np.uint8)
        data = encode_image(pixels, "jpeg" if number % 2 else "png").data
        below = folder / f"d{number % 3}"
        below.mkdir(exist_ok=True)
        (below / f"scan{number}{'.jpg' if number % 2 else '.png'}").write_bytes(
            data if number >= bad else data[: len(data) // 2]
        )
    return folder


def tree(out: Path) -> dict[str, str]:
    """Every file of the output but the run's own state, with its hash."""
    files = (path for path in out.rglob("*") if path.is_file() and ".tilekit/" not in str(path))
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_tiles_equal_those_of_tile_scan(tmp_path: Path) -> None:
    source = archive(tmp_path / "in", 4)
    summary = process_archive(source, tmp_path / "out", TileJob(TILING, format="png"), ThreadPoolExecutor(2))
    assert summary.ok
    for path in source.rglob("scan*"):
        tile_scan(str(path), tmp_path / "alone", TILING, format="png")
        name = f"{path.relative_to(source)}.p0"
        alone = {file.name: file.read_bytes() for file in (tmp_path / "alone").glob(f"{path.stem}.*")}
        there = {file.name: file.read_bytes() for file in (tmp_path / "out" / name).glob("*.png")}
        assert there == alone
    assert verify_archive(tmp_path / "out") == {}
    victim = next((tmp_path / "out").rglob("*.y0.*.png"))
    victim.write_bytes(b"short")
    assert len(verify_archive(tmp_path / "out")) == 1


def test_files_of_one_stem_do_not_collide(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pixels = np.zeros((40, 40, 3), np.uint8)
    (folder / "plan.png").write_bytes(encode_image(pixels, "png").data)
    (folder / "plan.jpg").write_bytes(encode_image(pixels, "jpeg").data)
    summary = process_archive(folder, tmp_path / "out", TileJob(TILING), ThreadPoolExecutor(1))
    assert summary.done == 2
    assert len([name for name in tree(tmp_path / "out") if name.endswith(".x0.y0.w40.h40.jpg")]) == 2


@pytest.mark.parametrize("container", ["tar", "zip"])
def test_one_container_a_page(tmp_path: Path, container: str) -> None:
    source = archive(tmp_path / "in", 3)
    job = TileJob(TILING, container=container)  # type: ignore[arg-type]
    first = process_archive(source, tmp_path / "out", job, ThreadPoolExecutor(2))
    assert first.ok
    assert all(name.endswith(f".p0.{container}") for name in tree(tmp_path / "out"))
    assert len(tree(tmp_path / "out")) == 3
    assert verify_archive(tmp_path / "out") == {}


def test_a_fifth_of_the_inputs_is_damaged(tmp_path: Path) -> None:
    source = archive(tmp_path / "in", 20, bad=4)
    summary = process_archive(source, tmp_path / "out", TileJob(TILING), workers=2)
    assert (summary.done, summary.failed) == (16, 4)
    whole = {name.split(".p0/")[0] for name in tree(tmp_path / "out")}
    assert len(whole) == 16
    assert all("scan" in reason for reason in summary.failures.values())


def test_an_input_that_vanishes_is_set_aside(tmp_path: Path) -> None:
    source = archive(tmp_path / "in", 3)
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{path}\n" for path in sorted(source.rglob("scan*"))) + f"{source}/gone.jpg\n")
    summary = process_archive(listed, tmp_path / "out", TileJob(TILING), ThreadPoolExecutor(1))
    assert (summary.done, summary.failed) == (3, 1)
    assert "gone.jpg" in next(iter(summary.failures.values()))


def test_output_that_cannot_be_written_is_one_sentence_a_page(tmp_path: Path) -> None:
    source = archive(tmp_path / "in", 2)
    out = tmp_path / "out"
    out.mkdir()
    (out / "d0").write_text("a file in the way")
    summary = process_archive(source, out, TileJob(TILING), ThreadPoolExecutor(1))
    assert (summary.done, summary.failed) == (1, 1)


SCRIPT = """
import sys
from tilekit import Tiling
from tilekit.archive import TileJob, process_archive
if __name__ == "__main__":
    process_archive(sys.argv[1], sys.argv[2], TileJob(Tiling(128, 16)), workers=2)
"""


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_killed_at_any_point_a_rerun_gives_the_undisturbed_output(tmp_path: Path) -> None:
    """kill -9 of the parent or of a worker at random moments; then one run to the end."""
    source = archive(tmp_path / "in", 30)
    process_archive(source, tmp_path / "quiet", TileJob(TILING), ThreadPoolExecutor(2))
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    out = tmp_path / "out"
    chance = random.Random(7)
    for attempt in range(int(os.environ.get("TILEKIT_KILLS", "8"))):
        run = subprocess.Popen(
            [sys.executable, str(script), str(source), str(out)], stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.2, 1.6))
        workers = _children(run.pid)
        victim = run.pid if attempt % 2 == 0 or not workers else chance.choice(workers)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        run.wait(timeout=120)
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
        if (out / ".tilekit").exists() and len(tree(out)) == len(tree(tmp_path / "quiet")):
            for path in list(out.rglob("*.p0"))[:10]:  # make work again, or later kills hit nothing
                for file in path.iterdir():
                    file.unlink()
                path.rmdir()
            verify_archive(out, forget=True)
    last = subprocess.run([sys.executable, str(script), str(source), str(out)], check=False, timeout=120)
    assert last.returncode == 0
    assert tree(out) == tree(tmp_path / "quiet")
    found = archive_status(out)
    assert (found.done, found.failed, found.unfinished) == (30, 0, 0)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    source = archive(tmp_path / "in", 5, bad=1)
    command = [sys.executable, "-m", "tilekit", "archive"]
    arguments = [
        str(source),
        str(tmp_path / "out"),
        "--tile",
        "128",
        "--overlap",
        "0.1",
        "--workers",
        "1",
        "--json",
    ]
    done = subprocess.run([*command, "run", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events].count("done") == 4
    assert events[-1]["event"] == "summary"
    assert events[-1]["failed"] == 1
    status = subprocess.run(
        [*command, "status", str(tmp_path / "out"), "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(status.stdout)["failed"] == 1
    broken = next(path for path in source.rglob("scan0.*"))
    whole = next(path for path in source.rglob("scan2.*"))
    broken.write_bytes(whole.read_bytes())
    again = subprocess.run(
        [*command, "retry", str(tmp_path / "out"), "--workers", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "1 pages done" in again.stderr
    verified = subprocess.run(
        [*command, "verify", str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
