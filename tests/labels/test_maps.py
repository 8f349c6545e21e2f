"""Boxes in map coordinates: the georeference as rasterio reads it, and the GeoJSON made with it."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.shapes import Polygons
from tilekit.cli import cli
from tilekit.cli.detect import _export
from tilekit.errors import InvalidArgument, MissingExtra, ScanError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.maps import map_geojson, write_geopackage, write_map_geojson
from tilekit.labels.prediction_lines import write_predictions
from tilekit.labels.predictions import PredictionSet
from tilekit.labels.reading import write_labels
from tilekit.pages import PageKey
from tilekit.scans.encoding import encode_image
from tilekit.scans.georeference import read_georeference

PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 5_800_000)


def write(path: Path, place: Affine | None, epsg: int | None, **tags: str) -> Path:
    shape = {"width": 40, "height": 30, "count": 1, "dtype": "uint8"}
    crs = None if epsg is None else f"EPSG:{epsg}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extra = {} if place is None else {"transform": place}
        with rasterio.open(path, "w", driver="GTiff", crs=crs, **shape, **extra) as out:
            out.update_tags(**tags)
            out.write(np.zeros((1, 30, 40), np.uint8))
    return path


sizes = st.floats(0.01, 1000)
shifts = st.floats(-1e7, 1e7)


@given(
    sizes, sizes, shifts, shifts, st.floats(-0.5, 0.5), st.sampled_from([4326, 32633, 3857]), st.booleans()
)
def test_the_georeference_is_what_rasterio_reads(tmp_path_factory, a, e, c, f, turn, epsg, point):
    place = Affine(a, turn * a, c, turn * e, -e, f)
    tags = {"AREA_OR_POINT": "Point"} if point else {}
    path = write(tmp_path_factory.mktemp("geo") / "sheet.tif", place, epsg, **tags)
    found = read_georeference(path)
    assert found is not None
    assert found.epsg == epsg
    with rasterio.open(path) as other:
        corners = [(0, 0), (40, 30), (12.5, 7.25)]
        wanted = [other.transform @ corner for corner in corners]
    assert np.allclose(found.to_map(corners), wanted, rtol=1e-9, atol=1e-6)
    assert np.allclose(found.to_page(wanted), corners, atol=1e-2)


def labels(*paths: Path) -> LabelSet:
    page = Annotations([[10, 10, 20, 14]], [0], ("house",))
    return LabelSet(
        {PageKey(str(path)): page for path in paths}, sizes={PageKey(str(path)): (40, 30) for path in paths}
    )


def test_boxes_lie_on_the_map_and_the_file_says_in_which_system(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyproj", None)
    found = labels(write(tmp_path / "sheet.tif", PLACE, 32633))
    document = map_geojson(found)
    ring = document["features"][0]["geometry"]["coordinates"][0]
    assert ring[0] == [500_005, 5_799_995]
    assert ring[2] == [500_010, 5_799_993]
    assert document["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    assert "pyproj" in write_map_geojson(found, tmp_path / "out.geojson")
    with pytest.raises(InvalidArgument, match="needs pyproj"):
        map_geojson(found, wgs84=True)


def test_the_command_line_writes_maps_too(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyproj", None)
    found = labels(write(tmp_path / "sheet.tif", PLACE, 32633))
    write_labels(found, tmp_path / "labels.json", "coco")
    page = found.to_pandas().assign(score=0.5)
    write_predictions(PredictionSet.from_pandas(page).pages(), tmp_path / "found.jsonl")
    out = tmp_path / "out.geojson"
    ran = CliRunner().invoke(
        cli, ["labels", "convert", str(tmp_path / "labels.json"), str(out), "--to", "geojson", "--map"]
    )
    assert ran.exit_code == 0, ran.output
    assert "EPSG 32633" in ran.output
    exported = _export(str(tmp_path / "found.jsonl"), ["map"])
    for path in (out, *exported):
        ring = json.loads(Path(path).read_text())["features"][0]["geometry"]["coordinates"][0]
        assert ring[0] == [500_005, 5_799_995]
    wrong = CliRunner().invoke(
        cli, ["labels", "convert", str(tmp_path / "labels.json"), str(out), "--to", "coco", "--map"]
    )
    assert (wrong.exit_code, "--map is for --to geojson" in wrong.output) == (2, True)


def test_a_geopackage_is_read_as_it_was_meant(tmp_path, monkeypatch):
    import pyogrio.raw
    import shapely

    key = PageKey(str(write(tmp_path / "sheet.tif", PLACE, 32633)))
    outlines = Polygons.of([[[10, 10, 20, 10, 20, 14]], None])
    page = Annotations([[10, 10, 20, 14], [1, 2, 3, 5]], [0, 1], ("house", "tree"), [False, True], outlines)
    found = LabelSet({key: page}, sizes={key: (40, 30)}, scores={key: [0.25, 0.5]})
    for name, more in (("scored", found), ("truth", found.replace(scores={}))):
        path = tmp_path / f"{name}.gpkg"
        assert "EPSG 32633" in write_geopackage(more, path)
        meta, _, geometry, columns = pyogrio.raw.read(path)
        assert meta["crs"] == "EPSG:32633"
        rows = dict(zip(meta["fields"], columns, strict=True))
        assert rows["label"].tolist() == ["house", "tree"]
        assert rows["ignore"].tolist() == [False, True]
        assert rows["page"].tolist() == [0, 0]
        wanted = [0.25, 0.5] if name == "scored" else [np.nan, np.nan]
        assert np.array_equal(rows["score"], wanted, equal_nan=True)
        shapes = shapely.from_wkb(geometry)
        assert [shape.area for shape in shapes] == [20 * 0.25, 6 * 0.25]
        assert shapes[1].bounds == (500_000.5, 5_799_997.5, 500_001.5, 5_799_999)
    assert not list(tmp_path.glob("*.part*"))
    write_labels(found, tmp_path / "labels.json", "coco")
    words = [
        "labels",
        "convert",
        str(tmp_path / "labels.json"),
        str(tmp_path / "out.gpkg"),
        "--to",
        "geojson",
    ]
    ran = CliRunner().invoke(cli, [*words, "--map"])
    assert ran.exit_code == 0, ran.output
    write_predictions(PredictionSet.from_labels(found).pages(), tmp_path / "found.jsonl")
    exported = _export(str(tmp_path / "found.jsonl"), ["geopackage"])
    for made in (tmp_path / "out.gpkg", *exported):
        assert len(pyogrio.raw.read(made)[2]) == 2
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    monkeypatch.setitem(sys.modules, "pyogrio.raw", None)
    with pytest.raises(MissingExtra, match="pyogrio"):
        write_geopackage(found, tmp_path / "none.gpkg")


def test_longitude_and_latitude_where_pyproj_is_there(tmp_path, monkeypatch):
    steps = SimpleNamespace(transform=lambda x, y: (x / 1e6, y / 1e6))
    made = SimpleNamespace(from_crs=lambda one, two, always_xy: steps)
    monkeypatch.setitem(sys.modules, "pyproj", SimpleNamespace(Transformer=made))
    document = map_geojson(labels(write(tmp_path / "sheet.tif", PLACE, 32633)))
    assert "crs" not in document
    assert "note" not in document
    assert document["features"][0]["geometry"]["coordinates"][0][0] == pytest.approx([0.500005, 5.799995])


def test_what_has_no_place_is_refused(tmp_path):
    with pytest.raises(InvalidArgument, match="does not say where it lies"):
        map_geojson(labels(write(tmp_path / "plain.tif", None, None)))
    png = tmp_path / "page.png"
    png.write_bytes(encode_image(np.zeros((30, 40, 1), np.uint8), "png").data)
    assert read_georeference(png) is None
    two = labels(write(tmp_path / "a.tif", PLACE, 32633), write(tmp_path / "b.tif", PLACE, 32632))
    with pytest.raises(InvalidArgument, match="several systems"):
        map_geojson(two)
    flat = write(tmp_path / "flat.tif", Affine(1, 1, 0, 1, 1, 0), 32633)
    with pytest.raises(ScanError, match="on one line"):
        read_georeference(flat)
