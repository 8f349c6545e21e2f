"""The pyramid: its levels are halves of each other, its tiles meet without gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.errors import InvalidArgument
from tilekit.scans.encoding import decode_image, encode_image
from tilekit.scans.opening import open_scan
from tilekit.tiles.pyramid import halved, write_pyramid


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_halving_is_the_mean_of_four(height: int, width: int, bands: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)
    half = halved(pixels)
    assert half.shape == ((height + 1) // 2, (width + 1) // 2, bands)
    for y in range(half.shape[0]):
        for x in range(half.shape[1]):
            ys = [2 * y, min(2 * y + 1, height - 1)]
            xs = [2 * x, min(2 * x + 1, width - 1)]
            total = sum(int(pixels[j, i, 0]) for j in ys for i in xs)
            assert half[y, x, 0] == (total + 2) // 4


@pytest.mark.parametrize(("width", "height"), [(1, 1), (64, 64), (65, 64), (300, 10), (513, 777)])
def test_levels_and_tiles(tmp_path: Path, width: int, height: int) -> None:
    y, x = np.mgrid[0:height, 0:width]
    gray = (x + y) * 255 // max(1, width + height - 2)
    pixels = np.repeat(gray[:, :, None], 3, axis=2).astype(np.uint8)
    with open_scan(encode_image(pixels, "png").data) as scan:
        pyramid = write_pyramid(scan, tmp_path, tile=64, quality=95)
    expected = pixels
    for level in range(pyramid.top, -1, -1):
        rows, cols = -(-expected.shape[0] // 64), -(-expected.shape[1] // 64)
        files = {p.name for p in (tmp_path / str(level)).iterdir()}
        assert files == {f"{c}_{r}.jpg" for c in range(cols) for r in range(rows)}
        joined = np.concatenate(
            [
                np.concatenate(
                    [
                        decode_image((tmp_path / str(level) / f"{c}_{r}.jpg").read_bytes())
                        for c in range(cols)
                    ],
                    axis=1,
                )
                for r in range(rows)
            ]
        )
        assert joined.shape == expected.shape
        assert np.abs(joined.astype(int) - expected.astype(int)).max() <= 8
        expected = halved(expected)
    assert max(expected.shape[:2]) <= 64


def test_odd_tiles_are_refused(tmp_path: Path) -> None:
    with (
        open_scan(encode_image(np.zeros((8, 8, 1), np.uint8), "png").data) as scan,
        pytest.raises(InvalidArgument, match="tile=63"),
    ):
        write_pyramid(scan, tmp_path, tile=63)
