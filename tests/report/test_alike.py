"""False alarms that look alike are one group, whatever their size, place and grain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilekit import Annotations, Detections, LabelSet
from tilekit.grid import Tiling
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.pages import PageKey
from tilekit.report import alike
from tilekit.report.building import write_report
from tilekit.report.pages import inner
from tilekit.scales import Scales, words_of
from tilekit.scans.encoding import encode_image
from tilekit.testing.shapes import draw
from tilekit.testing.symbols import symbol

NAMES = ("solid_circle", "cross", "capacitor")


def picture(name: str, size: float, rng: np.random.Generator) -> np.ndarray:
    side = round(size) + 4
    canvas = np.full((side, side, 1), 245, np.uint8)
    draw(canvas, symbol(name, 2 + rng.uniform(-0.5, 0.5), 2 + rng.uniform(-0.5, 0.5), size))
    return np.clip(canvas + rng.normal(0, 6, canvas.shape), 0, 255).astype(np.uint8)


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_groups_are_those_of_one_shape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.repeat(np.arange(3), (9, 6, 4)))
    looks = [alike.look_of(picture(NAMES[kind], rng.uniform(16, 40), rng)) for kind in kinds]
    found = alike.groups(looks)
    assert [len(group) for group in found] == [9, 6, 4]
    assert all(len({int(kinds[place]) for place in group}) == 1 for group in found)
    assert sorted(place for group in found for place in group) == list(range(19))


def test_flat_pictures_are_like_nothing_and_few_are_no_group() -> None:
    flat = alike.look_of(np.full((9, 9, 3), 200, np.uint8))
    assert alike.likeness(flat, flat) == 0
    assert alike.groups([flat, flat]) == [[0], [1]]
    assert alike.sentence([(2, 1, "x"), (1, 1, "y")], 3) == ""
    told = alike.sentence([(4, 2, "x"), (1, 1, "y")], 5)
    assert told.startswith("4 of the 5 shown look alike, group by group: 4 taken for x on 2 page(s).")
    assert "--decoys" in told


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A report over pages with three look-alikes each, found as false alarms, at two scales."""
    truth, sizes, pages = {}, {}, []
    scales = Scales(Tiling(256, 32), Tiling.whole(300))
    for place in range(3):
        canvas = np.full((400, 600, 1), 250, np.uint8)
        boxes = []
        for number, name in enumerate(("solid_circle", "solid_circle", "cross")):
            x, y = 60 + 150 * number, 5 if number else 120
            draw(canvas, symbol(name, x, y, 24))
            boxes.append([x, y, x + 24, y + 24])
        key = PageKey(str(tmp_path / f"p{place}.png"))
        Path(key.source).write_bytes(encode_image(canvas, "png").data)
        truth[key] = Annotations([[300, 300, 340, 340]], [0], ("valve",))
        sizes[key] = (600, 400)
        found = Detections([*boxes, [300, 300, 340, 340]], [0.9] * 4, [0, 0, 0, 0], ("valve",))
        pages.append(PageDetections(key, 600, 400, found, tuple(scales), scale=np.array([0, 0, 0, 1])))
    labels = LabelSet(truth, sizes=sizes, names=("valve",))
    write_report(tmp_path / "report", labels, {"scales": PredictionSet(pages)})
    return tmp_path / "report"


def test_the_report_says_what_looks_alike_and_which_scale_found_it(written: Path) -> None:
    text = (written / "index.html").read_text()
    assert (
        "9 of the 9 shown look alike, group by group: 6 taken for valve on 3 page(s); 3 taken for valve"
        in text
    )
    data = (written / "data" / "00001.js").read_text()
    names = ",".join(f'"{words_of(one)}"' for one in (Tiling(256, 32), Tiling.whole(300)))
    assert f'"scales":[{names}]' in data
    assert ",0.9,0,1]" in data
    assert ",0.9,-1,0]" in data
    assert "found at" in (written / "assets" / "viewer.js").read_text()


def test_the_box_is_taken_out_of_its_crop_at_the_page_edge_too() -> None:
    pixels = np.arange(60 * 60, dtype=np.int64).reshape(60, 60, 1).astype(np.uint8)
    part = inner(pixels[:36, :36], (2.0, 2.0, 22.0, 22.0))
    assert part.shape[:2] == (24, 24)  # from 0.4 to 23.6
