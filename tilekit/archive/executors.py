"""Executors: a local pool that survives killed workers, or anyone's concurrent.futures.Executor."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from tilekit.errors import InvalidArgument


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


class WorkerLost(Exception):
    """The worker process died while it ran the task."""


class LocalPool:
    """Worker processes on this machine; a killed one fails its own task only, and is replaced.

    `size` processes, each with `threads` libvips threads, so that size x threads fits the cores.
    Each process is a standard pool of one: processes share no pipe and no lock, so one that is
    killed, at whatever moment, cannot keep another from working.
    """

    def __init__(self, size: int | None = None, threads: int | None = None) -> None:
        cores = available_cores()
        self.size = cores if size is None else size
        if self.size < 1:
            raise InvalidArgument(f"workers={size!r} must be at least 1")
        self._threads = threads or max(1, cores // self.size)
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._idle = [self._fresh() for _ in range(self.size)]
        self._all = set(self._idle)
        self._closed = False

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start `function(*args)` in a worker process; WorkerLost where that process dies."""
        future: Future[Any] = Future()
        with self._lock:
            self._waiting.append((future, function, args))
        self._dispatch()
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            workers, self._all = list(self._all), set()
        for worker in workers:
            if kind is not None:
                _kill(worker)
            worker.shutdown(wait=True, cancel_futures=True)

    def _fresh(self) -> ProcessPoolExecutor:
        # A fork of a process with threads can deadlock; a fresh interpreter cannot.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, prepare_worker, (self._threads,))

    def _dispatch(self) -> None:
        while True:
            with self._lock:
                if self._closed or not self._idle or not self._waiting:
                    return
                worker = self._idle.pop()
                outer, function, args = self._waiting.popleft()
            if not outer.set_running_or_notify_cancel():
                with self._lock:
                    self._idle.append(worker)
                continue
            try:
                inner = worker.submit(function, *args)
            except BrokenExecutor:  # it died while idle; nothing was running in it
                self._replace(worker)
                with self._lock:
                    worker = self._idle.pop()
                inner = worker.submit(function, *args)
            inner.add_done_callback(partial(self._land, worker, outer))

    def _land(self, worker: ProcessPoolExecutor, outer: Future[Any], inner: Future[Any]) -> None:
        error = None if inner.cancelled() else inner.exception()
        if inner.cancelled():
            outer.set_exception(WorkerLost("the pool was closed"))
        elif isinstance(error, BrokenExecutor):
            self._replace(worker)
            outer.set_exception(WorkerLost("the worker process died"))
        else:
            with self._lock:
                self._idle.append(worker)
            if error is not None:
                outer.set_exception(error)
            else:
                outer.set_result(inner.result())
        self._dispatch()

    def _replace(self, worker: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._closed:
                return
            self._all.discard(worker)
            fresh = self._fresh()
            self._all.add(fresh)
            self._idle.append(fresh)
        worker.shutdown(wait=False)


def _kill(worker: ProcessPoolExecutor) -> None:
    """End a worker's process now, whatever it does."""
    for process in list((getattr(worker, "_processes", None) or {}).values()):
        process.kill()


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
    """Set up a worker process: its libvips threads, who hears Ctrl-C, and when it ends."""
    os.environ["VIPS_CONCURRENCY"] = str(threads)  # libvips reads it when it loads
    # Ctrl-C reaches the whole group; the parent alone decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="tilekit-orphan-watch", daemon=True).start()


def _end_with_parent() -> None:
    """Leave no worker behind when the parent is killed: the pool's own pipe would not tell it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_lost_worker(error: BaseException) -> bool:
    """Whether the error means that the worker died, not that the task failed."""
    # Dask and Ray have errors of their own for it; they are told by name, since neither need be installed.
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"WorkerLost", "KilledWorker", "WorkerCrashedError"})


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
