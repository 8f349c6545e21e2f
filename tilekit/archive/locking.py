"""Locks: two runs on one output refuse each other, or share it by shard."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tilekit.archive.sources import Shard
from tilekit.errors import LedgerError
from tilekit.storage.local import storage_errors


@contextlib.contextmanager
def run_lock(state: Path, shard: Shard | None) -> Iterator[None]:
    """Hold the output for this run: alone for a whole run, beside other shards for a shard.

    The operating system lets go of it when the process ends, however it ends.
    Raises LedgerError where another run holds it.
    """
    with storage_errors(state):
        state.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_held(state / "run.lock", shared=shard is not None, state=state))
        if shard is not None:
            stack.enter_context(_held(state / f"shard-{shard}.lock", shared=False, state=state))
        yield


@contextlib.contextmanager
def _held(path: Path, *, shared: bool, state: Path) -> Iterator[None]:
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as exc:
            raise LedgerError(
                f"{state.parent}: another run is writing here; wait for it, use another output, "
                "or share the work with --shard i/n in every run"
            ) from exc
        yield
    finally:
        os.close(descriptor)
