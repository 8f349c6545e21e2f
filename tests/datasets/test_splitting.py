"""Splits: by document, stratified, seeded, or given."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.splitting import (
    SIDES,
    present,
    split_from_file,
    split_from_inputs,
    split_pages,
)
from tilekit.errors import InvalidArgument, LabelError, StorageNotFound
from tilekit.pages import PageKey

NAMES = ("up", "down", "left")


def page(*labels: str, ignore: bool = False) -> Annotations:
    boxes = [[10.0 * i, 0, 10.0 * i + 5, 5] for i in range(len(labels))]
    return Annotations(boxes, [NAMES.index(name) for name in labels], NAMES, [ignore] * len(labels))


def many(count: int, *labels: str, stem: str = "a") -> dict[PageKey, Annotations]:
    return {PageKey(f"{stem}{i}.tif"): page(*labels) for i in range(count)}


label_sets = st.dictionaries(
    st.builds(PageKey, st.sampled_from([f"f{i}.pdf" for i in range(12)]), st.integers(0, 3)),
    st.sets(st.sampled_from(NAMES)).map(lambda names: page(*sorted(names))),
    min_size=1,
    max_size=30,
)


@given(label_sets, st.integers(0, 5), st.sampled_from(["document", "page"]))
def test_every_page_is_on_one_side_and_documents_stay_together(labels, seed, by):
    split = split_pages(labels, by=by, seed=seed)
    placed = [*split.train, *split.tune, *split.test]
    assert sorted(placed) == sorted(labels)
    side_of = split.side_of()
    if by == "document":
        for source in {key.source for key in labels}:
            assert len({side_of[key] for key in labels if key.source == source}) == 1
    reordered = dict(reversed(labels.items()))
    assert split_pages(reordered, by=by, seed=seed).side_of() == side_of


@given(label_sets)
def test_every_label_of_three_pages_is_on_every_side_where_labels_stand_alone(labels):
    alone = {key: page(*list(present(value))[:1]) for key, value in labels.items()}
    split = split_pages(alone, by="page")
    for name in NAMES:
        holders = [key for key, value in alone.items() if name in present(value)]
        sides = {split.side_of()[key] for key in holders}
        assert len(sides) == min(3, len(holders))
        assert not holders or "train" in sides
        assert len(holders) < 2 or "test" in sides


def test_shares_come_out_per_label_and_for_pages_without_symbols():
    labels = many(100, "up") | many(40, "down", stem="b") | many(60, stem="c")
    split = split_pages(labels, (0.7, 0.15, 0.15), seed=3)
    for stem, count in (("a", 100), ("b", 40), ("c", 60)):
        for side, share in zip(SIDES, (0.7, 0.15, 0.15), strict=True):
            got = sum(key.source.startswith(stem) for key in split.pages(side))
            assert abs(got - share * count) <= 1
    assert split.notes == ()


def test_another_seed_gives_another_split_and_the_same_seed_the_same():
    labels = many(40, "up")
    assert split_pages(labels, seed=1) == split_pages(labels, seed=1)
    assert split_pages(labels, seed=1) != split_pages(labels, seed=2)


def test_a_side_of_ratio_zero_stays_empty():
    split = split_pages(many(10, "up"), (0.8, 0, 0.2))
    assert len(split.train) == 8
    assert split.tune == ()
    assert "no page is on the tune side" in split.notes


def test_a_label_on_one_document_is_said():
    labels = many(10, "up") | {PageKey("only.tif"): page("down")}
    split = split_pages(labels)
    assert PageKey("only.tif") in split.train
    assert any("'down' is on no tune or test page" in note for note in split.notes)


def test_ignored_boxes_are_no_symbols():
    assert present(page("up", ignore=True)) == set()


@pytest.mark.parametrize("ratios", [(1, 2), (0, 1, 1), (-1, 1, 1), ("a", 1, 1), (float("nan"), 1, 1), 3])
def test_bad_ratios_are_named(ratios):
    with pytest.raises(InvalidArgument, match="split="):
        split_pages(many(3, "up"), ratios)


def test_nothing_to_split():
    with pytest.raises(InvalidArgument, match="no pages"):
        split_pages({})
    with pytest.raises(InvalidArgument, match="by="):
        split_pages(many(3, "up"), by="tile")  # type: ignore[arg-type]


def test_a_split_written_as_json_gives_the_same_split(tmp_path):
    labels = many(9, "up") | {PageKey("set.pdf", i): page("down") for i in range(4)}
    split = split_pages(labels, by="page")
    (tmp_path / "split.json").write_text(json.dumps(split.to_json()))
    assert split_from_file(labels, tmp_path / "split.json") == split


def test_csv_with_whole_files_single_pages_and_ends_of_paths(tmp_path):
    labels = {PageKey("scans/set.pdf", i): page("up") for i in range(3)} | {
        PageKey("scans/b.tif"): page("up")
    }
    path = tmp_path / "split.csv"
    path.write_text("page,side\nset.pdf,train\nscans/set.pdf#page=3,test\n\nb.tif,out\n")
    split = split_from_file(labels, path)
    assert split.train == (PageKey("scans/set.pdf", 0), PageKey("scans/set.pdf", 1))
    assert split.test == (PageKey("scans/set.pdf", 2),)
    assert split.left_out == (PageKey("scans/b.tif"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a0.tif,training", "line 1: unknown side 'training'"),
        ("nope.tif,train", "line 1: 'nope.tif' is no page"),
        ("a0.tif,train\na0.tif,test", "line 2: a0.tif is on two sides"),
        ("a0.tif,train", "names no side for 2 of 3 pages"),
        ("a0.tif train", "line 1: has 1 fields"),
        ("{bad", "line 1: is not JSON"),
        ('{"train": "a0.tif"}', "field 'train'"),
    ],
)
def test_bad_split_files_are_told_with_their_place(tmp_path, text, message):
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(LabelError, match=message):
        split_from_file(many(3, "up"), path)


def test_pages_relative_to_the_split_file(tmp_path):
    labels = {
        PageKey(str(tmp_path / "x" / "a.tif")): page("up"),
        PageKey(str(tmp_path / "y" / "a.tif")): page("up"),
    }
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "split.csv"
    path.write_text("../x/a.tif,train\n../y/a.tif,test")
    split = split_from_file(labels, path)
    assert (len(split.train), len(split.test)) == (1, 1)
    path.write_text("../x/a.tif#page=7,train")
    with pytest.raises(LabelError, match="is no page of the labels; the file"):
        split_from_file(labels, path)
    path.write_text("../x/a.tif#page=0,train")
    with pytest.raises(LabelError, match="count from one"):
        split_from_file(labels, path)


def test_an_ambiguous_end_of_a_path(tmp_path):
    labels = {PageKey("x/a.tif"): page("up"), PageKey("y/a.tif"): page("up")}
    path = tmp_path / "split.csv"
    path.write_text("a.tif,train")
    with pytest.raises(LabelError, match="give more of its path"):
        split_from_file(labels, path)


def test_missing_and_binary_split_files(tmp_path):
    with pytest.raises(StorageNotFound):
        split_from_file(many(3, "up"), tmp_path / "none.csv")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelError, match="UTF-8"):
        split_from_file(many(3, "up"), tmp_path / "binary")


def test_separate_inputs_are_kept():
    split = split_from_inputs({"train": many(3, "up"), "test": many(2, "up", stem="t")})
    assert len(split.train) == 3
    assert len(split.test) == 2
    with pytest.raises(LabelError, match="both train and test"):
        split_from_inputs({"train": many(3, "up"), "test": many(1, "up")})
    with pytest.raises(InvalidArgument, match="unknown side"):
        split_from_inputs({"valid": many(3, "up")})
