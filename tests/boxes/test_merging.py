from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from tests.boxes.scenes import detect, scene
from tilekit.boxes import deciding, merging
from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy, StreamingMerge, merge, merge_with_labels
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling

TOLERANCE, JITTER = 2.0, 1.5


def found(grid, truth, labels, seed, noise=200):
    return detect(grid, truth, labels, seed=seed, jitter=JITTER, noise=noise, floor=MergePolicy().score_floor)


def assert_one_each(merged: Detections, truth, labels):
    assert len(merged) == len(truth)
    if not len(truth):
        return
    gaps = np.abs(merged.boxes[:, None] - truth[None]).max(axis=2)
    nearest = gaps.argmin(axis=1)
    assert sorted(nearest) == list(range(len(truth)))
    assert gaps.min(axis=1).max(initial=0) <= JITTER
    assert np.array_equal(merged.class_ids, labels[nearest])


@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(100, 900), st.integers(100, 900)),
    tile=st.integers(130, 400),
    edge=st.sampled_from(["shift", "clip", "pad"]),
    layout=st.sampled_from(["spread", "rows", "touching"]),
)
def test_exactly_one_box_per_object_where_the_overlap_suffices(seed, size, tile, edge, layout):
    largest = 60
    overlap = int(largest + 2 * (TOLERANCE + JITTER)) + 1
    truth, labels = scene(*size, seed=seed, sizes=(12, largest), layout=layout)
    grid = Tiling(tile, overlap, edge).grid(*size)
    merged = merge(found(grid, truth, labels, seed), grid, MergePolicy(tolerance=TOLERANCE))
    assert_one_each(merged, truth, labels)


@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(100, 900), st.integers(100, 900)),
    tile=st.integers(40, 300),
    ratio=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7]),
    layout=st.sampled_from(["spread", "rows", "touching", "mess"]),
    agnostic=st.booleans(),
    join=st.booleans(),
)
def test_streaming_equals_the_whole_and_order_of_arrival_is_no_matter(
    seed, size, tile, ratio, layout, agnostic, join
):
    truth, labels = scene(*size, seed=seed, sizes=(4, 200), layout=layout)
    grid = Tiling(tile, ratio).grid(*size)
    policy = MergePolicy(class_agnostic=agnostic, join=join)
    dets = found(grid, truth, labels, seed)
    whole = merge(dets, grid, policy)
    shuffled = np.random.default_rng(seed).permutation(len(dets))
    assert merge(dets[shuffled], grid, policy) == whole
    stream = StreamingMerge(grid, policy)
    rows = dets.tile_index[shuffled] // grid.cols
    parts = [stream.add(row, dets[shuffled][rows == row]) for row in range(grid.rows)]
    parts.append(stream.finish())
    together = Detections.concat(parts)
    assert np.array_equal(together.boxes, whole.boxes)
    assert np.array_equal(together.scores, whole.scores)
    assert together.labels == whole.labels
    if len(whole):
        assert np.array_equal(together.tile_index, whole.tile_index)
        assert np.array_equal(together.cut, whole.cut)
    assert np.all(np.diff(whole.tile_index) >= 0) if len(whole) else True


@given(seed=st.integers(0, 2**32), overlap=st.sampled_from([0, 16, 40]))
def test_objects_longer_than_the_overlap_are_joined(seed, overlap):
    rng = np.random.default_rng(seed)
    x0, x1 = sorted(rng.integers(5, 795, 2))
    truth = np.array([[x0, 100.0 + k * 40, max(x1, x0 + 60), 120.0 + k * 40] for k in range(4)])
    truth = np.concatenate([truth, [[20.0, 300, 44, 780]]])
    labels = np.zeros(len(truth), np.int64)
    grid = Tiling(200, overlap).grid(900, 800)
    dets = detect(grid, truth, labels, seed=seed, jitter=0.5, noise=0, floor=0.05)
    merged = merge(dets, grid)
    gaps = np.abs(merged.boxes[:, None] - truth[None]).max(axis=2)
    assert len(merged) == len(truth)
    assert sorted(gaps.argmin(axis=1)) == list(range(len(truth)))
    assert gaps.min(axis=1).max() <= 1


