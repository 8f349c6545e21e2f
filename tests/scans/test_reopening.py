"""A scan as a dask array holds the scan's pixels, whatever is taken of it, in any process."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tilekit as tk
from tilekit.errors import InvalidArgument
from tilekit.scans.reopening import scan_array
from tilekit.testing.scans import write_scan

WIDTH, HEIGHT = 310, 270


@pytest.fixture(scope="module", params=["jpeg", "png", "tiled-deflate"])
def scan(request, tmp_path_factory):
    with tk.open_scan(
        write_scan(tmp_path_factory.mktemp("scan") / "scan", WIDTH, HEIGHT, request.param)
    ) as opened:
        yield opened


def slices(size):
    ends = st.none() | st.integers(-size - 3, size + 3)
    return st.builds(slice, ends, ends, st.none() | st.integers(1, 40)) | st.integers(-size, size - 1)


@given(rows=slices(HEIGHT), cols=slices(WIDTH), bands=slices(3))
def test_any_part_is_what_numpy_takes(scan, rows, cols, bands):
    whole = scan.read(0, 0, WIDTH, HEIGHT)
    array = scan_array(scan)
    for index in ((rows, cols, bands), (rows, cols), rows, (rows, ..., bands), ...):
        assert np.array_equal(array[index], whole[index])


@pytest.mark.parametrize("chunk", [None, 100, (310, 64)])
def test_dask_computes_the_scans_pixels(scan, chunk):
    whole = scan.read(0, 0, WIDTH, HEIGHT)
    lazy = pickle.loads(pickle.dumps(scan.to_dask(chunk)))
    assert (lazy.shape, lazy.dtype) == (whole.shape, np.uint8)
    assert np.array_equal(lazy.compute(scheduler="threads"), whole)
    assert np.array_equal(lazy[5:200:7, -40:].compute(scheduler="sync"), whole[5:200:7, -40:])
    if chunk == (310, 64):
        assert lazy.chunks == ((64, 64, 64, 64, 14), (310,), (3,))


def test_the_same_file_is_the_same_array_and_another_page_is_not(tmp_path):
    path = write_scan(tmp_path / "a.png", 60, 40, "png")
    with tk.open_scan(path) as one, tk.open_scan(path) as two, tk.open_scan(path, bands="gray") as gray:
        assert one.to_dask().name == two.to_dask().name
        assert one.to_dask().name != gray.to_dask().name
    with tk.open_scan(path.read_bytes()) as held:
        lazy = held.to_dask()
    assert lazy.compute(scheduler="sync").shape == (40, 60, 3)


def test_pages_of_a_file_open_again_as_themselves(tmp_path):
    from PIL import Image

    pictures = [Image.new("RGB", (30, 20), (shade, 0, 0)) for shade in (10, 200)]
    pictures[0].save(tmp_path / "two.tif", save_all=True, append_images=pictures[1:])
    arrays = [page.to_dask() for page in tk.scan_pages(tmp_path / "two.tif")]
    assert [int(array.max().compute(scheduler="sync")) for array in arrays] == [10, 200]


@pytest.mark.parametrize("chunk", [0, -1, True, (1,), (3, 0), 2.5, "x"])
def test_chunks_that_are_none(scan, chunk):
    with pytest.raises(InvalidArgument, match="chunk="):
        scan.to_dask(chunk)


def test_a_file_object_is_only_of_this_process(tmp_path):
    path = write_scan(tmp_path / "a.png", 60, 40, "png")
    with (
        tk.open_scan(io.BytesIO(path.read_bytes())) as scan,
        pytest.raises(InvalidArgument, match="file object"),
    ):
        scan.to_dask()
