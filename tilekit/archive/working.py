"""What runs in a worker: one task, start to end, its errors turned into a reason."""

from __future__ import annotations

import contextlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tilekit.archive.faults import place_fault
from tilekit.archive.sources import ScanFile
from tilekit.errors import TilekitError
from tilekit.ledger import Record
from tilekit.pages import PageKey
from tilekit.storage.identity import etag_of, is_unchanged
from tilekit.storage.s3 import default_store, is_s3

if TYPE_CHECKING:
    from tilekit.archive.executors import Pool
    from tilekit.archive.options import ArchiveOptions
    from tilekit.archive.summary import ArchiveSummary
    from tilekit.scans.scan import Scan
    from tilekit.scans.source import ScanSource

Kind = Literal["done", "failed", "too_big", "place"]


@dataclass(frozen=True, slots=True)
class Task:
    """One page of one source. Page 0 also learns how many pages the source has."""

    source: ScanFile
    page: int = 0

    @property
    def key(self) -> str:
        """The task's name in the ledger: relative path, pages counted from one."""
        return str(PageKey(self.source.relative, self.page))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended. `info` holds counts and outputs; `cost` is bytes, for "too_big" only.

    "place": not the scan's fault (a full disk, a login that ended); the run is to end, and nothing is recorded.
    """

    task: Task
    kind: Kind
    reason: str = ""
    pages: int = 1
    cost: int = 0
    seconds: float = 0.0
    worker: str = ""
    info: dict[str, Any] = field(default_factory=dict)


class Job(Protocol):
    """What is done with each page: frozen, picklable, deterministic."""

    def recipe(self) -> str:
        """Everything that shapes the outputs, as stable text."""

    def cost(self, scan: Scan) -> int:
        """Peak bytes this page takes."""

    @property
    def dpi(self) -> float | None:
        """Resolution at which PDF pages are opened; None for the default."""

    def session(self, note: Callable[[str], None]) -> AbstractContextManager[None]:
        """What must be up while the archive runs, such as a model; entered once, in the caller's process.

        `note` hears what it waits for; the run tells it as an event.
        """

    def run(self, task: Task, scan: Scan, out: str) -> dict[str, Any]:
        """Process the open page; returns JSON values: tiles, pixels, outputs [[name, bytes], ...]."""

    def finish(self, out: str, records: Iterator[Record]) -> None:
        """Join what pages left apart, once a whole run has ended; `records`: all pages done, in key order."""

    def discard(self, task: Task, out: str) -> None:
        """Remove whatever an unfinished or outdated run of this task left."""


class WholeJob(ABC):
    """A job that concerns all pages at once: it takes one input and puts its pages on the pool itself."""

    @abstractmethod
    def build(
        self,
        labels: str | os.PathLike[str],
        out: str | os.PathLike[str],
        pool: Pool,
        options: ArchiveOptions,
        on_event: Callable[[dict[str, Any]], None] | None,
    ) -> ArchiveSummary:
        """All of it, within the options; what failed is in the summary."""


def opening_of(job: Job) -> dict[str, Any]:
    """How a job's scans are opened: bands and levels as its recipe says, and whether any reader may be used."""
    from tilekit.scales import shown

    recipe = getattr(job, "tiling", None)
    return {} if recipe is None else {**shown(recipe), "untrusted": getattr(job, "untrusted", False)}


def run_task(
    job: Job, task: Task, out: str, allowance: int | None, near: str | None = None, *, clean: bool = False
) -> Outcome:
    """Run one task; every failure comes back as an Outcome with its reason.

    `allowance`: bytes this task was admitted with; one that needs more is not begun but comes
    back as "too_big" with its cost. None: already admitted at its full cost. `near`: a local copy
    of a source on S3; without one it is staged here, and its ETag checked. `clean`: first remove what
    somebody who died may have left of this page.
    """
    from tilekit.scans.opening import open_scan

    started = time.perf_counter()
    pages = 1
    writing = False

    def outcome(kind: Kind, reason: str = "", cost: int = 0, info: dict[str, Any] | None = None) -> Outcome:
        seconds = time.perf_counter() - started
        return Outcome(task, kind, reason, pages, cost, seconds, str(os.getpid()), info or {})

    def failed(error: Exception, words: str) -> Outcome:
        if reason := place_fault(error, writing=writing):
            return outcome("place", reason)
        return outcome("failed", words)

    try:
        if clean:
            job.discard(task, out)
        with (
            _staged(task.source, near) as source,
            open_scan(source, page=task.page, dpi=job.dpi, **opening_of(job)) as scan,
        ):
            pages = scan.pages
            cost = job.cost(scan)
            if allowance is not None and cost > allowance:
                return outcome("too_big", cost=cost)
            writing = True
            done = job.run(task, scan, out)
        if not is_s3(task.source.uri) and not is_unchanged(task.source.uri, task.source.identity):
            job.discard(task, out)
            return outcome("failed", f"{task.source.uri}: changed while it was read; run again")
        return outcome("done", info=done)
    except TilekitError as exc:
        return failed(exc, str(exc))
    except MemoryError:
        return outcome("failed", f"{task.source.uri}: out of memory")
    except Exception as exc:  # noqa: BLE001 - whatever one scan brings up must not end the archive
        return failed(exc, f"{task.source.uri}: {type(exc).__name__}: {exc}")


@contextlib.contextmanager
def _staged(source: ScanFile, near: str | None) -> Iterator[ScanSource]:
    from tilekit.scans.source import named_source
    from tilekit.storage.staging import staged

    if near is not None:
        yield named_source(source.uri, Path(near), source.identity)
    elif is_s3(source.uri):
        with staged(source.uri, etag=etag_of(source.identity), store=default_store()) as path:
            yield named_source(source.uri, path, source.identity)
    else:
        yield source.uri
