from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from tilekit.boxes.annotations import Annotations
from tilekit.cli.labels import labels as group
from tilekit.errors import LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.merging import merge_labels
from tilekit.labels.reading import read_labels, write_labels
from tilekit.pages import PageKey

A, B, C = PageKey("scans/a.png"), PageKey("scans/b.png"), PageKey("s3://bucket/c.png")
SIZES = {A: (100, 80), B: (100, 80), C: (100, 80)}


def marks(*lefts, name="x"):
    return Annotations([[left, 0, left + 10, 10] for left in lefts], None, (name,))


def base():
    return LabelSet({A: marks(0, 20), B: marks(0)}, sizes={A: SIZES[A], B: SIZES[B]})


def test_reviewed_pages_replace_and_new_ones_are_added():
    review = LabelSet({A: marks(20), C: marks(5, name="y")}, sizes={A: SIZES[A], C: SIZES[C]})
    merged = merge_labels(base(), review)
    assert merged.labels[A].boxes[:, 0].tolist() == [20]
    assert merged.labels[B].boxes[:, 0].tolist() == [0]
    assert merged.labels[C].labels == ["y"]
    assert (merged.replaced, merged.added, merged.labels.names) == ((A,), (C,), ("x", "y"))


def test_a_review_in_a_bucket_finds_its_page_by_name():
    merged = merge_labels(base(), LabelSet({PageKey("s3://bucket/jobs/a.png"): marks()}))
    assert merged.replaced == (A,)
    assert len(merged.labels[A]) == 0
    twice = LabelSet({A: marks(), PageKey("other/a.png"): marks()})
    assert merge_labels(twice, LabelSet({PageKey("z/a.png"): marks()})).added == (PageKey("z/a.png"),)


def test_pages_nobody_labeled_yet_change_nothing():
    merged = merge_labels(base(), LabelSet({}, unlabeled={A: "failed"}))
    assert merged.labels == base()
    assert merged.waiting == (A,)


def test_the_last_review_counts():
    merged = merge_labels(base(), LabelSet({A: marks(1)}), LabelSet({A: marks(2)}))
    assert merged.labels[A].boxes[:, 0].tolist() == [2]
    assert merged.replaced == (A,)


def test_other_sizes_are_refused():
    with pytest.raises(LabelError, match="reviewed on 50 x 40"):
        merge_labels(base(), LabelSet({A: marks(1)}, sizes={A: (50, 40)}))


def test_command(tmp_path):
    write_labels(base(), tmp_path / "all.manifest")
    write_labels(LabelSet({A: marks(40)}, sizes={A: SIZES[A]}), tmp_path / "review.manifest")
    args = [str(tmp_path / name) for name in ("all.manifest", "review.manifest")]
    out = tmp_path / "merged.manifest"
    result = CliRunner().invoke(group, ["merge", *args, "--out", str(out), "--json"], catch_exceptions=False)
    assert json.loads(result.stdout)["replaced"] == 1
    assert sorted(len(page) for page in read_labels(out).values()) == [1, 1]
