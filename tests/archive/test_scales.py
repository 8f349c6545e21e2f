"""Several scales on S3 and on a Dask cluster give what they give here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.s3_server import moto_server
from tilekit import Scales, Tiling, read_predictions, tile_dataset, tile_scan
from tilekit.archive import DetectJob, process_archive
from tilekit.boxes.annotations import Annotations
from tilekit.datasets import DatasetOptions
from tilekit.labels.label_set import LabelSet
from tilekit.pages import PageKey
from tilekit.scans.encoding import encode_image
from tilekit.storage.s3 import Access, S3Store

SCALES = Scales(Tiling(128, 32), Tiling.whole(200))
pytestmark = pytest.mark.filterwarnings("ignore")  # Dask warns of ports and nannies at its leisure


def dark(pixels: Any) -> Any:
    """The box of everything dark."""
    ys, xs = np.nonzero(pixels.min(axis=2) < 100)
    return [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, 0.9, 0]] if len(ys) else []


@pytest.fixture
def labels(tmp_path: Path) -> LabelSet:
    """Four pages with a mark and a large box."""
    folder, pages, sizes = tmp_path / "in", {}, {}
    folder.mkdir()
    for place in range(4):
        pixels = np.full((400, 500, 1), 255, np.uint8)
        pixels[60:80, 90 + place : 110 + place] = 0
        key = PageKey(str(folder / f"{place}.png"))
        Path(key.source).write_bytes(encode_image(pixels, "png").data)
        pages[key] = Annotations(
            [[90 + place, 60, 110 + place, 80], [40, 100, 340, 380]], [0, 1], ("mark", "box")
        )
        sizes[key] = (500, 400)
    return LabelSet(pages, sizes=sizes, names=("mark", "box"))


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> Iterator[Access]:
    for name, value in (
        ("ACCESS_KEY_ID", "testing"),
        ("SECRET_ACCESS_KEY", "testing"),
        ("DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    with moto_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        found = Access(endpoint_url=url)
        S3Store(found).client.create_bucket(Bucket="data")
        yield found


def stored(access: Access, prefix: str) -> dict[str, bytes]:
    store, start = S3Store(access), f"s3://data/{prefix}/"
    return {str(one.location).removeprefix(start): store.get(one.location) for one in store.list(start)}


def local(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*") if p.is_file()}


@pytest.mark.slow
def test_tiles_and_datasets_of_scales_on_s3_are_those_on_disk(
    labels: LabelSet, access: Access, tmp_path: Path
) -> None:
    page = labels.pages()[0].source
    tile_scan(page, "s3://data/tiles", SCALES, format="png")
    tile_scan(page, tmp_path / "tiles", SCALES, format="png")
    here, there = local(tmp_path / "tiles"), stored(access, "tiles")
    tiles = {name for name in here if name.endswith(".png")}
    assert tiles
    assert tiles == {name for name in there if name.endswith(".png")}
    assert all(here[name] == there[name] for name in tiles)
    made = tile_dataset(labels, "s3://data/set", SCALES, options=DatasetOptions(access=access))
    tile_dataset(labels, tmp_path / "set", SCALES)
    here, there = local(tmp_path / "set"), stored(access, "set")
    tiles = {name for name in here if "tiles/" in name and not name.startswith(".")}
    assert any(name.startswith("scale-2/") for name in tiles)
    assert all(here[name] == there[name] for name in tiles)
    assert made.tiling == SCALES


@pytest.mark.slow
def test_detection_at_scales_on_dask_is_that_of_one_process(labels: LabelSet, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from dask.distributed import LocalCluster

    from tilekit.archive.clusters import dask_client
    from tilekit.detectors.naming import ModelRef

    job = DetectJob(SCALES, ModelRef(f"{__name__}:dark", ("mark", "box")))
    folder = Path(labels.pages()[0].source).parent
    process_archive(folder, tmp_path / "one", job, ThreadPoolExecutor(1))
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        client = dask_client(cluster.scheduler_address)
        done = process_archive(folder, tmp_path / "dask", job, client.get_executor())
        again = process_archive(folder, tmp_path / "dask", job, client.get_executor())
        client.close()
    assert (done.done, done.failed, again.skipped) == (4, 0, 4)
    one, other = (read_predictions(tmp_path / name / "detections.jsonl") for name in ("one", "dask"))
    for key in one:
        assert one.page(key).tilings == other.page(key).tilings == tuple(SCALES)
        assert one[key].boxes.tolist() == other[key].boxes.tolist()
        assert len(one[key])
