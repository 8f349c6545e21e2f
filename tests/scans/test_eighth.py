"""A page at an eighth of its size, made of what a parse of its bits sees: the bytes of a decoder's."""

from __future__ import annotations

import io

import numpy as np
import pytest
import pyvips
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tilekit as tk
from tests.jpeg.files import SAMPLINGS, jpeg, jpegs
from tilekit.errors import ScanCorrupt
from tilekit.jpeg import index
from tilekit.jpeg.eighth import Seen, eighth_of, sight_of
from tilekit.jpeg.index import build_index
from tilekit.jpeg.markers import read_header
from tilekit.scans import vips


def by_parse(data: bytes, workers: int) -> np.ndarray | None:
    def read(at: int, count: int) -> bytes:
        return data[at : at + count]

    header, begin = read_header(read)
    made = eighth_of(header)
    if made is None:
        return None
    build_index(read, len(data), header, begin, [], workers=workers, watch=made)
    return made.pixels()


def by_decoder(data: bytes) -> np.ndarray:
    image = pyvips.Image.new_from_buffer(data, "", shrink=8)
    return np.frombuffer(image.write_to_memory(), np.uint8).reshape(image.height, image.width, image.bands)


@pytest.fixture
def small_parts(monkeypatch):
    """Files of a few kilobytes are parsed in parts, which are stitched."""
    monkeypatch.setattr(index, "_PART", 1500)
    monkeypatch.setattr(index, "_STEP", 300)


@given(jpegs(), st.sampled_from([1, 2]))
@settings(max_examples=60)
def test_it_is_what_a_decoder_gives(data, workers):
    made = by_parse(data, workers)
    header = read_header(lambda at, count: data[at : at + count])[0]
    if min(header.width, header.height) < 8:
        assert made is None
    else:
        assert np.array_equal(made, by_decoder(data))


@pytest.mark.parametrize("restart", [0, 7])
@pytest.mark.parametrize("quality", [2, 60, 100])
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1", "rgb"])
def test_also_in_parts_of_any_colors(small_parts, restart, quality, sampling):
    """Pixels of nothing but the eight corners of the cube have the largest DC values there are."""
    blocks = np.random.default_rng(quality).integers(0, 2, (30, 40, 3), dtype=np.uint8) * 255
    out = io.BytesIO()
    pixels = blocks.repeat(8, 0).repeat(8, 1)[:-3, :-5]
    if sampling == "4:1:1":  # Pillow cannot
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "411")
    else:
        how = {"subsampling": 0, "keep_rgb": True} if sampling == "rgb" else {"subsampling": sampling}
        Image.fromarray(pixels).save(out, "JPEG", quality=quality, restart_marker_blocks=restart, **how)
        data = out.getvalue()
    want = by_decoder(data)
    for workers in (1, 2):
        assert np.array_equal(by_parse(data, workers), want)


@given(jpegs(), st.integers(0, 9), st.sampled_from([16, 64, 256]))
def test_values_beyond_any_picture_are_a_decoders_or_not_told(data, seed, most):
    """Other quantization tables: what is multiplied by them may leave the 16 bits that decoders compute in."""
    changed, at = bytearray(data), 0
    steps = np.random.default_rng(seed).integers(1, most, (4, 64), np.uint8)
    for table in steps:
        at = data.find(b"\xff\xdb\0\x43", at) + 5
        if at < 5:
            break
        changed[at : at + 64] = table.tobytes()
    header = read_header(lambda at, count: data[at : at + count])[0]
    if min(header.width, header.height) >= 8:
        made = by_parse(bytes(changed), 1)
        assert made is None or np.array_equal(made, by_decoder(bytes(changed)))


@pytest.mark.parametrize("color", [0, 1])
@pytest.mark.parametrize(
    ("dc", "ac", "known"), [(100, 3991, True), (100, 3992, False), (-100, -3991, True), (-100, -3992, False)]
)
def test_what_ac_values_lead_beyond_any_color_is_not_told(color, dc, ac, known):
    """Some builds of a decoder cut it off, others wrap it around."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "JPEG", subsampling="4:2:0", qtables=[[1] * 64] * 2)
    data = out.getvalue()
    sight = sight_of(read_header(lambda at, count: data[at : at + count])[0])
    values, rest = np.zeros(6, np.int32), np.zeros(8, np.int16)
    values[4 + color] = dc
    rest[4 * color + 3] = ac
    pixels = np.zeros((2, 2, 3), np.uint8)
    assert sight.fill(pixels, Seen(values, rest), np.array([0, 0, 1, 0, 0]), 1) is known


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_tiles_and_the_page_beside_them_take_one_reading(tmp_path, monkeypatch, sampling):
    monkeypatch.setattr(vips, "SMALL_BYTES", 0)
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(1104, 904, sampling, 88))
    scales = tk.Scales(tk.Tiling(160, 16), tk.Tiling.whole(100))
    alone = tk.tile_scan(path, tmp_path / "alone", scales[1])
    with tk.open_scan(path) as scan:
        made = tk.tile_scan(scan, tmp_path / "both", scales)
        assert scan.bits().eighth() is not None
    assert made.kept
    pages = [next(one.paths()).read_bytes() for one in (alone, made.coarser[0])]
    assert pages[0] == pages[1]


def test_of_a_damaged_file_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(vips, "SMALL_BYTES", 0)
    data = jpeg(400, 300, "4:4:4", 90)
    path = tmp_path / "a.jpg"
    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    with pytest.raises(ScanCorrupt, match=r"a\.jpg"):
        tk.tile_scan(path, tmp_path / "out", tk.Scales(tk.Tiling(160, 16), tk.Tiling.whole(40)))
    with tk.open_scan(path) as scan:
        scan.expect((40, 30))
        assert scan.bits().eighth() is None
