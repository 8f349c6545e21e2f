"""Datasets straight to S3, against moto: the same bytes, no local copy, resumable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.datasets.pages import contents
from tests.s3_server import moto_server
from tilekit.datasets import DatasetOptions
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.splitting import SIDES
from tilekit.errors import InvalidArgument, StorageError, StorageNotFound
from tilekit.grid import Tiling
from tilekit.storage.s3 import Access, S3Store

TILING = Tiling(160, 40)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def access(endpoint, monkeypatch, request):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    access = Access(endpoint_url=endpoint)
    S3Store(access).client.create_bucket(Bucket="data")
    return access


def objects(access: Access, prefix: str) -> dict[str, bytes]:
    store, start = S3Store(access), f"s3://data/{prefix}/"
    found = {str(item.location)[len(start) :]: store.get(item.location) for item in store.list(start)}
    return {name: data for name, data in found.items() if not name.startswith(".tilekit/")}


@pytest.mark.slow
def test_everything_goes_to_s3_with_full_addresses(labels, access, tmp_path):
    summary = tile_dataset(
        labels, "s3://data/whole", TILING, options=DatasetOptions(access=access, baseline=True, workers=2)
    )
    tile_dataset(labels, tmp_path / "local", TILING, options=DatasetOptions(baseline=True))
    remote, local = objects(access, "whole"), contents(tmp_path / "local")
    assert remote.keys() == local.keys()
    for name in remote:
        if not name.endswith((".manifest", "split.json")):
            assert remote[name] == local[name], name
    assert summary.bytes > 0
    for side in SIDES:
        for line in remote[f"{side}.manifest"].decode().splitlines():
            name = json.loads(line)["source-ref"].removeprefix("s3://data/whole/")
            assert name in remote
        for line in remote[f"baseline/{side}.manifest"].decode().splitlines():
            assert json.loads(line)["source-ref"].removeprefix("s3://data/whole/") in remote
    again = tile_dataset(
        labels, "s3://data/whole", TILING, options=DatasetOptions(access=access, baseline=True)
    )
    assert again.bytes == 0
    assert objects(access, "whole") == remote


def test_images_to_a_bucket_and_papers_to_a_folder(labels, access, tmp_path):
    out = tmp_path / "out"
    tile_dataset(labels, out, TILING, options=DatasetOptions(bucket="s3://data/images", access=access))
    images = objects(access, "images")
    assert not (out / "tiles").exists()
    for side in SIDES:
        for line in (out / f"{side}.manifest").read_text().splitlines():
            assert json.loads(line)["source-ref"].removeprefix("s3://data/images/") in images
    with pytest.raises(InvalidArgument, match="export="):
        tile_dataset(
            labels,
            out,
            TILING,
            options=DatasetOptions(bucket="s3://data/images", access=access, export=["coco"]),
        )


@pytest.mark.slow
def test_a_stopped_run_goes_on(labels, access, monkeypatch):
    whole = tile_dataset(labels, "s3://data/one", TILING, options=DatasetOptions(access=access))
    real, left = S3Store.put, [45]

    def put(self, uri, data, **more):
        left[0] -= 1
        if left[0] < 0:
            raise StorageError("the connection is gone")
        return real(self, uri, data, **more)

    monkeypatch.setattr(S3Store, "put", put)
    with pytest.raises(StorageError):
        tile_dataset(labels, "s3://data/two", TILING, options=DatasetOptions(access=access, workers=1))
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert "summary.json" not in objects(access, "two")
    resumed = tile_dataset(labels, "s3://data/two", TILING, options=DatasetOptions(access=access))
    assert 0 < resumed.bytes < whole.bytes
    one, two = objects(access, "one"), objects(access, "two")
    assert {name: data for name, data in one.items() if not name.endswith(".manifest")} == {
        name: data for name, data in two.items() if not name.endswith(".manifest")
    }
    with pytest.raises(InvalidArgument, match="other settings"):
        tile_dataset(labels, "s3://data/two", Tiling(128, 40), options=DatasetOptions(access=access))


def test_pages_stay_on_their_sides_in_a_bucket_too(labels, access):
    options = DatasetOptions(access=access)
    split = tile_dataset(labels, "s3://data/sides", TILING, split=(0.5, 0.25, 0.25), options=options).split
    turned = replace(split, train=split.train[1:], test=(*split.test, split.train[0]))
    before = objects(access, "sides")
    with pytest.raises(
        InvalidArgument, match=r"s3://data/sides.* 1 of these pages .*: train there, test now"
    ):
        tile_dataset(labels, "s3://data/sides", TILING, split=turned, options=options)
    assert objects(access, "sides") == before
    kept = tile_dataset(
        labels, "s3://data/sides", TILING, split="s3://data/sides/split.json", options=options
    )
    assert kept.bytes == 0
    assert objects(access, "sides") == before
    overwritten = replace(options, overwrite=True)
    assert tile_dataset(labels, "s3://data/sides", TILING, split=turned, options=overwritten).split == turned


def test_a_missing_bucket_is_told(labels, access):
    with pytest.raises(StorageNotFound, match="no such bucket"):
        tile_dataset(labels, "s3://nobucket/x", TILING, options=DatasetOptions(access=access))
