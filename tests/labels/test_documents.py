from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.boxes import shape_strategies as own
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.shapes import Keypoints, Masks, OrientedBoxes, Polygons
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.labels.reading import read_labels, write_labels
from tilekit.pages import PageKey

OUTLINES = Polygons.of([[[0, 0, 40, 0, 40, 30]], None, [[5, 5, 15, 5, 15, 15, 5, 15]]])
HOLLOW = Polygons.from_json([
    {"polygon": [[[0, 0], [40, 0], [40, 30], [0, 30]], [[5, 5], [10, 5], [10, 10]]], "holes": [1]},
    None,
    {"polygon": [[[5, 5], [15, 5], [15, 15], [5, 15]]]},
])  # fmt: skip
COLUMNS = {
    "none": None,
    "polygons": OUTLINES,
    "with a hole": HOLLOW,
    "masks": Masks.from_polygons(OUTLINES),
    "oriented": OrientedBoxes([[20, 15, 40, 30, 0], [1.5, 1.5, 1, 1, 0], [10, 10, 10, 10, 0]]),
    "keypoints": Keypoints.of([[[1, 1, 2], [3, 4, 1]], [[5, 5, 2], [6, 6, 0]], [[9, 9, 2], [1, 1, 2]]]),
}


def predictions(column):
    found = Detections(
        [[0, 0, 40, 30], [1, 1, 2, 2], [5, 5, 15, 15]], [0.5, 0.6, 0.7], [0, 1, 0], ("a", "b"), shapes=column
    )
    return PredictionSet([PageDetections(PageKey("one.png"), 100, 80, found)])


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("format", ["coco", "geojson"])
def test_shapes_come_back_from_files(tmp_path, name, format):
    given_ones = predictions(COLUMNS[name])
    file = tmp_path / "labels.json"
    said = write_labels(given_ones.to_labels(), file, format)
    if (name, format) == ("masks", "geojson"):
        assert "1 box beside a shape" in said[0]
    else:
        assert said == ()
    found = PredictionSet.from_labels(read_labels(file, format, shapes=True))
    ((key, back),) = found.items()
    assert key.source.endswith("one.png")
    assert read_labels(file, format)[key].shapes is None
    wanted = given_ones[PageKey("one.png")]
    assert np.allclose(back.boxes, wanted.boxes, atol=name == "masks")  # GeoJSON: the box around the outline
    assert np.array_equal(back.scores, wanted.scores)
    if (name, format) in [
        ("masks", "geojson"),
        ("oriented", "coco"),
    ]:  # told in the docs: they come as outlines
        assert np.allclose(back.shapes.areas, wanted.shapes.areas)
    elif (name, format) == ("with a hole", "coco"):  # run lengths: to the pixel
        assert np.array_equal(
            Masks.from_polygons(back.shapes).areas, Masks.from_polygons(wanted.shapes).areas
        )
    else:
        assert back.shapes == wanted.shapes


@pytest.mark.parametrize("name", COLUMNS)
def test_sets_go_through_tables_whole(name):
    given_ones = predictions(COLUMNS[name])
    back = PredictionSet.from_pandas(given_ones.to_pandas())
    assert dict(back) == dict(given_ones)
    assert back.sizes == given_ones.sizes
    (page,) = given_ones.pages()
    assert len(page.to_pandas()) == len(page.to_supervision()) == 3
    assert len(page.to_coco()["annotations"]) == len(page.to_geojson()["features"]) == 3


@given(own.polygons(1, 4))
def test_tables_keep_polygons_of_truth(column):
    key = PageKey("a.tif", 2)
    labels = LabelSet(
        {key: Annotations(np.tile([0.0, 0, 5, 5], (len(column), 1)), None, ("x",), shapes=column)}
    )
    back = LabelSet.from_pandas(labels.to_pandas())
    assert back[key].shapes == (column if column.given.any() else None)


def test_what_a_format_cannot_hold_is_said(tmp_path):
    labels = predictions(OUTLINES).to_labels()
    said = write_labels(labels, tmp_path / "x.csv", "csv")
    assert said == ("csv has no place for 2 shapes, of which their boxes stay",)
    assert write_labels(predictions(None).to_labels(), tmp_path / "y.csv", "csv") == ()


def test_kinds_that_mix_on_a_page_become_polygons(tmp_path):
    document = predictions(OUTLINES).to_coco()
    document["annotations"][1]["segmentation"] = Masks.from_arrays([np.ones((80, 100))]).to_rle(100, 80)[0]
    file = tmp_path / "mixed.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    (page,) = read_labels(file, shapes=True).values()
    assert page.shapes.kind == "polygon"
    assert page.shapes.areas.tolist() == [600, 8000, 100]


@pytest.mark.parametrize(
    "bad", [[[0, 0, 1, 1]], {"size": [80, 100], "counts": [3, 4]}, [["a", 1, 2, 3, 4, 5]], "40:5", 7]
)
def test_bad_shapes_are_named(tmp_path, bad):
    document = predictions(OUTLINES).to_coco()
    document["annotations"][2]["segmentation"] = bad
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(LabelError, match=r"annotations\[2\]\.segmentation"):
        read_labels(file, shapes=True)


