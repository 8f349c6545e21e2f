"""Prefetch: copies ahead of the workers, within their bytes, of the object that was listed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.archive.jobs import NoteJob
from tests.archive.test_storage import Faulty
from tests.archive.test_storage import faulty as faulty
from tilekit.archive import ArchiveOptions, ScanFile, Task, iter_sources, process_archive
from tilekit.archive.prefetching import Prefetch
from tilekit.archive.working import run_task
from tilekit.errors import InvalidArgument, StorageError
from tilekit.scans.encoding import encode_image
from tilekit.storage.s3 import S3Store

PAGE = encode_image(np.full((40, 60, 3), 250, np.uint8), "png").data


@pytest.fixture
def bucket(faulty: Faulty) -> S3Store:
    store = S3Store()
    store.client.create_bucket(Bucket="ahead")
    for number in range(8):
        store.put(f"s3://ahead/in/{number}.png", PAGE)
    return store


def test_copies_stay_within_their_bytes(bucket: S3Store, faulty: Faulty) -> None:
    sources = list(iter_sources("s3://ahead/in"))
    limit = int(2.5 * len(PAGE))
    here: set[str] = set()
    most, lock = [0], threading.Lock()

    def work(path: str) -> bytes:
        with lock:
            here.add(path)
            most[0] = max(most[0], len(here))
        time.sleep(0.03)
        data = Path(path).read_bytes()
        with lock:
            here.remove(path)
        return data

    with ThreadPoolExecutor(4) as pool, Prefetch(limit) as prefetch:
        futures = [prefetch.submit(source, lambda path: pool.submit(work, path)) for source in sources]
        assert [future.result() for future in futures] == [PAGE] * 8
        kept = [Path(copy.path.result()) for copy in prefetch._copies.values()]
    assert prefetch.peak <= limit
    assert most[0] <= 2
    assert kept
    assert not any(path.exists() for path in kept)
    assert faulty.faults > 3


def test_pages_of_one_file_share_a_copy_and_a_large_one_runs_alone(bucket: S3Store) -> None:
    (source, *_) = iter_sources("s3://ahead/in")
    with ThreadPoolExecutor(2) as pool, Prefetch(1) as prefetch:  # every object is larger than that
        paths = [prefetch.submit(source, lambda path: pool.submit(str, path)) for _ in range(5)]
        assert len({future.result(20) for future in paths}) == 1


def test_an_object_that_changed_since_the_listing_is_refused(bucket: S3Store, tmp_path: Path) -> None:
    (source, *_) = iter_sources("s3://ahead/in")
    bucket.put(source.uri, encode_image(np.zeros((40, 60, 3), np.uint8), "png").data)
    with Prefetch() as prefetch, pytest.raises(StorageError, match="changed while it was read"):
        prefetch.submit(source, lambda path: Future()).result(20)
    outcome = run_task(NoteJob(), Task(source), str(tmp_path), None)
    assert outcome.kind == "failed"
    assert "changed while it was read" in outcome.reason


def test_what_is_missing_is_its_own_tasks_reason(bucket: S3Store) -> None:
    gone = ScanFile("s3://ahead/in/gone.png", "gone.png", "5:abc")
    with Prefetch() as prefetch, pytest.raises(StorageError, match="no such object"):
        prefetch.submit(gone, lambda path: Future()).result(20)
    with pytest.raises(InvalidArgument, match="staging=0"):
        Prefetch(0)


@pytest.mark.slow
def test_archives_on_this_machine_and_elsewhere(bucket: S3Store, tmp_path: Path) -> None:
    """With worker processes scans come ahead of them; other executors stage for themselves."""
    for name, executor in (("here", None), ("there", ThreadPoolExecutor(2))):
        summary = process_archive(
            "s3://ahead/in",
            tmp_path / name,
            NoteJob(),
            executor,
            workers=2,
            options=ArchiveOptions(staging=3 * len(PAGE)),
        )
        assert summary.failures == {}
        assert summary.done == 8
