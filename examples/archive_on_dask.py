"""An archive on Dask: python archive_on_dask.py tcp://scheduler:8786 scans/ tiles/   (or a cluster made here)."""

import sys
from contextlib import ExitStack

from dask.distributed import Client, LocalCluster

import tilekit as tk
from tilekit.testing.scans import write_scan


def main(address: str | None = None, scans: str = "scans", out: str = "tiles") -> None:
    with ExitStack() as stack:
        if address is None:
            for number in range(6):
                write_scan(f"{scans}/{number}.jpg", 1500, 1000, "jpeg", seed=number)
            address = stack.enter_context(
                LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
            )
        client = stack.enter_context(Client(address))
        job = tk.TileJob(tk.Tiling(tile=512, overlap=64))
        # Every page once: run it again and only what is missing or has changed is done.
        summary = tk.process_archive(scans, out, job, client.get_executor())
    print(f"{summary.done} pages done, {summary.skipped} were done before, {summary.failed} failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
