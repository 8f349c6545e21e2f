"""Geometry: what the grid says of any size, recipe and point."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling, Window

SIDES = st.integers(1, 300) | st.integers(1, 10**6)


@st.composite
def tilings(draw):
    tile = draw(st.tuples(st.integers(1, 200), st.integers(1, 200)))
    overlap = tuple(draw(st.integers(0, side - 1) | st.floats(0, 0.5)) for side in tile)
    edge = draw(st.sampled_from(["shift", "clip", "pad"]))
    room = min(side - px for side, px in zip(tile, Tiling(tile, overlap).overlap_px, strict=True))
    align = draw(st.sampled_from([unit for unit in (1, 1, 2, 8, 16) if unit <= room]))
    return Tiling(tile, overlap, edge=edge, align=align)


@given(tilings(), st.integers(1, 400), st.integers(1, 400))
def test_tiles_cover_every_pixel_and_nothing_else(tiling, width, height):
    for axis in (tiling.grid(width, height).columns, tiling.grid(width, height).lines):
        starts, stops = axis.starts(), axis.stops()
        assert starts.tolist() == [axis.start(i) for i in range(axis.count)]
        assert stops.tolist() == [axis.stop(i) for i in range(axis.count)]
        assert starts[0] == 0
        assert (np.diff(starts) > 0).all()
        assert (starts[1:] <= stops[:-1]).all()
        assert stops[-1] >= axis.size if axis.edge == "pad" else stops[-1] == axis.size
        assert axis.count == 1 or stops[-2] < axis.size  # the last tile is needed


@given(tilings(), st.integers(1, 400), st.integers(1, 400))
def test_sizes_and_overlaps_are_as_the_edge_says(tiling, width, height):
    grid = tiling.grid(width, height)
    for axis, tile, overlap in zip(
        (grid.columns, grid.lines), tiling.tile_size, tiling.overlap_px, strict=True
    ):
        sizes = axis.stops() - axis.starts()
        full = tile if tiling.edge == "pad" else min(tile, axis.size)
        assert (sizes[:-1] == full).all()
        assert sizes[-1] == full or tiling.edge == "clip" or full - tiling.align < sizes[-1] <= full
        assert (axis.starts() % tiling.align == 0).all()
        assert (axis.stops()[:-1] - axis.starts()[1:] >= overlap).all()


@given(tilings(), st.integers(1, 150), st.integers(1, 150), st.data())
def test_at_is_the_tiles_that_cover_the_point(tiling, width, height, data):
    grid = tiling.grid(width, height)
    x = data.draw(st.floats(-5, width + 5, allow_nan=False))
    y = data.draw(st.floats(-5, height + 5, allow_nan=False))
    inside = 0 <= x < width and 0 <= y < height
    want = [i for i, w in enumerate(grid) if inside and w.x0 <= x < w.x1 and w.y0 <= y < w.y1]
    assert grid.at(x, y) == want
    assert bool(want) == inside


@given(tilings(), st.integers(1, 400), st.integers(1, 400))
def test_windows_iteration_and_access_agree(tiling, width, height):
    grid = tiling.grid(width, height)
    windows = [Window(*row) for row in grid.windows().tolist()]
    assert windows == list(grid) == [grid[i] for i in range(len(grid))]
    assert grid[-1] == windows[-1]
    assert grid[1:3] == windows[1:3]
    with pytest.raises(IndexError):
        grid[len(grid)]


@given(st.integers(1, 60), st.integers(1, 500), st.integers(1, 500))
def test_any_number_of_parts_is_exact(count, width, height):
    try:
        grid = Tiling.parts(count).grid(width, height)
    except InvalidArgument:
        assert count > width or count > height
        return
    sizes = np.array([[w.width, w.height] for w in grid])
    assert len(grid) == count
    assert (sizes.max(0) - sizes.min(0) <= 1).all()
    assert sizes.prod(1).sum() == width * height


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 20) | st.floats(0, 0.4), st.integers(150, 900))
def test_parts_with_overlap_share_at_least_that(rows, cols, overlap, size):
    grid = Tiling.parts(rows=rows, cols=cols, overlap=overlap).grid(size, size + 7)
    assert (grid.rows, grid.cols) == (rows, cols)
    for axis in (grid.columns, grid.lines):
        starts, stops = axis.starts(), axis.stops()
        assert (starts[0], stops[-1]) == (0, axis.size)
        shared = overlap if isinstance(overlap, int) else round(overlap * axis.tile)
        assert (stops[:-1] - starts[1:] >= shared).all()


def test_ten_million_windows_at_once():
    grid = Tiling(32, edge="clip").grid(102_400, 100_000)
    windows = grid.windows()
    assert windows.shape == (10_000_000, 4)
    assert windows[-1].tolist() == [102_368, 99_968, 102_400, 100_000]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 10**6), (10**6, 1), (3, 5000)])
def test_odd_scans(width, height):
    for edge in ("shift", "clip", "pad"):
        grid = Tiling(1024, 128, edge=edge).grid(width, height)
        assert grid.at(width - 0.5, height - 0.5)[-1] == len(grid) - 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tile": 0}, "tile=0"),
        ({"tile": -5}, "tile=-5"),
        ({"tile": 1.5}, "tile=1.5"),
        ({"tile": True}, "tile=True"),
        ({"tile": (1, 2, 3)}, "tile="),
        ({"overlap": 1024}, "overlap=1024"),
        ({"overlap": -1}, "overlap=-1"),
        ({"overlap": 1.0}, "overlap=1.0"),
        ({"overlap": float("nan")}, "overlap=nan"),
        ({"edge": "wrap"}, "edge='wrap'"),
        ({"scale": 0}, "scale=0"),
        ({"scale": float("inf")}, "scale=inf"),
        ({"dpi": -1}, "dpi=-1"),
        ({"dpi": 300, "scale": 0.5}, "one of them"),
        ({"division": 0}, "parts: 0"),
        ({"align": 0}, "align=0"),
        ({"tile": 32, "overlap": 20, "align": 16}, "align=16"),
    ],
)
def test_nonsense_is_named(options, named):
    with pytest.raises(InvalidArgument, match=named):
        Tiling(**options)


@given(st.integers(1, 9), st.integers(1, 300), st.integers(0, 20), st.sampled_from([1, 8, 16]))
def test_aligned_parts_cover_the_side(count, size, overlap, align):
    try:
        axis = Tiling.parts(rows=1, cols=count, overlap=overlap, align=align).grid(size, 1).columns
    except InvalidArgument:
        return
    starts, stops = axis.starts(), axis.stops()
    assert starts.tolist() == [axis.start(i) for i in range(count)]
    assert stops.tolist() == [axis.stop(i) for i in range(count)]
    assert (starts % align == 0).all()
    assert (starts[0], stops[-1]) == (0, size)
    assert (np.diff(starts) >= (align > 1)).all()
    assert (stops[:-1] - starts[1:] >= (overlap if count > 1 else 0)).all()


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, -1), (1.5, 5), (True, 5)])
def test_a_scan_needs_a_size(width, height):
    with pytest.raises(InvalidArgument, match="at least 1 px"):
        Tiling().grid(width, height)


@given(tilings())
def test_recipes_survive_json(tiling):
    assert Tiling.from_json(tiling.to_json()) == tiling


@given(SIDES, SIDES, st.floats(0.05, 2.0))
def test_frames_convert_there_and_back(width, height, scale):
    grid = Tiling(64, scale=scale).grid(width, height)
    assert (grid.width, grid.height) == (max(1, round(width * scale)), max(1, round(height * scale)))
    page = np.array([[0, 0, width, height]], float)
    assert np.allclose(grid.to_reduced(page), [[0, 0, grid.width, grid.height]])
    assert np.allclose(grid.to_base(grid.to_reduced(page)), page)


def test_dpi_makes_scale():
    grid = Tiling(100, dpi=150).grid(2400, 1200, dpi=300)
    assert (grid.width, grid.height) == (1200, 600)
    with pytest.raises(InvalidArgument, match="150 dpi"):
        Tiling(100, dpi=150).grid(2400, 1200)


def test_equal_parts_of_a_long_page_lie_one_above_the_other():
    grid = Tiling.parts(4).grid(100, 10_000)
    assert (grid.cols, grid.rows) == (1, 4)
    assert (Tiling.parts(4).grid(10_000, 100).cols, Tiling.parts(4).grid(10_000, 100).rows) == (4, 1)


def test_two_parts_may_be_aligned_by_half_the_page():
    grid = Tiling.parts(cols=2, rows=1, overlap=(10, 0), align=(300, 1)).grid(1000, 100)
    assert (grid.cols, [window.x0 % 300 for window in grid]) == (2, [0, 0])


def test_a_scan_may_have_less_than_one_pixel_per_inch():
    assert Tiling(64, dpi=0.25).grid(1000, 1000, dpi=0.5).width == 500


@given(
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(0, 9) | st.floats(0, 0.4),
    st.integers(1, 40),
    st.integers(1, 40),
    st.data(),
)
def test_parts_are_found_where_they_lie(rows, cols, overlap, width, height, data):
    try:
        grid = Tiling.parts(rows=rows, cols=cols, overlap=overlap).grid(width, height)
    except InvalidArgument:
        return
    every = list(grid)
    assert (
        [tuple(window) for window in grid.windows().tolist()] == every == [grid[i] for i in range(len(grid))]
    )
    x = data.draw(st.integers(0, width - 1) | st.floats(0, width, exclude_max=True))
    y = data.draw(st.integers(0, height - 1) | st.floats(0, height, exclude_max=True))
    assert grid.at(x, y) == [i for i, w in enumerate(every) if w.x0 <= x < w.x1 and w.y0 <= y < w.y1]
    assert grid.at(width - 1, height - 1)[-1] == len(grid) - 1


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"count": 4, "rows": 2},
        {"count": 4, "cols": 2},
        {"rows": 2},
        {"cols": 2},
        {"count": 4, "rows": 2, "cols": 2},
    ],
)
def test_parts_take_a_count_or_both_sides(given):
    with pytest.raises(InvalidArgument, match="either a count, or both"):
        Tiling.parts(**given)


def test_each_axis_has_its_own_overlap_and_align():
    strided = Tiling((100, 60), (10, 20), align=(5, 4)).grid(300, 300)
    assert (strided.columns.stride, strided.lines.stride) == (90, 40)
    assert Tiling(100, (0.1, 0.5)).overlap_px == (10, 50)
    even = Tiling.parts(rows=3, cols=2, overlap=(10, 30)).grid(310, 330)
    assert (even.columns.tile, even.lines.tile) == (160, 130)
    assert [axis.align for axis in (even.columns, even.lines, strided.columns, strided.lines)] == [1, 1, 5, 4]


def test_align_needs_room_between_parts_and_only_then():
    assert Tiling.parts(rows=1, cols=5, align=(2, 1)).grid(10, 1).cols == 5
    with pytest.raises(InvalidArgument, match="align=2 leaves no room for 5 parts on 9 px"):
        Tiling.parts(rows=1, cols=5, align=(2, 1)).grid(9, 1)
    assert Tiling.parts(rows=1, cols=1, align=(16, 1)).grid(9, 1).cols == 1
    shared = Tiling.parts(rows=1, cols=3, overlap=(40, 0), align=(20, 1)).grid(100, 1)
    assert shared.columns.starts().tolist() == [0, 20, 40]  # of 60 px each
    with pytest.raises(InvalidArgument, match="align=21 leaves no room for 3 parts on 100 px"):
        Tiling.parts(rows=1, cols=3, overlap=(40, 0), align=(21, 1)).grid(100, 1)
    assert Tiling.parts(rows=1, cols=9, overlap=(30, 0)).grid(40, 1).cols == 9


def test_what_a_detector_sees_of_equal_parts():
    look = Tiling.parts(4).look
    assert look == Tiling.parts(4, overlap=5, align=2).look
    assert look[0] is None
    assert (
        len(
            {look, Tiling.parts(5).look, Tiling(1024).look, Tiling(512).look, Tiling.parts(4, scale=0.5).look}
        )
        == 5
    )


def test_the_most_there_may_be():
    assert Tiling.parts(10**7).division == 10**7
    with pytest.raises(InvalidArgument, match="parts"):
        Tiling.parts(10**7 + 1)
    assert Tiling(scale=1e6).scale == Tiling(dpi=1e6).dpi == 1e6
    for named in ({"scale": 1_000_001}, {"dpi": 1_000_001}):
        with pytest.raises(InvalidArgument, match="up to a million"):
            Tiling(**named)
    assert len(Tiling(2**40).grid(2**40, 1)) == 1
    with pytest.raises(InvalidArgument, match="width="):
        Tiling(64).grid(2**40 + 1, 1)


def test_no_boxes_stay_no_boxes_in_either_frame():
    for grid in (Tiling(64, scale=0.5).grid(100, 100), Tiling(64).grid(100, 100)):
        assert (
            grid.to_reduced([]).shape
            == grid.to_base([]).shape
            == grid.to_base(np.empty((0, 4))).shape
            == (0, 4)
        )


@given(st.integers(2, 9), st.integers(1, 30), st.integers(40, 900))
def test_parts_that_overlap_are_no_larger_than_they_must_be(count, shared, size):
    try:
        tile = Tiling.parts(rows=1, cols=count, overlap=(shared, 0)).grid(size, 1).columns.tile
    except InvalidArgument:
        return
    smaller = tile - 1
    assert smaller - -(-(size - smaller) // (count - 1)) < shared


@given(st.integers(1, 40), st.integers(1, 400), st.integers(1, 400))
def test_parts_are_laid_out_as_near_to_squares_as_their_number_allows(count, width, height):
    pairs = [(cols, count // cols) for cols in range(1, count + 1) if cols * (count // cols) == count]
    fitting = [(cols, rows) for cols, rows in pairs if cols <= width and rows <= height]
    if not fitting:
        with pytest.raises(InvalidArgument, match="equal parts do not fit on"):
            Tiling.parts(count).grid(width, height)
        return
    grid = Tiling.parts(count).grid(width, height)
    long = {pair: abs(math.log((width / pair[0]) / (height / pair[1]))) for pair in fitting}
    assert long[grid.cols, grid.rows] <= min(long.values()) + 1e-9
