"""Which of the pieces on a scan stay: one an object.

Whole ones win over cut ones; among whole ones the score decides, among cut ones the area, since the larger shows more
of its object. Pairs that touch are listed first and judged each by itself; what stays then follows from the pairs.
Where boxes heap up so that pairs would be too many, the greedy kernel does the same box by box. With shapes a pair is
judged by what the shapes share, not their boxes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes import engine, overlap
from tilekit.boxes.joining import BOTTOM, LEFT, RIGHT, TOP, Pieces
from tilekit.boxes.shapes.overlap import Measure
from tilekit.grid import TileGrid

if TYPE_CHECKING:
    from tilekit.boxes.merging import MergePolicy

DROPPED, KEPT, OPEN = 0, 1, 2
_MERGE_METRIC = 2
_PAIRS = 6  # touching pairs and comparisons a box, beyond which the greedy kernel is better
_COMPARISONS = 64


def decide(
    pieces: Pieces, policy: MergePolicy, unsettled: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """State of each piece: DROPPED, KEPT, or OPEN: what something `unsettled` may still change."""
    marks = _marks(pieces, unsettled)
    judged = _judged(pieces, policy, marks)
    if judged is None:
        return _greedy(pieces, policy, marks, best=False)[0]
    return _settled(judged, marks)


def decide_owners(pieces: Pieces, policy: MergePolicy) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """State of each piece, and the best kept piece that removes each dropped one."""
    marks = _marks(pieces, None)
    if _shaped(pieces) is None:
        return _greedy(pieces, policy, marks, best=True)
    judged = _judged(pieces, policy, marks)
    assert judged is not None
    state = _settled(judged, marks)
    place = np.empty(len(pieces), np.int64)
    place[_best_first(pieces, marks)] = np.arange(len(pieces))
    judged = judged[(judged[:, 1] >= 0) & (state[judged[:, 0]] == KEPT)]
    judged = judged[np.lexsort((place[judged[:, 0]], judged[:, 1]))]
    owner = np.arange(len(pieces))
    owner[judged[::-1, 1]] = judged[::-1, 0]
    return state, owner


def confirmed(pieces: Pieces, grid: TileGrid, policy: MergePolicy) -> NDArray[np.bool_]:
    """Pieces that nothing speaks against: whole, of a good score, or cut where no other tile sees them whole."""
    out = np.ones(len(pieces), np.bool_)
    if policy.unconfirmed == 0:
        return out
    rows = np.flatnonzero((pieces.edges != 0) & (pieces.scores < policy.unconfirmed))
    if not len(rows):
        return out
    boxes, edges, slack = pieces.boxes[rows], pieces.edges[rows], policy.tolerance
    last = np.array([grid.cols - 1, grid.rows - 1])
    first = np.column_stack([pieces.tiles[rows] % grid.cols, pieces.tiles[rows] // grid.cols])
    for side, step in ((LEFT, (-1, 0)), (TOP, (0, -1)), (RIGHT, (1, 0)), (BOTTOM, (0, 1))):
        beyond = np.clip(first + np.array(step), 0, last)
        window = grid.windows()[beyond[:, 1] * grid.cols + beyond[:, 0]]
        sees = (boxes[:, :2] >= window[:, :2] - slack).all(axis=1) & (
            boxes[:, 2:] <= window[:, 2:] + slack
        ).all(axis=1)
        out[rows[((edges & side) != 0) & sees & (beyond != first).any(axis=1)]] = False
    return out


def _marks(pieces: Pieces, unsettled: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    marks = np.zeros((len(pieces), 3), np.uint8)
    marks[:, 1] = pieces.edges != 0
    if unsettled is not None:
        marks[:, 2] = unsettled
    return marks


def _keys(pieces: Pieces, policy: MergePolicy) -> NDArray[np.int64]:
    labels = np.zeros(len(pieces), np.int64) if policy.class_agnostic else pieces.labels
    return np.column_stack([labels, pieces.tiles])


def _ranks(pieces: Pieces, marks: NDArray[np.uint8]) -> NDArray[np.float64]:
    ranks, cut = pieces.scores.copy(), np.flatnonzero(marks[:, 1] != 0)
    boxes = pieces.boxes[cut]
    ranks[cut] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return ranks


def _best_first(pieces: Pieces, marks: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Places of whole pieces by falling score, then of cut ones by falling area."""
    order = engine.descending(_ranks(pieces, marks))
    cut = marks[order, 1]
    return np.concatenate([order[cut == 0], order[cut == 1]])


