"""DatasetJob: a labeled archive to a tiled dataset, pages on any executor."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from tilekit.archive.admitting import usable_memory
from tilekit.archive.executors import Pool, is_lost_worker
from tilekit.archive.faults import place_fault
from tilekit.archive.jobs import PROCESS
from tilekit.archive.options import ArchiveOptions
from tilekit.archive.summary import ArchiveSummary
from tilekit.archive.working import WholeJob
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.options import DatasetOptions
from tilekit.datasets.sources import open_page
from tilekit.datasets.summary import DatasetSummary
from tilekit.errors import ScanError, TilekitError
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.scales import Scales
from tilekit.storage.local import remove_parts
from tilekit.storage.s3 import is_s3

_OPTIONS = DatasetOptions()
_DIED = "its worker died twice (killed for memory, or a crash in a decoder)"


@dataclass(frozen=True)
class DatasetJob(WholeJob):
    """Cut a labeled archive into a dataset: `process_archive("labels.manifest", "out/", DatasetJob(tiling))`.

    What a dataset is made of (split, sampling, manifests) concerns all pages at once, so the input is
    the label file, and the pages' tiles are what goes to the workers. `split`, `options`: as in
    `tile_dataset`; a page that cannot be read is set aside with its reason, and tried again by the next run.
    """

    tiling: Tiling | Scales
    split: tuple[float, ...] | str | None = None
    options: DatasetOptions = _OPTIONS

    def build(
        self,
        labels: LabelSet | str | os.PathLike[str],
        out: str | os.PathLike[str],
        pool: Pool,
        options: ArchiveOptions,
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> ArchiveSummary:
        """The dataset, its pages written on `pool`."""
        started = time.perf_counter()
        chosen = replace(self.options, workers=pool.size, strict=False)
        crew = Stubborn(pool, options, on_event)
        try:
            built = tile_dataset(labels, out, self.tiling, split=self.split, options=chosen, executor=crew)
        except TooManyFailures as exc:
            crew.summary.stopped = str(exc)
        except TilekitError as exc:
            if not (reason := place_fault(exc, writing=True)):
                raise
            crew.summary.stopped = reason
        else:
            crew.summary = summary_of(built, 0.0)
        finally:
            if crew.lost and not is_s3(out):  # what killed workers had half written
                remove_parts(out)
        crew.summary.retried = crew.lost
        crew.summary.seconds = time.perf_counter() - started
        return crew.summary


class TooManyFailures(TilekitError):
    """More pages failed than were allowed."""


class Stubborn:
    """Tries a page once more when its worker died; then it is set aside with that reason.

    Pages in flight stay within the options' memory; more failures than allowed end the run; events are told.
    """

    def __init__(
        self,
        pool: Pool,
        options: ArchiveOptions | None = None,
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._pool, self._options, self._on_event = pool, options or ArchiveOptions(), on_event
        self._memory = self._options.memory or usable_memory()
        self._changed = threading.Condition()
        self._flying = 0
        self.lost = 0
        self.summary = ArchiveSummary()

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Start `fn(tasks)` of one page, which gives (bytes of each, error), once there is memory for it."""
        outer: Future[Any] = Future()
        tasks = args[0]
        cost = page_cost(tasks)
        with self._changed:
            while self._flying and self._flying + cost > self._memory:
                self._changed.wait()
            most = self._options.max_failures
            if most is not None and self.summary.failed > most:
                raise TooManyFailures(f"more than {most} pages failed")
            self._flying += cost
        self._start(outer, fn, tasks, cost, 1)
        return outer

    def _start(
        self, outer: Future[Any], fn: Callable[..., Any], tasks: Sequence[Any], cost: int, tries: int
    ) -> None:
        began = time.perf_counter()

        def land(inner: Future[Any]) -> None:
            error = inner.exception()
            if error is not None and is_lost_worker(error) and tries:
                self.lost += 1
                self._start(outer, fn, tasks, cost, tries - 1)
                return
            result = inner.result() if error is None else ([], ScanError(_DIED))
            known = error is None or is_lost_worker(error)
            self._end(tasks, cost, str(result[1] or "") if known else "", began)
            if error is not None and not is_lost_worker(error):
                outer.set_exception(error)
            else:
                outer.set_result(result)

        self._pool.submit(fn, tasks).add_done_callback(land)

    def _end(self, tasks: Sequence[Any], cost: int, reason: str, began: float) -> None:
        key = tasks[0].page.key
        with self._changed:
            self._flying -= cost
            if reason:
                self.summary.failed += 1
                self.summary.fail(str(key), reason)
            else:
                self.summary.done += 1
            self._changed.notify_all()
        if self._on_event is not None:
            event = {"event": "failed" if reason else "done", "source": key.source, "page": key.page}
            told = {"reason": reason} if reason else {"tiles": sum(len(task.tiles) for task in tasks)}
            self._on_event(event | told | {"seconds": round(time.perf_counter() - began, 4)})


def page_cost(tasks: Sequence[Any]) -> int:
    """Bytes at most of a labeled page and its scales: what `Scan.cost` says of one on this disk.

    One that is elsewhere, or cannot be opened (which its worker will tell), by its size alone: three rows of tiles in color.
    """
    first, page = tasks[0], tasks[0].page
    grids = [page.grid(task.tiling) for task in tasks]
    if not is_s3(page.key.source):
        size = page.width, page.height
        with (
            contextlib.suppress(TilekitError),
            open_page(page.key, size, first.dpi, first.tiling, page.untrusted) as scan,
        ):
            return PROCESS + max(scan.cost(grid) for grid in grids)
    return PROCESS + max(
        3 * int(grid.base_width * min(grid.base_height, 3 * grid.lines.tile)) for grid in grids
    )


def summary_of(built: DatasetSummary, seconds: float) -> ArchiveSummary:
    """A dataset's outcome in the words of an archive run."""
    failures = {str(key): reason for key, reason in built.failed.items()}
    sides: Sequence[Any] = list(built.sides.values())
    return ArchiveSummary(
        done=sum(side.pages for side in sides),
        failed=len(failures),
        tiles=sum(side.tiles for side in sides),
        seconds=seconds,
        failures=failures,
    )
