"""DatasetJob: a labeled archive to a tiled dataset, pages on any executor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, fields
from typing import Any

from tilekit.archive.executors import Pool, is_lost_worker
from tilekit.archive.summary import ArchiveSummary
from tilekit.archive.working import WholeJob
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.carrying import Slivers
from tilekit.datasets.summary import DatasetSummary
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.scans.encoding import ImageFormat, Subsampling


@dataclass(frozen=True)
class DatasetJob(WholeJob):
    """Cut a labeled archive into a dataset: `process_archive("labels.manifest", "out/", DatasetJob(tiling))`.

    What a dataset is made of (split, sampling, manifests) concerns all pages at once, so the input is
    the label file, and the pages' tiles are what goes to the workers. Settings as in `tile_dataset`;
    a page that cannot be read is set aside with its reason, and tried again by the next run.
    """

    tiling: Tiling
    min_visible: float = 0.5
    split: tuple[float, ...] | str = (0.7, 0.15, 0.15)
    seed: int = 0
    keep_empty: int = 0
    slivers: Slivers = "mask"
    decoys: str | None = None
    baseline: bool = False
    bucket: str | None = None
    format: ImageFormat = "jpeg"
    quality: int = 90
    subsampling: Subsampling = "444"
    images: str | None = None
    dpi: float | None = None

    def build(
        self,
        labels: LabelSet | str | os.PathLike[str],
        out: str | os.PathLike[str],
        pool: Pool,
    ) -> ArchiveSummary:
        """The dataset, its pages written on `pool`."""
        started = time.perf_counter()
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        built = tile_dataset(
            labels,
            out,
            **settings,
            workers=pool.size,
            strict=False,
            executor=Stubborn(pool),
        )
        return summary_of(built, time.perf_counter() - started)


class Stubborn:
    """Tries a page once more when its worker died; then it is set aside with that reason."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.retried = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Start `fn(*args)`, which gives (bytes, reason)."""
        outer: Future[Any] = Future()
        self._start(outer, fn, args, 1)
        return outer

    def _start(self, outer: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], tries: int) -> None:
        def land(inner: Future[Any]) -> None:
            error = inner.exception()
            if error is None:
                outer.set_result(inner.result())
            elif not is_lost_worker(error):
                outer.set_exception(error)
            elif tries:
                self.retried += 1
                self._start(outer, fn, args, tries - 1)
            else:
                outer.set_result((0, "its worker died twice (killed for memory, or a crash in a decoder)"))

        self._pool.submit(fn, *args).add_done_callback(land)


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
