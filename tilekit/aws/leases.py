"""Leases: several workers share a running model, and the last one out stops it.

Everything lies as small objects beside the model's recipe, so it works across machines:
`leases/<id>` of each worker, touched once a minute; `started.json`, there while the model runs because
tilekit started it; `closing/<id>` of each who is about to stop it, touched likewise. S3 answers with what was
written last, so either the one who closes sees a newcomer's lease, or the newcomer sees that it is closing,
or both. `keepers/<id>` of the process that will stop it at its deadline. Each closing has a mark of its own: one that ends must not hide another that goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from tilekit.errors import StorageError, StorageNotFound
from tilekit.storage.s3 import S3Location, S3Store

TOUCH_SECONDS = 60.0
LEASE_SECONDS = 300.0

Room = Literal["leases", "closing", "keepers"]


@dataclass(frozen=True)
class Started:
    """Who started a model: `kind` "run" (stopped by the last worker) or "deploy" (stays until told).

    `units` at most, `until` epoch seconds of the deadline, `idle` seconds, `guard` whether a schedule in the
    cloud stops it too. `at` is the bucket's own time.
    """

    kind: Literal["run", "deploy"] = "run"
    units: int = 1
    by: str = ""
    until: float | None = None
    idle: float | None = None
    guard: bool = False
    at: float = 0.0


class LeaseBook:
    """The leases of one model, below `place`. Times compared are the bucket's own."""

    def __init__(self, store: S3Store, place: S3Location) -> None:
        self.store = store
        self.place = place

    def take(self) -> Lease:
        """Take a lease, kept alive by a thread until it is dropped."""
        return Lease(self, uuid.uuid4().hex)

    def put(self, name: str, room: Room = "leases") -> float:
        """Write or touch a lease, or the mark of a closing; gives the bucket's time."""
        where = self.place / room / name
        self.store.put(where, whoami().encode())
        return self.store.head(where).modified.timestamp()

    def drop(self, name: str, room: Room = "leases") -> None:
        """Remove a lease, or the mark of a closing."""
        self.store.delete(self.place / room / name)

    def others(self, now: float, own: str = "", room: Room = "leases") -> list[str]:
        """Live leases (or closings) of others; those not touched for five minutes are dead and are removed."""
        alive = []
        for item in self.store.list(self.place / f"{room}/"):
            name = item.location.key.rsplit("/", 1)[-1]
            if name == own:
                continue
            if now - item.modified.timestamp() < LEASE_SECONDS:
                alive.append(name)
            else:
                self.drop(name, room)
        return alive

    def snapshot(self) -> frozenset[tuple[str, datetime]]:
        """All leases with their last touch: unchanged means unused."""
        return frozenset(
            (item.location.key, item.modified) for item in self.store.list(self.place / "leases/")
        )

    def started(self) -> Started | None:
        """Who started the model, or None if tilekit did not."""
        where = self.place / "started.json"
        try:
            value: dict[str, Any] = json.loads(self.store.get_text(where))
            value["at"] = self.store.head(where).modified.timestamp()
            return Started(**value)
        except StorageNotFound:
            return None
        except (ValueError, TypeError) as exc:
            raise StorageError(f"{where}: is not what tilekit writes there; remove it") from exc

    def write_started(self, started: Started) -> None:
        """Say that tilekit starts the model."""
        value = {key: item for key, item in asdict(started).items() if key != "at"}
        value["by"] = whoami()
        self.store.put(self.place / "started.json", json.dumps(value).encode())

    def clear_started(self) -> None:
        """The model is stopped, or was not started after all; what keepers left goes too."""
        for item in list(self.store.list(self.place / "keepers/")):
            self.store.delete(item.location)
        self.store.delete(self.place / "started.json")

    def is_closing(self, now: float) -> bool:
        """Whether somebody is stopping the model; what a dead process left is removed after five minutes."""
        return bool(self.others(now, room="closing"))

    def close(self, stop: Callable[[], None], own: str = "") -> bool:
        """Stop the model by `stop` unless others hold a lease, or it was deployed meanwhile; says whether it did.

        If `stop` fails, what was written stays, so that the next one can take over.
        """
        if own:
            self.drop(own)
        mark = Lease(self, uuid.uuid4().hex, "closing")
        try:
            started = self.started()
            wanted = bool(self.others(mark.now, own)) or (started is not None and started.kind == "deploy")
            if not wanted:
                stop()
                self.clear_started()
        finally:
            mark.end()
        self.drop(mark.name, "closing")
        return not wanted


class Lease:
    """A worker's lease, or the mark of its closing; a thread touches it once a minute, and calls `also`."""

    def __init__(
        self,
        book: LeaseBook,
        name: str,
        room: Room = "leases",
        *,
        every: float = TOUCH_SECONDS,
        also: Callable[[], object] | None = None,
    ) -> None:
        self.book = book
        self.name = name
        self.room: Room = room
        self._every = every
        self.also = also
        self._ended = threading.Event()
        self.now = book.put(name, room)
        self._thread = threading.Thread(target=self._keep, name="tilekit-lease", daemon=True)
        self._thread.start()

    def touch(self) -> float:
        """Touch it now; gives the bucket's time."""
        self.now = self.book.put(self.name, self.room)
        return self.now

    def end(self) -> None:
        """Touch it no more; removing it is the book's."""
        self._ended.set()
        self._thread.join(timeout=5)

    def _keep(self) -> None:
        while not self._ended.wait(self._every):
            with contextlib.suppress(StorageError):  # tried again in a minute; five are allowed
                self.book.put(self.name, self.room)
            if self.also is not None:
                with contextlib.suppress(OSError):
                    self.also()


def whoami() -> str:
    """Host and process, for people who look into the bucket."""
    return f"{socket.gethostname()} process {os.getpid()} at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
