from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.boxes import shape_strategies as own
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.shapes import Masks, OrientedBoxes, Polygons
from tilekit.errors import InvalidArgument

FOUND = Detections([[0, 0, 1, 1], [2, 2, 5, 5]], [0.5, 0.75], [1, 0], ("a", "b"), [3, 4], [True, False])


def test_pandas_there_and_back():
    assert Detections.from_pandas(FOUND.to_pandas(), ("a", "b")) == FOUND
    truth = Annotations([[0, 0, 1, 1]], None, ("a",), [True])
    assert Annotations.from_pandas(truth.to_pandas()) == truth
    with pytest.raises(InvalidArgument, match="no column 'x0'"):
        Annotations.from_pandas(truth.to_pandas().drop(columns="x0"))
    with pytest.raises(InvalidArgument, match=r"label\[0\]"):
        Detections.from_pandas(FOUND.to_pandas(), ("a",))


def test_supervision_there_and_back():
    back = Detections.from_supervision(FOUND.to_supervision(), FOUND.names)
    assert np.array_equal(back.boxes, FOUND.boxes)
    assert np.array_equal(back.scores, FOUND.scores)
    assert back.labels == Detections.from_supervision(FOUND.to_supervision()).labels == FOUND.labels


@pytest.mark.parametrize("found", [None, [1], FOUND])
def test_what_is_not_of_supervision_is_named(found):
    with pytest.raises(InvalidArgument, match=r"must be a supervision\.Detections, not a "):
        Detections.from_supervision(found)


@pytest.mark.parametrize("table", [None, {"x0": [1]}, np.zeros((1, 4))])
def test_what_is_no_table_is_named(table):
    with pytest.raises(InvalidArgument, match="must be a pandas DataFrame, not a "):
        Detections.from_pandas(table)


@pytest.mark.parametrize("kind", [Annotations, Detections])
def test_parts_that_cannot_be_joined_are_named(kind):
    good = kind.empty(("a",))
    with pytest.raises(InvalidArgument, match=rf"parts\[1\] must be a {kind.__name__}, not a int"):
        kind.concat([good, 1])
    with pytest.raises(InvalidArgument, match="parts must be a list"):
        kind.concat(None)
    assert kind.concat([good]) == good


@pytest.mark.parametrize(
    ("names", "said"), [((1,), r"names\[0\] is 1"), (("a", None), r"names\[1\]"), (3, "names=3")]
)
def test_labels_are_text(names, said):
    with pytest.raises(InvalidArgument, match=said):
        Annotations([[0, 0, 1, 1]], None, names)


def beside(column):
    """Detections with these shapes, whatever their boxes."""
    count = len(column)
    return Detections(
        np.tile([1.0, 2.0, 5.0, 9.0], (count, 1)), np.linspace(0, 1, count), None, ("a",), shapes=column
    )


@given(own.shapes(1, 4))
@settings(max_examples=12)
def test_no_shape_is_lost_on_the_way_through_tables_and_supervision(column):
    found = beside(column)
    known = any(row is not None for row in column.to_json())  # points that nobody sees are known all the same
    whole = found if known else found.replaced(shapes=None)
    assert Detections.from_pandas(found.to_pandas(), ("a",)) == whole
    text = found.to_pandas()
    text["shape"] = [None if row is None else json.dumps(row) for row in text["shape"]]
    assert Detections.from_pandas(text, ("a",)) == whole
    if isinstance(column, Masks):
        column = column.moved(60, 60)
        whole = whole.replaced(shapes=column if known else None)
    back = Detections.from_supervision(beside(column).to_supervision((150, 150)), ("a",))
    if isinstance(column, OrientedBoxes):
        assert np.allclose(back.shapes.corners, column.corners, atol=1e-9)
    else:
        assert back == whole


@given(own.masks(1, 3))
@settings(max_examples=12)
def test_packed_pictures_of_supervision_hold_the_same_pixels(column):
    column = column[column.given].moved(30, 30)
    large = beside(column).to_supervision((20_000, 20_000))
    if len(column):
        assert np.array_equal(large.mask.area, column.areas)
        assert large.mask.shape == (len(column), 20_000, 20_000)


@given(own.polygons(1, 4), st.tuples(st.floats(-0.49, 0.49), st.floats(-0.49, 0.49)))
@settings(max_examples=12)
def test_pixels_of_outlines_are_those_whose_centers_lie_inside(column, shift):
    column = column.moved(*shift)
    solid = column.geometries()
    x, y = np.meshgrid(np.arange(-101, 102), np.arange(-101, 102))
    made = Masks.from_polygons(column).moved(101, 101).to_arrays(203, 203)
    for row, outline in enumerate(solid):
        inside = shapely.contains_xy(outline, x + 0.5, y + 0.5)
        off = made[row] != inside
        edge = shapely.distance(outline.boundary, shapely.points(x[off] + 0.5, y[off] + 0.5))
        assert (edge < 1e-9).all()  # only where a center lies on the edge itself


def test_masks_ask_for_the_size_of_the_page():
    column = Masks.from_arrays([np.ones((2, 3))])
    with pytest.raises(InvalidArgument, match=r"give its size=\(width, height\)"):
        beside(column).to_supervision()
    with pytest.raises(InvalidArgument, match=r"shape 0 is a mask or has a hole"):
        beside(column).to_coco()


def test_entries_for_coco_are_what_its_own_tool_reads():
    from pycocotools import mask

    column = Polygons.from_json(
        [
            {"polygon": [[[0, 0], [40, 0], [40, 30], [0, 30]], [[5, 5], [15, 5], [15, 15], [5, 15]]], "holes": [1]},
            {"polygon": [[[2, 2], [12, 2], [12, 8]]]},
            None,
        ]
    )  # fmt: skip
    hollow, plain, bare = beside(column).to_coco(7, (50, 40))
    assert mask.area(hollow["segmentation"]) == hollow["area"] == 1100
    assert plain["segmentation"] == [[2, 2, 12, 2, 12, 8]]
    assert plain["area"] == 30
    assert "segmentation" not in bare
    assert [row["image_id"] for row in (hollow, plain, bare)] == [7, 7, 7]


def test_features_of_geojson_keep_parts_and_holes():
    column = Polygons.from_json(
        [{"polygon": [[[0, 0], [9, 0], [9, 9]], [[5, 1], [8, 1], [8, 2]], [[20, 20], [30, 20], [30, 30]]], "holes": [1]}]
    )  # fmt: skip
    feature = beside(column).to_geojson()["features"][0]
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert shapely.area(shapely.from_geojson(json.dumps(feature["geometry"]))) == column.areas[0]
