"""Pixels of libvips scans against Pillow and tifffile as oracles; bands and rectangles against each other."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tilekit as tk
from tilekit.scans.scan import Scan


def noise(height: int, width: int, bands: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, bands), np.uint8)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG")
    return out.getvalue()


def whole(scan: Scan, heights: list[int], scale: tuple[int, int] | None = None) -> np.ndarray:
    return np.concatenate(list(scan.bands_of_rows(heights, scale=scale)))


def cut(height: int, *parts: int) -> list[int]:
    """Heights that fill `height`, made of `parts` repeated."""
    heights: list[int] = []
    while sum(heights) < height:
        heights.append(min(parts[len(heights) % len(parts)], height - sum(heights)))
    return heights


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    bands=st.sampled_from([1, 3]),
    first=st.integers(1, 100),
    second=st.integers(1, 300),
    data=st.data(),
)
def test_bands_and_rectangles_of_a_png_are_its_pixels(height, width, bands, first, second, data):
    pixels = noise(height, width, bands)
    with tk.open_scan(png(pixels)) as scan:
        assert np.array_equal(whole(scan, cut(height, first, second)), pixels)
        x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
        assert np.array_equal(scan.read(x0, y0, x1, y1), pixels[y0:y1, x0:x1])


@pytest.mark.parametrize("tile", [None, (64, 48)])
@pytest.mark.parametrize("compression", [None, "deflate", "lzw", "packbits"])
def test_tiff_strips_and_tiles(tmp_path, tile, compression):
    pixels = noise(333, 217, 3)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, tile=tile, compression=compression, rowsperstrip=None if tile else 7)
    with tk.open_scan(path) as scan:
        assert scan.identity
        assert scan.info.access == ("block" if tile else "scanline")
        assert np.array_equal(whole(scan, cut(333, 100)), pixels)
        assert np.array_equal(scan.read(10, 20, 200, 300), pixels[20:300, 10:200])
