"""Shapes suppressed, measured and merged by their own area."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import tilekit as tk
from tests.boxes import shape_strategies as own
from tilekit.boxes.shapes.uniting import united
from tilekit.errors import InvalidArgument


def naive_iou(one, other, ios=False):
    a, b = one.to_polygons().geometries()[0], other.to_polygons().geometries()[0]
    both = shapely.intersection(a, b).area
    whole = min(a.area, b.area) if ios else a.area + b.area - both
    return both / whole if both > 0 else 0.0


@given(st.one_of(own.polygons(1, 4), own.oriented(1, 5), own.masks(1, 4)), st.booleans())
def test_overlap_equals_shapely_pair_by_pair(column, ios):
    column = column[column.given]
    matrix = (tk.boxes.ios if ios else tk.iou)(column, column)
    for i in range(len(column)):
        for k in range(len(column)):
            assert matrix[i, k] == pytest.approx(naive_iou(column[i], column[k], ios), abs=1e-6)


@given(st.integers(0, 2**32), st.sampled_from([1e-3, 1.0, 1e4]), st.sampled_from([0.0, 1e5]))
def test_outlines_with_holes_share_what_shapely_says(seed, size, far):
    """Stars with holes and parts, of a thousandth of a px to a page, far out too."""
    import shapely

    rng = np.random.default_rng(seed)

    def star(center, reach):
        turn = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 40)))
        spokes = reach * rng.uniform(0.3, 1, len(turn))[:, None]
        return shapely.make_valid(
            shapely.Polygon(center + spokes * np.stack([np.cos(turn), np.sin(turn)], 1)), method="structure"
        )

    made = []
    for _ in range(4):
        outer = star(far + size * rng.uniform(0, 2, 2), size)
        hole = star(np.array(outer.centroid.coords[0]), size / 3)
        apart = star(far + size * rng.uniform(0, 4, 2), size / 2)
        made.append(shapely.union(shapely.difference(outer, hole), apart))
    column = tk.boxes.Polygons.from_geometries(made)
    shares = tk.iou(column, column)
    for i, one in enumerate(made):
        for k, other in enumerate(made):
            both = shapely.intersection(one, other).area
            assert shares[i, k] == pytest.approx(both / (one.area + other.area - both), abs=1e-6)


def test_outlines_that_only_touch_share_nothing():
    square = np.array([[0, 0], [0.1, 0], [0.1, 0.3], [0, 0.3]])
    places = np.array([[0, 0], [0.1, 0], [0.05, 0.3], [9, 9]])
    column = tk.boxes.Polygons.of([[square + place] for place in places])
    assert (tk.iou(column, column) > 1e-9).tolist() == np.eye(4, dtype=bool).tolist()


@pytest.mark.parametrize("thin", [[0, 0, 0, 0.5, 1], [0.1, 0.1, 0, 0, 0], [0, 0, 1e-200, 1e-200, 7]])
def test_what_has_no_area_shares_none(thin):
    column = tk.boxes.OrientedBoxes([thin, [0, 0, 4, 4, 30]])
    for measured in (tk.iou(column, column), tk.boxes.ios(column, column)):
        assert np.array_equal(measured, [[0, 0], [0, 1]])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pycocotools' own
@given(own.masks(1, 4), own.masks(1, 4))
def test_masks_overlap_as_pycocotools_counts(one, other):
    from pycocotools import mask as coco

    one, other = one[one.given].moved(25, 25), other[other.given].moved(25, 25)
    if not len(one) or not len(other):
        return
    codes = [
        [{"size": c["size"], "counts": c["counts"].encode()} for c in column.to_rle(90, 90)]
        for column in (one, other)
    ]
    assert np.allclose(tk.iou(one, other), coco.iou(*codes, [0] * len(other)))


@given(
    st.one_of(own.polygons(0, 5), own.oriented(0, 6), own.masks(0, 5)), st.sampled_from([0.1, 0.5]), st.data()
)
def test_suppression_by_shape_equals_its_slow_twin(column, threshold, data):
    column = column[column.given]
    scores = np.array(data.draw(st.permutations(range(len(column)))), float)
    kept = []
    for i in np.argsort(-scores, kind="stable").tolist():
        near = [naive_iou(column[k], column[i]) for k in kept]
        if any(abs(value - threshold) < 1e-6 for value in near):
            return
        if not any(value > threshold for value in near):
            kept.append(i)
    assert tk.nms(column, scores, threshold=threshold).tolist() == kept


def turned_scene(seed, size=600):
    """Thin beams side by side, all askew: their boxes overlap, they do not."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(35, 55)
    x, y = np.meshgrid(np.arange(-size, size, 14.0), np.arange(-size, size, 95.0))
    along, aside = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    centers = np.stack([size / 2 + y * along - x * aside, size / 2 + y * aside + x * along], -1).reshape(
        -1, 2
    )
    centers = centers[((centers > 60) & (centers < size - 60)).all(axis=1)]
    sides = rng.uniform([60, 5], [90, 9], (len(centers), 2))
    return tk.boxes.OrientedBoxes(np.column_stack([centers, sides, np.full(len(centers), angle)]))


