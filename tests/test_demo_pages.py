"""A user's pages and caps that make no curve: a sentence each, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tilekit.boxes.annotations import Annotations
from tilekit.cli import cli
from tilekit.datasets.planning import recommend_tiling
from tilekit.demo import DemoScale, make_pages, user_pages
from tilekit.demo.pages import MIXED_TABLE
from tilekit.demo.steps import _known, _said, _tiling
from tilekit.errors import LabelError
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import write_labels
from tilekit.pages import PageKey
from tilekit.scales import Scales
from tilekit.scans.encoding import encode_image


def write_side(folder: Path, name: str, labels: Sequence[str], count: int) -> None:
    """`count` pages of 300 x 200, each with a box of every label."""
    pages, sizes = {}, {}
    for place in range(count):
        key = PageKey(str(folder / f"{name}-{place}.png"))
        Path(key.source).write_bytes(encode_image(np.full((200, 300, 1), 240, np.uint8), "png").data)
        boxes = [[10 + 40 * at, 20, 40 + 40 * at, 50] for at in range(len(labels))]
        pages[key] = Annotations(boxes, list(range(len(labels))), tuple(labels))
        sizes[key] = (300, 200)
    write_labels(LabelSet(pages, sizes=sizes, names=tuple(labels)), folder / f"{name}.manifest")


def test_a_label_that_only_the_test_pages_have_is_named(tmp_path: Path) -> None:
    write_side(tmp_path, "train", ("valve",), 6)
    write_side(tmp_path, "test", ("valve", "pump", "tank"), 2)
    assert "no training page has pump, tank: neither side can find it" in user_pages(tmp_path).notes


def test_one_training_page_serves_for_thresholds_too_and_says_so(tmp_path: Path) -> None:
    write_side(tmp_path, "train", ("valve",), 1)
    write_side(tmp_path, "test", ("valve",), 1)
    pages = user_pages(tmp_path)
    assert pages.shared
    assert any("thresholds are fitted on them all" in note for note in pages.notes)


def test_no_box_to_train_on_is_refused(tmp_path: Path) -> None:
    write_side(tmp_path, "train", (), 2)
    write_side(tmp_path, "test", ("valve",), 1)
    with pytest.raises(LabelError, match="no page has a box; label some symbols first"):
        user_pages(tmp_path)


@pytest.mark.parametrize(
    "wrong", [("--minutes", "0"), ("--steps", "0"), ("--minutes", "-3"), ("--overlap", "20")]
)
def test_caps_and_overlaps_of_nothing_are_bad_usage(wrong: tuple[str, str], tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["demo", "--out", str(tmp_path / "out"), *wrong])
    assert done.exit_code == 2
    assert wrong[0] in done.output
    assert not (tmp_path / "out").exists()


def test_mixed_is_of_made_pages(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["demo", "--mixed", "--data", str(tmp_path)])
    assert (done.exit_code, "--mixed is of made pages" in done.output) == (2, True)


def test_mixed_pages_hold_a_table_and_are_planned_at_scales(tmp_path: Path) -> None:
    scale = DemoScale(train=5, tune=1, test=1, width=2600, height=1800, count=8, table_px=MIXED_TABLE)
    pages = make_pages(tmp_path, scale, 0)
    every = [page for part in (pages.train, pages.tune, pages.test) for page in part.values()]
    tables = [list(page.labels).count("table") for page in every]
    assert sum(tables) >= 4
    assert max(tables) == 1
    plan = recommend_tiling(_known(pages))
    tiling = _tiling(None, plan)
    assert isinstance(tiling, Scales)
    assert tiling[-1].is_whole
    assert plan.at[-1].labels["table"] == 1
    assert plan.at[0].labels["up_arrow"] == 1


def test_what_is_asked_for_goes_before_the_plan_and_whole_pages_are_cut_all_the_same(tmp_path: Path) -> None:
    write_side(tmp_path, "train", ("valve",), 6)
    write_side(tmp_path, "test", ("valve",), 1)
    plan = recommend_tiling(_known(user_pages(tmp_path)))
    assert not plan.needed
    assert _tiling(Tiling(128, 16), plan) == Tiling(128, 16)
    assert not _tiling(None, plan).is_whole
    assert "They are cut all the same" in _said(plan)
    assert json.dumps(plan.to_json())
