from __future__ import annotations

import json

import numpy as np
import pytest

from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument, LabelError, StorageNotFound
from tilekit.grid import Tiling, Window
from tilekit.labels.prediction_lines import (
    PredictionWriter,
    check_replaceable,
    iter_predictions,
    read_predictions,
    write_predictions,
)
from tilekit.labels.predictions import FailedTile, PageDetections, PredictionSet
from tilekit.labels.thresholds import apply_thresholds, read_thresholds, write_thresholds
from tilekit.pages import PageKey


def page(source="a.png", number=0, **more):
    found = Detections(
        [[0.5, 1, 10.25, 12], [3, 4, 5, 6]], [0.875, 1 / 3], [1, 0], ("x", "y"), cut=[True, False]
    )
    return PageDetections(PageKey(source, number), 100, 80, found, (Tiling(64, 16),), **more)


def test_written_and_read_back_to_the_last_bit(tmp_path):
    path = tmp_path / "sub" / "detections.jsonl"
    failed = (FailedTile(3, Window(0, 0, 64, 64), "boom"),)
    pages = [
        page(),
        page("ü.pdf", 2, failed=failed, model="m"),
        PageDetections(PageKey("c"), 5, 5, Detections.empty(("x",))),
    ]
    assert write_predictions(pages, path) == 3
    again = read_predictions(path)
    for before, after in zip(pages, again.pages(), strict=True):
        assert np.array_equal(before.boxes, after.boxes)
        assert np.array_equal(before.scores, after.scores)
        assert (before.key, before.labels, before.names, before.tilings, before.failed, before.complete) == (
            after.key, after.labels, after.names, after.tilings, after.failed, after.complete
        )  # fmt: skip
    assert again.incomplete == (PageKey("ü.pdf", 2),)
    assert again.names == ("x", "y")
    assert again.models == ("m",)
    assert again.tilings == (Tiling(64, 16),)
    assert again.sizes[PageKey("c")] == (5, 5)


def test_the_documented_fields_and_no_others(tmp_path):
    write_predictions([page()], tmp_path / "d.jsonl")
    line = json.loads((tmp_path / "d.jsonl").read_text())
    assert set(line) == {"source", "page", "width", "height", "complete", "names", "tiling", "detections"}
    assert line["detections"][0] == {"label": "y", "score": 0.875, "box": [0.5, 1, 10.25, 12], "cut": True}


def test_a_failed_write_leaves_nothing(tmp_path):
    def broken():
        yield page()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_predictions(broken(), tmp_path / "d.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_appending_after_a_kill_cuts_the_half_line(tmp_path):
    path = tmp_path / "d.jsonl"
    write_predictions([page()], path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    with pytest.raises(LabelError, match="line 2: is cut short"):
        read_predictions(path)
    with PredictionWriter(path, append=True) as writer:
        writer.write(page("b.png"))
    assert [key.source for key in read_predictions(path)] == ["a.png", "b.png"]
    path.write_bytes(whole[:50])
    with PredictionWriter(path, append=True):
        pass
    assert path.read_bytes() == b""


def test_the_last_line_of_a_page_counts(tmp_path):
    write_predictions([page(complete=False), page()], tmp_path / "d.jsonl")
    assert read_predictions(tmp_path / "d.jsonl").incomplete == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 0}, "width"),
        ({"page": -1}, "page"),
        ({"detections": [{"label": "x", "score": 2, "box": [0, 0, 1, 1]}]}, "scores"),
        ({"detections": [{"label": "x", "score": 0.5, "box": [5, 0, 1, 1]}]}, "boxes"),
        ({"detections": [{"score": 0.5, "box": [5, 0, 1, 1]}]}, "label"),
        ({"detections": [{"label": "x", "score": 0.5, "box": [5, 0, 1]}]}, "box"),
        ({"source": None}, "source"),
        ({"tiling": [{"tile": -4}]}, "tile"),
    ],
)
def test_bad_lines_name_file_line_and_field(tmp_path, change, said):
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps(page().to_json()) + "\n\n" + json.dumps({**page().to_json(), **change}) + "\n")
    with pytest.raises(LabelError, match=rf"d\.jsonl, line 3: .*{said}"):
        list(iter_predictions(path))


@pytest.mark.parametrize("held", [b"\xff\xd8\xff\xe0 a picture", b'{"source-ref": "a.jpg"}', b"a\nb"])
def test_a_file_that_is_not_ours_is_left_as_it_is(tmp_path, held):
    path = tmp_path / "scan.jpg"
    path.write_bytes(held)
    with pytest.raises(LabelError, match="give another file"), PredictionWriter(path, append=True):
        pass
    with pytest.raises(LabelError, match="give another file"):
        check_replaceable(path)
    assert path.read_bytes() == held


def test_lines_of_another_writer_are_gone_on_with(tmp_path):
    path = tmp_path / "d.jsonl"
    line = page().to_json()
    path.write_text(json.dumps(dict(sorted(line.items()))) + "\n" + '{"cut": ')
    with PredictionWriter(path, append=True) as writer:
        writer.write(page())
    assert len(list(iter_predictions(path))) == 2


def test_no_file(tmp_path):
    with pytest.raises(StorageNotFound):
        read_predictions(tmp_path / "none.jsonl")


def test_writer_outside_with(tmp_path):
    with pytest.raises(InvalidArgument, match="with"):
        PredictionWriter(tmp_path / "d").write(page())


def test_reprs_and_counts():
    assert page().counts == {"x": 1, "y": 1}
    assert "INCOMPLETE" in repr(page(failed=(FailedTile(0, Window(0, 0, 1, 1), "r"),)))
    assert "<table>" in page()._repr_html_()
    assert "1 pages, 2 boxes" in repr(PredictionSet([page()]))


def test_thresholds_file(tmp_path):
    path = tmp_path / "t.json"
    write_thresholds({"x": 0.25, "y": 0.9}, path)
    assert read_thresholds(path) == {"x": 0.25, "y": 0.9}
    kept = apply_thresholds(page().detections, read_thresholds(path))
    assert kept.labels == ["x"]
    assert len(apply_thresholds(Detections.empty(), 0.5)) == 0
    path.write_text('{"x": 55}')
    with pytest.raises(LabelError, match="'x'"):
        read_thresholds(path)
    path.write_text("[1]")
    with pytest.raises(LabelError, match="object"):
        read_thresholds(path)
    path.write_text("{")
    with pytest.raises(LabelError, match="JSON"):
        read_thresholds(path)