def test_a_fragment_gives_way_to_the_larger_piece_whatever_the_scores():
    """An object that ends on a seam is cut in every tile; the tile that sees all of it wins."""
    grid = Tiling(100, 20).grid(260, 180)  # columns at 0, 80, 160; rows at 0, 80
    dets = Detections([[85, 60, 100, 100], [2, 60, 45, 100]], [0.9, 0.1], None, ("a",), [0, 1])
    assert merge(dets, grid, MergePolicy(join=False)).boxes.tolist() == [[82, 60, 125, 100]]


def test_final_boxes_come_as_soon_as_no_later_row_can_change_them():
    grid = Tiling(100, 20).grid(100, 1000)
    stream = StreamingMerge(grid)
    first = Detections([[10, 10, 20, 20], [10, 90, 20, 100]], [0.9, 0.9], None, ("a",), [0, 0])
    assert stream.add(0, first).boxes.tolist() == [[10, 10, 20, 20]]
    second = Detections([[10, 10, 20, 24]], [0.5], None, ("a",), [1])
    assert stream.add(1, second).boxes.tolist() == [[10, 90, 20, 104]]
    assert len(stream.finish()) == 0


@given(
    seed=st.integers(0, 2**32),
    layout=st.sampled_from(["spread", "touching", "mess"]),
    agnostic=st.booleans(),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    coarse=st.booleans(),
)
def test_merging_equals_its_slow_twin(seed, layout, agnostic, threshold, coarse):
    truth, labels = scene(260, 200, seed=seed, sizes=(10, 80), layout=layout)
    grid = Tiling(100, 0.3).grid(260, 200)
    dets = found(grid, truth, labels, seed, noise=20)
    rng = np.random.default_rng(seed)
    dets = Detections(
        np.round(dets.boxes) if coarse else dets.boxes,
        np.round(dets.scores, 1) if coarse else dets.scores,
        rng.integers(0, 3, len(dets)),
        ("a", "b", "c"),
        dets.tile_index,
    )
    policy = MergePolicy(threshold, class_agnostic=agnostic, join=False)
    expected = naive.merge(dets.boxes, dets.scores, dets.class_ids, dets.tile_index, grid, policy)
    merged = merge(dets, grid, policy)
    assert merged.boxes.tolist() == [row[0] for row in expected]
    assert merged.scores.tolist() == [row[1] for row in expected]
    assert merged.class_ids.tolist() == [row[2] for row in expected]
    if expected:
        assert merged.tile_index.tolist() == [row[3] for row in expected]
        assert merged.cut.tolist() == [row[4] for row in expected]
    if agnostic:
        recorded = merge_with_labels(dets, grid, policy)
        assert recorded.detections == merged
        others = [recorded.others(row) for row in range(len(merged))]
        assert [{("a", "b", "c").index(k): v for k, v in each} for each in others] == [
            row[5] for row in expected
        ]
        assert all(each == sorted(each, key=lambda pair: (-pair[1], pair[0])) for each in others)


def test_the_other_labels_of_one_object_are_recorded():
    grid = Tiling(100, 20).grid(100, 100)
    box = [10, 10, 30, 30]
    dets = Detections([box, box, box], [0.6, 0.9, 0.7], [0, 1, 2], ("pipe", "valve", "pump"), [0, 0, 0])
    merged = merge_with_labels(dets, grid)
    assert merged.detections.labels == ["valve"]
    assert merged.others(0) == [("pump", 0.7), ("pipe", 0.6)]
    with pytest.raises(InvalidArgument, match="class_agnostic=False"):
        merge_with_labels(dets, grid, MergePolicy())


