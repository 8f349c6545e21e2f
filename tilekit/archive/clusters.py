"""Clusters: executors of engines that exist; we write no scheduler."""

from __future__ import annotations

from typing import Any

from tilekit.errors import MissingExtra, StorageError


def dask_client(address: str, *, seconds: float = 10.0) -> Any:
    """A connected Dask client; `get_executor()` of it is what `process_archive` takes.

    `address`: of the scheduler, such as `tcp://10.0.0.1:8786`. `seconds`: how long to try.
    Raises MissingExtra without Dask, StorageError where no scheduler answers.
    """
    try:
        from dask.distributed import Client
    except ImportError as exc:
        raise MissingExtra("--dask needs Dask", "dask") from exc
    try:
        return Client(address, timeout=seconds)
    except (OSError, ValueError) as exc:
        raise StorageError(f"{address}: no Dask scheduler answers there") from exc
