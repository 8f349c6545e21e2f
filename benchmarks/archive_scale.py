"""How an archive run scales past one machine: a small simulation fed with measured figures.

`python benchmarks/archive_scale.py` measures, on this machine, what one task costs the parent (submit,
ledger, log) and prints hours for 10^6 scans on 1 to 1,000 cores, with the first bottleneck named.
The model: cores work at the measured rate; the parent hands out tasks one at a time; tiles go to S3
under as many key prefixes as there are scan folders. All assumptions are arguments.
"""

from __future__ import annotations

import argparse
import heapq
import json
import resource
import tempfile
import time
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np

from tilekit import TileJob, Tiling, process_archive
from tilekit.archive.working import Outcome
from tilekit.scans.encoding import encode_image

# "every task takes on the order of 1ms of overhead": https://docs.dask.org/en/stable/best-practices.html
DASK_SECONDS = 0.001
S3_PUTS_PER_PREFIX = (
    3500.0  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
)


class Instant(Executor):
    """An executor whose tasks end at once, done: what is left is the parent's own work."""

    _max_workers = 64

    def submit(self, function: Any, /, *args: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(Outcome(function.task, "done", info={"tiles": 12, "pixels": 10**7}))
        return future


def parent_seconds(count: int = 5000) -> float:
    """CPU seconds of the parent for one task, ledger and log included."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "in").mkdir()
        for number in range(count):
            (root / "in" / f"{number}.jpg").touch()
        before = resource.getrusage(resource.RUSAGE_SELF)
        process_archive(root / "in", root / "out", TileJob(Tiling(1024, 128)), Instant())
        after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent / count


def worker_seconds(megapixels: float = 8.4, count: int = 6) -> float:
    """Seconds one core takes for one page of this size, tiled to files."""
    side = int((megapixels * 1e6) ** 0.5)
    rng = np.random.default_rng(0)
    page = np.full((side, side, 3), 240, np.uint8)
    page[::37] = 30
    page += rng.integers(0, 6, page.shape, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "in").mkdir()
        data = encode_image(page, "jpeg").data
        for number in range(count):
            (root / "in" / f"{number}.jpg").write_bytes(data)
        begun = time.perf_counter()
        summary = process_archive(root / "in", root / "out", TileJob(Tiling(1024, 128)), workers=1)
        assert summary.done == count
        return (time.perf_counter() - begun) / count


def simulate(
    scans: int, cores: int, worker: float, parent: float, tiles: int, prefixes: int, shards: int
) -> tuple[float, str]:
    """Seconds for `scans` on `cores`, and what bounds them: cores, parent or S3.

    Each shard has a parent of its own; a parent hands a task to a free core every `parent` seconds.
    Simulated task by task for up to 20,000 tasks of one shard, then scaled.
    """
    per_shard = max(1, cores // shards)
    sample = min(scans // shards, 20_000)
    free = [0.0] * per_shard
    heapq.heapify(free)
    clock = 0.0
    for _ in range(sample):
        clock = max(clock + parent, 0.0)
        begin = max(clock, heapq.heappop(free))
        heapq.heappush(free, begin + worker)
    seconds = max(free) * (scans / shards) / sample
    storage = scans * tiles / (S3_PUTS_PER_PREFIX * prefixes)
    if storage > seconds:
        return storage, "S3 requests"
    return seconds, "the scheduler" if parent * per_shard > worker else "cores"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scans", type=int, default=1_000_000)
    options.add_argument("--tiles", type=int, default=16, help="tiles a scan")
    options.add_argument("--prefixes", type=int, default=100, help="folders the scans lie in")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    parent, worker = parent_seconds(), worker_seconds()
    rows = []
    plans = ((1, 1, "processes"), (100, 1, "Dask"), (1000, 1, "Dask"), (1000, 100, "shards"))
    for cores, shards, how in plans:
        each = parent + (DASK_SECONDS if how == "Dask" else 0.0)
        seconds, bound = simulate(given.scans, cores, worker, each, given.tiles, given.prefixes, shards)
        rows.append({"cores": cores, "how": how, "hours": round(seconds / 3600, 2), "bound": bound})
    result = {"parent_ms": round(parent * 1e3, 3), "worker_ms": round(worker * 1e3, 1), "rows": rows}
    if given.json:
        print(json.dumps(result, indent=2))
        return
    print(f"parent {result['parent_ms']} ms a task, worker {result['worker_ms']} ms a page of 8.4 Mpx")
    for row in rows:
        print(f"{row['cores']:>5} cores by {row['how']}: {row['hours']} h, bound by {row['bound']}")


if __name__ == "__main__":
    main()
