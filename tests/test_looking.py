"""Pictures of scans, tilings, boxes and comparisons show what they say."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tilekit import Annotations, Detections, LabelSet, Tiling, open_scan, read_tiles
from tilekit.cli import cli
from tilekit.errors import InvalidArgument
from tilekit.pages import PageKey
from tilekit.scans.encoding import decode_image, encode_image
from tilekit.scans.picture import grid_picture, thumbnail

SIZE = (300, 200)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.png"
    path.write_bytes(encode_image(np.full((SIZE[1], SIZE[0], 1), 255, np.uint8), "png").data)
    return path


def test_what_tiles_share_is_tinted_and_nothing_else(page: Path) -> None:
    with open_scan(page) as scan:
        tiling = Tiling(120, 40)
        picture = grid_picture(scan, tiling, side=300)
        count = np.zeros((SIZE[1], SIZE[0]), int)
        for x0, y0, x1, y1 in scan.grid(tiling).windows():
            count[y0:y1, x0:x1] += 1
    red, blue = picture[:, :, 0].astype(int), picture[:, :, 2].astype(int)
    border = (picture == (0, 114, 178)).all(axis=2)
    assert border.any()
    inside = ~border
    assert ((red > blue + 20) == (count > 1))[inside].all()
    assert (picture[inside & (count == 1)] == 255).all()


def test_thousands_of_tiles_do_not_hide_the_page(page: Path) -> None:
    with open_scan(page) as scan:
        assert (grid_picture(scan, Tiling(2), side=300) == 255).all()
        assert thumbnail(scan, 60).shape == (40, 60, 1)


def test_a_scan_and_a_tile_show_themselves(page: Path, tmp_path: Path) -> None:
    with open_scan(page) as scan:
        assert "300 x 200 px" in scan._repr_html_()
        assert "data:image/jpeg;base64," in scan._repr_html_()
        figure = scan.plot(Tiling(120, 40), path=tmp_path / "scan.png")
        assert "8 tiles, 4 across, 2 down" in figure.axes[0].get_title("left")
        assert tuple(figure.axes[0].images[0].get_extent()) == (0, 300, 200, 0)
        tile = list(read_tiles(scan, Tiling(120, 40)))[5]
        assert tuple(tile.plot().axes[0].images[0].get_extent()) == (80, 200, 200, 80)
        assert "row 1, column 1" in tile._repr_html_()
    assert decode_image((tmp_path / "scan.png").read_bytes()).shape[1] > 500
    assert "closed" in scan._repr_html_()


def test_boxes_are_drawn_whole_or_in_a_window(page: Path) -> None:
    boxes = [[10, 10, 30, 30], [100, 50, 140, 90], [250, 150, 290, 190]]
    found = Detections(boxes, [0.5, 0.6, 0.7], [0, 1, 1], ("a", "b"))
    with open_scan(page) as scan:
        assert found.plot(scan).axes[0].get_title("left") == "3 boxes"
        part = found.plot(scan, window=(90, 40, 200, 120)).axes[0]
        with pytest.raises(InvalidArgument, match="outside the picture"):
            found.plot(scan, window=(400, 0, 500, 50))
    assert part.get_title("left") == "1 boxes of 3 in this part"
    assert part.get_xlim() == (90, 200)
    assert [text.get_text() for text in part.texts] == ["b 0.60"]
    assert "<td>b</td><td>2</td><td>40 x 40</td>" in found._repr_html_()


def test_boxes_lie_where_their_pixels_do_and_many_go_without_words(page: Path) -> None:
    pixels = np.zeros((200, 300, 3), np.uint8)
    many = Detections([[n, 0, n + 5, 5] for n in range(151)], [0.5] * 151, None, ("a",))
    for picture, window, extent in (
        (pixels, None, [0, 300, 200, 0]),
        (pixels, (-5, -5, 20, 30), [0, 20, 30, 0]),
        (pixels, (280.4, 190, 400, 400), [280, 300, 200, 190]),
    ):
        axes = many.plot(picture, window=window).axes[0]
        assert list(axes.images[0].get_extent()) == extent
        assert (axes.get_xlim(), axes.get_ylim()) == (tuple(extent[:2]), tuple(extent[2:]))
    assert len(many[:150].plot(pixels).axes[0].texts) == 150
    assert len(many.plot(pixels).axes[0].texts) == 0
    legend = many.plot(pixels).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a (151)"]
    assert Detections.empty(("a",)).plot(pixels).axes[0].get_legend() is None


def test_labels_are_drawn_on_their_page(page: Path) -> None:
    key = PageKey(str(page))
    boxes = Annotations([[10, 10, 30, 30], [0, 0, 9, 9]], [0, 0], ("a",), ignore=[False, True])
    labels = LabelSet({key: boxes}, sizes={key: SIZE})
    legend = labels.plot(key).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a (1)", "ignored (1)"]
    assert "data:image/png" in labels._repr_html_()
    other = LabelSet({key: boxes}, sizes={key: (600, 400)})
    with pytest.raises(InvalidArgument, match="has 300 x 200 px, its boxes are of 600 x 400"):
        other.plot(key)


def test_without_matplotlib_the_words_remain(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    labels = LabelSet({PageKey(str(page)): Annotations([], [], ("a",))})
    assert labels._repr_html_() == "<p>&lt;LabelSet 1 pages, 0 boxes, 1 labels&gt;</p>"


def test_a_preview_writes_one_picture_and_no_tiles(page: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "grid.png", tmp_path / "tiles"
    asked = ["tile", str(page), str(folder), "--tile", "120", "--overlap", "40", "--preview", str(out)]
    told = CliRunner().invoke(cli, asked)
    assert told.exit_code == 0
    assert "8 tiles, 4 across and 2 down" in told.stderr
    assert decode_image(out.read_bytes()).shape == (200, 300, 3)
    assert not folder.exists()
    bad = CliRunner().invoke(cli, [*asked[:-1], "grid.bmp"])
    assert bad.exit_code != 0
