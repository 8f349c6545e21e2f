"""Scales: an ordered set of tilings, checked when made and when bound."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

import tilekit as tk
from tilekit.aws.recipe import ModelRecipe, check_tiling, tiling_of_tag, tiling_tag
from tilekit.errors import InvalidArgument, RecipeMismatch
from tilekit.scales import as_aligned, as_scales, words_of
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
