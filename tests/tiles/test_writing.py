"""tile_scan and encode_tiles: files, index, reruns, faults."""

from __future__ import annotations

import json
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
import pyvips

import tilekit as tk
from tilekit.errors import InvalidArgument, ScanCorrupt, StorageError
from tilekit.scans.encoding import decode_image, encode_image
from tilekit.tiles.containers import TarSink
from tilekit.tiles.naming import parse_tile_name

TILING = tk.Tiling(128, 32)


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    pixels = np.random.default_rng(3).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    pixels[:200, :260] = 250
    path = tmp_path_factory.mktemp("in") / "plan.png"
    pyvips.Image.new_from_array(pixels).copy(interpretation="srgb").write_to_file(str(path))
    return path, pixels


@pytest.mark.parametrize("format", ["png", "webp"])
def test_files_hold_the_pages_pixels(page, tmp_path, format):
    path, pixels = page
    made = tk.tile_scan(path, tmp_path / "out", TILING, format=format)
    assert made.tiles == len(made.grid) == 20
    for record, file in zip(made.records(), made.paths(), strict=True):
        name = parse_tile_name(file.name)
        assert (name.stem, name.page, name.window) == ("plan", 0, record.window)
        assert file.stat().st_size == record.size
        w = record.window
        assert np.array_equal(decode_image(file.read_bytes()), pixels[w.y0 : w.y1, w.x0 : w.x1])


def test_one_worker_equals_many(page, tmp_path):
    path, _ = page
    for workers in (0, 1, 2, 5):
        tk.tile_scan(path, tmp_path / str(workers), TILING, workers=workers)
    assert (
        content(tmp_path / "0")
        == content(tmp_path / "1")
        == content(tmp_path / "2")
        == content(tmp_path / "5")
    )


def test_jpeg_bytes_are_the_encoders(page):
    path, pixels = page
    with tk.open_scan(path) as scan:
        for tile in tk.encode_tiles(
            scan, TILING, quality=80, options=tk.tiles.EncodeOptions(subsampling="420")
        ):
            w = tile.window
            want = encode_image(pixels[w.y0 : w.y1, w.x0 : w.x1], quality=80, subsampling="420")
            assert tile.data == want.data
            assert (tile.quality, tile.blank) == (80, False)


def test_blank_tiles_are_counted_and_recorded(page, tmp_path):
    made = tk.tile_scan(page[0], tmp_path, TILING, skip_blank=True)
    records = list(made.records())
    assert made.blank == sum(record.blank for record in records) > 0
    assert made.tiles + made.blank == len(records) == len(made.grid)
    assert all((record.file is None) == record.blank for record in records)
    assert len(list(made.paths())) == made.tiles == len(list(tmp_path.glob("*.jpg")))


def test_max_bytes_lowers_quality_and_says_so(page, tmp_path):
    made = tk.tile_scan(page[0], tmp_path, TILING, options=tk.tiles.TileScanOptions(max_bytes=20_000))
    records = list(made.records())
    assert max(record.size for record in records) <= 20_000
    assert made.lowered == sum(record.quality < 90 for record in records) > 0


def test_a_rerun_replaces_and_other_pages_stay(page, tmp_path):
    path, _ = page
    out = tmp_path / "out"
    tk.tile_scan(path, out, TILING, options=tk.tiles.TileScanOptions(stem="a/plan"))
    other = tmp_path / "other.png"
    other.write_bytes(path.read_bytes())
    tk.tile_scan(other, out, TILING, options=tk.tiles.TileScanOptions(stem="b/plan"))
    before = content(out)
    tk.tile_scan(path, out, TILING, options=tk.tiles.TileScanOptions(stem="a/plan"))
    assert content(out) == before
    assert (
        len(tk.tile_scan(other, out, TILING, options=tk.tiles.TileScanOptions(stem="c")).index().pages) == 2
    )
    assert not list((out / "b").glob("*.jpg"))


