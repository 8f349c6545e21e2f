"""TIFF pages of old-style JPEG (compression 6, TIFF 6.0 section 22): the whole JPEG stands in the file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tilekit as tk
from tests.scans.tiff.old_jpeg import HEIGHT, WIDTH, jpeg_of, old_tiff, picture
from tilekit.errors import ScanCorrupt, ScanTooLarge, ScanUnsupported


def test_its_pixels_are_those_of_its_jpeg(tmp_path: Path) -> None:
    jpegs = [jpeg_of(picture(False, seed)) for seed in (1, 9)]
    (tmp_path / "old.tif").write_bytes(old_tiff(jpegs, False))
    for page, jpeg in enumerate(jpegs):
        right = np.asarray(Image.open(io.BytesIO(jpeg)))
        with tk.open_scan(tmp_path / "old.tif", page=page) as scan:
            assert (scan.width, scan.height, scan.info.pages) == (WIDTH, HEIGHT, 2)
            np.testing.assert_array_equal(scan.read(0, 0, WIDTH, HEIGHT).reshape(right.shape), right)
            np.testing.assert_array_equal(
                scan.read(8, 4, 30, 20).reshape(right[4:20, 8:30].shape), right[4:20, 8:30]
            )


def test_reduced_chroma_is_repeated(tmp_path: Path) -> None:
    image = picture(False)
    (tmp_path / "old.tif").write_bytes(old_tiff([jpeg_of(image, 2)], False, subsampling=2))
    with tk.open_scan(tmp_path / "old.tif") as scan:
        assert np.abs(scan.read(0, 0, WIDTH, HEIGHT).astype(int) - np.asarray(image)).mean() < 6


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    path = tmp_path / "old.tif"
    jpeg = jpeg_of(picture(False))
    whole = old_tiff([jpeg], False)
    path.write_bytes(whole.replace(jpeg, jpeg[:200] + b"\0" * (len(jpeg) - 200)))
    with pytest.raises(ScanCorrupt, match=r"old\.tif"), tk.open_scan(path) as scan:
        scan.read(0, 0, 8, 8)
    path.write_bytes(whole)
    with pytest.raises(ScanTooLarge, match="budget"), tk.open_scan(path, budget=1000):
        pass
    for other in (old_tiff([jpeg], False, bits=12), old_tiff([jpeg_of(picture(True))], True)):
        path.write_bytes(other)
        with pytest.raises(ScanUnsupported, match="old-style JPEG is not YCbCr"), tk.open_scan(path):
            pass
