"""A real Dask cluster of processes, one of them killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dask.distributed import LocalCluster

from tests.archive.jobs import NoteJob
from tests.archive.test_processing import notes, scans
from tilekit.archive import process_archive
from tilekit.archive.clusters import dask_client
from tilekit.errors import StorageError

pytestmark = pytest.mark.filterwarnings("ignore")  # Dask warns of ports and nannies at its leisure


@pytest.fixture
def cluster() -> Iterator[Any]:
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        yield made


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path, cluster: Any) -> None:
    source = scans(tmp_path / "in", *(f"s{i}.jpg" for i in range(24)))
    client = dask_client(cluster.scheduler_address)
    pids = list(client.run(os.getpid).values())
    threading.Timer(0.5, lambda: os.kill(pids[0], signal.SIGKILL)).start()
    summary = process_archive(source, tmp_path / "out", NoteJob(seconds=0.15), client.get_executor())
    assert (summary.done, summary.failed) == (24, 0)
    assert len(notes(tmp_path / "out")) == 24
    again = process_archive(source, tmp_path / "out", NoteJob(seconds=0.15), client.get_executor())
    assert again.skipped == 24
    client.close()


def test_no_scheduler_is_one_sentence() -> None:
    with pytest.raises(StorageError, match="no Dask scheduler"):
        dask_client("tcp://127.0.0.1:9", seconds=1)
