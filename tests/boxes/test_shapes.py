from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tilekit as tk
from tests.boxes import shape_strategies as own
from tilekit.boxes.shapes.reading import from_json
from tilekit.errors import InvalidArgument


@given(column=own.shapes(), data=st.data())
def test_rows_are_taken_and_put_together_as_lists_are(column, data):
    rows = column.to_json()
    assert len(column) == len(rows)
    pick = data.draw(st.lists(st.integers(0, max(0, len(rows) - 1)), max_size=6 if rows else 0))
    assert column[np.array(pick, np.int64)].to_json() == [rows[i] for i in pick]
    assert column[1:].to_json() == rows[1:]
    assert type(column).concat([column, column[:2]]).to_json() == rows + rows[:2]
    assert pickle.loads(pickle.dumps(column)) == column
    assert column.given.tolist() == [row is not None and _shown(row) for row in rows]
    read = from_json(json.loads(json.dumps(rows)))
    assert (read is None and not any(row is not None for row in rows)) or read == column


def _shown(row):
    return "keypoints" not in row or any(point[2] for point in row["keypoints"])


@given(column=own.shapes(min_size=1), data=st.data())
def test_structs_carry_their_shapes(column, data):
    count = len(column)
    boxes = np.tile([0.0, 0.0, 5.0, 5.0], (count, 1))
    found = tk.Detections(boxes, np.linspace(0, 1, count), None, ("a",), shapes=column)
    truth = tk.Annotations(boxes, None, ("b",), shapes=column)
    for struct in (found, truth):
        assert struct[::-1].shapes == column[::-1]
        assert pickle.loads(pickle.dumps(struct)) == struct
        assert struct.replaced(shapes=None) != struct
        both = type(struct).concat([struct, struct.replaced(shapes=None)])
        assert both.shapes[:count] == column
        if column.kind == "oriented":
            assert np.array_equal(both.shapes[count:].boxes, boxes)
        else:
            assert not both.shapes[count:].given.any()


@given(column=own.shapes(), across=st.integers(-50, 50), down=st.integers(-50, 50))
def test_moving_there_and_back_is_nothing(column, across, down):
    moved = column.moved(across, down)
    assert np.allclose(
        moved.boxes[column.given], (column.boxes + np.array([across, down, across, down]))[column.given]
    )
    assert moved.moved(-across, -down) == column or column.kind in ("polygon", "oriented")
    assert np.allclose(moved.areas, column.areas)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pycocotools' own
@given(column=own.masks(max_size=4))
def test_masks_are_what_pycocotools_says(column):
    from pycocotools import mask as coco

    column = column.moved(20, 20)
    for code, area, hull in zip(column.to_rle(80, 90), column.areas, column.boxes, strict=True):
        if code is None:
            assert area == 0
            continue
        theirs = {"size": code["size"], "counts": code["counts"].encode()}
        picture = coco.decode(theirs)
        assert coco.encode(np.asfortranarray(picture))["counts"] == theirs["counts"]
        assert coco.area(theirs) == area
        x, y, w, h = coco.toBbox(theirs)
        assert hull.tolist() == [x, y, x + w, y + h]
        assert tk.boxes.Masks.from_arrays([picture]) == tk.boxes.Masks.from_rle([code])
    plain = tk.boxes.Masks.from_rle(column.to_rle(80, 90, text=False))
    assert plain == column == tk.boxes.Masks.from_rle(column.to_rle(80, 90))


@given(column=own.masks(max_size=3))
def test_masks_have_the_area_of_their_outlines(column):
    assert np.allclose(column.to_polygons().areas, column.areas)
    assert np.array_equal(column.to_polygons().boxes, column.boxes)


@given(
    seed=st.integers(0, 2**32),
    across=st.sampled_from([0.3, 0.5, 1.0, 1.7]),
    down=st.sampled_from([0.4, 1.0, 2.0]),
)
def test_masks_scale_by_the_pixel_under_the_center(seed, across, down):
    rng = np.random.default_rng(seed)
    picture = rng.random((11, 14)) < 0.5
    scaled = tk.boxes.Masks.from_arrays([picture]).scaled(across, down)
    x = np.floor((np.arange(40) + 0.5) / across).astype(int)
    y = np.floor((np.arange(40) + 0.5) / down).astype(int)
    wide, high = int((x < 14).sum()), int((y < 11).sum())
    wanted = picture[np.ix_(y[:high], x[:wide])]
    assert scaled == tk.boxes.Masks.from_arrays([wanted])


