from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.labels.strategies import label_sets
from tilekit.boxes.annotations import Annotations
from tilekit.errors import LabelError, StorageNotFound
from tilekit.labels.ground_truth import ManifestWriter, iter_manifest, whole_boxes
from tilekit.labels.label_set import ImageLabel, LabelSet
from tilekit.labels.manifest_lines import _Parser, parse_line
from tilekit.labels.reading import read_labels, write_labels
from tilekit.pages import PageKey


def part(boxes: list[tuple[int, int, int, int, int]], size: Any = None) -> dict[str, Any]:
    keys = ("class_id", "left", "top", "width", "height")
    return {
        "image_size": size or [{"width": 100, "height": 80, "depth": 3}],
        "annotations": [dict(zip(keys, box, strict=True)) for box in boxes],
    }


def meta(
    count: int, names: dict[str, str], created: str = "2024-01-01T00:00:00", **more: Any
) -> dict[str, Any]:
    return {
        "objects": [{"confidence": 0.0}] * count,
        "class-map": names,
        "type": "groundtruth/object-detection",
        "human-annotated": "yes",
        "creation-date": created,
        "job-name": "labeling-job/x",
        **more,
    }


def manifest(tmp_path: Path, *lines: Any) -> Path:
    path = tmp_path / "labels.manifest"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


ONE = {"source-ref": "a.tif", "bb": part([(5, 1, 2, 3, 4)]), "bb-metadata": meta(1, {"5": "arrow", "0": "x"})}


def test_plain_line(tmp_path: Path) -> None:
    labels = read_labels(manifest(tmp_path, ONE))
    key = PageKey(str(tmp_path / "a.tif"))
    assert labels.pages() == [key]
    assert labels.names == ("x", "arrow")
    assert labels[key].boxes.tolist() == [[1, 2, 4, 6]]
    assert labels[key].labels == ["arrow"]
    assert labels.sizes[key] == (100, 80)


def test_image_size_as_an_object(tmp_path: Path) -> None:
    line = {**ONE, "bb": part([(5, 1, 2, 3, 4)], {"width": 100, "height": 80, "depth": 3})}
    assert next(iter(read_labels(manifest(tmp_path, line)).sizes.values())) == (100, 80)


def test_class_ids_that_differ_from_line_to_line(tmp_path: Path) -> None:
    two = {"source-ref": "b.tif", "bb": part([(5, 1, 2, 3, 4)]), "bb-metadata": meta(1, {"5": "x"})}
    labels = read_labels(manifest(tmp_path, ONE, two))
    assert [page.labels for page in labels.values()] == [["arrow"], ["x"]]


@pytest.mark.parametrize("name", ["adjusted-bb", "second-look"])
def test_adjustment_replaces_what_it_adjusts(tmp_path: Path, name: str) -> None:
    line = {
        **ONE,
        name: part([(0, 2, 2, 9, 9)]),
        f"{name}-metadata": meta(
            1, {"0": "arrow"}, "2024-02-01T00:00:00", **{"adjustment-status": "adjusted"}
        ),
    }
    page = next(iter(read_labels(manifest(tmp_path, line)).values()))
    assert page.boxes.tolist() == [[2, 2, 11, 11]]


def test_verification_is_not_labels(tmp_path: Path) -> None:
    verdict = {"type": "groundtruth/label-verification", "class-name": "good", "worker-feedback": ["ok"]}
    line = {**ONE, "check": 1, "check-metadata": verdict}
    labels = read_labels(manifest(tmp_path, line))
    key = labels.pages()[0]
    assert labels[key].labels == ["arrow"]
    assert key not in labels.image_labels
    assert labels.extra[key]["check-metadata"] == verdict


def test_several_box_attributes_are_united(tmp_path: Path) -> None:
    line = {
        **ONE,
        "text": part([(0, 9, 9, 2, 2), (1, 1, 2, 3, 4)]),
        "text-metadata": meta(2, {"0": "word", "1": "arrow"}),
    }
    page = next(iter(read_labels(manifest(tmp_path, line)).values()))
    assert page.labels == ["arrow", "word"]


def test_failed_and_waiting_lines_are_not_background(tmp_path: Path) -> None:
    failed = {"source-ref": "f.tif", "bb-metadata": {"failure-reason": "timed out", "job-name": "j"}}
    labels = read_labels(manifest(tmp_path, ONE, failed, {"source-ref": "w.tif"}))
    assert len(labels) == 1
    assert [key.source.rsplit("/")[-1] for key in labels.unlabeled] == ["f.tif", "w.tif"]
    assert "timed out" in labels.unlabeled[PageKey(str(tmp_path / "f.tif"))]


