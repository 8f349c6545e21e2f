"""The baseline beside a dataset: whole pages of the same split, as the service takes them."""

from __future__ import annotations

from pathlib import Path

from tests.datasets.pages import TILING, labeled_pages, lines
from tilekit.datasets import DatasetOptions
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.splitting import SIDES
from tilekit.grid import Tiling
from tilekit.labels.checking import check_manifest
from tilekit.scans.encoding import decode_image
from tilekit.tiles.naming import parse_tile_name


def test_a_baseline_of_whole_pages_from_the_same_split(labels, tmp_path):
    summary = tile_dataset(labels, tmp_path / "out", TILING, options=DatasetOptions(baseline=True))
    baseline = summary.baseline
    assert baseline is not None
    assert baseline.possible
    for side in SIDES:
        found = lines(tmp_path / "out" / "baseline" / f"{side}.manifest")
        assert len(found) == baseline.images[side]
        stems = {parse_tile_name(line["source-ref"]).stem.rsplit("/", 1)[-1] for line in found}
        assert stems <= {Path(key.source).stem for key in summary.split.pages(side)}
        for line in found:
            assert (tmp_path / "out" / "baseline" / line["source-ref"]).exists()
    assert check_manifest(
        tmp_path / "out/baseline/train.manifest", tmp_path / "out/baseline/test.manifest"
    ).ok


def test_a_crowded_page_is_in_the_baseline_several_times(tmp_path):
    labels = labeled_pages(tmp_path / "scans", count=4, each=60, empty=0)
    baseline = tile_dataset(labels, tmp_path / "out", TILING, options=DatasetOptions(baseline=True)).baseline
    assert baseline is not None
    assert baseline.possible
    assert len(baseline.crowded) == 4
    assert sum(baseline.images.values()) == 4
    boxes = 0
    for side in SIDES:
        for line in lines(tmp_path / "out" / "baseline" / f"{side}.manifest"):
            count = len(line["bounding-box"]["annotations"])
            assert 0 < count <= 50
            boxes += count
            assert (tmp_path / "out" / "baseline" / line["source-ref"]).exists()
    assert boxes == labels.boxes


def test_no_baseline_where_the_service_refuses_the_pages(tmp_path):
    labels = labeled_pages(tmp_path / "scans", count=4, size=(6300, 300), empty=0)
    baseline = tile_dataset(labels, tmp_path / "out", TILING, options=DatasetOptions(baseline=True)).baseline
    assert baseline is not None
    assert not baseline.possible
    assert "sides the service takes" in baseline.reason
    assert len(baseline.refused) == 4
    assert not (tmp_path / "out" / "baseline").exists() or not list(
        (tmp_path / "out/baseline").rglob("*.jpg")
    )


def test_large_pages_of_a_baseline_are_shrunk_and_that_is_said(tmp_path):
    labels = labeled_pages(tmp_path / "scans", count=3, size=(5000, 600), empty=0)
    baseline = tile_dataset(
        labels, tmp_path / "out", Tiling(1024, 64), options=DatasetOptions(baseline=True)
    ).baseline
    assert baseline is not None
    assert [size for _, size in baseline.shrunk] == [(4096, 492)] * 3
    line = lines(tmp_path / "out/baseline/train.manifest")[0]
    assert line["bounding-box"]["image_size"][0]["width"] == 4096
    assert decode_image((tmp_path / "out/baseline" / line["source-ref"]).read_bytes()).shape[:2] == (
        492,
        4096,
    )