def test_what_is_no_prediction_is_named():
    key = PageKey("a.png")
    labels = LabelSet({key: Annotations([[0, 0, 1, 1]], None, ("x",))}, sizes={key: (5, 5)})
    with pytest.raises(InvalidArgument, match=r"a\.png: its boxes have no scores"):
        PredictionSet.from_labels(labels)
    with pytest.raises(InvalidArgument, match="no column 'source'"):
        LabelSet.from_pandas(labels[key].to_pandas())
    with pytest.raises(InvalidArgument, match="no column 'score'"):
        Detections.from_pandas(labels[key].to_pandas())


@pytest.mark.parametrize(("size", "read"), [([20, 30], 1), ([10, 30], 0)])
def test_a_mask_of_another_size_than_its_image_is_named(tmp_path: Path, size: list[int], read: int) -> None:
    mask = {"size": size, "counts": [5, 3, size[0] * size[1] - 8]}
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 30, "height": 20}],
        "categories": [{"id": 1, "name": "valve"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [0, 5, 1, 3],
                "segmentation": mask,
                "iscrowd": 0,
            }
        ],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document))
    found = read_labels(path, strict=False, shapes=True)
    assert sum(len(page) for page in found.values()) == read
    assert [("30 x 10 px" in str(problem)) for problem in found.problems] == [True] * (1 - read)


names = st.sampled_from(["a.png", "plans/b.tif", "c.pdf"])
scored = st.lists(
    st.tuples(
        st.integers(0, 50), st.integers(0, 40), st.integers(1, 50), st.integers(1, 40), st.integers(0, 2)
    ),
    max_size=5,
)


@st.composite
def truths(draw):
    """Labels of some pages with sizes; every label is used, for GeoJSON keeps no other."""
    keys = draw(st.lists(st.builds(PageKey, names, st.integers(0, 2)), unique=True, min_size=1, max_size=3))
    pages = {}
    for key in keys:
        rows = draw(scored)
        boxes = [[x, y, x + w, y + h] for x, y, w, h, _ in rows]
        ignore = draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
        pages[key] = Annotations(boxes, [row[4] for row in rows], ("x", "y", "z"), ignore)
    used = {name for page in pages.values() for name in page.labels}
    assume(used == {"x", "y", "z"})
    return LabelSet(pages, sizes=dict.fromkeys(keys, (100, 80)))


@given(truths())
def test_documents_in_memory_come_back_as_they_were(labels):
    for back in (LabelSet.from_coco(labels.to_coco()), LabelSet.from_geojson(labels.to_geojson())):
        assert list(back) == list(labels)
        assert back.sizes == labels.sizes
        for key, page in labels.items():
            assert np.array_equal(back[key].boxes, page.boxes)
            assert back[key].labels == page.labels
            assert np.array_equal(back[key].ignore, page.ignore)
        assert back.tally.entries == sum(map(len, labels.values()))


@pytest.mark.parametrize("name", COLUMNS)
def test_what_was_found_goes_to_documents_and_back(name, tmp_path):
    given_ones = predictions(COLUMNS[name])
    (page,) = given_ones.pages()
    ways = {"coco": ("to_coco", "from_coco"), "geojson": ("to_geojson", "from_geojson")}
    for kind, (there, back) in ways.items():
        document = getattr(given_ones, there)()
        found = getattr(PredictionSet, back)(document)
        assert list(found) == list(given_ones)
        assert found.sizes == given_ones.sizes
        one, wanted = found[page.key], given_ones[page.key]
        assert np.array_equal(one.scores, wanted.scores)
        assert one.labels == wanted.labels
        assert np.allclose(one.boxes, wanted.boxes, atol=name == "masks" and kind == "geojson")
        assert (one.shapes is None) == (wanted.shapes is None)
        alone = getattr(PageDetections, back)(getattr(page, there)())
        assert (alone.key, alone.width, alone.height) == (page.key, 100, 80)
        assert alone.detections == one
        path = tmp_path / f"{kind}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        assert len(getattr(LabelSet, back)(path)[PageKey(str(tmp_path / "one.png"))]) == 3
    assert PageDetections.from_pandas(page.to_pandas()).detections == page.detections


def test_detections_of_other_packages_come_back_page_by_page():
    given_ones = predictions(OUTLINES)
    (page,) = given_ones.pages()
    one = PageDetections.from_supervision(page.to_supervision(), page.key, (100, 80))
    assert one.detections == page.detections
    labels = LabelSet.from_supervision(given_ones.to_supervision(), given_ones.sizes)
    assert PredictionSet.from_labels(labels)[page.key] == page.detections
    truth = LabelSet({page.key: Annotations([[0, 0, 5, 5]], None, ("x",))})
    assert LabelSet.from_supervision(truth.to_supervision()) == truth


def test_documents_that_are_none_are_said():
    with pytest.raises(InvalidArgument, match="a dict or a path, not a list"):
        LabelSet.from_coco([])
    with pytest.raises(InvalidArgument, match="JSON has no place"):
        LabelSet.from_geojson({"features": object()})
    with pytest.raises(LabelError, match=r"annotations\[0\]"):
        LabelSet.from_coco({"images": [], "annotations": [{"image_id": 1}], "categories": []})
    two = predictions(None).to_coco()
    two["images"].append({"id": 2, "file_name": "two.png", "width": 9, "height": 9})
    with pytest.raises(InvalidArgument, match="holds 2 pages, not one"):
        PageDetections.from_coco(two)
    for entry in two["annotations"]:
        del entry["score"]
    with pytest.raises(InvalidArgument, match="no scores"):
        PredictionSet.from_coco(two)