def test_two_recipes_do_not_mix(page, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(page[0].read_bytes())
    tk.tile_scan(page[0], tmp_path / "out", TILING)
    with pytest.raises(InvalidArgument, match="another way"):
        tk.tile_scan(other, tmp_path / "out", tk.Tiling(64))
    tk.tile_scan(page[0], tmp_path / "out", tk.Tiling(64))
    assert all("w64.h64" in file.name for file in (tmp_path / "out").glob("*.jpg"))


def test_zip_tar_and_callable_hold_the_same(page, tmp_path):
    path, _ = page
    tk.tile_scan(path, tmp_path / "out", TILING)
    want = content(tmp_path / "out")
    tk.tile_scan(path, tmp_path / "t.zip", TILING)
    with zipfile.ZipFile(tmp_path / "t.zip") as file:
        assert {name: file.read(name) for name in file.namelist()} == want
        assert file.namelist()[-2:] == ["tiles.jsonl", "tiling.json"]
    tk.tile_scan(path, tmp_path / "t.tar", TILING)
    with tarfile.open(tmp_path / "t.tar") as file:
        assert {m.name: file.extractfile(m).read() for m in file} == want
    got = {}
    tk.tile_scan(path, got.__setitem__, TILING)
    assert got == want
    sink = TarSink(tmp_path / "s.tar", shard_bytes=100_000)
    tk.tile_scan(path, sink, TILING)
    got = {}
    assert len(sink.paths()) > 3
    for shard in sink.paths():
        with tarfile.open(shard) as file:
            got |= {m.name: file.extractfile(m).read() for m in file}
    assert got == want


@pytest.mark.parametrize("out", ["out", "out.zip", "out.tar"])
@pytest.mark.parametrize("workers", [1, 3])
def test_damage_in_the_middle_leaves_nothing(page, tmp_path, out, workers):
    data = page[0].read_bytes()
    bad = tmp_path / "bad.png"
    bad.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ScanCorrupt, match=r"bad\.png"):
        tk.tile_scan(bad, tmp_path / "made" / out, TILING, workers=workers)
    assert content(tmp_path / "made") == {}


def test_an_error_of_the_callers_function_comes_through(page):
    def refuse(name, data):
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        tk.tile_scan(page[0], refuse, TILING)


def test_an_interrupt_leaves_nothing(page, tmp_path):
    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tk.tile_scan(page[0], tmp_path / "out", TILING, options=tk.tiles.TileScanOptions(progress=stop))
    assert content(tmp_path / "out") == {}
    assert tk.tile_scan(page[0], tmp_path / "out", TILING).tiles == 20


def test_a_file_in_the_way_is_one_sentence(page, tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(StorageError, match="in the way"):
        tk.tile_scan(page[0], tmp_path / "out", TILING)


def test_index_fields(page, tmp_path):
    tk.tile_scan(page[0], tmp_path, TILING)
    line = json.loads((tmp_path / "tiles.jsonl").read_text().splitlines()[1])
    assert line == {
        "source": str(page[0]), "page": 0, "tile": 1, "row": 0, "col": 1, "x": 96, "y": 0,
        "width": 128, "height": 128, "file": "plan.p0.x96.y0.w128.h128.jpg",
        "bytes": (tmp_path / "plan.p0.x96.y0.w128.h128.jpg").stat().st_size, "quality": 90, "blank": False,
        "crc32": zlib.crc32((tmp_path / "plan.p0.x96.y0.w128.h128.jpg").read_bytes()),
    }  # fmt: skip
    tiling = json.loads((tmp_path / "tiling.json").read_text())
    assert tk.Tiling.from_json(tiling["tiling"]) == TILING
    assert tiling["pages"][0]["width"] == 500


@pytest.mark.parametrize(
    ("named", "bad"),
    [
        ("format", {"format": "gif"}),
        ("quality", {"quality": 0}),
        ("quality", {"quality": 101}),
        ("subsampling", {"options": tk.tiles.TileScanOptions(subsampling="411")}),
        ("max_bytes", {"options": tk.tiles.TileScanOptions(max_bytes=0)}),
        ("options", {"options": tk.tiles.EncodeOptions()}),
    ],
)
def test_nonsense_is_named(page, tmp_path, named, bad):
    with pytest.raises(InvalidArgument, match=named):
        tk.tile_scan(page[0], tmp_path / "out", TILING, **bad)
    assert not (tmp_path / "out").exists()
