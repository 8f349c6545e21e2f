from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tilekit.errors import InvalidArgument
from tilekit.scans.opening import open_scan
from tilekit.testing.scenes import SceneStyle, scene_page, scene_pdf, scene_shapes
from tilekit.testing.shapes import draw
from tilekit.testing.symbols import DEMO_SYMBOLS, SYMBOLS, symbol

SIZE = (900, 640)


def test_the_seed_makes_the_page() -> None:
    one, labels = scene_page(5, *SIZE)
    again, same = scene_page(5, *SIZE)
    other, _ = scene_page(6, *SIZE)
    assert np.array_equal(one, again)
    assert labels == same
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("color", [False, True])
def test_boxes_hold_the_ink_of_their_symbols(color: bool) -> None:
    pixels, labels = scene_page(
        3, *SIZE, symbol_px=(30, 40), count=8, style=SceneStyle(0, color=color, look_alikes=(), noise=0)
    )
    assert pixels.shape == (SIZE[1], SIZE[0], 3 if color else 1)
    assert labels.names == DEMO_SYMBOLS
    assert len(labels) == 8
    for x0, y0, x1, y1 in labels.boxes:
        inside = pixels[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))].min(axis=2)
        assert inside.min() < 200
        rows, columns = (inside < 235).any(axis=1), (inside < 235).any(axis=0)
        assert rows[:2].any()
        assert rows[-2:].any()
        assert columns[:2].any()
        assert columns[-2:].any()


@pytest.mark.parametrize("name", sorted(SYMBOLS))
def test_each_symbol_fills_its_square(name: str) -> None:
    canvas = np.full((60, 60, 1), 255, np.uint8)
    draw(canvas, symbol(name, 10, 10, 40))
    ys, xs = np.nonzero(canvas[:, :, 0] < 128)
    assert 5 <= xs.min() <= 20
    assert 40 <= xs.max() <= 55
    assert 5 <= ys.min() <= 25
    assert 35 <= ys.max() <= 55


def test_the_pdf_shows_the_same_as_the_pixels(tmp_path: Path) -> None:
    known = scene_pdf(tmp_path / "scenes.pdf", 3, 1, dpi=144, width=SIZE[0], height=SIZE[1], empty_every=2)
    assert [len(labels) > 0 for _, _, labels in known] == [True, False, True]
    shapes, labels = scene_shapes(10_007, *SIZE)
    canvas = np.full((SIZE[1], SIZE[0], 1), 255, np.uint8)
    draw(canvas, shapes)
    with open_scan(tmp_path / "scenes.pdf", page=0, dpi=144) as scan:
        assert (scan.width, scan.height) == SIZE
        shown = np.array(scan.read(0, 0, scan.width, scan.height))
    assert known[0][2] == labels
    assert np.abs(shown.mean(axis=2) - canvas[:, :, 0]).mean() < 2
    assert ((shown.mean(axis=2) < 128) == (canvas[:, :, 0] < 128)).mean() > 0.99


def test_refuses_what_makes_no_page() -> None:
    with pytest.raises(InvalidArgument, match="symbols="):
        scene_page(0, symbols=["unicorn"])
    with pytest.raises(InvalidArgument, match="symbol_px="):
        scene_page(0, symbol_px=(5, 4))
    with pytest.raises(InvalidArgument, match="pages=0"):
        scene_pdf("never.pdf", 0)