def test_the_labels_of_joined_pieces_are_recorded():
    grid = Tiling(100, 20).grid(180, 180)  # columns and rows at 0 and 80
    dets = Detections(
        [[20, 30, 100, 50], [0, 30, 60, 50], [2, 30, 60, 50]],
        [0.6, 0.9, 0.5],
        [0, 1, 2],
        ("pipe", "valve", "pump"),
        [0, 1, 1],
    )
    merged = merge_with_labels(dets, grid)
    assert merged.detections == merge(dets, grid, MergePolicy(class_agnostic=True))
    assert merged.detections.boxes.tolist() == [[20, 30, 140, 50]]
    assert merged.detections.labels == ["valve"]
    assert merged.others(0) == [("pipe", 0.6), ("pump", 0.5)]


@given(seed=st.integers(0, 2**32), layout=st.sampled_from(["rows", "touching", "mess"]))
def test_every_label_above_the_floor_is_kept_or_recorded(seed, layout):
    truth, labels = scene(400, 300, seed=seed, sizes=(10, 200), layout=layout)
    grid = Tiling(130, 0.3).grid(400, 300)
    dets = found(grid, truth, labels, seed, noise=20)
    ids = np.random.default_rng(seed).integers(0, 3, len(dets))
    dets = Detections(dets.boxes, dets.scores, ids, ("a", "b", "c"), dets.tile_index)
    policy = MergePolicy(class_agnostic=True)
    merged = merge_with_labels(dets, grid, policy)
    assert merged.detections == merge(dets, grid, policy)
    for row in range(len(merged.detections)):
        names = [name for name, _ in merged.others(row)]
        assert len(set(names)) == len(names)
        assert merged.detections.labels[row] not in names
    said = set(merged.detections.labels) | {
        n for row in range(len(merged.detections)) for n, _ in merged.others(row)
    }
    assert said == set(dets[dets.scores >= policy.score_floor].labels)


def test_bad_arguments_are_named():
    grid = Tiling(100).grid(300, 300)
    one = Detections([[0, 0, 5, 5]], [0.5], None, ("a",), [4])
    with pytest.raises(InvalidArgument, match="tile_index"):
        merge(Detections([[0, 0, 5, 5]], [0.5], None, ("a",)), grid)
    with pytest.raises(InvalidArgument, match=r"tile_index\[0\] is 9"):
        merge(Detections([[0, 0, 5, 5]], [0.5], None, ("a",), [9]), grid)
    with pytest.raises(InvalidArgument, match="threshold"):
        MergePolicy(threshold=2)
    with pytest.raises(InvalidArgument, match="tolerance"):
        MergePolicy(tolerance=-1)
    stream = StreamingMerge(grid)
    with pytest.raises(InvalidArgument, match="row 0"):
        stream.add(0, one)
    for strange in (True, 1.0, -1, 3):
        with pytest.raises(InvalidArgument, match=f"row={strange} must be a row of tiles after -1, below 3"):
            stream.add(strange, one)
    stream.add(1, one)
    with pytest.raises(InvalidArgument, match="row=1 must be a row of tiles after 1"):
        stream.add(1, one)
    two = Detections([[0, 0, 5, 5]] * 2, [0.5, 0.5], None, ("a",), [6, 5])
    with pytest.raises(InvalidArgument, match=r"tile_index\[1\] is 5, not a tile of row 2"):
        stream.add(2, two)
    with pytest.raises(InvalidArgument, match="detections have no tile_index"):
        stream.add(2, Detections([[0, 0, 5, 5]], [0.5], None, ("a",)))


def test_what_no_later_row_reaches_is_given_at_once():
    """Rows of 100 px without overlap: a box well inside a row is final with it; the last row gives all."""
    grid = Tiling(100, 0).grid(200, 300)
    box = [[20, 20, 60, 60]]
    stream = StreamingMerge(grid)
    for row in range(3):
        assert len(stream.add(row, Detections(box, [0.9], None, ("a",), [2 * row]))) == 1
    assert len(stream.finish()) == 0
    with pytest.raises(InvalidArgument, match="after 3, below 3"):
        stream.add(2, Detections(box, [0.9], None, ("a",), [4]))