@given(column=own.oriented())
def test_oriented_boxes_keep_their_area_however_said(column):
    assert np.allclose(column.to_polygons().areas, column.areas, atol=1e-6)
    assert np.allclose(column.canonical().boxes, column.boxes, atol=1e-6)
    again = tk.boxes.OrientedBoxes.from_corners(column.corners)
    assert np.allclose(again.rows[:, :4], column.rows[:, :4], atol=1e-6)
    assert np.allclose(again.corners, column.corners, atol=1e-6)


def test_the_angle_runs_clockwise_from_the_right():
    one = tk.boxes.OrientedBoxes([[10, 10, 8, 2, 0], [10, 10, 8, 2, 90], [0, 0, np.sqrt(8), 0, 45]])
    assert one.boxes[:2].tolist() == [[6, 9, 14, 11], [9, 6, 11, 14]]
    assert np.allclose(one.corners[2], [[-1, -1], [1, 1], [1, 1], [-1, -1]])
    assert one.corners[0, 0].tolist() == [6, 9]


def test_what_a_polygon_covers_is_right_where_it_crosses_itself():
    square = [[0, 0], [10, 0], [10, 10], [0, 10]]
    bow_tie = [[0, 0], [10, 10], [10, 0], [0, 10]]
    apart = [[5, 5], [15, 5], [15, 15], [5, 15]]
    column = tk.boxes.Polygons.of([[square], [bow_tie], [square, apart], None, [[[0, 0], [4, 0], [8, 0]]]])
    assert column.areas.tolist() == [100, 50, 175, 0, 0]
    assert column.crossing.tolist()[:4] == [False, True, False, False]
    assert column.given.tolist() == [True, True, True, False, True]
    ring = tk.boxes.Polygons([*square, [2, 2], [4, 2], [4, 4], [2, 4]], [0, 4, 8], [0, 2], [False, True])
    assert ring.areas.tolist() == [96]
    assert tk.boxes.Polygons.from_geometries(ring.geometries()).areas.tolist() == [96]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tk.boxes.Polygons.of([[[0, 0, 5, 5]]]), "polygon 0, ring 0 has 2 points"),
        (lambda: tk.boxes.Polygons.of([None, [[0, 0, 5, 5, 1]]]), "polygon 1, ring 0"),
        (lambda: tk.boxes.Polygons.of([[[0, 0, 5, np.nan, 1, 1]]]), r"points\[1\] is \[5.0, nan\]"),
        (lambda: tk.boxes.Polygons.of([[[0, 0, 5, 1e300, 1, 1]]]), "within 1e100"),
        (lambda: tk.boxes.Polygons([[0, 0]] * 3, [0, 3], [0, 1], [True]), "polygon 0 begins with a hole"),
        (lambda: tk.boxes.Polygons([[0, 0]] * 3, [0, 2], [0, 1]), "rings runs from 0 to 2"),
        (lambda: tk.boxes.OrientedBoxes([[0, 0, 5, 5, np.nan]]), r"oriented\[0\]"),
        (lambda: tk.boxes.OrientedBoxes([[0, 0, 5, 5, 1], [0, 0, -5, 5, 0]]), r"oriented\[1\]"),
        (lambda: tk.boxes.OrientedBoxes([[0, 0, 5, 5]]), "shape"),
        (
            lambda: tk.boxes.Masks.from_rle([{"size": [3, 4], "counts": [2, 3]}]),
            "mask 0 has runs of 5 px .* 12",
        ),
        (lambda: tk.boxes.Masks.from_rle([None, {"size": [3, 4], "counts": "~~"}]), "mask 1 .*letters"),
        (lambda: tk.boxes.Masks.from_rle([{"size": [3, 4], "counts": "P"}]), "mask 0 .*cut short"),
        (lambda: tk.boxes.Masks.from_rle([{"size": [3, 4], "counts": [14, -2]}]), "mask 0 has the run -2"),
        (lambda: tk.boxes.Masks.from_rle([{"counts": [12]}]), "mask 0 must be"),
        (lambda: tk.boxes.Masks([[0, 5, 5]], [0, 1]), "mask 0 has the span"),
        (lambda: tk.boxes.Masks([[0, 0, 5], [0, 3, 6]], [0, 2]), "mask 0 has the span"),
        (lambda: tk.boxes.Masks([[0, 0, 2**40]], [0, 1]), "reach beyond"),
        (lambda: tk.boxes.Masks([[0, 0, 5]], [0, 1]).to_rle(4, 4), "mask 0 reaches over the page"),
        (lambda: tk.boxes.Masks([[0, 0, 5]], [0, 1]).moved(0.5, 0), "whole px"),
        (lambda: tk.boxes.Keypoints.of([[[1, 2, 3]]]), "visibility 3"),
        (lambda: tk.boxes.Keypoints.of([[1, 2, 2, 4]]), "keypoints of row 0"),
        (lambda: tk.boxes.Keypoints.of([[[1, 2, 2]]]).to_polygons(), "no outline"),
        (
            lambda: tk.Annotations([[0, 0, 1, 1]], None, ("a",), shapes=tk.boxes.Polygons.of([])),
            "0 rows but there are 1",
        ),
        (lambda: tk.Annotations([[0, 0, 1, 1]], None, ("a",), shapes=[[0, 0]]), "shapes must be Polygons"),
        (
            lambda: tk.Annotations.from_shapes(tk.boxes.Polygons.of([None]), None, ("a",)),
            "row 0 has no shape",
        ),
        (lambda: from_json([{"polygon": [[[0, 0]]]}]), "polygon 0, ring 0 has 1 points"),
        (lambda: from_json([{"circle": 1}]), "shape 0 must be one of"),
        (lambda: from_json([{"keypoints": [[1, 1, 1]]}, {"oriented": [1, 1, 1, 1, 1]}]), "shape 1"),
        (lambda: from_json([{"oriented": [1, 1, 1, 1, 1]}, None]), "shape 1 is missing"),
        (lambda: from_json([{"mask": {"size": [1, 1], "counts": [0, 1]}}]), "origin"),
    ],
)
def test_bad_shapes_are_named(make, words):
    with pytest.raises(InvalidArgument, match=words):
        make()


