"""A page reduced on the way == reduced by a pass of its own, byte for byte."""

from __future__ import annotations

import io

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tilekit as tk
from tests import naive
from tilekit.compiled import prepare
from tilekit.scans import reducing, vips
from tilekit.scans.kernels.averaging import box_means
from tilekit.scans.reducing import reduced, reducer_for


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    prepare("tilekit.scans.kernels")
    reducing.kernel_agrees.cache_clear()


@given(
    st.tuples(st.integers(20, 130), st.integers(20, 130)),
    st.tuples(st.floats(4, 15), st.floats(4, 15)),
    st.sampled_from([1, 3]),
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 20)), min_size=1, max_size=30),
    st.integers(1, 2000),
    st.booleans(),
)
def test_rows_that_go_by_make_the_reduced_page(page, ratios, bands, spans, strip, by_kernel):
    pixels = np.random.default_rng(sum(page)).integers(0, 256, (page[1], page[0], bands), np.uint8)
    size = tuple(max(1, int(side / ratio)) for side, ratio in zip(page, ratios, strict=True))
    reducer = reducer_for(*page, bands, size)
    assert reducer is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reducing, "_STRIP_BYTES", strip)
        patch.setattr(reducer, "_by_kernel", by_kernel and reducer._by_kernel)
        at = 0
        for height, back in [*spans, (page[1], 0)]:
            start = max(0, at - back)
            at = max(at, min(at + height, page[1]))
            reducer.watch(start, pixels[start:at])
    image = pyvips.Image.new_from_memory(pixels, *page, bands, "uchar")
    assert reducer.image().write_to_memory() == reduced(image, size).write_to_memory()


@given(st.integers(2, 40), st.integers(2, 40))
def test_the_kernel_rounds_as_libvips_does(across, down):
    assert reducing.kernel_agrees((across, down))


@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 3]),
    st.integers(0, 9),
)  # fmt: skip
def test_means_of_boxes_are_their_twin(height, width, across, down, bands, seed):
    rows = np.random.default_rng(seed).integers(0, 256, (height, width, bands), np.uint8)
    wanted = naive.box_means(rows, across, down)
    out = np.empty(wanted.shape, np.uint8)
    flat = rows.reshape(height, -1), out.reshape(len(out), -1)
    box_means(*flat, np.empty(2 * width * bands, np.uint32), bands, across, down)
    assert np.array_equal(out, wanted)


def test_a_gap_makes_nothing():
    reducer = reducer_for(64, 64, 1, (8, 8))
    pixels = np.zeros((64, 64, 1), np.uint8)
    reducer.watch(0, pixels[:20])
    reducer.watch(30, pixels[30:])
    assert reducer.image() is None


def test_what_is_not_made_on_the_way():
    assert reducer_for(10_000, 10_000, 3, (3_000, 3_000)) is None  # almost the page
    assert reducer_for(100_000, 100_000, 3, (10_000, 10_000)) is None  # too much to hold
    assert reducer_for(14_043, 9_933, 3, (1_280, 905)) is not None


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_a_page_and_its_tiles_take_one_pass(kind, monkeypatch, tmp_path):
    monkeypatch.setattr(vips, "SMALL_BYTES", 0)
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (700, 500, 3), np.uint8)
    Image.fromarray(noise).save(out, kind)
    scales = tk.Scales(tk.Tiling(128, 16), tk.Tiling.whole(100))
    with tk.open_scan(out.getvalue()) as scan:
        loads, load = [], scan._loader
        monkeypatch.setattr(scan, "_loader", lambda *a, **k: loads.append(1) or load(*a, **k))
        alone = [list(tk.read_tiles(scan, one))[-1].pixels for one in scales]
        assert len(loads) == 1  # the image opened for its header serves the first pass
        loads.clear()
        tiles = list(tk.read_tiles(scan, scales))
    assert len(loads) == 1
    assert np.array_equal(tiles[-1].pixels, alone[1])
    assert np.array_equal(tiles[-2].pixels, alone[0])
    (tmp_path / "page").write_bytes(out.getvalue())
    with tk.open_scan(tmp_path / "page") as scan:
        monkeypatch.setattr(scan, "_loader", None)
        made = tk.tile_scan(scan, tmp_path / "out", scales, format="png")
    with tk.open_scan(next(made.coarser[0].paths())) as page:
        assert np.array_equal(page.read(0, 0, page.width, page.height), alone[1])
