"""A model running for as long as a block of code: what it started, it stops."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from tilekit.aws.deadlines import Watch, Watcher
from tilekit.aws.guard import CloudGuard
from tilekit.aws.keeping import is_unkept, last_sign
from tilekit.aws.leases import Lease, LeaseBook, Started
from tilekit.aws.switching import STARTABLE, Switch
from tilekit.aws.waiting import poll
from tilekit.errors import InvalidArgument, ModelNotReady, StorageError
from tilekit.rekognition.pricing import PRICES, dollars, duration
from tilekit.storage.s3 import S3Location, S3Store

_ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # a closing terminal sends the last; Windows has none


@dataclass(frozen=True)
class Safeguards:
    """What stops a model beside the block that started it; see `Model.running`."""

    share: bool = True
    watchdog: bool = True
    deadline: float | None = None
    guard_role: str | None = None

    def __post_init__(self) -> None:
        if self.deadline is not None and self.deadline <= 0:
            raise InvalidArgument(f"deadline={self.deadline!r} must be above 0 seconds")
        if self.guard_role is not None and self.deadline is None:
            raise InvalidArgument("guard_role: needs deadline=, at which the schedule stops the model")


class RunningModel:
    """Enters by making a model run, leaves by stopping it if that was ours to do.

    `owned` says whether the model is stopped at the end: it was started here, or by other workers of tilekit
    that share it (the last one out stops it). A model that was running before is left running.
    """

    def __init__(
        self,
        switch: Switch,
        store: S3Store,
        folder: S3Location,
        units: int,
        max_units: int | None,
        kept: Safeguards,
    ) -> None:
        self.switch, self.note, self.access = switch, switch.note, store.access
        self.units, self.max_units = units, max_units
        self.book = LeaseBook(store, folder) if kept.share else None
        self.watchdog = kept.watchdog and store.access.session is None
        self.until = None if kept.deadline is None else time.time() + kept.deadline
        self.guard = CloudGuard(store.access, switch.arn, kept.guard_role) if kept.guard_role else None
        self.owned = False
        self.since = time.time()
        self._lease: Lease | None = None
        self._watcher: Watcher | None = None

    def enter(self) -> None:
        """Make the model run."""
        if self.book is not None:
            self._lease = self.book.take()
        while True:
            if self.book is not None:
                self._wait_for_closing(self.book)
            status = self.switch.describe()["Status"]
            if status == "STOPPING":
                self.switch.wait_stopped()
            elif status in {"RUNNING", "STARTING"}:
                self._join(status)
                return
            elif status in STARTABLE:
                if self._start():
                    return
            else:
                raise ModelNotReady(
                    f"{self.switch.name}: is {status.lower().replace('_', ' ')}; only a trained model can run",
                    code=status,
                    operation="StartProjectVersion",
                )

    def _wait_for_closing(self, book: LeaseBook) -> None:
        assert self._lease is not None
        if book.is_closing(self._lease.now):
            self.note(f"{self.switch.name}: somebody is just stopping it; waiting")
            lease = self._lease
            poll(
                lambda: book.is_closing(lease.touch()),
                lambda closing: not closing,
                every=self.switch.polling.running,
                words=lambda _: "",
            )

    def _join(self, status: str) -> None:
        started = self.book.started() if self.book is not None else None
        if self.book is not None and started is not None and started.kind == "deploy":
            now, own = (self._lease.now, self._lease.name) if self._lease else (time.time(), "")
            if is_unkept(started, last_sign(self.book, started, but=own), now):
                self.note(f"{self.switch.name}: whoever was to stop it is gone; it is stopped after this")
                started = replace(started, kind="run", until=self.until)
                self.book.write_started(started)
        if started is not None and started.kind == "run":
            self.owned = True
            self._arm()
            self.note(
                f"{self.switch.name}: started by another worker of tilekit; shared, the last one out stops it"
            )
        else:
            kept = "" if started is not None else "; tilekit did not start it, so nobody here stops it"
            self.note(f"{self.switch.name}: was {status.lower()} already; it is used, and left running{kept}")
        self.switch.wait_running()

    def _start(self) -> bool:
        units = self.max_units or self.units
        # Everything that stops the model stands before it starts.
        self.owned = True
        if self.book is not None:
            self.book.write_started(Started("run", units, until=self.until, guard=self.guard is not None))
        self._arm()
        if self.guard is not None and self.until is not None:
            self.guard.arm(self.until)
        self.note(
            f"{self.switch.name}: starting with {units} unit{'s' if units > 1 else ''}, {dollars(PRICES.unit_hour * units)} an hour"
        )
        if not self.switch.start(self.units, self.max_units):
            self._disarm()
            self.owned = False
            return False  # another worker was faster
        self.since = time.time()
        self.switch.wait_running()
        return True

    def _arm(self) -> None:
        if not self.watchdog or self._watcher is not None:
            return
        access = self.access
        self._watcher = Watcher(
            Watch(
                self.switch.arn,
                self.switch.project_arn,
                str(self.book.place) if self.book is not None else "",
                access.region,
                access.profile,
                access.endpoint_url,
                parent=os.getpid(),
                lease=self._lease.name if self._lease is not None else "",
                until=self.until,
            )
        )
        if self._lease is not None:
            self._lease.also = self._watcher.revive

    def _disarm(self) -> None:
        if self._lease is not None:
            self._lease.also = None
        if self._watcher is not None:
            self._watcher.dismiss()
            self._watcher = None

    def leave(self) -> None:
        """Stop the model if it is ours and nobody else uses it. The watcher goes on where this fails."""
        name = self._lease.name if self._lease is not None else ""
        if self._lease is not None:
            self._lease.end()
        if not self.owned:
            if self.book is not None:
                self.book.drop(name)
            self._disarm()
            return
        try:
            stopped = self._close(name)
        except StorageError as exc:  # who else uses it cannot be known; a bill that ends is the lesser evil
            self.note(f"{self.switch.name}: {exc}; stopping it without asking other workers")
            self.switch.stop()
            stopped = True
        self._disarm()
        if stopped and self.guard is not None:
            self.guard.disarm()
        if not stopped:
            self.note(f"{self.switch.name}: others still use it; left running for them")
            return
        spent = time.time() - self.since
        cost = PRICES.running(spent, self.max_units or self.units)
        self.note(
            f"{self.switch.name}: ran {duration(spent)}; its inference units cost at most about {dollars(cost)} for that time"
        )

    def _close(self, name: str) -> bool:
        if self.book is not None:
            return self.book.close(self.switch.stop, name)
        self.switch.stop()
        return True


class Signals:
    """SIGTERM, SIGHUP and Ctrl-C end the block; from the first one on, further ones are answered but change nothing.

    Only the main thread can do this; elsewhere it does nothing, since Ctrl-C never reaches other threads.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._ending = False
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Take the signals."""
        if threading.current_thread() is threading.main_thread():
            for number in _ENDING:
                self._before[number] = signal.signal(number, self._handle)

    def hold(self) -> None:
        """From now on signals do not interrupt."""
        self._ending = True

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._ending:
            self._note("the model is being stopped; please wait, this ends the bill")
            return
        self._ending = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)
