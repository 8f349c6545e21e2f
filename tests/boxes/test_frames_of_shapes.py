"""Shapes in the frame of a window and back on the page lie where their boxes do, at any scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tilekit as tk
from tilekit.boxes.interop import coco_shapes
from tilekit.boxes.overlap import diou, giou, ios, iou
from tilekit.boxes.remap import shapes_in, shapes_to_base, shown_through
from tilekit.boxes.shapes.keypoints import Keypoints
from tilekit.boxes.shapes.polygons import Polygons
from tilekit.errors import InvalidArgument

sides = st.integers(1, 90)


def rectangles(boxes: np.ndarray) -> Polygons:
    """Boxes as polygons of four corners."""
    return Polygons.of([[box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)] for box in boxes])


@given(
    st.lists(st.tuples(st.integers(0, 180), st.integers(0, 130), sides, sides), min_size=1, max_size=5),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from(["shift", "pad", "clip"]),
    st.data(),
)
def test_a_rectangle_is_shown_as_its_box(rows, scale, edge, data) -> None:
    boxes = np.array([[x, y, min(x + w, 200), min(y + h, 150)] for x, y, w, h in rows], float)
    grid = tk.Tiling(64, 16, scale=scale, edge=edge).grid(200, 150)
    window = grid[data.draw(st.integers(0, len(grid) - 1))]
    frame = np.array([window.x0, window.y0] * 2, float)
    inside = np.array([min(window.x1, grid.width), min(window.y1, grid.height)] * 2, float)
    reduced = grid.to_reduced(boxes)
    want = np.clip(reduced, frame, inside) - frame
    area = (want[:, 2:] - want[:, :2]).prod(axis=1)
    seen = area > 1e-6
    shapes = rectangles(boxes)
    found = shapes_in(shapes, tuple(window), grid)
    assert (found.given >= seen).all()
    np.testing.assert_allclose(found.boxes[seen], want[seen], atol=1e-6)
    out, share = shown_through(shapes, want, np.zeros(len(boxes)), tuple(window), grid)
    np.testing.assert_allclose(out[seen], want[seen], atol=1e-6)
    whole = (reduced[:, 2:] - reduced[:, :2]).prod(axis=1)
    np.testing.assert_allclose(share[seen], (area / whole)[seen], atol=1e-6)
    np.testing.assert_allclose(shapes_to_base(rectangles(reduced), grid).boxes, boxes, atol=1e-6)


def test_only_boxes_have_distances() -> None:
    shapes = rectangles(np.array([[0, 0, 9, 9.0], [3, 0, 12, 9]]))
    for measure in (giou, diou):
        for pair in ((shapes, shapes), (shapes.boxes, shapes), (shapes, shapes.boxes)):
            with pytest.raises(InvalidArgument, match="shapes have iou and ios"):
                measure(*pair)
    for measure in (iou, ios):
        np.testing.assert_allclose(measure(shapes, shapes), measure(shapes.boxes, shapes.boxes))


def test_a_keypoint_counts_where_it_is_labeled_seen_or_not() -> None:
    points = Keypoints.of([[[1, 2, 0], [3, 4, 1], [5, 6, 2]], None])
    first, second = coco_shapes(points, (100, 100))
    assert first == {"keypoints": [1, 2, 0, 3, 4, 1, 5, 6, 2], "num_keypoints": 2}
    assert second == {}


@pytest.mark.parametrize(("box", "tile", "shown"), [
    ([80, 80, 100, 100], 3, [0, 0, 20, 20]),  # at the very corner of the tile: it stays as it was drawn
    ([79, 80, 100, 100], 3, [5, 3, 15, 13]),  # passes its edge: what the tile shows of the shape
    ([60, 60, 100, 100], 0, [60, 60, 100, 100]),
    ([60, 60, 101, 100], 0, [85, 83, 95, 93]),
])  # fmt: skip
def test_a_box_drawn_larger_than_its_shape_stays_where_a_tile_shows_it(box, tile, shown) -> None:
    grid = tk.Tiling(100, 20).grid(180, 180)
    shapes = rectangles(np.array([[85, 83, 95, 93.0]]))
    page = tk.Annotations([box], None, ("a",), shapes=shapes)
    carried = tk.remap_to_tiles(page, grid)
    assert carried.boxes[carried.tile_index == tile].tolist() == [shown]
