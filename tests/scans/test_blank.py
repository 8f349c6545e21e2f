from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.scans.blank import background, is_blank
from tilekit.scans.encoding import decode_image, encode_image


def paper(noise: float, level: int = 244, size: int = 512, bands: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(level, noise, (size, size, bands)).round(), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("noise", [0, 1, 2, 3, 4])
def test_noisy_paper_is_blank_also_after_jpeg(noise, bands):
    page = paper(noise, bands=bands, size=1024)
    assert is_blank(page)
    assert is_blank(decode_image(encode_image(page, quality=60).data))


def test_shaded_paper_and_a_speck_of_dust_are_blank():
    page = paper(2)
    shade = np.linspace(0, 10, 512).astype(np.uint8)[None, :, None]
    page = page - shade
    page[100:101, 100:102] = 0
    assert is_blank(page)


@given(
    x=st.integers(0, 480),
    y=st.integers(0, 511),
    contrast=st.integers(45, 240),
    seed=st.integers(0, 5),
    bands=st.sampled_from([1, 3]),
    upright=st.booleans(),
)
def test_a_short_thin_line_is_never_blank(x, y, contrast, seed, bands, upright):
    page = paper(3, size=512, bands=bands, seed=seed)
    page[y, x : x + 24] = 244 - contrast
    assert not is_blank(page.transpose(1, 0, 2).copy() if upright else page)


@given(level=st.integers(0, 255), noise=st.floats(0, 3), size=st.integers(1, 400))
def test_background_is_the_paper(level, noise, size):
    page = paper(noise, level, max(size, 16), 1)
    page[:3, :3] = 255 - level
    assert abs(background(page)[0] - level) <= 3 + noise


def test_background_by_band():
    page = np.full((40, 50, 3), (250, 240, 200), np.uint8)
    page[:10] = 0
    assert background(page) == (250, 240, 200)
