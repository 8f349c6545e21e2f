"""Pixels of tiles equal the window of the decoded page, whatever the format, edge and scale."""

from __future__ import annotations

import os

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

import tilekit as tk
from tilekit.errors import InvalidArgument, ScanCorrupt
from tilekit.tiles import reading

FORMATS = {
    "jpeg": ("jpg", {"Q": 90}),
    "png": ("png", {}),
    "strips": ("tif", {"compression": "deflate"}),
    "lzw": ("tif", {"compression": "lzw", "predictor": "horizontal"}),
    "tiled-jpeg": (
        "tif",
        {"tile": True, "compression": "jpeg", "Q": 90, "tile_width": 64, "tile_height": 48},
    ),
    "tiled-deflate": ("tif", {"tile": True, "compression": "deflate", "predictor": "horizontal"}),
    "tiled-none": ("tif", {"tile": True, "compression": "none", "bigtiff": True}),
    "tiled-lzw": ("tif", {"tile": True, "compression": "lzw"}),
}
SEGMENTED = {"tiled-jpeg", "tiled-deflate", "tiled-none"}
WIDTH, HEIGHT = 331, 270


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    made = {}
    for bands in (1, 3):
        noise = np.random.default_rng(bands).integers(0, 256, (HEIGHT, WIDTH, bands), dtype=np.uint8)
        image = pyvips.Image.new_from_memory(noise.tobytes(), WIDTH, HEIGHT, bands, "uchar")
        image = image.copy(interpretation="srgb" if bands == 3 else "b-w").gaussblur(1.5)
        for name, (ext, options) in FORMATS.items():
            path = folder / f"{name}-{bands}.{ext}"
            image.write_to_file(str(path), **options)
            pixels = pyvips.Image.new_from_file(str(path)).numpy().reshape(HEIGHT, WIDTH, bands)
            made[name, bands] = path, pixels
    return made


def expected(pixels, window):
    return pixels[window.y0 : window.y1, window.x0 : window.x1]


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("name", FORMATS)
def test_tiles_equal_the_decoded_page(scans, name, bands):
    path, pixels = scans[name, bands]
    for tiling in (
        tk.Tiling(100, 20),
        tk.Tiling((64, 300), 0.5, edge="clip"),
        tk.Tiling(97, (0, 30), edge="pad"),
        tk.Tiling.parts(5),
        tk.Tiling(1000),
        tk.Tiling((3, 50), (1, 0)),
    ):
        for workers in (1, 3):
            with tk.open_scan(path) as scan:
                grid = scan.grid(tiling)
                tiles = list(tk.read_tiles(scan, tiling, workers=workers))
            assert [tile.window for tile in tiles] == list(grid)
            assert [tile.index for tile in tiles] == list(range(len(grid)))
            for tile in tiles:
                want = expected(pixels, tile.window)
                assert tile.pixels.flags.c_contiguous
                assert not tile.pixels.flags.writeable
                assert tile.pixels.shape == (tile.window.height, tile.window.width, bands)
                assert np.array_equal(tile.pixels[: want.shape[0], : want.shape[1]], want)


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("name", FORMATS)
def test_segments_are_used_where_they_can_be(scans, name, bands):
    with tk.open_scan(scans[name, bands][0]) as scan:
        blocks = scan.blocks()
        usable = blocks is not None and blocks.decodes and blocks.layout.tiled
        assert (scan.as_stored and usable) == (name in SEGMENTED)


