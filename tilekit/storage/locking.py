"""One writer to a folder: a lock that dies with the process that holds it."""

from __future__ import annotations

import os
from pathlib import Path

from tilekit.errors import LedgerError
from tilekit.storage.local import storage_errors


class FolderLock:
    """Held from `__init__` to `close`, or to the end of the process however it ends; nothing stays behind that blocks.

    By `flock` on a file, which holds its owner's process id for people. Where the system or the file system has no
    such locks (Windows, some network drives), nothing is guarded. Raises LedgerError where another process, or
    another run in this one, holds it.
    """

    def __init__(self, path: Path, what: str) -> None:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        if not _lock(self._file.fileno()):
            self._file.seek(0)
            owner = self._file.read(40).strip()
            self._file.close()
            who = f"process {owner}" if owner.isdigit() else "another process"
            raise LedgerError(
                f"{what} is being written by {who}; wait for it to end, or choose another place"
            )
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def close(self) -> None:
        """Let go; twice is fine."""
        if not self._file.closed:
            _unlock(self._file.fileno())
            self._file.close()


def _lock(descriptor: int) -> bool:
    """Whether the lock was had, or there are no locks here."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _unlock(descriptor: int) -> None:
    """Also for children that were forked meanwhile and hold the same open file."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except (ImportError, OSError):
        return
