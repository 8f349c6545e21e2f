"""The viewer is given outlines where rows have shapes."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import tilekit as tk
from tests.report.pages import make_pages
from tilekit.report.building import write_report

SHAPES = {
    "polygon": (
        tk.boxes.Polygons.of([[[10, 10, 60, 10, 60, 40]]]),
        [[10.0, 10.0, 60.0, 10.0, 60.0, 40.0]],
    ),
    "oriented": (
        tk.boxes.OrientedBoxes([[40, 40, 20, 10, 90]]),
        [[45.0, 30.0, 45.0, 50.0, 35.0, 50.0, 35.0, 30.0]],
    ),
    "keypoints": (
        tk.boxes.Keypoints.of([[[10, 20, 2], [0, 0, 0], [30, 40, 1]]]),
        [[10.0, 20.0], [30.0, 40.0]],
    ),
}


@pytest.mark.parametrize("kind", list(SHAPES))
def test_outlines_are_written_for_the_viewer(tmp_path, kind):
    shape, outline = SHAPES[kind]
    truth, _, found = make_pages(tmp_path / "scans", count=1)
    (key,) = truth
    page = next(iter(found.pages()))
    seen = tk.Detections(shape.boxes, [0.9], None, ("square",), shapes=shape)
    labels = tk.LabelSet(
        {key: tk.Annotations.from_shapes(shape, names=["square"])}, sizes=truth.sizes, names=("square",)
    )
    run = tk.PredictionSet([tk.PageDetections(key, page.width, page.height, seen)])
    root = write_report(tmp_path / "report", labels, {"tiles": run}).index.parent
    text = (root / "data" / "00001.js").read_text()
    data = json.loads(re.sub(r"^[^=]*=|;\s*$", "", text))
    assert data["truth"][0][6] == data["runs"][0]["boxes"][0][7] == outline


def test_masks_are_outlines_and_rows_without_shape_stay_boxes(tmp_path):
    from tilekit.report.matches import _with

    mask = tk.boxes.Masks.from_arrays([np.ones((3, 4), bool)], [[5, 6]])
    ((*_, rings),) = _with([[5, 6, 9, 9, 0, 0]], mask)
    assert sorted(zip(rings[0][::2], rings[0][1::2], strict=True)) == [(5, 6), (5, 9), (9, 6), (9, 9)]
    bare = tk.boxes.Polygons.of([None])
    assert _with([[5, 6, 9, 9, 0, 0]], bare) == [[5, 6, 9, 9, 0, 0]]