def test_an_empty_page_is_labeled(tmp_path: Path) -> None:
    labels = read_labels(
        manifest(tmp_path, {"source-ref": "e.tif", "bb": part([]), "bb-metadata": meta(0, {})})
    )
    assert [len(page) for page in labels.values()] == [0]


def test_image_level_labels(tmp_path: Path) -> None:
    single = {"type": "groundtruth/image-classification", "class-name": "plan", "confidence": 0.5}
    many = {
        "type": "groundtruth/image-classification-multilabel",
        "class-map": {"0": "old", "8": "torn"},
        "confidence-map": {"0": 1.0, "8": 0.25},
    }
    line = {"source-ref": "a.tif", "kind0": 7, "kind0-metadata": single, "k": [0, 8], "k-metadata": many}
    labels = read_labels(manifest(tmp_path, line))
    expected = (ImageLabel("plan", 0.5), ImageLabel("old", 1.0), ImageLabel("torn", 0.25))
    assert labels.image_labels == {labels.pages()[0]: expected}


def test_pages_of_a_pdf_s3_and_windows_paths(tmp_path: Path) -> None:
    lines = [
        {**ONE, "source-ref": ref}
        for ref in ("f.pdf#page=3", "s3://bucket/a/b.png", "C:\\scans\\ü.tif", "x\\y.tif")
    ]
    assert read_labels(manifest(tmp_path, *lines)).pages() == [
        PageKey(str(tmp_path / "f.pdf"), 2),
        PageKey("s3://bucket/a/b.png"),
        PageKey("C:\\scans\\ü.tif"),
        PageKey(str(tmp_path / "x/y.tif")),
    ]


def test_images_folder(tmp_path: Path) -> None:
    (tmp_path / "scans/a").mkdir(parents=True)
    (tmp_path / "scans/a/b.png").touch()
    lines = [
        {**ONE, "source-ref": ref} for ref in ("s3://bucket/a/b.png", "C:\\scans\\ü.tif", "/else/where/x.tif")
    ]
    assert [key.source for key in read_labels(manifest(tmp_path, *lines), images=tmp_path / "scans")] == [
        str(tmp_path / "scans" / name) for name in ("a/b.png", "ü.tif", "x.tif")
    ]


