"""A process that outlives the tests fails them, and is ended; so do a module's watchers, quietly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STARTS = """
import subprocess, sys

def test_starts():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", {word!r}], start_new_session=True)
    with open("pids.txt", "a") as file:
        file.write(f"{{child.pid}}\\n")
    child.returncode = 0
"""


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    top = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "pytest", "-p", "tests.processes", "-p", "no:cacheprovider", *options]
    env = os.environ | {"PYTHONPATH": top}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def alive(folder: Path) -> list[str]:
    def lives(pid: str) -> bool:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
        except FileNotFoundError:
            return False

    return [pid for pid in (folder / "pids.txt").read_text().split() if lives(pid)]


@pytest.mark.slow
def test_a_process_that_outlives_the_tests_fails_them(tmp_path: Path):
    (tmp_path / "test_stray.py").write_text(STARTS.format(word="stray"))
    done = run(tmp_path, "-n1")
    assert done.returncode == 1, done.stdout
    assert "outlived the tests" in done.stdout
    assert "time.sleep(60) stray" in done.stdout
    assert not alive(tmp_path)


def test_watchers_end_with_their_module(tmp_path: Path):
    uses = 'import pytest\npytestmark = pytest.mark.usefixtures("watchers_end")\n'
    (tmp_path / "test_watched.py").write_text(uses + STARTS.format(word="tilekit.aws.deadlines"))
    done = run(tmp_path, "-n0")
    assert done.returncode == 0, done.stdout
    assert not alive(tmp_path)
