"""One lock for everything that must not be done twice at once: `filelock`, which dies with its holder.

By the operating system's own file locks (Linux, macOS, Windows), which also hold between containers that share a
folder, and on NFS 4; a file system without any gets a lock file, whose holder must be on the same host to be known
dead. Nothing of a lock that ended blocks anybody.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tilekit.errors import LedgerError
from tilekit.storage.local import storage_errors


class FolderLock:
    """Held from `__init__` to `close`, or to the end of the process however it ends.

    `path`: the lock's file, made with its folder; beside it `<name>.owner` says, for people, who holds it.
    `wait`: seconds to try. Raises LedgerError, with `what` as its subject, where somebody else holds it.
    """

    def __init__(self, path: Path, what: str, *, wait: float = 0.0) -> None:
        import filelock

        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._owner = path.with_name(f"{path.name}.owner")
        self._lock: Any = filelock.FileLock(str(path), thread_local=False)
        with storage_errors(path):
            try:
                self._take(wait)
            except NotImplementedError:  # a file system without locks
                self._lock = filelock.SoftFileLock(str(path), thread_local=False)
                self._take(wait)
            except filelock.Timeout:
                pass
        if not self._lock.is_locked:
            raise LedgerError(
                f"{what} is being written by {self._holder()}; wait for it to end, or choose another place"
            )
        with contextlib.suppress(OSError):
            self._owner.write_text(json.dumps(me()), encoding="utf-8")

    def _take(self, wait: float) -> None:
        import filelock

        with contextlib.suppress(filelock.Timeout):
            self._lock.acquire(timeout=wait, poll_interval=0.02)

    def _holder(self) -> str:
        try:
            found = json.loads(self._owner.read_text(encoding="utf-8"))
            elsewhere = "" if found["host"] == socket.gethostname() else f" on {found['host']}"
            return f"process {int(found['process'])}{elsewhere}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def close(self) -> None:
        """Let go; twice is fine."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self._owner.unlink()
            self._lock.release(force=True)


@contextlib.contextmanager
def held(path: Path, what: str, *, wait: float = 0.0) -> Iterator[None]:
    """A FolderLock for a block."""
    lock = FolderLock(path, what, wait=wait)
    try:
        yield
    finally:
        lock.close()


def me() -> dict[str, Any]:
    """This process, for people who read it in a lock or a lease."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"host": socket.gethostname(), "process": os.getpid(), "since": since}