BAD: list[tuple[Any, str]] = [
    ("{", "cut off"),
    ('{"source-ref": NaN}', "NaN"),
    ("[]", "not a JSON object"),
    ({"source-ref": 3}, "source-ref"),
    ({"source-ref": "a.tif", "bb": part([])}, "bb-metadata"),
    ({**ONE, "bb": part([(4, 1, 2, 3, 4)])}, r"class_id: is 4"),
    ({**ONE, "bb": part([(5, 1, 2, 0, 4)])}, "at least 1 x 1"),
    ({**ONE, "bb": {"annotations": [[1]]}}, "must be an object"),
    ({**ONE, "bb": part([], [{"width": 0, "height": 3}])}, "image_size"),
    ({**ONE, "bb-metadata": {"type": "groundtruth/object-detection"}}, "class-map"),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_bad_lines_name_file_line_and_field(tmp_path: Path, line: Any, said: str) -> None:
    path = manifest(tmp_path, ONE, line, {**ONE, "source-ref": "c.tif"})
    with pytest.raises(LabelError, match=rf"labels.manifest, line 2: .*{said}"):
        read_labels(path)
    labels = read_labels(path, strict=False)
    assert len(labels) == 2
    assert [problem.line for problem in labels.problems] == [2]


@pytest.mark.parametrize("box", [(5, -2, 2, 3, 4), (5, 98, 2, 4, 4), (5, 4, 78, 9, 30)])
def test_a_box_beyond_the_edge_is_a_problem_or_clipped(tmp_path: Path, box: tuple[int, ...]) -> None:
    path = manifest(tmp_path, ONE, {**ONE, "source-ref": "b.tif", "bb": part([(5, 1, 2, 3, 4), box])})
    said = (
        r"labels.manifest, line 2: bb.annotations\[1\]: .*outside the page of 100 x 80 px; clip it .*--clip"
    )
    with pytest.raises(LabelError, match=said):
        read_labels(path)
    lenient, clipped = read_labels(path, strict=False), read_labels(path, clip=True)
    assert [len(page) for page in lenient.values()] == [1, 1]
    assert [(problem.line, problem.field) for problem in lenient.problems] == [(2, "bb.annotations[1]")]
    x, y, width, height = box[1:]
    assert clipped.pages() == lenient.pages()
    assert clipped.problems == ()
    assert clipped[clipped.pages()[1]].boxes.tolist() == [
        [1, 2, 4, 6],
        [max(x, 0), max(y, 0), min(x + width, 100), min(y + height, 80)],
    ]


@pytest.mark.parametrize("box", [(5, -1, 2, 3, 4), (5, 98, 2, 3, 4)])
def test_a_box_beyond_the_edge_by_rounding_is_clipped(tmp_path: Path, box: tuple[int, ...]) -> None:
    (page,) = read_labels(manifest(tmp_path, {**ONE, "bb": part([box])})).values()
    assert page.boxes.tolist() == [[max(box[1], 0), 2, min(box[1] + 3, 100), 6]]


def test_the_lines_alone_are_refused_with_a_box_beyond_the_edge(tmp_path: Path) -> None:
    for box, said in (((5, -1, 2, 3, 4), "begins at -1"), ((5, 98, 2, 3, 4), "beyond the image of 100 x 80")):
        with pytest.raises(LabelError, match=rf"line 1: bb.annotations\[0\]: .*{said}"):
            list(iter_manifest(manifest(tmp_path, {**ONE, "bb": part([box])})))


def test_two_sizes_of_a_page(tmp_path: Path) -> None:
    other = {**ONE, "bb": part([], [{"width": 5, "height": 5, "depth": 1}])}
    with pytest.raises(LabelError, match="line 2: image_size"):
        read_labels(manifest(tmp_path, ONE, other))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(StorageNotFound):
        read_labels(tmp_path / "none.manifest", format="ground-truth")


@given(labels=label_sets(ignore=True, image_labels=True))
def test_round_trip(labels: LabelSet, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("gt")
    labels = labels.replace(
        pages={PageKey(str(folder / key.source), key.page): value for key, value in labels.items()},
        sizes={PageKey(str(folder / key.source), key.page): value for key, value in labels.sizes.items()},
        image_labels={PageKey(str(folder / k.source), k.page): v for k, v in labels.image_labels.items()},
    )
    write_labels(labels, folder / "x.manifest", "ground-truth")
    again = read_labels(folder / "x.manifest")
    assert again == labels
    write_labels(again, folder / "y.manifest", "ground-truth")
    assert read_labels(folder / "y.manifest") == labels


@given(label_sets(ignore=True))
def test_quick_and_slow_readers_agree(labels: LabelSet) -> None:
    for key, page in labels.items():
        writer_line: dict[str, Any] = {}
        writer = ManifestWriter("unused")
        writer.write_line = writer_line.update  # type: ignore[method-assign]
        writer.write(key, labels.sizes[key], page)
        raw = msgspec.json.encode(writer_line)
        fast, slow = parse_line(raw), _Parser("", 0, False).line(raw)
        assert fast.annotations() == slow.annotations()
        assert (fast.source, fast.size) == (slow.source, slow.size)


@given(label_sets(whole=False, labels=st.just("a")))
def test_integers_go_outward_and_stay_inside(labels: LabelSet) -> None:
    for key, page in labels.items():
        size = labels.sizes[key]
        rows = whole_boxes(page.boxes, size)
        x0, y0, width, height = rows.T
        assert (rows[:, 2:] >= 1).all()
        assert (rows[:, :2] >= 0).all()
        assert (x0 + width <= size[0]).all()
        assert (y0 + height <= size[1]).all()
        assert (np.abs(x0 - page.boxes[:, 0]) <= 1).all()
        assert (x0 <= page.boxes[:, 0] + 1e-6).all()
        assert (x0 + width >= page.boxes[:, 2] - 1e-6).all()


def test_nothing_appears_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "x.manifest"
    with pytest.raises(LabelError), ManifestWriter(path) as writer:
        writer.write("a.jpg", None, Annotations.empty())
    assert not path.exists()
    assert next(iter(iter_manifest(manifest(tmp_path, ONE)))).number == 1


@pytest.mark.parametrize(("name", "value"), [("rotation", 30), ("angle", -45.5)])
def test_a_turned_box_is_never_taken_for_an_upright_one(tmp_path: Path, name: str, value: float) -> None:
    line = json.loads(json.dumps(ONE))
    line["bb"]["annotations"][0][name] = value
    with pytest.raises(LabelError, match=rf"line 1: bb\.annotations\[0\]\.{name}: is {value:g}: the boxes"):
        read_labels(manifest(tmp_path, line))
    line["bb"]["annotations"][0][name] = 0
    assert read_labels(manifest(tmp_path, line)).boxes == 1
