"""Prefetch: the next scans of a bucket come to this disk while workers compute, bounded by bytes."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tilekit.archive.sources import ScanFile
from tilekit.errors import InvalidArgument, TilekitError
from tilekit.storage.identity import etag_of, size_of
from tilekit.storage.s3 import S3Store
from tilekit.storage.staging import staged

AHEAD = 8
_MOST = 8 * 10**9


@dataclass
class _Copy:
    """A scan on this disk. `users`: tasks that need it; without any it stays until its room is needed."""

    size: int
    users: int = 0
    path: Future[str] = field(default_factory=Future)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


class Prefetch:
    """Stages S3 sources ahead of the tasks that read them; pages of one file share its copy.

    `limit`: bytes of copies on disk at once (one larger object is staged alone). `AHEAD` downloads
    run at a time. Each copy is checked against the ETag the listing gave. All copies are gone when
    the block ends.
    """

    def __init__(self, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise InvalidArgument(f"staging={limit!r} must be at least 1 byte")
        self.limit = limit or min(_MOST, shutil.disk_usage(tempfile.gettempdir()).free // 4)
        self.used = 0
        self.peak = 0
        self._copies: dict[tuple[str, str], _Copy] = {}
        self._change = threading.Condition()
        self._turn = threading.Lock()
        self._closed = False
        self._threads = ThreadPoolExecutor(AHEAD, "tilekit-prefetch")
        self._store = S3Store(connections=10 * AHEAD)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for copy in self._copies.values():
            copy.stack.close()

    def submit(self, source: ScanFile, start: Callable[[str], Future[Any]]) -> Future[Any]:
        """Call `start(local path)` once the source is here; the future is that call's, or the download's error."""
        outer: Future[Any] = Future()
        self._threads.submit(self._carry, source, start, outer)
        return outer

    def _carry(self, source: ScanFile, start: Callable[[str], Future[Any]], outer: Future[Any]) -> None:
        if not outer.set_running_or_notify_cancel():
            return
        try:
            copy = self._acquire(source)
        except BaseException as exc:  # noqa: BLE001 - it is the task's reason
            outer.set_exception(exc)
            return

        def land(inner: Future[Any]) -> None:
            self._release(copy)
            error = inner.exception()
            if error is not None:
                outer.set_exception(error)
            else:
                outer.set_result(inner.result())

        try:
            start(copy.path.result()).add_done_callback(land)
        except BaseException as exc:  # noqa: BLE001 - an executor that takes no more
            self._release(copy)
            outer.set_exception(exc)

    def _acquire(self, source: ScanFile) -> _Copy:
        """The source's copy, downloaded by whoever asks first."""
        name = source.uri, source.identity
        with self._turn, self._change:  # one at a time waits for room, in the order of tasks
            copy = self._copies.get(name)
            fetch = copy is None
            if copy is None:
                copy = self._copies[name] = self._make_room(size_of(source.identity))
            copy.users += 1
        if fetch:
            try:
                etag = etag_of(source.identity)
                path = copy.stack.enter_context(staged(source.uri, etag=etag, store=self._store))
                copy.path.set_result(str(path))
            except BaseException as exc:  # noqa: BLE001 - told to all who wait for this copy
                copy.path.set_exception(exc)
        try:
            copy.path.result()
        except BaseException:
            self._release(copy)
            with self._change:
                if self._copies.get(name) is copy:
                    self._drop(name)
            raise
        return copy

    def _make_room(self, size: int) -> _Copy:
        """Wait until `size` more bytes may lie on disk; idle copies go first, oldest first."""
        while True:
            if self._closed:
                raise TilekitError("the run was stopped")
            for name in [name for name, copy in self._copies.items() if not copy.users]:
                if self.used + size <= self.limit:
                    break
                self._drop(name)
            if self.used + size <= self.limit or not self._copies:
                self.used += size
                self.peak = max(self.peak, self.used)
                return _Copy(size)
            self._change.wait()

    def _drop(self, name: tuple[str, str]) -> None:
        copy = self._copies.pop(name)
        self.used -= copy.size
        copy.stack.close()
        self._change.notify_all()

    def _release(self, copy: _Copy) -> None:
        with self._change:
            copy.users -= 1
            self._change.notify_all()