@given(
    st.sampled_from(sorted(FORMATS)),
    st.integers(1, 400),
    st.integers(1, 400),
    st.data(),
)
def test_any_tiling_gives_the_pages_pixels(scans, name, width, height, data):
    path, pixels = scans[name, 3]
    stride_x, stride_y = (
        data.draw(st.integers(max(1, width // 8), width)),
        data.draw(st.integers(max(1, height // 8), height)),
    )
    tiling = tk.Tiling(
        (max(width, 8), max(height, 8)),
        (max(width, 8) - max(stride_x, 8), max(height, 8) - max(stride_y, 8)),
        edge=data.draw(st.sampled_from(["shift", "clip", "pad"])),
    )
    with tk.open_scan(path) as scan:
        grid = scan.grid(tiling)
        only = data.draw(st.none() | st.sets(st.integers(0, len(grid) - 1), max_size=5))
        got = list(tk.read_tiles(scan, tiling, only=only, workers=data.draw(st.sampled_from([0, 2]))))
    assert [tile.index for tile in got] == (list(range(len(grid))) if only is None else sorted(only))
    for tile in got:
        want = expected(pixels, grid[tile.index])
        assert np.array_equal(tile.pixels[: want.shape[0], : want.shape[1]], want)


@pytest.mark.parametrize("name", ["jpeg", "tiled-jpeg", "tiled-lzw"])
def test_scaled_tiles_equal_the_scaled_page(scans, name):
    path, _ = scans[name, 3]
    tiling = tk.Tiling(64, 16, scale=0.5)
    with tk.open_scan(path) as scan:
        grid = scan.grid(tiling)
        whole = next(scan.bands_of_rows([grid.height], scale=(grid.width, grid.height)))
        for only in (None, [2]):
            for tile in tk.read_tiles(scan, tiling, only=only):
                assert np.array_equal(tile.pixels, expected(whole, tile.window))


def test_of_several_scales_each_tile_says_its_own(scans, monkeypatch):
    """And the scan is told which sizes come after the first, so that one pass may make them."""
    told = []
    with tk.open_scan(scans["jpeg", 3][0]) as scan:
        monkeypatch.setattr(scan, "expect", told.append)
        scales = tk.Scales([tk.Tiling(64, 16), tk.Tiling(64, 16, scale=0.5), tk.Tiling(64, 16, scale=0.25)])
        tiles = list(tk.read_tiles(scan, scales))
        assert told == [(grid.width, grid.height) for grid in map(scan.grid, list(scales)[1:])]
        two = tk.Scales(list(scales)[:2])
        assert [tile.scale for tile in tk.read_tiles(scan, two)] == [
            tile.scale for tile in tiles if tile.scale < 2
        ]
        for place, tiling in enumerate(scales):
            alone = list(tk.read_tiles(scan, tiling))
            found = [tile for tile in tiles if tile.scale == place]
            assert [tile.window for tile in found] == [tile.window for tile in alone]
            assert all(
                np.array_equal(one.pixels, other.pixels) for one, other in zip(found, alone, strict=True)
            )


@pytest.mark.parametrize("save", [{}, {"tile": True, "tile_width": 32, "tile_height": 48}])
@pytest.mark.parametrize("only", [None, [5]])
def test_padding_is_the_background_of_the_page(tmp_path, save, only):
    page = np.full((150, 170, 3), (250, 240, 230), np.uint8)
    page[10:12, 5:60] = 0
    page[110:, 110:] = 30  # a tile with another background
    path = tmp_path / ("page.tif" if save else "page.png")
    pyvips.Image.new_from_array(page).copy(interpretation="srgb").write_to_file(str(path), **save)
    for tiling in (tk.Tiling(60, edge="pad"), tk.Tiling(400, edge="pad")):
        wanted = only if tiling.tile_size[0] == 60 else None
        with tk.open_scan(path) as scan:
            for tile in tk.read_tiles(scan, tiling, only=wanted):
                x0, y0, _, _ = tile.window
                inside = page[y0 : y0 + tile.pixels.shape[0], x0 : x0 + tile.pixels.shape[1]]
                height, width = inside.shape[:2]
                assert np.array_equal(tile.pixels[:height, :width], inside)
                assert (tile.pixels[height:] == (250, 240, 230)).all()
                assert (tile.pixels[:, width:] == (250, 240, 230)).all()


def test_padding_of_a_rectangle_is_the_pages(monkeypatch, tmp_path):
    page = np.full((150, 170), 200, np.uint8)
    page[100:] = 30
    path = tmp_path / "page.tif"
    image = pyvips.Image.new_from_array(page)
    image.write_to_file(str(path), tile=True, compression="lzw", tile_width=32, tile_height=32)
    with tk.open_scan(path) as scan:
        assert not scan.blocks().decodes
        (tile,) = tk.read_tiles(scan, tk.Tiling(60, edge="pad"), only=[8])
    assert (tile.pixels[30:] == 200).all()
    assert (tile.pixels[:30, :50] == 30).all()


def test_a_broken_segment_is_named(scans, tmp_path):
    path, _ = scans["tiled-jpeg", 3]
    data = bytearray(path.read_bytes())
    with tk.open_scan(path) as scan:
        place = int(scan.blocks().layout.offsets[7])
    data[place : place + 40] = bytes(40)
    bad = tmp_path / "bad.tif"
    bad.write_bytes(data)
    with tk.open_scan(bad) as scan, pytest.raises(ScanCorrupt, match=r"bad\.tif.*segment 7"):
        list(tk.read_tiles(scan, tk.Tiling(100)))


def test_stopping_early_lets_go(scans):
    path, _ = scans["jpeg", 3]
    with tk.open_scan(path) as scan:
        tiles = tk.read_tiles(scan, tk.Tiling(50))
        next(tiles)
        tiles.close()


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_the_rows_chosen_hold_the_tiles_asked_for_and_no_others(width, height, data):
    grid = tk.Tiling(8, 1, edge="clip").grid(width, height)
    only = data.draw(st.lists(st.integers(0, len(grid) - 1)))
    rows = reading.chosen_rows(grid, only)
    assert [row * grid.cols + col for row in rows for col in rows[row]] == sorted(set(only))
    assert all(0 <= col < grid.cols for row in rows for col in rows[row])


def test_an_index_outside_the_grid_is_refused(scans):
    with tk.open_scan(scans["png", 3][0]) as scan, pytest.raises(InvalidArgument, match="tile 99"):
        tk.read_tiles(scan, tk.Tiling(200), only=[0, 99])


@pytest.mark.parametrize("how", ["turned", "profile", "half clear"])
def test_blocks_that_are_not_the_pages_pixels_are_not_taken_for_them(tmp_path, how):
    """Stored in blocks, but turned, in other colors, or over white: what is stored is not what is seen."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    image = pyvips.Image.new_from_array(noise, interpretation="srgb")
    if how == "half clear":
        image = image.bandjoin(100)
    if how == "turned":
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    profile = {"profile": "p3"} if how == "profile" else {}
    path = str(tmp_path / "page.tif")
    image.write_to_file(path, tile=True, compression="deflate", tile_width=64, tile_height=64, **profile)
    with tk.open_scan(path) as scan:
        whole = next(scan.bands_of_rows([scan.height]))
    assert how == "turned" or not np.array_equal(whole, noise)
    with tk.open_scan(path) as scan:
        assert not scan.as_stored
        for tile in tk.read_tiles(scan, tk.Tiling(100, 20)):
            assert np.array_equal(tile.pixels, expected(whole, tile.window))


@pytest.mark.parametrize(
    ("name", "more", "only", "way"),
    [
        ("tiled-deflate", {}, None, "tiles_of_blocks"),
        ("tiled-deflate", {}, [3], "tiles_of_blocks"),
        ("tiled-deflate", {"scale": 0.5}, None, "tiles_of_rows"),
        ("tiled-deflate", {"scale": 0.5}, [0], "_tiles_of_rectangles"),
        ("tiled-lzw", {}, None, "tiles_of_rows"),
        ("tiled-lzw", {}, [1, 6], "_tiles_of_rectangles"),  # of 12: fewer than a quarter
        ("tiled-lzw", {}, [0, 1, 11], "tiles_of_rows"),  # a quarter
        ("jpeg", {}, [0, 1], "_tiles_of_rectangles"),  # by an index of its bits
        ("jpeg", {"scale": 0.5}, [0], "tiles_of_rows"),
        ("png", {}, [0, 1], "tiles_of_rows"),
    ],
)
def test_few_tiles_are_read_as_rectangles_where_that_is_cheap(scans, monkeypatch, name, more, only, way):
    assert ways(scans[name, 3][0], tk.Tiling(100 if not more else 40, 10, **more), only, monkeypatch) == [way]


@pytest.mark.parametrize(("asked", "way"), [(2, "_tiles_of_rectangles"), (3, "tiles_of_rows")])
def test_few_are_fewer_than_a_quarter(scans, monkeypatch, asked, way):
    with tk.open_scan(scans["tiled-lzw", 3][0]) as scan:
        assert len(scan.grid(tk.Tiling(120, 10))) == 9
    assert ways(scans["tiled-lzw", 3][0], tk.Tiling(120, 10), range(asked), monkeypatch) == [way]


@pytest.mark.parametrize(
    ("edge", "only", "reads"), [("shift", [0, 1], 2), ("pad", [0, 1], 3), ("pad", [], 0)]
)
def test_rectangles_are_read_once_each_and_the_paper_only_for_a_padded_page(
    scans, monkeypatch, edge, only, reads
):
    read = []
    with tk.open_scan(scans["tiled-lzw", 1][0]) as scan:
        monkeypatch.setattr(
            scan, "read", lambda *box, scale, _read=scan.read: read.append(box) or _read(*box, scale=scale)
        )
        assert len(list(tk.read_tiles(scan, tk.Tiling(100, 10, edge=edge), only=only))) == len(only)
    assert len(read) == reads


def test_the_paper_is_that_of_the_first_tile_to_the_pixel(tmp_path):
    """Of the first tile one column, or row, more is light than dark; of a rectangle a pixel off, as much is."""
    page = np.full((150, 170), 30, np.uint8)
    page[:60, :31] = 200
    for turned in (page, np.ascontiguousarray(page.T)):
        image = pyvips.Image.new_from_array(turned)
        image.write_to_file(
            str(tmp_path / "page.tif"), tile=True, compression="lzw", tile_width=32, tile_height=32
        )
        with tk.open_scan(tmp_path / "page.tif") as scan:
            assert reading.page_paper(scan, scan.grid(tk.Tiling(60, edge="pad"))) == (200,)


@pytest.mark.parametrize(("most", "way"), [(0, "tiles_of_rows"), (-1, "_tiles_of_rectangles")])
def test_rows_that_would_take_too_much_are_not_read_whole(scans, monkeypatch, most, way):
    monkeypatch.setattr("tilekit.tiles.reading._ROWS_BYTES", WIDTH * 3 * (100 + 90) + most)
    assert ways(scans["tiled-lzw", 3][0], tk.Tiling(100, 10), None, monkeypatch) == [way]


def ways(path, tiling, only, monkeypatch):
    """By which of the ways the tiles were read."""
    taken = []

    def noted(name, read):
        def call(*given, **more):
            taken.append(name)
            return read(*given, **more)

        return call

    for name in ("tiles_of_blocks", "_tiles_of_rectangles", "tiles_of_rows"):
        monkeypatch.setattr(reading, name, noted(name, getattr(reading, name)))
    with tk.open_scan(path) as scan:
        found = list(tk.read_tiles(scan, tiling, workers=1, only=only))
        wanted = range(len(scan.grid(tiling))) if only is None else only
        assert [tile.index for tile in found] == list(wanted)
    return taken


def test_what_is_asked_of_a_reading_is_checked(scans):
    with tk.open_scan(scans["png", 1][0]) as scan:
        for wrong in ({"budget": 0}, {"workers": -1}, {"workers": True}, {"workers": 1.5}):
            with pytest.raises(InvalidArgument, match=next(iter(wrong))):
                tk.read_tiles(scan, tk.Tiling(100), **wrong)
        assert len(list(tk.read_tiles(scan, tk.Tiling(200, 0), budget=1, workers=0))) == 4
        assert list(tk.read_tiles(scan, tk.Tiling(100), only=[])) == []
        for only, named in (([-1, 2], "tile -1 is"), ([0, 4], "tile 4 is"), ([-2, 9], "tile -2 is")):
            with pytest.raises(InvalidArgument, match=named):
                tk.read_tiles(scan, tk.Tiling(200, 0), only=only)
    assert (reading.worker_count(0), reading.worker_count(3)) == (0, 3)


def test_a_thread_for_every_core_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0: {1, 4, 5}}[process])
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    assert reading.worker_count(None) == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS and Windows
    assert reading.worker_count(None) == 16
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert reading.worker_count(None) == 1