def test_kinds_go_together_where_nothing_is_lost():
    box = [[0, 0, 4, 4]]
    outline = tk.Annotations(box, None, ("a",), shapes=tk.boxes.Polygons.of([[[0, 0, 4, 0, 4, 4]]]))
    turned = tk.Annotations(box, None, ("a",), shapes=tk.boxes.OrientedBoxes([[2, 2, 4, 4, 0]]))
    dotted = tk.Annotations(box, None, ("a",), shapes=tk.boxes.Masks([[0, 0, 4]], [0, 1]))
    assert tk.Annotations.concat([outline, turned]).shapes.areas.tolist() == [8, 16]
    assert tk.Annotations.concat([turned, turned]).shapes.kind == "oriented"
    with pytest.raises(InvalidArgument, match="polygon and mask"):
        tk.Annotations.concat([outline, dotted])


@given(column=own.shapes(min_size=1, max_size=3))
def test_predictions_keep_their_shapes_on_disk(column, tmp_path_factory):
    path = tmp_path_factory.mktemp("shapes") / "detections.jsonl"
    found = tk.Detections([[0, 0, 5, 5]] * len(column), [0.5] * len(column), None, ("a",), shapes=column)
    tk.write_predictions([tk.PageDetections(tk.PageKey("a.png"), 100, 100, found)], path)
    (page,) = tk.read_predictions(path).pages()
    if column.given.any() or any(row is not None for row in column.to_json()):
        assert page.detections == found
    else:
        assert page.detections == found.replaced(shapes=None)
