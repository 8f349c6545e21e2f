"""Tiles for a service: cut where they can be, decoded only when somebody asks for their pixels."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tilekit as tk
from tests.jpeg.files import jpeg, jpegs
from tilekit.aws.imaging import sent_tile
from tilekit.scans import vips
from tilekit.scans.encoding import decode_image
from tilekit.scans.jpegbits import JpegBits
from tilekit.tiles.sending import tiles_to_send


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Small scans take the way of large ones."""
    monkeypatch.setattr(vips, "SMALL_BYTES", 0)


@given(jpegs(), st.sampled_from(["shift", "clip", "pad"]), st.sampled_from([1, 3]))
@settings(max_examples=25)
def test_they_are_the_tiles_that_are_written_with_the_pixels_that_are_read(file, edge, workers):
    tiling = tk.Tiling(48, 16, edge=edge)
    with tk.open_scan(file) as scan:
        files = {tile.index: tile.data for tile in tk.encode_tiles(scan, tiling) if tile.kept}
        want = list(tk.read_tiles(scan, tiling))
        got = list(tiles_to_send(scan, tiling, workers=workers))
        assert [tile.index for tile in got] == [tile.index for tile in want]
        assert {tile.index: tile.jpeg for tile in got if tile.jpeg is not None} == files
        for sent, read in zip(got, want, strict=True):
            assert (sent.row, sent.col, sent.window, sent.scale) == (read.row, read.col, read.window, 0)
            assert sent.nbytes == (read.nbytes if sent.jpeg is None else len(sent.jpeg))
            assert np.array_equal(sent.pixels, read.pixels)
            assert sent.pixels is sent.pixels  # decoded once
            assert not sent.pixels.flags.writeable
            for copy in (pickle.loads(pickle.dumps(sent)), replace(sent, scale=0)):
                assert np.array_equal(copy.pixels, read.pixels)
                assert (copy.index, copy.window, copy.jpeg) == (sent.index, sent.window, sent.jpeg)
    with pytest.raises(AttributeError):
        got[0].nothing  # noqa: B018


def test_scales_come_one_behind_the_other():
    file = jpeg(300, 260)
    scales = tk.Scales(tk.Tiling(128, 16), tk.Tiling.whole(128))
    with tk.open_scan(file) as scan:
        want = [(tile.scale, tile.index) for tile in tk.read_tiles(scan, scales)]
        got = list(tiles_to_send(scan, scales))
    assert [(tile.scale, tile.index) for tile in got] == want
    assert {tile.scale for tile in got if tile.jpeg is not None} == {0}


def test_what_is_sent_is_cut_unless_it_must_not_be(monkeypatch):
    with tk.open_scan(jpeg(500, 410)) as scan:
        tile = next(iter(tiles_to_send(scan, tk.Tiling(112, 16))))
        narrow = next(iter(tiles_to_send(scan, tk.Tiling((112, 32), 0))))
        with monkeypatch.context() as patch:
            patch.setattr(JpegBits, "pixels", None)
            assert sent_tile(tile).data is tile.jpeg
        for options in (
            {"quality": 90},
            {"format": "png"},
            {"max_bytes": len(tile.jpeg)},
            {"min_side": 120},
        ):
            sent = sent_tile(tile, **options)
            assert sent.data != tile.jpeg
            assert len(sent.data) < options.get("max_bytes", 1 << 30)
            assert min(sent.width, sent.height) >= options.get("min_side", 1)
        padded = sent_tile(narrow)  # the service wants 64 px
        assert (padded.width, padded.height) == (112, 64)
        assert decode_image(padded.data).shape[:2] == (64, 112)
