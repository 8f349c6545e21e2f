"""What cutting a page takes, worked out by hand for each way a scan is stored."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from tilekit.grid import Tiling
from tilekit.scans.encoding import encode_image
from tilekit.scans.opening import open_scan

TILING = Tiling(64, 0)
EIGHT = 8 * 64 * 64


def cost(path, tiling=TILING, **how):
    with open_scan(path, **how) as scan:
        return scan.info.access, scan.cost(scan.grid(tiling))


def test_scanlines_take_two_rows_of_tiles(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode_image(np.zeros((1000, 500, 3), np.uint8), "png").data)
    assert cost(path) == ("scanline", (2 * 64 + 200) * 500 * 3 + 3 * EIGHT)


def test_a_short_page_takes_what_it_has(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode_image(np.zeros((40, 500), np.uint8), "png").data)
    assert cost(path) == ("scanline", 40 * 500 + 8 * 64 * 40), "tiles are no higher than the page"


def test_blocks_are_bounded_whatever_the_width(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((600, 400), np.uint8), tile=(64, 64))
    assert cost(path) == ("block", (2 * 64 + 200) * 400)
    wide = tmp_path / "wide.tif"
    tifffile.imwrite(wide, np.zeros((64, 1_000_000), np.uint8), tile=(64, 64), compression="zlib")
    assert cost(wide, Tiling(256, 0))[1] == 64 * 2**20 + 16 * 256 * 64


@pytest.mark.parametrize("scale", [0.5])
def test_reduced_blocks_count_as_rows(tmp_path, scale):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((1200, 800), np.uint8), tile=(64, 64))
    assert cost(path, Tiling(64, 0, scale=scale))[1] == (2 * 64 + 200) * 400 + EIGHT


def test_wider_samples_take_more_in_the_decoder(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((1000, 500, 3), np.float32), photometric="rgb", rowsperstrip=16)
    found = cost(path, levels=(0, 1))
    assert found == ("scanline", 2 * 64 * 500 * 3 + 200 * 500 * 12 + 3 * EIGHT)
