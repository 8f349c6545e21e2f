from __future__ import annotations

import io

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tilekit.errors import InvalidArgument, ScanCorrupt
from tilekit.scans.encoding import decode_image, encode_image


def soft(height: int, width: int, bands: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([(x * (band + 1) + y * 2) // 4 % 256 for band in range(bands)], -1).astype(np.uint8)


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (333, 1), (61, 97)])
def test_lossless_formats_come_back_whole(bands, size):
    pixels = np.random.default_rng(1).integers(0, 256, (*size, bands), np.uint8)
    png, webp = encode_image(pixels, "png"), encode_image(pixels, "webp")
    assert png.quality is None
    assert np.array_equal(decode_image(png.data), pixels)
    back = decode_image(webp.data)  # WebP has no gray
    assert np.array_equal(back, np.broadcast_to(pixels, back.shape))


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
def test_jpeg_is_near_and_decodes_as_elsewhere(bands, subsampling):
    pixels = soft(200, 130, bands)
    made = encode_image(pixels, "jpeg", quality=95, subsampling=subsampling)
    back = decode_image(made.data)
    assert back.shape == pixels.shape
    assert np.array_equal(back.squeeze(), np.asarray(Image.open(io.BytesIO(made.data))))
    assert np.median(np.abs(back.astype(int) - pixels)) < 8


@pytest.mark.parametrize("subsampling", ["444", "420"])
def test_jpeg_is_as_near_as_libvips_writes_it_at_the_same_settings(subsampling):
    pixels = np.ascontiguousarray(np.kron(soft(64, 64, 3), np.ones((2, 2, 1), np.uint8)))
    image = pyvips.Image.new_from_memory(pixels, 128, 128, 3, "uchar").copy(interpretation="srgb")
    theirs = image.jpegsave_buffer(Q=75, subsample_mode="off" if subsampling == "444" else "on")
    ours = encode_image(pixels, quality=75, subsampling=subsampling).data
    assert np.array_equal(decode_image(ours), decode_image(theirs))  # the accurate DCT, the same tables


@settings(max_examples=40)
@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))))
def test_png_is_read_the_same_by_an_independent_decoder(pixels):
    with Image.open(io.BytesIO(encode_image(pixels, "png").data)) as image:
        image.verify()
    with Image.open(io.BytesIO(encode_image(pixels, "png").data)) as image:
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_views_encode_as_their_copies():
    band = soft(90, 200, 3)
    view = band[10:70, 30:150]
    for format in ("jpeg", "png"):
        assert encode_image(view, format).data == encode_image(view.copy(), format).data


def test_quality_steps_down_to_fit_and_says_so():
    pixels = np.random.default_rng(2).integers(0, 256, (128, 128, 3), np.uint8)
    full = encode_image(pixels, quality=90)
    assert full.quality == 90
    fits = encode_image(pixels, quality=90, max_bytes=len(full.data) // 2)
    assert fits.quality is not None
    assert fits.quality < 90
    assert len(fits.data) <= len(full.data) // 2
    above = encode_image(pixels, quality=fits.quality + 5)
    assert len(above.data) > len(full.data) // 2
    assert encode_image(pixels, quality=fits.quality).data == fits.data
    with pytest.raises(InvalidArgument, match="max_bytes=10"):
        encode_image(pixels, max_bytes=10)
    with pytest.raises(InvalidArgument, match="max_bytes=10"):
        encode_image(pixels, "png", max_bytes=10)


@pytest.mark.parametrize(
    ("pixels", "options", "word"),
    [
        (np.zeros((0, 5, 3), np.uint8), {}, "pixels"),
        (np.zeros((5, 5, 2), np.uint8), {}, "pixels"),
        (np.zeros((5, 5, 3), np.float32), {}, "pixels"),
        (np.zeros((5, 5), np.uint8), {"quality": 0}, "quality=0"),
        (np.zeros((5, 5), np.uint8), {"subsampling": "411"}, "subsampling='411'"),
        (np.zeros((5, 5), np.uint8), {"format": "bmp"}, "format='bmp'"),
        (np.zeros((1, 70000), np.uint8), {"format": "jpeg"}, "65500"),
        (np.zeros((1, 17000), np.uint8), {"format": "webp"}, "16383"),
    ],
)
def test_nonsense_is_named(pixels, options, word):
    with pytest.raises(InvalidArgument, match=word):
        encode_image(pixels, **options)


def test_a_cut_jpeg_does_not_decode():
    data = encode_image(soft(300, 300, 3)).data
    with pytest.raises(ScanCorrupt):
        decode_image(data[: len(data) // 2])
