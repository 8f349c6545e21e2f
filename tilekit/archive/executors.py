"""Executors: a local pool that survives killed workers, or anyone's concurrent.futures.Executor."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from types import TracebackType
from typing import Any, Protocol, Self

from tilekit.errors import InvalidArgument, MissingExtra


class Pool(Protocol):
    """What the archive needs: a size, and a way to submit."""

    size: int

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start `function(*args)` somewhere."""

    def __enter__(self) -> Self:
        """Pools end with the run."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop at once on an error, else when all is done."""


class LocalPool:
    """Worker processes on this machine; a killed one fails its own task only (pebble's pool).

    `size` processes, each with `threads` libvips threads, so that size x threads fits the cores.
    """

    def __init__(self, size: int | None = None, threads: int | None = None) -> None:
        try:
            from pebble import ProcessPool
        except ImportError as exc:
            raise MissingExtra("archives need the package pebble: pip install 'tilekit[archive]'") from exc
        cores = available_cores()
        self.size = cores if size is None else size
        if self.size < 1:
            raise InvalidArgument(f"workers={size!r} must be at least 1")
        per_worker = threads or max(1, cores // self.size)
        # A fork of a process with threads can deadlock; a fresh interpreter cannot.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(
            self.size, context=context, initializer=prepare_worker, initargs=(per_worker,)
        )

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start `function(*args)` in a worker process."""
        future: Future[Any] = self._pool.schedule(function, args=args)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._pool.stop()
        else:
            self._pool.close()
        self._pool.join()


class ForeignPool:
    """Any concurrent.futures.Executor; it stays the caller's to shut down."""

    def __init__(self, executor: Executor, size: int | None = None) -> None:
        self._executor = executor
        self.size = size or _size_of(executor)

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start `function(*args)` on the executor."""
        return self._executor.submit(function, *args)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def prepare_worker(threads: int) -> None:
    """Set up a worker process: libvips reads its thread count from the environment when it loads."""
    import signal

    os.environ["VIPS_CONCURRENCY"] = str(threads)
    # Ctrl-C reaches the whole group; the parent alone decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_lost_worker(error: BaseException) -> bool:
    """Whether the error means that the worker died, not that the task failed."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ProcessExpired", "KilledWorker", "WorkerCrashedError"})


def is_broken(error: BaseException) -> bool:
    """Whether the error means that the whole executor is gone."""
    return isinstance(error, BrokenExecutor)


def _size_of(executor: Executor) -> int:
    size = getattr(executor, "_max_workers", None)
    if isinstance(size, int) and size > 0:
        return size
    client = getattr(executor, "_client", None)  # dask.distributed's ClientExecutor
    if client is not None:
        return max(1, int(sum(client.nthreads().values())))
    return available_cores()
