from __future__ import annotations

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

import tilekit as tk
from tilekit.errors import InvalidArgument, ScanCorrupt, StorageError, StorageNotFound
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
