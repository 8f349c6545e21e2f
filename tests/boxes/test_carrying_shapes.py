"""Shapes carried to tiles: clipped to what is visible, measured by their own area."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

import tilekit as tk
from tests import naive
from tests.boxes import shape_strategies as own

GRIDS = st.builds(
    lambda tile, overlap, edge: tk.Tiling(tile, overlap, edge).grid(90, 70),
    st.integers(25, 60),
    st.sampled_from([0, 8, 0.3]),
    st.sampled_from(["shift", "clip", "pad"]),
)


def truth_of(shapes):
    return tk.Annotations.from_shapes(shapes, names=["a"])


@given(own.polygons(1, 4, bare=False), GRIDS, st.sampled_from([0.0, 0.3, 0.8]))
def test_polygons_are_clipped_as_the_slow_twin_clips_them(column, grid, min_visible):
    column = column[column.areas > 1e-6]
    outlines = column.geometries()
    carried = tk.remap_to_tiles(truth_of(column), grid, min_visible)
    expected = naive.carry_shapes(outlines, column.boxes, grid, min_visible)
    got = dict(
        zip(
            zip(carried.tile_index.tolist(), carried.source_index.tolist(), strict=True),
            range(99),
            strict=False,
        )
    )
    wanted = {(tile, source): rest for tile, source, *rest in expected}
    doubtful = set(got.keys() ^ wanted.keys())
    for pair in doubtful:  # only where the share is the threshold, to the last digit
        share = carried.visible[got[pair]] if pair in got else wanted[pair][1]
        assert abs(share - min_visible) < 1e-9
    for pair in got.keys() & wanted.keys():
        box, visible, shown = wanted[pair]
        row = got[pair]
        assert np.allclose(carried.boxes[row], box, atol=1e-9)
        assert np.isclose(carried.visible[row], visible)
        window = grid[pair[0]]
        back = carried.shapes[row].moved(window.x0, window.y0).geometries()[0]
        union = shapely.union(back, shown).area
        assert shapely.intersection(back, shown).area >= 0.999 * union or union < 1e-9
    assert len(got) == len(carried)


@given(own.masks(1, 3), GRIDS, st.sampled_from([0.0, 0.5]))
def test_masks_are_clipped_as_pictures_are(column, grid, min_visible):
    assume(column.given.all())
    column = column.moved(25, 25)
    carried = tk.remap_to_tiles(truth_of(column), grid, min_visible)
    rows = []
    for tile, window in enumerate(grid):
        for source in range(len(column)):
            picture = np.zeros((200, 200), bool)
            for x, y0, y1 in column[source].spans:
                picture[y0:y1, x] = True
            part = picture[window.y0 : min(window.y1, grid.height), window.x0 : min(window.x1, grid.width)]
            if part.any() and part.sum() >= min_visible * picture.sum():
                rows.append((tile, source, tk.boxes.Masks.from_arrays([part])))
    assert carried.tile_index.tolist() == [row[0] for row in rows]
    assert carried.source_index.tolist() == [row[1] for row in rows]
    for place, (_, _, mask) in enumerate(rows):
        assert carried.shapes[place] == mask
        assert carried.boxes[place].tolist() == mask.boxes[0].tolist()


@given(own.shapes(1, 4), GRIDS)
def test_whole_shapes_come_back_as_they_were(column, grid):
    assume(column.given.all())
    carried = tk.remap_to_tiles(truth_of(column), grid, 1.0)
    whole = ~carried.cut & (carried.visible == 1)
    back = tk.remap_to_scan(carried.shapes, carried.tile_index, grid)[whole]
    source = column[carried.source_index[whole]]
    assert back.kind == source.kind
    assert np.allclose(back.boxes, source.boxes)
    assert np.allclose(back.areas, source.areas)


def test_oriented_boxes_stay_whole_and_are_measured_by_what_shows():
    grid = tk.Tiling(100, 0).grid(200, 100)
    turned = tk.boxes.OrientedBoxes([[100, 50, 40, 10, 45]])
    carried = tk.remap_to_tiles(truth_of(turned), grid, 0.4)
    assert carried.tile_index.tolist() == [0, 1]
    assert np.allclose(carried.visible, 0.5)
    assert carried.shapes.rows[:, 0].tolist() == [100, 0]
    assert carried.boxes[0, 2] == 100
    assert carried.boxes[1, 0] == 0
    clipped = tk.remap_to_tiles(truth_of(turned.to_polygons()), grid, 0.4)
    assert np.allclose(clipped.shapes.areas, 200)


def test_keypoints_outside_a_tile_are_not_labeled_there():
    grid = tk.Tiling(100, 0).grid(200, 100)
    truth = tk.Annotations(
        [[90, 10, 120, 30]], None, ["a"], None, tk.boxes.Keypoints.of([[[95, 20, 2], [110, 20, 1]]])
    )
    carried = tk.remap_to_tiles(truth, grid, 0.2)
    assert carried.boxes.tolist() == [[90, 10, 100, 30], [0, 10, 20, 30]]
    assert [row["keypoints"] for row in carried.shapes.to_json()] == [
        [[95, 20, 2], [0, 0, 0]],
        [[0, 0, 0], [10, 20, 1]],
    ]


def test_rows_without_a_shape_go_by_their_box():
    grid = tk.Tiling(100, 0).grid(200, 100)
    shapes = tk.boxes.Polygons.of([None, [[90, 0, 110, 0, 90, 20]]])
    truth = tk.Annotations([[90, 10, 110, 30], [90, 0, 110, 20]], None, ["a"], None, shapes)
    carried = tk.remap_to_tiles(truth, grid, 0.5)
    assert carried.source_index.tolist() == [0, 1, 0]
    assert np.allclose(carried.visible, [0.5, 0.75, 0.5])
    assert carried.shapes.given.tolist() == [False, True, False]


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_shapes_follow_the_scale_of_the_grid(scale):
    grid = tk.Tiling(90, 10, scale=scale).grid(100, 80)
    outline = tk.boxes.Polygons.of([[[10, 10, 30, 10, 30, 40, 10, 40]]])
    carried = tk.remap_to_tiles(truth_of(outline), grid, 1.0)
    back = tk.remap_to_scan(carried.shapes, carried.tile_index, grid)
    assert len(carried)
    assert np.allclose(back.boxes, [[10, 10, 30, 40]])
    assert np.allclose(carried.shapes.areas, 600 * scale * scale)


def test_of_polygons_cut_by_borders_the_visible_part_is_exact():
    rng = np.random.default_rng(0)
    turn = np.sort(rng.random((300, 9)) * 2 * np.pi, axis=1)
    points = np.stack([np.cos(turn), np.sin(turn)], -1) * rng.uniform(5, 60, (300, 9, 1))
    points += rng.uniform(60, 900, (300, 1, 2))
    column = tk.boxes.Polygons(points.reshape(-1, 2), np.arange(0, 2701, 9), np.arange(301))
    grid = tk.Tiling(256, 32).grid(960, 960)
    carried = tk.remap_to_tiles(truth_of(column), grid, 0.1)
    cut = np.flatnonzero(carried.cut)
    assert len(cut) > 100
    outlines = column.geometries()
    for row in cut.tolist():
        window = grid[int(carried.tile_index[row])]
        truly = shapely.intersection(outlines[carried.source_index[row]], shapely.box(*window))
        back = carried.shapes[row].moved(window.x0, window.y0).geometries()[0]
        assert shapely.intersection(back, truly).area >= 0.999 * shapely.union(back, truly).area
        assert np.allclose(carried.boxes[row] + np.tile([window.x0, window.y0], 2), truly.bounds)