def test_nothing_merges_to_nothing():
    grid = Tiling(100).grid(300, 300)
    assert len(merge(Detections.empty(("a",)), grid)) == 0
    assert len(StreamingMerge(grid).finish()) == 0


@given(seed=st.integers(0, 2**32), layout=st.sampled_from(["rows", "touching", "mess"]), open_=st.booleans())
def test_the_quick_way_equals_the_greedy_kernel(seed, layout, open_):
    truth, labels = scene(600, 500, seed=seed, sizes=(4, 200), layout=layout)
    grid = Tiling(150, 0.3).grid(600, 500)
    policy = MergePolicy()
    pieces = merging._pieces(found(grid, truth, labels, seed), grid, policy, 0)
    marks = deciding._marks(pieces, pieces.boxes[:, 3] > 250 if open_ else None)
    judged = deciding._judged(pieces, policy, marks)
    quick = None if judged is None else deciding._settled(judged, marks)
    greedy, _ = deciding._greedy(pieces, policy, marks, best=False)
    assert quick is None or np.array_equal(quick, greedy)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda dets, grid: merge(dets.boxes, grid), "detections must be a Detections"),
        (lambda dets, grid: merge(dets, Tiling(100)), "grid must be a TileGrid"),
        (lambda dets, grid: merge(dets, grid, 0.5), "policy must be a MergePolicy"),
        (lambda dets, grid: merge_with_labels(dets, grid, 0.5), "policy must be a MergePolicy"),
        (lambda dets, grid: StreamingMerge(Tiling(100)), "grid must be a TileGrid"),
        (lambda dets, grid: StreamingMerge(grid, 0.5), "policy must be a MergePolicy"),
        (lambda dets, grid: StreamingMerge(grid).add(0, [[0, 0, 5, 5]]), "detections must be a Detections"),
    ],
)
def test_what_is_no_struct_is_named(call, name):
    with pytest.raises(InvalidArgument, match=name):
        call(Detections([[0, 0, 5, 5]], [0.5], None, ("a",), [0]), Tiling(100).grid(300, 300))


def test_boxes_far_beyond_the_scan_are_clipped():
    grid = Tiling(100, 20).grid(300, 200)
    far = [[1e18, 1e18, 1e18 + 5000, 1e18 + 5000], [-1e99, -1e99, 1e99, 1e99], [1e100, 0, 1e100, 1]]
    merged = merge(Detections(far, [0.9] * 3, None, ("a",), [0, 1, 2]), grid)
    assert np.all(merged.boxes >= 0)
    assert np.all(merged.boxes[:, 2:] <= [300, 200])


