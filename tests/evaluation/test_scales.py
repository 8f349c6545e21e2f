"""Recall by size and by scale: each true box on the scale it belongs to, each find on the one that made it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tilekit as tk
from tilekit.errors import LabelError
from tilekit.evaluation.comparison import compare
from tilekit.evaluation.evaluating import evaluate
from tilekit.evaluation.rules import EvaluationRules
from tilekit.evaluation.saved import read_evaluation
from tilekit.rekognition.belonging import SizeRule, belonging
from tilekit.scales import Scales, words_of
from tilekit.scans.encoding import encode_image

FINE, PAGE = tk.Tiling(1024, 96), tk.Tiling.whole(1280)
SMALL = [[100, 100, 130, 130], [900, 2000, 940, 2040], [2500, 300, 2530, 340]]
LARGE = [[500, 500, 3400, 3300]]
A = tk.PageKey("a.png")


def page(key, boxes, scale, tilings=(FINE, PAGE), size=(4000, 4000), **more):
    found = tk.Detections(np.array(boxes, float).reshape(-1, 4), np.full(len(boxes), 0.9), None, ["x"])
    scale = None if scale is None else np.array(scale, np.int64)
    return tk.PageDetections(key, *size, found, tilings, scale=scale, **more)


def marks(*boxes):
    return tk.Annotations(np.array(boxes, float).reshape(-1, 4), None, ["x"])


def test_which_scale_found_what():
    wrong = [3000, 3500, 3050, 3550]
    found = page(A, [*SMALL[:2], *LARGE, wrong], [0, 1, 1, 0])
    result = evaluate({A: marks(*SMALL, *LARGE)}, [found], thresholds=0.5)
    fine, whole = result.by_scale
    assert (fine.name, whole.name) == (words_of(FINE), words_of(PAGE))
    assert (fine.truths, fine.found, fine.hits, fine.false_alarms) == (3, 2, 1, 1)
    assert (whole.truths, whole.found, whole.hits, whole.false_alarms) == (1, 1, 2, 0)
    assert whole.hits_by_size == {"32 to 64 px": 1, "2048 px and over": 1}
    assert fine.recall == pytest.approx(2 / 3)
    table = result.table()
    assert all(words in table for words in ("objects of it", "page@1280"))
    assert "Recall by object size: 16 to 32 px 1.000 of 1" in table
    assert "page@1280" in result._repr_html_()


def test_an_object_of_no_scale_is_a_group_of_its_own():
    coarse = tk.Tiling(1280, 96, scale=0.25)
    middling = [700, 700, 1500, 705]  # cut in every fine tile, too small after the shrink for the coarse
    found = page(A, [], [], (tk.Tiling(512, 32), coarse))
    result = evaluate({A: marks(middling)}, [found], thresholds=0.5)
    assert [(group.name, group.truths) for group in result.by_scale][-1] == ("no scale", 1)


def test_one_tiling_says_nothing_of_scales():
    result = evaluate({A: marks(*SMALL)}, [page(A, SMALL, None, (FINE,))], thresholds=0.5)
    assert result.by_scale == ()
    assert result.scale_rows() == []
    assert result.by_border


def test_a_small_page_that_was_cut_at_fewer_scales_counts_for_the_ones_it_had():
    b = tk.PageKey("b.png")
    small = page(b, [[10, 10, 30, 30]], None, (PAGE,), (600, 600))
    result = evaluate(
        {b: marks([10, 10, 30, 30]), A: marks(*SMALL)}, [small, page(A, SMALL, [0, 0, 0])], thresholds=0.5
    )
    assert [(group.hits, group.truths) for group in result.by_scale] == [(3, 3), (1, 1)]


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_groups_by_scale_sum_up_and_follow_the_rule(seed):
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(8), np.log(3000), 40))
    at = rng.uniform(0, 1, (40, 2)) * (4000 - sizes[:, None] - 1)
    boxes = np.concatenate([at, at + sizes[:, None]], axis=1)
    seen = rng.random(40) < 0.7
    found = page(A, boxes[seen], rng.integers(0, 2, seen.sum()))
    result = evaluate({A: marks(*boxes)}, [found], 0.99, thresholds=0.5)
    assert sum(group.truths for group in result.by_scale) == 40
    assert sum(group.hits for group in result.by_scale) == result.micro.tp == seen.sum()
    assert sum(group.found for group in result.by_scale) == result.micro.tp
    assert sum(sum(group.hits_by_size.values()) for group in result.by_scale) == result.micro.tp
    belongs = belonging(boxes, [one.grid(4000, 4000) for one in (FINE, PAGE)], SizeRule())
    rows = {group.name: group.truths for group in result.by_scale}
    assert rows[words_of(FINE)] == belongs[:, 0].sum()
    assert rows[words_of(PAGE)] == (~belongs[:, 0] & belongs[:, 1]).sum()


def test_saved_and_read_back_and_a_scale_that_is_not_there(tmp_path):
    found = page(A, [*SMALL, *LARGE], [0, 0, 0, 1])
    result = evaluate({A: marks(*SMALL, *LARGE)}, [found], thresholds=0.5)
    result.save(tmp_path / "e.json")
    again = read_evaluation(tmp_path / "e.json")
    assert (again.by_scale, again.by_size, again.table()) == (result.by_scale, result.by_size, result.table())
    tk.write_predictions([found], tmp_path / "d.jsonl")
    text = (tmp_path / "d.jsonl").read_text()
    (tmp_path / "d.jsonl").write_text(text.replace('"scale":1}', '"scale":2}'))
    with pytest.raises(LabelError, match="line 1: scale is 2; the page has 2 recipe"):
        tk.read_predictions(tmp_path / "d.jsonl")


def test_compare_shows_at_which_size_scales_win():
    truth, fine, both = {}, [], []
    for number in range(12):
        key = tk.PageKey(f"{number}.png")
        truth[key] = marks(*SMALL, *LARGE)
        fine.append(page(key, SMALL, None, (FINE,)))
        both.append(page(key, [*SMALL, *LARGE], [0, 0, 0, 1]))
    sides = [evaluate(truth, found, thresholds=0.5) for found in (fine, both)]
    rows = {row.name: row for row in compare(*sides).differences if row.name.startswith("size")}
    assert list(rows) == ["size 16 to 32 px", "size 32 to 64 px", "size 2048 px and over"]
    large = rows["size 2048 px and over"]
    assert (large.figure, large.baseline, large.tiled, large.outcome) == ("recall", 0.0, 1.0, "better")
    assert rows["size 16 to 32 px"].outcome == "level"
    other = evaluate(truth, both, thresholds=0.5, rules=EvaluationRules(size_edges=(50,)))
    assert not [row for row in compare(sides[0], other).differences if row.name.startswith("size")]


def test_detect_tiles_says_the_place_among_the_scales_of_the_page(tmp_path):
    """A scale left out because it repeats a finer one moves no place."""
    pixels = np.full((700, 700, 1), 255, np.uint8)
    pixels[600:620, 600:620] = 0
    (tmp_path / "p.png").write_bytes(encode_image(pixels, "png").data)
    scales = Scales(tk.Tiling(400, 50), tk.Tiling(1024, 0), tk.Tiling.whole(900))
    calls = []

    def find(pixels):
        calls.append(pixels.shape)
        if min(pixels.shape[:2]) < 700:
            return []
        return [[600, 600, 620, 620, 0.9, 0]]

    with tk.open_scan(tmp_path / "p.png") as scan:
        found = tk.detect_tiles(scan, tk.CallableDetector(find, names=["x"]), scales)
    assert len(found.tilings) < len(scales)
    assert [found.tilings[place] for place in found.scale] == [scales[1]]


def judged(share, tilings, wrong=0):
    """An evaluation of eight pages on which a share of the marks is found, and `wrong` false alarms a page."""
    truth, found = {}, []
    for place in range(8):
        key = tk.PageKey(f"{place}.png")
        boxes = [[100 * n, 100, 100 * n + 30, 130] for n in range(10)]
        alarms = [[100 * n, 900, 100 * n + 30, 930] for n in range(wrong + place % 2 if wrong else 0)]
        truth[key] = marks(*boxes)
        kept = boxes[: round(10 * share) - place % 2] + alarms
        found.append(page(key, kept, np.zeros(len(kept), int) if len(tilings) > 1 else None, tilings))
    return evaluate(truth, found, thresholds=0.5)


WAYS = {"whole pages": (PAGE,), "tiles": (FINE,), "scales": (FINE, PAGE)}


@pytest.mark.parametrize(
    ("first", "second"), [("tiles", "scales"), ("whole pages", "scales"), ("whole pages", "tiles")]
)
@pytest.mark.parametrize(("before", "after"), [(0.3, 0.9), (0.9, 0.3), (0.9, 0.9)])
def test_two_ways_to_cut_pages_are_called_what_they_are(first, second, before, after, tmp_path):
    sides = judged(before, WAYS[first]), judged(after, WAYS[second])
    sides[0].save(tmp_path / "saved.json")
    found = compare(tmp_path / "saved.json", sides[1])
    assert found.names == (first, second)
    said = " ".join(found.words)
    assert first in said
    assert second in said
    if first == "tiles":
        assert "whole pages" not in said.lower()
        advice = {
            0.3: "scales did better here: take that",
            0.9: "scales and tiles do equally well here: take what has fewer calls"
            if after == before
            else "scales did worse here: keep to tiles.",
        }
        assert advice[before] in said
    else:
        assert "whole pages" in said.lower()


def test_two_tilings_are_told_apart():
    other = tk.Tiling(512, 32)
    assert compare(judged(0.5, (FINE,)), judged(0.9, (other,))).names == ("tiles 1024/96", "tiles 512/32")
    assert compare(judged(0.5, (FINE,)), judged(0.9, (FINE,))).names == ("first tiles", "second tiles")


def test_false_alarms_of_scales_are_not_taken_for_those_of_tiles():
    found = compare(judged(1.0, (FINE,)), judged(1.0, (FINE, PAGE), wrong=8))
    assert found.outcome == "worse"
    assert "scales: no less is found" in " ".join(found.words)
