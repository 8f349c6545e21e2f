"""A dataset's page is made again when the object it was cut from has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import moto_server, use
from tilekit.datasets.sources import Page
from tilekit.datasets.writing import Encoding, PageTask
from tilekit.grid import Tiling
from tilekit.pages import PageKey
from tilekit.storage.s3 import S3Store


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    with moto_server() as url:
        use(monkeypatch, url)
        yield S3Store()


def test_the_etag_is_part_of_a_pages_fingerprint(store: S3Store) -> None:
    store.client.create_bucket(Bucket="pages")
    page = Page(PageKey("s3://pages/a.tif"), 100, 100)
    task = PageTask(page, Tiling(50), (), "a", Encoding())
    prints = set()
    for data in (b"one", b"two"):  # the same size
        store.put("s3://pages/a.tif", data)
        assert task.fingerprint() == task.fingerprint()
        prints.add(task.fingerprint())
    assert len(prints) == 2


def test_a_local_scans_bytes_are_part_of_its_pages_fingerprint(tmp_path: Path) -> None:
    scan = tmp_path / "a.tif"
    task = PageTask(Page(PageKey(str(scan)), 100, 100), Tiling(50), (), "a", Encoding())
    prints = set()
    for data in (b"one", b"two"):  # the same size and time
        scan.write_bytes(data)
        os.utime(scan, ns=(10**18, 10**18))
        prints.add(task.fingerprint())
        assert task.fingerprint() in prints
    assert len(prints) == 2


def test_our_versions_of_what_makes_pixels_are_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    task = PageTask(Page(PageKey("missing.tif"), 100, 100), Tiling(50), (), "a", Encoding())
    before = task.fingerprint()
    monkeypatch.setattr("tilekit.scans.versions.ENCODING", 10**6)
    assert task.fingerprint() != before
