from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tilekit.errors import LedgerError
from tilekit.storage.locking import FolderLock

HOLD = """
import sys, time
from pathlib import Path
from tilekit.storage.locking import FolderLock
lock = FolderLock(Path(sys.argv[1]), "out")
print("held", flush=True)
time.sleep(60)
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    first = FolderLock(path, "out='here'")
    with pytest.raises(LedgerError, match=rf"out='here' is being written by process {os.getpid()};"):
        FolderLock(path, "out='here'")
    first.close()
    first.close()
    FolderLock(path, "out='here'").close()


def test_a_killed_process_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(LedgerError, match=f"process {child.pid}"):
            FolderLock(path, "out")
        child.send_signal(signal.SIGKILL)
        child.wait()
    FolderLock(path, "out").close()
