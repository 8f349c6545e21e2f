"""No worker outlives its parent, whatever it does: it might undo what the next run makes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import os, sys, time
from tests.archive.test_orphans import busy
from tilekit.archive.executors import LocalPool

if __name__ == "__main__":
    with LocalPool(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(busy, sys.argv[1])
        time.sleep(600)
"""


def busy(marker: str) -> int:
    """Minutes in C without letting another thread of the process run."""
    Path(marker).write_text("begun")
    return sum(range(10**11))


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread watches, which has to get its turn")
def test_a_worker_that_never_looks_up_dies_with_its_killed_parent(tmp_path: Path) -> None:
    script, marker = tmp_path / "parent.py", tmp_path / "begun"
    script.write_text(PARENT)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    with subprocess.Popen([sys.executable, script, marker], stdout=subprocess.PIPE, env=env) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        while not marker.exists():
            time.sleep(0.01)
        time.sleep(0.2)
        parent.kill()
    deadline = time.monotonic() + 10
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.01)
    alive = is_running(worker)
    if alive:
        os.kill(worker, 9)
    assert not alive
