"""Scales: an ordered set of tilings, checked when made and when bound."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest

import tilekit as tk
from tilekit.aws.recipe import ModelRecipe, check_tiling, tiling_of_tag, tiling_tag
from tilekit.errors import InvalidArgument, RecipeMismatch
from tilekit.scales import as_aligned, as_scales, as_shown, words_of
from tilekit.scans.encoding import encode_image

FINE, COARSE, PAGE = tk.Tiling(2560, 96), tk.Tiling(1280, 64, scale=0.25), tk.Tiling.whole(1280)


def test_an_ordered_set_finest_first():
    scales = tk.Scales(FINE, COARSE, PAGE)
    assert list(scales) == [FINE, COARSE, PAGE]
    assert scales == tk.Scales([FINE, COARSE, PAGE]) == as_scales((FINE, COARSE, PAGE))
    assert as_scales(FINE) == tk.Scales(FINE)
    assert hash(scales) == hash(pickle.loads(pickle.dumps(scales)))
    assert repr(scales) == "Scales(2560/96, 1280/64@0.25, page@1280)"
    with pytest.raises(AttributeError):
        scales.tilings = ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], "no tiling"),
        ([FINE, tk.Tiling(2560, 32)], "twice"),
        ([PAGE, FINE], "finer than page@1280 before it"),
        ([COARSE, FINE], "finer than 1280/64@0.25 before it"),
        ([tk.Tiling(512, scale=2), FINE], "finer than the scan"),
        ([FINE, "page"], "must be a Tiling"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(wrong, words):
    with pytest.raises(InvalidArgument, match=words) as caught:
        tk.Scales(wrong)
    assert "\n" not in str(caught.value)


def test_coarser_than_the_page_or_finer_than_the_scan_shows_when_bound():
    with pytest.raises(InvalidArgument, match=r"scale 2, 1280/64@0\.25: is coarser than the page"):
        tk.Scales(tk.Tiling(512), COARSE).grids(1500, 1000)
    with pytest.raises(InvalidArgument, match="finer than the scan"):
        tk.Scales(tk.Tiling(512, dpi=300), tk.Tiling(1024, dpi=299)).grids(3000, 3000, dpi=100)
    with pytest.raises(InvalidArgument, match="must be a Tiling"):
        as_scales("1024")


def test_a_small_page_takes_fewer_scales():
    scales = tk.Scales(FINE, COARSE, PAGE)
    assert scales.on(9000, 9000) == (0, 1, 2)
    assert scales.on(2400, 2000) == (0, 2)
    assert scales.on(900, 700) == (0,)


def test_json_of_a_list_a_tiling_a_plan():
    scales = tk.Scales(FINE, COARSE, PAGE)
    text = json.dumps(scales.to_json())
    assert tk.Scales.from_json(json.loads(text)) == scales
    assert tk.Scales.from_json(FINE.to_json()) == tk.Scales(FINE)
    assert tk.Scales.from_json({"tiling": FINE.to_json()}) == tk.Scales(FINE)
    listed = [{"tile": 2560, "overlap": 96, "scale": 1.0, "tiles_a_page": 4.0, "labels": {}}]
    assert tk.Scales.from_json({"scales": listed}) == tk.Scales(FINE)
    with pytest.raises(InvalidArgument, match="JSON list"):
        tk.Scales.from_json(3)


def test_the_whole_page_fits_whatever_its_size():
    for size in ((9933, 14043), (1281, 3), (900, 700)):
        grid = PAGE.grid(*size)
        assert len(grid) == 1
        assert max(grid.width, grid.height) == min(1280, max(size))
    assert words_of(tk.Tiling.parts(1, scale=0.5)) == "page@0.5x"
    with pytest.raises(InvalidArgument, match="fit="):
        tk.Tiling(fit=0, division=1)
    with pytest.raises(InvalidArgument, match="fit="):
        tk.Tiling(fit=9, scale=0.5)


def test_tiles_of_scales_lie_apart_and_equal_those_of_each(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (700, 900, 3), np.uint8)
    (tmp_path / "scan.png").write_bytes(encode_image(pixels, "png").data)
    scales = tk.Scales(tk.Tiling(256, 32), tk.Tiling.whole(300))
    with tk.open_scan(tmp_path / "scan.png") as scan:
        done = tk.tile_scan(scan, tmp_path / "out", scales, format="png")
        tiles = list(tk.read_tiles(scan, scales))
        for place, one in enumerate(scales):
            alone = list(tk.read_tiles(scan, one))
            mine = [tile for tile in tiles if tile.scale == place]
            assert [tile.window for tile in mine] == [tile.window for tile in alone]
            assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(mine, alone, strict=True))
        single = tk.tile_scan(scan, tmp_path / "one", tk.Scales(scales[0]), format="png")
        with pytest.raises(InvalidArgument, match="folder"):
            tk.tile_scan(scan, tmp_path / "out.zip", scales)
    assert (len(done), len(done.coarser[0])) == (len(single), 1)
    assert len(list((tmp_path / "out" / "scale-2").glob("*.png"))) == 1


def test_a_model_trained_on_scales_knows_them():
    scales = tk.Scales(FINE, COARSE, PAGE)
    recipe = ModelRecipe(scales, ("a",))
    assert ModelRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    tag = tiling_tag(scales)
    assert tiling_of_tag(tag) == scales
    assert len(tag) <= 256
    check_tiling(scales, FINE, "model")
    with pytest.raises(RecipeMismatch, match="was trained on tiles of 2560"):
        check_tiling(FINE, scales, "model")


def test_tiles_at_full_size_are_aligned():
    assert as_aligned(FINE, 16) == replace(FINE, align=16)
    assert as_aligned(FINE, 1) is FINE
    assert list(as_aligned(tk.Scales(FINE, COARSE, PAGE), 16)) == [replace(FINE, align=16), COARSE, PAGE]
    for nothing in (PAGE, COARSE, tk.Scales(COARSE, PAGE)):
        with pytest.raises(InvalidArgument, match="--align"):
            as_aligned(nothing, 16)
    check_tiling(FINE, as_aligned(FINE, 16), "m")  # a model takes them: they look the same


TAUGHT = (
    {"valve": (12.0, 40.5)},
    {"valve": (64.0, 90.0), "title": (70.0, 900.0)},
    {"table": (900.0, math.inf)},
)
KNOWN = tk.Scales(FINE, COARSE, PAGE, taught=TAUGHT)


def test_what_was_taught_goes_and_comes_back():
    text = json.dumps(KNOWN.to_json(), allow_nan=False)
    for again in (
        tk.Scales.from_json(json.loads(text)),
        pickle.loads(pickle.dumps(KNOWN)),
        ModelRecipe.from_json(json.loads(json.dumps(ModelRecipe(KNOWN).to_json()))).tiling,
        tk.Scales.from_json({"tiling": FINE.to_json(), "scales": json.loads(text)}),
        as_aligned(as_aligned(KNOWN, 16), 1),
        as_shown(KNOWN, "gray", None),
    ):
        assert again.taught == TAUGHT
    assert KNOWN.part([0, 2]).taught == (TAUGHT[0], TAUGHT[2])
    assert KNOWN.part([0, 2]).tilings == (FINE, PAGE)
    assert tiling_of_tag(tiling_tag(KNOWN)) == KNOWN  # a tag has no room for it; the recipe beside has it
    assert tk.Scales(FINE, COARSE, PAGE) == KNOWN  # they cut alike
    assert tk.Scales(FINE, COARSE).taught == ()
    assert "taught" not in json.dumps(tk.Scales(FINE, COARSE).to_json())


def test_a_person_may_write_what_belongs_to_a_scale():
    lines = [
        {"tile": 2560, "taught": ["valve"]},
        {**PAGE.to_json(), "taught": {"table": None, "x": [9, None]}},
    ]
    found = tk.Scales.from_json(lines)
    assert found.taught == ({"valve": (0, math.inf)}, {"table": (0, math.inf), "x": (9, math.inf)})
    assert found.looks_for() == [
        "2560/0: valve (any size)",
        "page@1280: table (any size), x (from 9 px)",
    ]
    assert KNOWN.looks_for()[0] == "2560/96: valve (12 to 40 px)"
    assert tk.Scales(FINE, PAGE).looks_for() == ["2560/96: every label", "page@1280: every label"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([{"tile": 2560, "taught": 3}, PAGE.to_json() | {"taught": {}}], "scale 1: taught=3 must be label"),
        ([{"tile": 2560, "taught": {}}, PAGE.to_json() | {"taught": {"a": [5, 2]}}], "scale 2: taught="),
        ([{"tile": 2560, "taught": {"a": ["x", 2]}}, PAGE.to_json() | {"taught": {}}], "scale 1: taught="),
        ([{"tile": 2560, "taught": {}}, PAGE.to_json()], "scale 2 lacks taught"),
    ],
)
def test_what_cannot_have_been_taught_is_one_sentence(wrong, words):
    with pytest.raises(InvalidArgument, match=words) as caught:
        tk.Scales.from_json(wrong)
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidArgument, match="taught says what 1 scales were taught, and there are 2"):
        tk.Scales(FINE, PAGE, taught=[{}])


def test_scales_take_from_a_model_what_they_do_not_know_themselves():
    asked = tk.Scales(replace(FINE, overlap=32), PAGE)
    assert asked.knowing(KNOWN).taught == (TAUGHT[0], TAUGHT[2])
    assert asked.knowing(None, FINE, tk.Scales(FINE, PAGE), KNOWN).taught == (TAUGHT[0], TAUGHT[2])
    own = tk.Scales(FINE, PAGE, taught=[{}, {"a": (1, 2)}])
    assert own.knowing(KNOWN).taught == own.taught
    assert tk.Scales(tk.Tiling(512), PAGE).knowing(KNOWN).taught == ()  # one of them nobody was taught on
    assert asked.knowing().taught == asked.knowing(tk.Scales(FINE, PAGE)).taught == ()
