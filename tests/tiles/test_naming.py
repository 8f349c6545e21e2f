from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.errors import InvalidArgument
from tilekit.grid import Window
from tilekit.pages import PageKey
from tilekit.tiles.naming import check_stem, parse_tile_name, tile_name

SIZES = st.integers(1, 10**6)
PLACES = st.integers(0, 10**7)


@given(st.text(min_size=1).filter(lambda t: "\\" not in t), PLACES, PLACES, SIZES, SIZES, PLACES)
def test_a_name_gives_back_stem_page_and_window(stem, x, y, w, h, page):
    window = Window(x, y, x + w, y + h)
    name = tile_name(stem, window, "jpg", page)
    assert parse_tile_name(name) == (stem, page, window, "jpg")
    assert str(parse_tile_name(name)) == name


def test_the_form_of_a_name():
    assert tile_name("a/plan", Window(896, 0, 1920, 1024), "jpg", 2) == "a/plan.p2.x896.y0.w1024.h1024.jpg"
    assert tile_name(PageKey("in/plan.pdf", 3), Window(0, 1, 2, 3), "png") == "plan.p3.x0.y1.w2.h2.png"


@pytest.mark.parametrize("name", ["", "plan.jpg", "plan.p0.x0.y0.w0.h1.jpg", "plan.p0.x-1.y0.w1.h1.jpg"])
def test_other_names_are_refused(name):
    with pytest.raises(InvalidArgument, match="not a tile's name"):
        parse_tile_name(name)


@pytest.mark.parametrize("stem", ["", "/etc/x", "../x", "a/../b", "a//b", "a/", "a\0b"])
def test_stems_stay_in_the_folder(stem):
    with pytest.raises(InvalidArgument, match="stem="):
        check_stem(stem)
