"""What is not on every system is not needed to import, nor to lock where the system has locks of its own."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys
sys.modules["fcntl"] = sys.modules["resource"] = sys.modules["pwd"] = None
import tilekit, tilekit.archive
from tilekit.archive import TileJob, process_archive, verify_archive, merge_ledgers, archive_status, retry_archive
import tilekit.cli.archive
import tempfile
from pathlib import Path
from tilekit.storage.locking import FolderLock
from tilekit.errors import LedgerError
path = Path(tempfile.mkdtemp()) / "lock"
lock = FolderLock(path, "out")  # a lock file stands in
try:
    FolderLock(path, "out")
except LedgerError as exc:
    print("refused")
lock.close()
FolderLock(path, "out").close()
"""


def test_without_fcntl_everything_imports_and_locks() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "refused\n"
