"""A small JPEG is decoded past libvips; its pixels are the same, and damage is still damage."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import pyvips
import simplejpeg
from PIL import Image

from tilekit import open_scan
from tilekit.errors import ScanCorrupt

SIZES = ((1, 1), (17, 9), (64, 48), (333, 250), (1023, 701))


def jpeg(width: int, height: int, mode: str = "RGB", **options: Any) -> bytes:
    rng = np.random.default_rng(width * height)
    small = rng.integers(0, 256, (max(1, height // 7), max(1, width // 7), 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def by_libvips(data: bytes) -> np.ndarray[Any, Any]:
    image: Any = pyvips.Image.new_from_buffer(data, "")
    return np.frombuffer(image.write_to_memory(), np.uint8).reshape(image.height, image.width, image.bands)


def rows(data: bytes) -> np.ndarray[Any, Any]:
    with open_scan(data) as scan:
        return np.concatenate(list(scan.spans_of_rows([(0, scan.height)])))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", [
    {"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"subsampling": "4:1:1"},
    {"progressive": True}, {"quality": 20, "optimize": True}, {"restart_marker_rows": 1},
    {"keep_rgb": True}, {"mode": "L"}, {"mode": "CMYK"},
], ids=str)  # fmt: skip
def test_the_pixels_of_libvips(size: tuple[int, int], options: dict[str, Any]) -> None:
    data = jpeg(*size, **options)
    with open_scan(data) as scan:
        whole = scan.read(0, 0, *size)
    np.testing.assert_array_equal(rows(data), whole)
    if options.get("mode") != "CMYK":
        np.testing.assert_array_equal(rows(data), by_libvips(data))


def test_a_vertical_halving_too() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    data = simplejpeg.encode_jpeg(pixels, colorsubsampling="440")
    np.testing.assert_array_equal(rows(data), by_libvips(data))


def test_damage_is_still_damage() -> None:
    data = jpeg(333, 250)
    with pytest.raises(ScanCorrupt):
        rows(data[: len(data) // 2])
    spoiled = bytearray(data)
    spoiled[len(data) // 2 : len(data) // 2 + 40] = b"\xff\xd9" * 20
    with pytest.raises(ScanCorrupt):
        rows(bytes(spoiled))
