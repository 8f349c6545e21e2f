"""Which directories of a TIFF are pages, levels, masks and thumbnails, and where their blocks lie."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
import tifffile

import tilekit as tk
from tilekit.scans.source import Source
from tilekit.scans.tiff.blocks import jpeg_head
from tilekit.scans.tiff.directories import read_directories

PAGE = np.random.default_rng(3).integers(0, 256, (300, 200, 3), np.uint8)
TILED = {"tile": (64, 64), "photometric": "rgb"}


def roles(path) -> list[tuple[str, int, int]]:
    source = Source(str(path), path, None, b"")
    reader = source.reader()
    try:
        return [(item.role, item.page, item.width) for item in read_directories(source, reader).all]
    finally:
        reader.close()


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_directory_is_named(tmp_path, order, big):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, byteorder=order, bigtiff=big) as writer:
        writer.write(PAGE, subifds=1, **TILED)
        writer.write(PAGE[::2, ::2], subfiletype=1, **TILED)
        writer.write(PAGE[::4, ::4], subfiletype=1, **TILED)
        writer.write(PAGE[:50, :120], subfiletype=1, **TILED)
        writer.write(PAGE[..., 0] > 9, subfiletype=4, tile=(64, 64))
        writer.write(PAGE[::2, ::2], **TILED)
    assert roles(path) == [
        ("page", 0, 200), ("level", 0, 100), ("level", 0, 50), ("thumbnail", 0, 120), ("mask", 0, 200),
        ("page", 1, 100),
    ]  # fmt: skip


@pytest.mark.parametrize("between", ["overview", "mask"])
def test_a_page_after_an_overview_or_a_mask_has_its_own_tiles(tmp_path, between):
    path = tmp_path / "a.tif"
    second = 255 - PAGE[::2, ::2]
    with tifffile.TiffWriter(path) as writer:
        writer.write(PAGE, **TILED)
        if between == "overview":
            writer.write(np.full_like(second, 9), subfiletype=1, **TILED)
        else:
            writer.write(second[..., 0] > 9, subfiletype=4, tile=(64, 64))
        writer.write(second, **TILED)
    with tk.open_scan(path, page=1) as scan:
        assert scan.as_stored
        assert np.array_equal(scan.read(0, 0, 100, 150), second)
        for tile in tk.read_tiles(scan, tk.Tiling(48)):
            window = tile.window
            assert np.array_equal(tile.pixels, second[window.y0 : window.y1, window.x0 : window.x1])


def test_sub_directories_are_levels(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(PAGE, subifds=2, **TILED)
        writer.write(PAGE[::2, ::2], subfiletype=1, **TILED)
        writer.write(PAGE[::4, ::4], subfiletype=1, **TILED)
        writer.write(PAGE, **TILED)
    assert roles(path) == [("page", 0, 200), ("level", 0, 100), ("level", 0, 50), ("page", 1, 200)]
    assert tk.scan_info(path).pages == 2


def test_stored_blocks_are_whole_streams(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PAGE, compression="jpeg", compressionargs={"level": 90}, **TILED)
    with tk.open_scan(path) as scan:
        blocks = scan.blocks()
        layout = blocks.layout
        assert (layout.block, layout.across, layout.down, layout.tiled) == ((64, 64), 4, 5, True)
        assert (layout.compression, layout.samples, layout.photometric) == (7, 3, 6)
        stream = jpeg_head(layout) + blocks.data(1, 2)[2:]
        pixels = simplejpeg.decode_jpeg(stream)
        assert np.array_equal(pixels, scan.read(128, 64, 192, 128))
        assert np.array_equal(pixels, blocks.decode(1, 2))


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
def test_a_sample_of_no_stated_meaning_is_no_alpha(tmp_path, compression, tiled):
    path = tmp_path / "a.tif"
    pixels = np.dstack([PAGE, PAGE[::-1, :, :1]])
    layout = {"tile": (64, 64)} if tiled else {}
    tifffile.imwrite(
        path, pixels, photometric="rgb", extrasamples=["unspecified"], compression=compression, **layout
    )
    with tk.open_scan(path) as scan:
        assert np.array_equal(scan.read(0, 0, 200, 300), PAGE)
        (tile,) = tk.read_tiles(scan, tk.Tiling(300, edge="clip"))
        assert np.array_equal(tile.pixels, PAGE)


def test_premultiplied_alpha_is_not_multiplied_again(tmp_path):
    alpha = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (300, 1))
    color = (PAGE.astype(int) * alpha[..., None] // 255).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.dstack([color, alpha]), photometric="rgb", extrasamples=["assocalpha"])
    with tk.open_scan(path) as scan:
        assert np.array_equal(scan.read(0, 0, 200, 300), color + (255 - alpha[..., None]))