def _greedy(
    pieces: Pieces, policy: MergePolicy, marks: NDArray[np.uint8], best: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return engine.greedy(
        pieces.boxes,
        _best_first(pieces, marks),
        _keys(pieces, policy),
        _MERGE_METRIC,
        policy.threshold,
        marks=marks,
        slack=2 * policy.tolerance,
        best=best,
    )


def _shaped(pieces: Pieces) -> Measure | None:
    if pieces.shapes is None or pieces.shapes.kind == "keypoints":
        return None
    return Measure(pieces.shapes, pieces.boxes)


def _judged(pieces: Pieces, policy: MergePolicy, marks: NDArray[np.uint8]) -> NDArray[np.int32] | None:
    """Pairs (better, worse; -1 where neither removes the other); None where too many pairs touch."""
    slack = 2 * policy.tolerance
    measure = _shaped(pieces)
    count = len(pieces)
    wide = pieces.boxes + np.array([-1, -1, 1, 1]) * (slack / 2 + 1e-6)
    if measure is not None:
        return _judged_by_shape(pieces, policy, marks, measure, overlap.listed(wide, 0.0))
    room = _PAIRS * count + 256
    pairs, found = overlap.listed_within(wide, 0.0, room, _COMPARISONS * count + 4096, room)
    if not 0 <= found <= room:
        return None
    from tilekit.boxes.kernels import settling

    settling.judge(
        pieces.boxes, _ranks(pieces, marks), _keys(pieces, policy), marks, policy.threshold, slack, pairs
    )
    return pairs


def _judged_by_shape(
    pieces: Pieces, policy: MergePolicy, marks: NDArray[np.uint8], measure: Measure, pairs: NDArray[np.int32]
) -> NDArray[np.int32]:
    """The rules of the kernel, with areas that shapes share in place of boxes'.

    A cut piece goes where more than the threshold of it lies in a better one, of two cut ones also where that much of
    the better one lies in it. Whole ones of two tiles go by IoU, and where their boxes agree also by the share of the
    smaller one, since few pixels of jitter take much from a thin shape.
    """
    from tilekit.boxes.kernels.greedy import ACROSS

    keys, ranks = _keys(pieces, policy), _ranks(pieces, marks)
    a, b = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    alike = keys[a, 0] == keys[b, 0]
    a, b = a[alike], b[alike]
    cut = marks[:, 1]
    behind = (cut[a] > cut[b]) | (
        (cut[a] == cut[b]) & ((ranks[a] < ranks[b]) | ((ranks[a] == ranks[b]) & (a > b)))
    )
    a, b = np.where(behind, b, a), np.where(behind, a, b)
    both = measure.shared(a, b)
    one, other = measure.areas[a], measure.areas[b]

    def part(whole: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(both, whole, out=np.zeros_like(both), where=both > 0)

    smaller = part(np.minimum(one, other))
    apart = pieces.tiles[a] != pieces.tiles[b]
    near = apart & (np.abs(pieces.boxes[a] - pieces.boxes[b]) <= 2 * policy.tolerance).all(axis=1)
    limit = policy.threshold
    whole = part(one + other - both) > np.where(apart, ACROSS * limit, limit)
    whole |= near & (smaller > limit)
    removed = np.where(cut[b] == 0, whole, np.where(cut[a] == 0, part(other) > limit, smaller > limit))
    return np.ascontiguousarray(np.column_stack([a[removed], b[removed]]), dtype=np.int32)


def _settled(judged: NDArray[np.int32], marks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from tilekit.boxes.kernels import settling

    count = len(marks)
    state = np.empty(count, np.uint8)
    settling.settle(
        judged,
        marks,
        np.empty(count + 2, np.int32),
        np.empty(len(judged), np.int32),
        np.empty((3, count), np.int32),
        state,
    )
    return state
