"""An archive on Ray: python archive_on_ray.py scans/ tiles/   (or scans made here); needs `pip install ray`."""

import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import ray

import tilekit as tk
from tilekit.testing.scans import write_scan


class RayExecutor(Executor):
    """Each submitted call is one Ray task; the archive itself tries the scan of a lost worker again."""

    def __init__(self) -> None:
        self._max_workers = int(ray.cluster_resources()["CPU"])
        self._call = ray.remote(max_retries=0)(lambda function, args, named: function(*args, **named))

    def submit(self, function: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """Start `function(*args, **named)` somewhere on the cluster."""
        future: Future[Any] = self._call.remote(function, args, named).future()
        return future


def main(scans: str | None = None, out: str = "tiles") -> None:
    if scans is None:
        scans = "scans"
        for number in range(6):
            write_scan(f"{scans}/{number}.jpg", 1500, 1000, "jpeg", seed=number)
    ray.init()  # the cluster that RAY_ADDRESS names, or one made on this machine
    # Workers may run in another folder: absolute paths.
    job = tk.TileJob(tk.Tiling(tile=512, overlap=64))
    summary = tk.process_archive(Path(scans).resolve(), Path(out).resolve(), job, RayExecutor())
    print(f"{summary.done} pages done, {summary.skipped} were done before, {summary.failed} failed")
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
