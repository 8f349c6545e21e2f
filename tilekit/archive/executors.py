"""Executors: a local pool that survives killed workers, or anyone's concurrent.futures.Executor."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from multiprocessing.reduction import ForkingPickler
from types import TracebackType
from typing import Any, Protocol, Self

from tilekit.errors import InvalidArgument, TilekitError

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
GUARD = (
    'In a script, call this below `if __name__ == "__main__":`, since every worker process imports the script'
)
_Item = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


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


class CannotStart(TilekitError):
    """Worker processes end by themselves before they take a task: no other page would fare better."""


class LocalPool:
    """Worker processes on this machine; a killed one fails its own task only, and is replaced.

    `size` processes, each with `threads` libvips threads, so that size x threads fits the cores.
    Each has a pipe and a thread of its own here: processes share no lock, so one that is killed, at
    whatever moment, cannot keep another from working. A process starts with its first task.
    """

    def __init__(self, size: int | None = None, threads: int | None = None) -> None:
        cores = available_cores()
        self.size = cores if size is None else size
        if self.size < 1:
            raise InvalidArgument(f"workers={size!r} must be at least 1")
        setting = threads or max(1, cores // self.size)
        self._waiting: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._workers = [_Worker(self._waiting, setting) for _ in range(self.size)]

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start `function(*args)` in a worker process; WorkerLost where that process dies."""
        future: Future[Any] = Future()
        self._waiting.put((future, function, args))
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._workers:
            self._waiting.put(None)
        for worker in self._workers:
            if kind is not None:
                worker.stop()
        for worker in self._workers:
            worker.join()


class _Worker:
    """One process, and the thread that hands it tasks one at a time."""

    def __init__(self, waiting: queue.SimpleQueue[_Item | None], threads: int) -> None:
        self._waiting, self._threads = waiting, threads
        self._process: Any = None
        self._pipe: Any = None
        self._is_new = True
        self._stopped = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="tilekit-worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Kill the process, whatever it does; nothing starts after."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def join(self) -> None:
        """Wait for the thread, which ends its process."""
        self._thread.join()

    def _serve(self) -> None:
        while (item := self._waiting.get()) is not None:
            future, function, args = item
            if not future.set_running_or_notify_cancel():
                continue
            if self._stopped:
                future.set_exception(WorkerLost("the pool was closed"))
                continue
            try:
                good, value = self._call(function, args)
            except (EOFError, OSError):
                self._bury()
                good, value = False, WorkerLost("the worker process died")
            except CannotStart as exc:
                self._bury()
                good, value = False, exc
            except BaseException as exc:  # noqa: BLE001 - what cannot be pickled, or started
                good, value = False, exc
            if good:
                future.set_result(value)
            else:
                future.set_exception(value)
            del item, future, function, args, value  # hold nothing while waiting
        self._bury()

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[bool, Any]:
        if self._process is not None and not self._process.is_alive():
            self._bury()  # it died while idle; nothing was running in it
        if self._process is None:
            self._start()
        with contextlib.suppress(OSError):  # it is gone: what it left tells why
            self._pipe.send((function, args))
        if self._is_new:
            self._greet()
        good, value = self._pipe.recv()
        return bool(good), value

    def _greet(self) -> None:
        """Hear that it has begun. One that ends before that was killed, or cannot be started at all."""
        try:
            self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            if (self._process.exitcode or 0) > 0:
                raise CannotStart(
                    f"worker processes cannot start (exit code {self._process.exitcode}; what they said is above). {GUARD}"
                ) from None
            raise
        self._is_new = False

    def _start(self) -> None:
        # A fork of a process with threads can deadlock; a fresh interpreter cannot.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._threads))
        with self._lock:
            if self._stopped:
                raise WorkerLost("the pool was closed")
            process.start()
            self._process, self._pipe, self._is_new = process, ours, True
        theirs.close()

    def _bury(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            self._pipe.close()  # tells a live one to end
            process.join()
            process.close()


def _work(pipe: Any, threads: int) -> None:
    """The life of a worker process: tasks from the pipe until it closes."""
    prepare_worker(threads)
    pipe.send("ready")
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            os._exit(0)  # as forked workers end: taking all modules down again takes as long as many a page
        except Exception as exc:  # noqa: BLE001 - a task that cannot be imported here
            pipe.send((False, _portable(exc)))
            continue
        try:
            answer = True, function(*args)
        except Exception as exc:  # noqa: BLE001 - it is the caller's to judge
            answer = False, _portable(exc)
        try:
            data = ForkingPickler.dumps(answer)
        except Exception as exc:  # noqa: BLE001 - a result that cannot travel
            data = ForkingPickler.dumps((False, _portable(exc)))
        pipe.send_bytes(data)


def _portable(error: Exception) -> Exception:
    """The error, or its words where it cannot be pickled there and back."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever its own pickling raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


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
    for name in ("VIPS_CONCURRENCY", "OPENBLAS_NUM_THREADS"):  # read when the libraries load
        os.environ[name] = str(threads)
    # Ctrl-C reaches the whole group; the parent alone decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()


def _die_with_parent() -> None:
    """Leave no worker behind when the parent is killed: the pool's own pipe would not tell it.

    A worker that outlives its parent may write over, or remove, what the next run makes of a scan that has
    changed since. On Linux the kernel kills it, whatever it does; elsewhere a thread ends it as soon as it gets its turn.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # a libc without it: the thread is there
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent.pid:  # it died before that
                os._exit(1)
    threading.Thread(target=_end_with, args=(parent,), name="tilekit-orphan-watch", daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_LOST = {"WorkerLost", "KilledWorker", "WorkerCrashedError", "NodeDiedError", "OutOfMemoryError"}


def is_lost_worker(error: BaseException) -> bool:
    """Whether the error means that the worker died, not that the task failed."""
    # Dask and Ray have errors of their own for it; they are told by name, since neither need be installed.
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & _LOST)


def check_not_importing() -> None:
    """Refuse a run that a worker process is about to begin as it imports the script that started it."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise CannotStart(f"a worker process would begin the run again. {GUARD}")


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