def seen_in_tiles(truth, grid, rng, keep_whole=True):
    """What a perfect detector says of each tile: all that shows at least a tenth."""
    carried = tk.remap_to_tiles(tk.Annotations.from_shapes(truth, names=["a"]), grid, 0.1)
    scores = rng.uniform(0.2, 1, len(carried))
    return tk.Detections(
        carried.boxes, scores, None, ("a",), carried.tile_index, shapes=carried.shapes
    ), carried


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["polygon", "mask"])
@pytest.mark.parametrize("seed", range(2))
def test_thin_things_side_by_side_are_all_kept_and_whole(kind, seed):
    beams = turned_scene(seed)
    truth = beams.to_polygons()
    if kind == "mask":
        outlines = truth.geometries()
        x, y = np.meshgrid(np.arange(600) + 0.5, np.arange(600) + 0.5)
        truth = tk.boxes.Masks.from_arrays([shapely.contains_xy(outline, x, y) for outline in outlines])
    grid = tk.Tiling(260, 110).grid(600, 600)
    found, _ = seen_in_tiles(truth, grid, np.random.default_rng(seed))
    merged = tk.merge(found, grid)
    assert len(merged) == len(truth)
    overlap = tk.iou(merged.shapes, truth)
    assert sorted(overlap.argmax(axis=1)) == list(range(len(truth)))
    assert overlap.max(axis=1).min() > 0.999
    by_box = tk.merge(found.replaced(shapes=None), grid)
    assert len(by_box) < len(truth)  # boxes alone lose beams that lie side by side


@pytest.mark.parametrize("overlap", [0, 40])
def test_pieces_longer_than_the_overlap_are_united(overlap):
    long_ones = tk.boxes.OrientedBoxes(
        [[300, 150, 520, 12, 20], [300, 450, 540, 10, -35], [450, 300, 10, 500, 0]]
    )
    truth = long_ones.to_polygons()
    grid = tk.Tiling(200, overlap).grid(600, 600)
    found, _ = seen_in_tiles(truth, grid, np.random.default_rng(0))
    carried = tk.remap_to_tiles(tk.Annotations.from_shapes(truth, names=["a"]), grid, 0.0)
    found = tk.Detections(
        carried.boxes,
        np.linspace(0.3, 1, len(carried)),
        None,
        ("a",),
        carried.tile_index,
        shapes=carried.shapes,
    )
    merged = tk.merge(found, grid)
    best = tk.iou(merged.shapes, truth).max(axis=0)
    assert best.min() > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_streaming_gives_the_same_shapes(seed):
    truth = turned_scene(seed, size=260).to_polygons()
    grid = tk.Tiling(120, 50).grid(260, 260)
    found, _ = seen_in_tiles(truth, grid, np.random.default_rng(seed))
    whole = tk.merge(found, grid)
    stream = tk.boxes.StreamingMerge(grid)
    rows = found.tile_index // grid.cols
    parts = [stream.add(row, found[rows == row]) for row in range(grid.rows)]
    together = tk.Detections.concat([*parts, stream.finish()])
    assert np.array_equal(together.boxes, whole.boxes)
    assert together.shapes == whole.shapes
    labels = tk.boxes.merge_with_labels(found, grid)
    assert labels.detections == tk.merge(found, grid, tk.MergePolicy(class_agnostic=True))


def test_the_labels_of_shapes_that_others_remove_are_recorded():
    """The first removes the second, which would have removed the third: that one stays, and has none beside it."""
    grid = tk.Tiling(100, 20).grid(100, 100)
    boxes = np.array([[10, 10, 30, 30], [14, 10, 34, 30], [22, 10, 42, 30.0]])
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    shapes = tk.boxes.Polygons.of([[ring] for ring in corners])
    found = tk.Detections(boxes, [0.9, 0.6, 0.5], [0, 1, 2], ("a", "b", "c"), [0, 0, 0], shapes=shapes)
    policy = tk.MergePolicy(threshold=0.4, class_agnostic=True)
    merged = tk.boxes.merge_with_labels(found, grid, policy)
    assert merged.detections.labels == ["a", "c"]
    assert [merged.others(row) for row in range(2)] == [[("b", 0.6)], []]


@given(own.masks(2, 4))
def test_united_masks_cover_what_any_covers(column):
    root = np.zeros(len(column), np.int64)
    made = united(column, root)[0]
    pictures = np.zeros((len(column), 80, 80), bool)
    for row in range(len(column)):
        for x, y0, y1 in column[row].spans:
            pictures[row, y0 + 25 : y1 + 25, x + 25] = True
    assert made == tk.boxes.Masks.from_arrays([pictures.any(axis=0)], [[-25, -25]])


def test_what_has_no_outline_is_named():
    points = tk.boxes.Keypoints.of([[[1, 1, 2]]])
    with pytest.raises(InvalidArgument, match="no outline"):
        tk.nms(points, [0.5])
    with pytest.raises(InvalidArgument, match="row 0 has no shape"):
        tk.nms(tk.boxes.Polygons.of([None]), [0.5])
    with pytest.raises(InvalidArgument, match="giou and diou are for boxes"):
        tk.boxes.giou(tk.boxes.OrientedBoxes([[0, 0, 1, 1, 0]]), [[0, 0, 1, 1]])
