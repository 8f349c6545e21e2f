"""What a run would take, before anything is written: pages, tiles, bytes, time, calls and dollars."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tilekit.archive.executors import available_cores
from tilekit.archive.options import ArchiveOptions
from tilekit.archive.sources import LeftAside, ScanFile, found_sources, identified
from tilekit.archive.state import ledger_files, state_of
from tilekit.archive.working import Job, Task, opening_of, run_task
from tilekit.errors import ScanError, StorageError
from tilekit.grid import Tiling
from tilekit.ledger import Ledger
from tilekit.scales import Scales, as_scales
from tilekit.scans.opening import open_scan
from tilekit.storage.s3 import is_s3

SAMPLE = 5


@dataclass
class Forecast:
    """Of a whole run: `pages` and `tiles` in all, `done` pages recorded before, `bytes` out and `seconds` scaled up from
    `timed` pages done for the sake of it, `free` bytes where they go (None on S3), `memory` in bytes of the
    page that takes most (see `Scan.cost`),
    `calls` and `dollars` of a Custom Labels model. `unreadable`: path -> reason. `left_aside`: see ArchiveSummary.
    """

    pages: int = 0
    tiles: int = 0
    pixels: int = 0
    done: int = 0
    bytes: int = 0
    seconds: float = 0.0
    workers: int = 1
    timed: int = 0
    free: int | None = None
    memory: int = 0
    calls: int = 0
    dollars: float | None = None
    unreadable: dict[str, str] = field(default_factory=dict)
    left_aside: dict[str, int] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether the disk has room for it."""
        return self.free is None or self.bytes <= self.free

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "seconds": round(self.seconds, 1), "fits": self.fits}


def forecast(
    inputs: list[str],
    out: str | os.PathLike[str],
    job: Job,
    *,
    workers: int | None = None,
    options: ArchiveOptions | None = None,
    progress: Callable[[int], object] | None = None,
) -> Forecast:
    """Go through the headers of all scans and do a few pages, into a temporary folder that is removed.

    The pages timed are drawn evenly from all of them; a model that must run is not asked. Scans on S3 are counted
    as one page each of the size of those drawn: opening all would download them. Nothing is written to `out`.
    """
    given = options or ArchiveOptions()
    found = Forecast(workers=workers or available_cores(), free=_free(out))
    scales = as_scales(getattr(job, "tiling", None) or Tiling())
    draw, sample = (
        random.Random(0),
        list[tuple[ScanFile, int]](),
    )  # reservoir: every page as likely as any other
    remote = 0
    aside = LeftAside(out)
    for source in chain.from_iterable(identified(found_sources(inputs, aside), "stat")):
        if source.problem:
            found.unreadable[source.uri] = source.problem
            continue
        for page, tiles, pixels in [(0, 0, 0)] if is_s3(source.uri) else _pages(source, scales, job, found):
            remote += is_s3(source.uri)
            found.pages += 1
            found.tiles += tiles
            found.pixels += pixels
            if len(sample) < SAMPLE:
                sample.append((source, page))
            elif (place := draw.randrange(found.pages)) < SAMPLE:
                sample[place] = source, page
        if progress is not None:
            progress(found.pages)
    found.left_aside = dict(aside)
    _time(found, sample, job, remote)
    found.done = _done_before(out, given)
    if getattr(job, "is_cloud", False):
        from tilekit.aws.deploying import plan_detection

        planned = plan_detection(found.tiles, units=getattr(job, "units", 1))
        found.calls, found.dollars, found.seconds = planned.calls, planned.cost, planned.seconds
    return found


def _pages(source: ScanFile, scales: Scales, job: Job, found: Forecast) -> list[tuple[int, int, int]]:
    pages = []
    try:
        number, count = 0, 1
        while number < count:
            with open_scan(source.uri, page=number, dpi=job.dpi, **opening_of(job)) as scan:
                count = scan.pages
                places = scales.on(scan.width, scan.height, dpi=scan.dpi)
                tiles = sum(len(scan.grid(scales[place])) for place in places)
                found.memory = max(found.memory, job.cost(scan))
                pages.append((number, tiles, scan.width * scan.height))
            number += 1
    except ScanError as exc:
        found.unreadable[source.uri] = str(exc)
    return pages


def _time(found: Forecast, sample: list[tuple[ScanFile, int]], job: Job, remote: int) -> None:
    tiles = size = pixels = 0
    spent = 0.0
    for source, page in sample:
        with tempfile.TemporaryDirectory(prefix="tilekit-forecast-") as folder:
            began = time.perf_counter()
            if getattr(job, "is_cloud", False):
                continue
            outcome = run_task(job, Task(source, page), folder, None)
            if outcome.kind != "done":
                found.unreadable.setdefault(source.uri, outcome.reason)
                continue
            spent += time.perf_counter() - began
            found.timed += 1
            tiles += int(outcome.info.get("tiles", 0))
            pixels += int(outcome.info.get("pixels", 0))
            size += sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    if not found.timed:
        return
    if remote:
        found.tiles += round(remote * tiles / found.timed)
        found.pixels += round(remote * pixels / found.timed)
    share = found.pixels / max(1, pixels)
    found.bytes = round(size * share)
    found.seconds = spent * share / min(found.workers, max(1, found.pages))


def _done_before(out: str | os.PathLike[str], options: ArchiveOptions) -> int:
    from tilekit.archive.joining import all_records

    where = state_of(out, options.state)
    count = 0
    with contextlib.suppress(StorageError):
        for path in ledger_files(where):
            with Ledger(path) as ledger:
                count += ledger.count("done")
        count += sum(record.state == "done" for record in all_records(where))
    return count


def _free(out: str | os.PathLike[str]) -> int | None:
    if is_s3(out):
        return None
    folder = Path(out).absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
