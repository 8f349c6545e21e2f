"""A process of its own that stops a model: when its parent dies, at a deadline, or when nobody uses it.

`python -m tilekit.aws.deadlines` reads one JSON line, the `Watch`, from its standard input. It holds no
secrets: credentials come from boto3's own chain, as for the parent. It is in a session of its own, so neither
Ctrl-C nor a closing terminal ends it. What it cannot survive is this machine going down or to sleep; the
cloud guard can (`tilekit.aws.guard`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tilekit.aws.guard import CloudGuard
from tilekit.aws.leases import Lease, LeaseBook
from tilekit.aws.service import Service
from tilekit.aws.switching import Switch
from tilekit.errors import StorageError, TilekitError
from tilekit.storage.s3 import Access, S3Location, S3Store

_PATIENCE = 6 * 3600.0
_DONE = b"done\n"


@dataclass(frozen=True)
class Watch:
    """What to watch. `parent`: stop when this process dies; `lease`: its lease.

    `until`: epoch seconds of the deadline; `idle`: seconds without a living lease; `every`: seconds between
    looks; `grace`: seconds in which the model need not have begun to start. `place` is the model's folder in the bucket, "" where it is not shared.
    """

    arn: str
    project_arn: str
    place: str = ""
    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    parent: int | None = None
    lease: str = ""
    until: float | None = None
    idle: float | None = None
    every: float = 15.0
    grace: float = 0.0


class Watcher:
    """The process as its parent sees it."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tilekit.aws.deadlines"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(self._watch)).encode() + b"\n")
        process.stdin.flush()
        if self._watch.parent is None:
            process.stdin.close()
        return process

    def revive(self) -> bool:
        """Start it anew where it was killed (for memory, say); says whether it had to be."""
        if self._process.poll() is None:
            return False
        self._process = self._spawn()
        return True

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def dismiss(self) -> None:
        """All is stopped and well; the watcher ends."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            try:
                stdin.write(_DONE)
                stdin.close()
            except OSError:
                pass
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def release(self) -> None:
        """Let it go on without us: a deadline outlives the command that set it."""
        self._process.returncode = 0  # not ours to wait for any more


def watch(spec: Watch, stdin: Any = None) -> str:
    """Wait for one of the reasons, then stop the model; gives the reason ("" if dismissed)."""
    access = Access(spec.region, spec.profile, spec.endpoint_url)
    # whoever started the model reached the service: no answer here is a network that went down
    service = Service(access, patience=_PATIENCE, first_patience=_PATIENCE)
    switch = Switch(service, spec.project_arn, spec.arn)
    book = LeaseBook(S3Store(access), _location(spec.place)) if spec.place else None
    keeper = _keeper(book) if book is not None and spec.parent is None else None
    try:
        reason = _wait(spec, switch, book, stdin)
    finally:
        if keeper is not None:
            keeper.end()
            with contextlib.suppress(StorageError):
                keeper.book.drop(keeper.name, "keepers")
    if not reason:
        return reason

    def stop() -> None:
        switch.stop(patience=_PATIENCE)

    if book is None:
        stop()
    elif reason == "parent":
        try:
            book.close(stop, spec.lease)
        except StorageError:  # who else uses it cannot be known; a bill that ends is the lesser evil
            stop()
    else:
        stop()
        _clear(access, book, spec.arn)
    return reason


def _keeper(book: LeaseBook) -> Lease | None:
    """A sign of life in the bucket, which ends with this machine."""
    with contextlib.suppress(StorageError):  # it keeps the deadline all the same
        return Lease(book, uuid.uuid4().hex, "keepers")
    return None


def _wait(spec: Watch, switch: Switch, book: LeaseBook | None, stdin: Any) -> str:
    began = used = time.time()
    seen: frozenset[tuple[str, datetime]] | None = None
    looked, was_live = 0.0, False
    while True:
        if spec.parent is not None:
            readable, _, _ = select.select([stdin], [], [], 0.5)
            if readable:
                # EOF without the word: the parent is gone
                return "" if os.read(stdin.fileno(), 64).endswith(_DONE) else "parent"
            if os.getppid() != spec.parent:
                return "parent"
        else:
            time.sleep(min(spec.every, 1.0))
        now = time.time()
        if spec.until is not None and now >= spec.until:
            return "deadline"
        if now - looked < spec.every or spec.parent is not None:
            continue
        looked = now
        try:
            if spec.idle is not None and book is not None:
                found = book.snapshot()
                if found != seen:
                    used, seen = now, found
                if now - used >= spec.idle:
                    return "idle"
            live = switch.describe()["Status"] in {"STARTING", "RUNNING"}
            was_live = was_live or live
            if not live and (was_live or now - began >= spec.grace):
                return ""
        except TilekitError:  # looked at again; the deadline itself needs no answer
            continue


def _clear(access: Access, book: LeaseBook, arn: str) -> None:
    started = book.started()
    book.clear_started()
    if started is not None and started.guard:
        CloudGuard(access, arn).disarm()


def _location(text: str) -> S3Location:
    bucket, _, key = text.removeprefix("s3://").partition("/")
    return S3Location(bucket, key)


def main() -> int:
    """Read the Watch and watch."""
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        line = stdin.readline()
        if not line:
            return 2
        watch(Watch(**json.loads(line)), stdin)
    return 0


if __name__ == "__main__":
    sys.exit(main())
