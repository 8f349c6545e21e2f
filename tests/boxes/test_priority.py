"""Which of two boxes of one object stays: a whole one before a cut one, then score, then area."""

from __future__ import annotations

import numpy as np
import pytest

from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import merge
from tilekit.grid import Tiling

GRID = Tiling(100, 40).grid(160, 100)  # tiles at 0 and 60


def stays(boxes, scores, tiles):
    moved = np.array(boxes, float) - np.array([[60 * tile, 0, 60 * tile, 0] for tile in tiles])
    found = Detections(moved, np.array(scores), None, ("a",), np.array(tiles))
    return merge(found, GRID).boxes.tolist()


@pytest.mark.parametrize("cut_first", [False, True])
def test_a_whole_box_wins_over_a_cut_one_of_better_score_and_more_area(cut_first):
    whole, cut = [70, 10, 102, 50], [65, 8, 100, 52]  # the first tile ends at 100
    boxes, scores, tiles = [whole, cut], [0.3, 0.99], [1, 0]
    if cut_first:
        boxes, scores, tiles = boxes[::-1], scores[::-1], tiles[::-1]
    assert stays(boxes, scores, tiles) == [whole]


def test_of_whole_ones_the_score_decides_not_the_area():
    small, large = [70, 10, 90, 40], [69, 9, 92, 42]
    assert stays([small, large], [0.9, 0.5], [0, 1]) == [small]
    assert stays([small, large], [0.5, 0.9], [0, 1]) == [large]
