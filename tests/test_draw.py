"""Pictures: boxes where they belong, sheets that hold everything."""

from __future__ import annotations

import numpy as np
import pytest

import tilekit as tk
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.draw import IGNORED, PALETTE, contact_sheet, draw, label_colors
from tilekit.errors import InvalidArgument


def white(width=200, height=100, bands=3):
    return np.full((height, width, bands), 255, np.uint8)


@pytest.mark.parametrize("bands", [1, 3])
def test_an_outline_lies_around_the_box_and_leaves_the_rest(bands):
    source = white(bands=bands)
    picture = draw(source, Annotations([[50, 30, 80, 60]], None, ("up",)), names=False, line=2)
    assert picture.shape == (100, 200, 3)
    inside = picture[30:60, 50:80]
    assert (inside == 255).all()
    assert (picture[28:30, 48:82] == PALETTE[0]).all()
    assert (picture[60:62, 48:82] == PALETTE[0]).all()
    assert (picture[28:62, 80:82] == PALETTE[0]).all()
    changed = (picture != 255).any(axis=2)
    changed[28:62, 48:82] = False
    assert not changed.any()
    assert (source == 255).all()


def test_ignored_boxes_are_gray_and_each_label_has_its_color():
    boxes = Annotations(
        [[20, 40, 40, 60], [60, 40, 80, 60], [100, 40, 120, 60]],
        [0, 1, 0],
        ("a", "b"),
        np.ones(3) == [0, 0, 1],
    )
    picture = draw(white(), boxes, names=False, line=1)
    assert [tuple(picture[39, x]) for x in (30, 70, 110)] == [PALETTE[0], PALETTE[1], IGNORED]
    assert tuple(draw(white(), boxes, colors={"a": (9, 9, 9)}, names=False, line=1)[39, 30]) == (9, 9, 9)
    assert label_colors(("a", "b")) == {"a": PALETTE[0], "b": PALETTE[1]}


def test_labels_and_scores_are_written_on_the_picture_also_at_its_edges():
    boxes = [[0, 0, 20, 20], [180, 80, 200, 100], [90, 40, 110, 60]]
    plain = draw(white(), Annotations(boxes, None, ("up",)), names=False)
    named = draw(white(), Annotations(boxes, None, ("up",)))
    scored = draw(white(), Detections(boxes, [0.5, 0.25, 1], None, ("up",)))
    assert (plain != named).any()
    assert (named != scored).any()


def test_a_reduced_picture_has_its_boxes_reduced():
    picture = draw(
        white(400, 200), Annotations([[100, 60, 160, 120]], None, ("a",)), names=False, line=1, max_side=100
    )
    assert picture.shape == (50, 100, 3)
    assert (picture[15:30, 25:40] == 255).all()
    assert tuple(picture[14, 30]) == PALETTE[0]
    assert draw(white(), max_side=1000).shape == (100, 200, 3)


def test_bad_pixels_are_named():
    with pytest.raises(InvalidArgument, match="picture must be"):
        draw(np.zeros((3, 3)))


def test_a_sheet_holds_every_picture():
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (1, 2, 3), (9, 8, 7)]
    pictures = [np.full((80, 60, 3), color, np.uint8) for color in colors]
    sheet = contact_sheet(
        pictures, ["x" * 100] * 5, title="five", columns=2, cell=60, legend={"up": (5, 6, 7)}
    )
    for color in [*colors, (5, 6, 7)]:
        assert (sheet == color).all(axis=2).any()
    assert sheet.shape[1] >= 132
    crowded = contact_sheet(pictures, columns=2, cell=60, legend={f"label {i}": (1, 1, 1) for i in range(99)})
    assert crowded.shape[1] == 360
    assert contact_sheet([]).ndim == 3
    with pytest.raises(InvalidArgument, match="captions"):
        contact_sheet(pictures, ["one"])


def test_shapes_are_drawn_in_place_of_their_boxes():
    page = np.full((60, 60, 3), 255, np.uint8)
    shapes = tk.boxes.Polygons.of([[[10, 10, 50, 10, 10, 50]], None])
    boxes = tk.Annotations([[10, 10, 50, 50], [52, 52, 58, 58]], None, ["a"], None, shapes)
    drawn = draw(page, boxes, names=False, line=1)
    assert (drawn[30, 30] != 255).any()  # the slanted side
    assert (drawn[50, 50] == 255).all()  # the box's corner, which is no part of it
    assert (drawn[51, 55] != 255).any()  # the row without a shape
    dots = tk.Annotations(
        [[0, 0, 50, 50]], None, ["a"], None, tk.boxes.Keypoints.of([[[20, 20, 2], [40, 40, 0]]])
    )
    drawn = draw(page, dots, names=False, line=1)
    assert (drawn[20, 20] != 255).any()
    assert (drawn[40, 40] == 255).all()