@given(seed=st.integers(0, 2**32), least=st.sampled_from([0.3, 0.7]), tile=st.integers(60, 200))
def test_what_is_confirmed_equals_its_slow_twin(seed, least, tile):
    truth, labels = scene(400, 300, seed=seed, sizes=(5, 120), layout="mess")
    grid = Tiling(tile, 0.4).grid(400, 300)
    policy = MergePolicy(unconfirmed=least)
    pieces = merging._pieces(found(grid, truth, labels, seed), grid, policy, 0)
    expected = []
    for box, score, tile_at, edges in zip(
        pieces.boxes.tolist(), pieces.scores, pieces.tiles, pieces.edges, strict=True
    ):
        col, row, doubted = tile_at % grid.cols, tile_at // grid.cols, False
        for side, (across, down) in ((1, (-1, 0)), (2, (0, -1)), (4, (1, 0)), (8, (0, 1))):
            if edges & side and 0 <= col + across < grid.cols and 0 <= row + down < grid.rows:
                window = grid[(row + down) * grid.cols + col + across]
                doubted |= (
                    box[0] >= window.x0 - 2
                    and box[1] >= window.y0 - 2
                    and box[2] <= window.x1 + 2
                    and box[3] <= window.y1 + 2
                )
        expected.append(not (doubted and score < least))
    assert deciding.confirmed(pieces, grid, policy).tolist() == expected


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(("short", "joined"), [(1.9, True), (2.1, False)])
def test_pieces_are_joined_that_span_the_shared_strip_but_for_the_tolerance(down, first, short, joined):
    """Two tiles share px 80 to 100; one piece begins (ends) so many px short of the strip's far border.

    The other is left in any case, and is whole where the two were joined.
    """
    grid = Tiling(100, 20).grid(*((100, 180) if down else (180, 100)))
    near = [80 + short if first else 40, 10, 100, 30]
    far = [0, 10, 60 if first else 20 - short, 30]
    boxes = np.array([near, far], float)
    found = Detections(boxes[:, [1, 0, 3, 2]] if down else boxes, [0.9, 0.8], None, ("a",), [0, 1])
    policy = MergePolicy(tolerance=2.0, relative_tolerance=0.0, growth=0.0)
    assert merge(found, grid, policy).cut.tolist() == [not joined]


def test_boxes_of_tens_of_thousands_of_tiles_come_in_grid_order():
    grid = Tiling(8).grid(2000, 2000)
    tiles = np.random.default_rng(0).permutation(len(grid))[:500]
    boxes = np.tile([2.0, 2, 4, 4], (len(tiles), 1))
    merged = merge(Detections(boxes, np.full(len(tiles), 0.5), None, ("a",), tiles), grid)
    assert merged.tile_index.tolist() == sorted(tiles.tolist())


def test_boxes_that_begin_left_of_their_tile_come_in_their_order_too():
    grid = Tiling(100, 20).grid(300, 100)
    boxes = [[x, 4.0 * place, 9, 4.0 * place + 3] for place, x in enumerate([5, -5, 1, -3, 3])]
    merged = merge(Detections(boxes, [0.5] * 5, None, ("a",), [0] * 5), grid)
    assert merged.boxes[:, 1].tolist() == [4, 12, 8, 16, 0]


@pytest.mark.parametrize("gap", [2.2, 3.9])
@pytest.mark.parametrize("down", [False, True])
def test_a_fragment_beside_a_better_box_gives_way_though_they_do_not_touch(gap, down):
    """It ends with its tile; where most of it lies in the box widened by twice the tolerance, the box's edge was off."""
    grid = Tiling(100, 20).grid(180, 180)
    fragment, whole = [97.0, 30, 100, 50], [20 + gap, 25, 60 + gap, 55]
    boxes = np.array([fragment, whole])
    found = Detections(
        boxes[:, [1, 0, 3, 2]] if down else boxes, [0.9, 0.8], None, ("a",), [0, 2 if down else 1]
    )
    policy = MergePolicy(tolerance=2.0, relative_tolerance=0.0)
    assert merge(found, grid, policy).scores.tolist() == ([0.8] if gap < 2.5 else [0.9, 0.8])


def test_a_fragment_waits_for_a_better_one_of_the_next_row_that_does_not_touch_it():
    grid, policy = Tiling(100, 20).grid(180, 180), MergePolicy(tolerance=2.0, relative_tolerance=0.0)
    rows = [
        Detections([[90, 75, 100, 78]], [0.9], None, ("a",), [0]),
        Detections([[60, 0, 100, 40]], [0.8], None, ("a",), [2]),
    ]
    together = merge(Detections.concat(rows), grid, policy)
    assert together.scores.tolist() == [0.8]
    stream = StreamingMerge(grid, policy)
    parts = [stream.add(row, found) for row, found in enumerate(rows)]
    assert Detections.concat([*parts, stream.finish()]) == together
