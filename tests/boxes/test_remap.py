from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from tests.boxes.strategies import box_arrays
from tilekit.boxes.remap import remap_to_scan, remap_to_tiles
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling


def tilings_of(smallest, overlaps):
    side = st.integers(smallest, 30)
    return st.builds(
        Tiling,
        tile=st.tuples(side, side),
        overlap=st.sampled_from(overlaps),
        edge=st.sampled_from(["shift", "clip", "pad"]),
        scale=st.sampled_from([1.0, 0.5, 1.7]),
    )


tilings = tilings_of(1, [0.0, 0.3]) | tilings_of(4, [0.8])
parts = st.builds(Tiling.parts, rows=st.integers(1, 5), cols=st.integers(1, 5))


@given(box_arrays(), parts, st.integers(5, 60), st.integers(5, 60))
def test_carrying_to_equal_parts_equals_its_slow_twin(boxes, tiling, width, height):
    grid = tiling.grid(width, height)
    carried = remap_to_tiles(boxes, grid, 0.3)
    expected = naive.remap_to_tiles(boxes, grid, 0.3)
    assert carried.tile_index.tolist() == [row[0] for row in expected]
    assert carried.boxes.tolist() == [row[2] for row in expected]


@given(box_arrays(), tilings, st.integers(1, 60), st.integers(1, 60), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_carrying_equals_its_slow_twin(boxes, tiling, width, height, min_visible):
    grid = tiling.grid(width, height)
    carried = remap_to_tiles(boxes, grid, min_visible)
    expected = naive.remap_to_tiles(boxes, grid, min_visible)
    assert carried.tile_index.tolist() == [row[0] for row in expected]
    assert carried.source_index.tolist() == [row[1] for row in expected]
    assert carried.boxes.tolist() == [row[2] for row in expected]
    assert carried.visible.tolist() == [row[3] for row in expected]
    assert carried.cut.tolist() == [row[4] for row in expected]


@given(box_arrays(huge=False), tilings, st.integers(1, 60), st.integers(1, 60))
def test_there_and_back_is_the_identity_on_whole_boxes(boxes, tiling, width, height):
    grid = tiling.grid(width, height)
    carried = remap_to_tiles(boxes, grid, 1.0)
    back = remap_to_scan(carried.boxes, carried.tile_index, grid)
    whole = (carried.visible == 1) & ~carried.cut
    original = boxes[carried.source_index]
    if grid.is_scaled:
        np.testing.assert_allclose(back[whole], original[whole], atol=1e-9)
    else:
        assert np.array_equal(back[whole], original[whole])


def test_bad_arguments_are_named():
    grid = Tiling(10).grid(20, 20)
    with pytest.raises(InvalidArgument, match="min_visible=2"):
        remap_to_tiles([[0, 0, 1, 1]], grid, 2)
    with pytest.raises(InvalidArgument, match=r"boxes\[0\]"):
        remap_to_tiles([[0, 0, -1, 1]], grid)
    with pytest.raises(InvalidArgument, match=r"tile_index\[1\] is 4"):
        remap_to_scan([[0, 0, 1, 1], [0, 0, 1, 1]], [0, 4], grid)
