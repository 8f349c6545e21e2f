from __future__ import annotations

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st

import tilekit as tk
from tests.jpeg.files import SAMPLINGS, jpeg, jpegs
from tests.jpeg.naive import coefficients
from tilekit.errors import InvalidArgument, ScanCorrupt, StorageError, StorageNotFound
from tilekit.scans import vips
from tilekit.testing.scans import paper_scan


def write(path, pixels):
    image = pyvips.Image.new_from_array(pixels)
    image.copy(interpretation="srgb" if pixels.shape[2] == 3 else "b-w").write_to_file(str(path))
    return path


def load(path):
    with tk.open_scan(path) as scan:
        return next(scan.bands_of_rows([scan.height]))


@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    tile=st.tuples(st.integers(8, 60), st.integers(8, 60)),
    share=st.floats(0, 0.6),
    edge=st.sampled_from(["shift", "clip", "pad"]),
    gray=st.booleans(),
)
def test_joining_undoes_tiling(tmp_path_factory, width, height, tile, share, edge, gray):
    folder = tmp_path_factory.mktemp("join")
    pixels = paper_scan(width, height, seed=1, noise=9.0, gray=gray)
    path = write(folder / "page.png", pixels)
    tk.tile_scan(path, folder / "tiles", tk.Tiling(tile, share, edge=edge), format="png")
    tk.join_tiles(folder / "tiles", folder / "again.tif")
    assert np.array_equal(load(folder / "again.tif"), pixels)


def test_equal_parts_and_two_pages_join(tmp_path):
    for seed in (1, 2):
        path = write(tmp_path / f"{seed}.png", paper_scan(200, 150, seed))
        tk.tile_scan(path, tmp_path / "t", tk.Tiling.parts(7), format="png")
    with pytest.raises(InvalidArgument, match="say which page"):
        tk.join_tiles(tmp_path / "t", tmp_path / "x.tif")
    key = tk.PageKey(str(tmp_path / "2.png"))
    tk.join_tiles(tmp_path / "t", tmp_path / "x.png", key=key)
    assert np.array_equal(load(tmp_path / "x.png"), load(tmp_path / "2.png"))


def test_blank_tiles_are_filled(tmp_path):
    page = np.full((64, 128, 1), 255, np.uint8)
    page[5:60, 5:60] = 7
    tk.tile_scan(
        write(tmp_path / "p.png", page), tmp_path / "t", tk.Tiling(64), format="png", skip_blank=True
    )
    tk.join_tiles(tmp_path / "t", tmp_path / "x.png")
    assert np.array_equal(load(tmp_path / "x.png"), page)


def test_faults_are_named(tmp_path):
    path = write(tmp_path / "p.png", paper_scan(100, 100))
    made = tk.tile_scan(path, tmp_path / "t", tk.Tiling(50), format="png")
    victim = list(made.paths())[2]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:50])
    with pytest.raises(ScanCorrupt, match=victim.name):
        tk.join_tiles(tmp_path / "t", tmp_path / "x.tif")
    victim.unlink()
    with pytest.raises(StorageNotFound, match=victim.name):
        tk.join_tiles(tmp_path / "t", tmp_path / "x.tif")
    victim.write_bytes(whole)
    index = tmp_path / "t" / "tiles.jsonl"
    index.write_text("".join(index.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(StorageError, match="tile 3"):
        tk.join_tiles(tmp_path / "t", tmp_path / "x.tif")
    with pytest.raises(InvalidArgument, match="write one of"):
        tk.join_tiles(tmp_path / "t", tmp_path / "x.bmp")
    with pytest.raises(StorageNotFound, match=r"tiling\.json"):
        tk.join_tiles(tmp_path, tmp_path / "x.tif")
    assert not (tmp_path / "x.tif").exists()
    assert not [p for p in tmp_path.iterdir() if "part" in p.name]


def cut(folder, file, tiling, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(vips, "SMALL_BYTES", 0)
        return tk.tile_scan(file, folder, tiling)


def same_coefficients(one, other):
    return all(
        np.array_equal(a, b) for a, b in zip(coefficients(one)[0], coefficients(other)[0], strict=True)
    )


@given(jpegs(), st.sampled_from([32, 48]), st.sampled_from([0, 16]), st.sampled_from(["shift", "clip"]))
@settings(max_examples=25, deadline=None)
def test_tiles_that_were_cut_join_to_the_scans_coefficients(tmp_path_factory, file, tile, overlap, edge):
    folder = tmp_path_factory.mktemp("bits")
    with pytest.MonkeyPatch.context() as patch:
        made = cut(folder / "tiles", file, tk.Tiling(tile, overlap, edge=edge, align=16), patch)
    again = tk.join_tiles(folder / "tiles", folder / "again.jpg").read_bytes()
    with tk.open_scan(again) as scan, tk.open_scan(file) as first:
        assert (scan.width, scan.height) == (first.width, first.height)
        if made.kept == made.tiles:
            assert same_coefficients(again, file)
            assert np.array_equal(
                scan.read(0, 0, scan.width, scan.height), first.read(0, 0, scan.width, scan.height)
            )


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_several_rows_of_tiles_join_by_their_bits(tmp_path, monkeypatch, sampling):
    file = jpeg(500, 410, sampling)
    made = cut(tmp_path / "tiles", file, tk.Tiling(112, 32, align=16), monkeypatch)
    assert made.kept == made.tiles
    assert same_coefficients(tk.join_tiles(tmp_path / "tiles", tmp_path / "a.jpg").read_bytes(), file)
    tk.join_tiles(tmp_path / "tiles", tmp_path / "b.jpg", Q=50)  # options are the saver's: encoded
    assert not same_coefficients((tmp_path / "b.jpg").read_bytes(), file)


def test_a_damaged_or_changed_tile_does_not_join_by_bits(tmp_path, monkeypatch):
    file = jpeg(500, 410, "4:4:4")
    made = cut(tmp_path / "tiles", file, tk.Tiling(112, 32, align=16), monkeypatch)
    path = list(made.paths())[7]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ScanCorrupt, match=path.name):
        tk.join_tiles(tmp_path / "tiles", tmp_path / "a.jpg")
    assert not list(tmp_path.glob("*a.jpg*"))
    path.write_bytes(jpeg(112, 112, "4:4:4", 50))  # somebody painted on it
    tk.join_tiles(tmp_path / "tiles", tmp_path / "a.jpg")
    assert not same_coefficients((tmp_path / "a.jpg").read_bytes(), file)
