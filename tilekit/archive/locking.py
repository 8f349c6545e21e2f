"""Locks: two runs on one output refuse each other, or share it by shard."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tilekit.archive.sources import Shard
from tilekit.errors import LedgerError
from tilekit.storage.local import storage_errors
from tilekit.storage.locking import FolderLock, held

_RUN = "run.lock"


@contextlib.contextmanager
def run_lock(state: Path, shard: Shard | None) -> Iterator[None]:
    """Hold the output for this run: alone for a whole run, beside other shards for a shard.

    A whole run takes the run's lock and then finds no shard's lock held; a shard takes its own and then finds the
    run's lock free: of two that start at once at least one sees the other. The operating system lets go of both
    when the process ends, however it ends. Raises LedgerError where another run holds it.
    """
    with storage_errors(state):
        state.mkdir(parents=True, exist_ok=True)
    own = state / (_RUN if shard is None else f"shard-{shard}.lock")
    try:
        lock = FolderLock(own, str(state))
        try:
            for other in state.glob("shard-*.lock") if shard is None else [state / _RUN]:
                # shards look at the run's lock by taking it for a moment: they may meet there
                with held(other, str(state), wait=0.0 if shard is None else 5.0):
                    pass
        except BaseException:
            lock.close()
            raise
    except LedgerError as exc:
        raise LedgerError(
            f"{state.parent}: another run is writing here; wait for it, use another output, "
            "or share the work with --shard i/n in every run"
        ) from exc
    try:
        yield
    finally:
        lock.close()
