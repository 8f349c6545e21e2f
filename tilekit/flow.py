"""Ordered, byte-bounded concurrency: the one pool everything in a process streams through."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from tilekit.errors import InvalidArgument

T = TypeVar("T")
R = TypeVar("R")

DEFAULT_BUDGET = 256 * 1024 * 1024


class Submits(Protocol):
    """What is needed of an executor: `concurrent.futures.Executor` has it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Start `fn(*args)` somewhere."""


def ordered_map(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int,
    cost: Callable[[T], int] | None = None,
    budget: int = DEFAULT_BUDGET,
    ahead: int | None = None,
    inline: bool = True,
    executor: Submits | None = None,
) -> Iterator[R]:
    """Map `function` over `items` on threads, or on an `executor`; results come in the order of the items.

    `workers` 0 or 1 runs everything in the calling thread, one item at a time, in order; with
    `inline=False` one worker is a thread too, so that the caller's iterable runs beside it.
    `cost(item)` is the item's bytes while in flight. An item is admitted when the bytes in
    flight stay within `budget`, or when nothing else is in flight; `ahead` bounds their number
    (default 4 x workers). Memory: at most max(budget, the largest item) bytes of items, plus
    the results of as many items. `executor` runs everything (what is given to one of other
    processes must be picklable) and stays open.

    The first error stops admission, waits for what runs, and is raised; closing the generator
    early does the same. Items are pulled from the iterable in the caller's thread.
    """
    if workers < 0:
        raise InvalidArgument(f"workers={workers!r} must be 0 or more")
    if budget < 1:
        raise InvalidArgument(f"budget={budget!r} must be at least 1 byte")
    if workers <= 1 and inline and executor is None:
        return (function(item) for item in items)
    threads = max(1, workers)
    return _ordered_map(function, items, threads, cost or _free, budget, ahead or 4 * threads, executor)


def _ordered_map(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    cost: Callable[[T], int],
    budget: int,
    ahead: int,
    executor: Submits | None,
) -> Iterator[R]:
    stopped = threading.Event()

    def run(item: T) -> R:
        if stopped.is_set():
            raise _Stopped
        return function(item)

    pending: deque[tuple[Future[R], int]] = deque()
    in_flight = 0
    with contextlib.ExitStack() as stack:
        submit: Callable[[T], Future[R]]
        if executor is None:
            pool = stack.enter_context(ThreadPoolExecutor(workers, thread_name_prefix="tilekit"))
            submit = lambda item: pool.submit(run, item)  # noqa: E731
        else:
            submit = lambda item: executor.submit(function, item)  # noqa: E731
        try:
            for item in items:
                size = cost(item)
                while pending and (in_flight + size > budget or len(pending) >= ahead):
                    future, freed = pending.popleft()
                    in_flight -= freed
                    yield future.result()
                pending.append((submit(item), size))
                in_flight += size
                del item  # the pool and the caller decide how long it lives, not this loop
                while pending and pending[0][0].done():
                    future, freed = pending.popleft()
                    in_flight -= freed
                    yield future.result()
            while pending:
                yield pending.popleft()[0].result()
        finally:
            stopped.set()
            for future, _ in pending:
                future.cancel()


def _free(_: object) -> int:
    return 0


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter; what came before an error comes before the error."""
    batch: list[T] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


class _Stopped(Exception):
    """Raised inside workers after the consumer has gone."""


class Gate:
    """Lets `places` threads compute at once; one that is `urgent` goes before all others.

    For a decoder beside the encoders it feeds: were all of them to share the cores evenly, the
    encoders would run dry, wait for the decoder, and leave a core idle.
    """

    def __init__(self, places: int) -> None:
        self._changed = threading.Condition()
        self._free = places
        self._urgent = 0

    @contextlib.contextmanager
    def inside(self, *, urgent: bool = False) -> Iterator[None]:
        """Hold a place for the block."""
        self.enter(urgent=urgent)
        try:
            yield
        finally:
            self.leave()

    def enter(self, *, urgent: bool = False) -> None:
        """Wait for a place."""
        with self._changed:
            self._urgent += urgent
            while self._free < 1 or (self._urgent and not urgent):
                self._changed.wait()
            self._urgent -= urgent
            self._free -= 1
            if self._free:
                self._changed.notify_all()

    def leave(self) -> None:
        """Give the place back."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()
