"""Pixels of libvips scans against Pillow and tifffile as oracles; bands and rectangles against each other."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import tilekit as tk
from tilekit.scans.encoding import encode_image
from tilekit.scans.resampling import box_reduced
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
        assert scan.as_stored
        assert scan.info.access == ("block" if tile else "scanline")
        assert np.array_equal(whole(scan, cut(333, 100)), pixels)
        assert np.array_equal(scan.read(10, 20, 200, 300), pixels[20:300, 10:200])


def waves(height: int, width: int) -> np.ndarray:
    """A smooth page, so steep that a shift of a quarter of a reduced pixel would show."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    wave = 128 + 60 * np.sin(x / 23) + 60 * np.cos(y / 19)
    return np.repeat(wave.astype(np.uint8)[..., None], 3, axis=2)


def means(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mean over each reduced pixel's own area, by the exact reduction that slides use."""
    height, width = pixels.shape[:2]
    read = lambda x0, y0, x1, y1: pixels[y0:y1, x0:x1]  # noqa: E731
    return box_reduced(read, (width, height), size, (0, 0, *size)).astype(int)


@settings(max_examples=25)
@given(
    height=st.integers(180, 420),
    width=st.integers(180, 420),
    scale=st.sampled_from([1 / 8, 1 / 4, 1 / 2, 0.3, 0.11]),
)
@example(height=401, width=399, scale=1 / 8)
def test_a_jpeg_reduced_while_decoding_lies_where_the_reduced_page_lies(height, width, scale):
    pixels = waves(height, width)
    data = encode_image(pixels, quality=98).data
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    with tk.open_scan(data) as scan:
        page = whole(scan, [size[1]], size)
        assert np.array_equal(
            scan.read(3, 5, size[0] - 2, size[1] - 1, scale=size), page[5 : size[1] - 1, 3 : size[0] - 2]
        )
    inner = np.s_[1:-1, 1:-1]
    assert (
        np.abs(page.astype(int) - means(pixels, size))[inner].max() <= 8
    )  # an eighth of a pixel on either axis


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(160, 240), (163, 245)])
def test_a_turned_jpeg_is_reduced_as_its_upright_copy(orientation, size):
    picture = Image.fromarray(waves(*size))
    exif = picture.getexif()
    exif[274] = orientation
    data, upright = io.BytesIO(), io.BytesIO()
    picture.save(data, "JPEG", quality=98, exif=exif)
    ImageOps.exif_transpose(picture_of(data)).save(upright, "PNG")
    with tk.open_scan(data.getvalue()) as scan, tk.open_scan(upright.getvalue()) as plain:
        target = (scan.width // 4, scan.height // 4)
        one, other = (whole(each, [target[1]], target).astype(int) for each in (scan, plain))
    assert np.abs(one - other)[1:-1, 1:-1].max() <= 8


def picture_of(data: io.BytesIO) -> Image.Image:
    return Image.open(io.BytesIO(data.getvalue()))


@pytest.mark.parametrize("name", [b"a\xff.png", b"new\nline.png", b"x#page=2.png", b"l" * 240 + b".png"])
def test_any_file_name_opens(tmp_path, name):
    path = os.path.join(tmp_path, os.fsdecode(name))
    with open(path, "wb") as file:
        file.write(encode_image(np.full((30, 40, 1), 9, np.uint8), "png").data)
    with tk.open_scan(path) as scan:
        assert (scan.read(0, 0, 40, 30) == 9).all()
