"""What examples/archive_on_ray.py uses of Ray's API, on processes of this machine, for tests where Ray is not installed.

As with Ray: a remote function is called with `.remote(...)` in another process and gives a reference whose `.future()`
is a concurrent.futures.Future; function and arguments travel by cloudpickle; nothing runs before `init()`.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import cloudpickle

_pool: ProcessPoolExecutor | None = None


def init() -> None:
    """Start the processes."""
    global _pool
    _pool = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))


def cluster_resources() -> dict[str, float]:
    """Ray counts in floats."""
    assert _pool is not None
    return {"CPU": 2.0}


def shutdown() -> None:
    """End the processes."""
    assert _pool is not None
    _pool.shutdown()


class ObjectRef:
    """A result to come."""

    def __init__(self, future: Future[bytes]) -> None:
        self._inner = future

    def future(self) -> Future[Any]:
        """As concurrent.futures has them."""
        outer: Future[Any] = Future()

        def land(inner: Future[bytes]) -> None:
            error = inner.exception()
            if error is not None:
                outer.set_exception(error)
            else:
                outer.set_result(cloudpickle.loads(inner.result()))

        self._inner.add_done_callback(land)
        return outer


class RemoteFunction:
    """A function that runs elsewhere; as with Ray it cannot be called here."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._data = cloudpickle.dumps(function)

    def remote(self, *args: Any, **named: Any) -> ObjectRef:
        """Start it."""
        assert _pool is not None
        return ObjectRef(_pool.submit(_call, self._data, cloudpickle.dumps((args, named))))


def remote(*, max_retries: int) -> Callable[[Callable[..., Any]], RemoteFunction]:
    """`ray.remote(max_retries=...)(function)`."""
    assert max_retries == 0
    return RemoteFunction


def _call(function: bytes, given: bytes) -> bytes:
    args, named = cloudpickle.loads(given)
    return cloudpickle.dumps(cloudpickle.loads(function)(*args, **named))
