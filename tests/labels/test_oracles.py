"""The same files read and written by the libraries of others, where those are right."""

from __future__ import annotations

import io
import json
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from tests.labels.strategies import label_sets, words
from tilekit.boxes.annotations import Annotations
from tilekit.errors import LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import read_labels, write_labels
from tilekit.pages import PageKey

FILES = {"coco": "coco.json", "cvat": "cvat.xml"}
plain = label_sets(labels=words, pdf=False, folders=False, used=True, ignore=True)


def placed(labels: LabelSet, folder: Path) -> LabelSet:
    keys = {key: PageKey(str(folder / key.source)) for key in labels}
    return LabelSet(
        {keys[key]: page for key, page in labels.items()},
        sizes={keys[key]: size for key, size in labels.sizes.items()},
        names=labels.names,
    )


@settings(max_examples=15)
@given(drawn=plain)
def test_pycocotools_reads_what_we_write(drawn: LabelSet, tmp_path_factory: pytest.TempPathFactory) -> None:
    from pycocotools.coco import COCO

    folder = tmp_path_factory.mktemp("coco")
    labels = placed(drawn, folder)
    write_labels(labels, folder / "x.json", "coco")
    with redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "x.json"))
    for key, page in labels.items():
        image = next(entry for entry in coco.dataset["images"] if entry["file_name"] == Path(key.source).name)
        assert (image["width"], image["height"]) == labels.sizes[key]
        found = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        boxes = np.array([entry["bbox"] for entry in found], dtype=float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        assert np.allclose(boxes, page.boxes)
        assert [coco.cats[entry["category_id"]]["name"] for entry in found] == page.labels
        assert [bool(entry["iscrowd"]) for entry in found] == page.ignore.tolist()


def _globox(found: Any, labels: LabelSet) -> None:
    by_name = {Path(str(entry.image_id)).stem: entry for entry in found}
    for key, page in labels.items():
        boxes = by_name[Path(key.source).stem].boxes
        assert [box.label for box in boxes] == page.labels
        got = np.array([[box.xmin, box.ymin, box.xmax, box.ymax] for box in boxes]).reshape(-1, 4)
        assert np.allclose(got, page.boxes, atol=0.01)


@settings(max_examples=10)
@given(drawn=plain)
def test_globox_reads_what_we_write(drawn: LabelSet, tmp_path_factory: pytest.TempPathFactory) -> None:
    import globox

    folder = tmp_path_factory.mktemp("globox")
    labels = placed(drawn, folder)
    for name in ("coco", "voc", "labelme", "cvat"):
        write_labels(labels, folder / name if name in ("voc", "labelme") else folder / FILES[name], name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _globox(globox.AnnotationSet.from_coco(folder / "coco.json"), labels)
        _globox(globox.AnnotationSet.from_pascal_voc(folder / "voc"), labels)
        _globox(globox.AnnotationSet.from_labelme(folder / "labelme"), labels)
        _globox(globox.AnnotationSet.from_cvat(folder / "cvat.xml"), labels)


def test_supervision_writes_yolo_voc_and_coco_that_we_read(tmp_path: Path) -> None:
    import supervision

    (tmp_path / "images").mkdir()
    picture = tmp_path / "images/a.png"
    Image.new("RGB", (200, 100)).save(picture)
    boxes = np.array([[10, 20, 30, 50], [100, 0, 200, 100]], dtype=float)
    found = supervision.Detections(xyxy=boxes, class_id=np.array([1, 0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = supervision.DetectionDataset(["cat", "dog"], [str(picture)], {str(picture): found})
        data.as_yolo(
            annotations_directory_path=str(tmp_path / "labels"), data_yaml_path=str(tmp_path / "data.yaml")
        )
        data.as_coco(annotations_path=str(tmp_path / "coco.json"))
        data.as_pascal_voc(annotations_directory_path=str(tmp_path / "voc"))
    for path, one_based in ((tmp_path, 0), (tmp_path / "coco.json", 0), (tmp_path / "voc", 1)):
        labels = read_labels(path, images=tmp_path / "images")
        assert labels.pages() == [PageKey(str(picture))]
        page = labels[PageKey(str(picture))]
        assert page.labels == ["dog", "cat"]
        assert np.abs(page.boxes - boxes).max() <= max(0.01, one_based)
        assert list(labels.sizes.values()) == [(200, 100)]


def test_files_as_the_tools_write_them(tmp_path: Path) -> None:
    """CVAT, LabelMe, Label Studio, QuPath, labelImg, TensorFlow: shapes, rotation, tags, crowd, difficult."""
    cvat = """<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task><labels>
      <label><name>car</name><color>#fff</color></label></labels></task></meta>
      <image id="0" name="a.jpg" width="100" height="80"><tag label="day" source="manual"></tag>
      <box label="car" source="manual" occluded="0" xtl="10.5" ytl="20" xbr="30" ybr="40" z_order="0"></box>
      <box label="car" occluded="0" xtl="40" ytl="40" xbr="60" ybr="50" rotation="90" z_order="0"></box>
      <polygon label="tree" points="1,2;9,2;9,12" z_order="0"/></image></annotations>"""
    (tmp_path / "c.xml").write_text(cvat)
    page = next(iter(read_labels(tmp_path / "c.xml").values()))
    assert np.allclose(page.boxes, [[10.5, 20, 30, 40], [45, 35, 55, 55], [1, 2, 9, 12]])

    shapes = [
        {"label": "a", "points": [[30, 40], [10, 20]], "shape_type": "rectangle", "flags": {}},
        {"label": "a", "points": [[50, 50], [50, 60]], "shape_type": "circle", "flags": {}},
    ]
    labelme = {"version": "5.4.1", "flags": {"bad": False}, "shapes": shapes, "imagePath": "..\\img\\b.jpg"}
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm/b.json").write_text(json.dumps({**labelme, "imageHeight": 80, "imageWidth": 100}))
    found = read_labels(tmp_path / "lm")
    assert found.pages() == [PageKey(str(tmp_path / "img/b.jpg"))]
    assert next(iter(found.values())).boxes.tolist() == [[10, 20, 30, 40], [40, 40, 60, 60]]

    value = {"x": 10, "y": 25, "width": 20, "height": 50, "rotation": 0, "rectanglelabels": ["a"]}
    region = {"type": "rectanglelabels", "original_width": 200, "original_height": 80, "value": value}
    tasks = [
        {"id": 1, "data": {"image": "/data/upload/7/0a1b2c3d-c.png"}, "annotations": [{"result": [region]}]},
        {"id": 2, "data": {"image": "/data/local-files/?d=x%20y/d.png"}, "annotations": []},
    ]
    (tmp_path / "ls.json").write_text(json.dumps(tasks))
    studio = read_labels(tmp_path / "ls.json")
    assert next(iter(studio.values())).boxes.tolist() == [[20, 20, 60, 60]]
    assert studio.pages() == [PageKey(str(tmp_path / "c.png"))]
    assert list(studio.unlabeled) == [PageKey(str(tmp_path / "x y/d.png"))]

    voc = """<annotation><folder>i</folder><filename>e.jpg</filename><path>C:\\i\\e.jpg</path><size><width>100</width>
      <height>80</height><depth>3</depth></size><object><name>a</name><difficult>1</difficult><bndbox><xmin>1</xmin>
      <ymin>2</ymin><xmax>100</xmax><ymax>80</ymax></bndbox></object></annotation>"""
    (tmp_path / "e.xml").write_text(voc)
    page = next(iter(read_labels(tmp_path / "e.xml").values()))
    assert (page.boxes.tolist(), page.ignore.tolist()) == ([[1, 2, 100, 80]], [True])
    assert next(iter(read_labels(tmp_path / "e.xml", first_pixel=1).values())).boxes.tolist() == [
        [0, 1, 100, 80]
    ]

    (tmp_path / "tf.csv").write_text(
        "filename,width,height,class,xmin,ymin,xmax,ymax\nf.jpg,100,80,a,1,2,3,4\n"
    )
    assert next(iter(read_labels(tmp_path / "tf.csv").values())).boxes.tolist() == [[1, 2, 3, 4]]

    ring = [[1, 2], [9, 2], [9, 8], [1, 8], [1, 2]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    feature["properties"] = {
        "objectType": "annotation",
        "classification": {"name": "Ignore*", "color": [1, 2, 3]},
    }
    (tmp_path / "slide.svs").touch()
    (tmp_path / "slide.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    slide = read_labels(tmp_path / "slide.geojson")
    assert slide.pages() == [PageKey(str(tmp_path / "slide.svs"))]
    assert next(iter(slide.values())).ignore.tolist() == [True]


BROKEN: list[tuple[str, str, str]] = [
    (
        "a.json",
        '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2, "category_id": 1, "bbox": [1, 1, 1, 1]}], "categories": [{"id": 1, "name": "x"}]}',
        r"annotations\[0\]\.image_id",
    ),
    (
        "a.json",
        '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, "category_id": 9, "bbox": [1, 1, 1, 1]}], "categories": []}',
        "category_id",
    ),
    (
        "a.json",
        '{"images": [{"id": 1, "file_name": "a", "width": 9, "height": 9}], "annotations": [{"image_id": 1, "category_id": 1, "bbox": [5, 5, 50, 5]}], "categories": [{"id": 1, "name": "x"}]}',
        "outside",
    ),
    (
        "a.json",
        '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 0, 1]}], "categories": [{"id": 1, "name": "x"}]}',
        "0 x 1 px",
    ),
    (
        "a.xml",
        "<annotation><filename>a.jpg</filename><object><name>x</name><bndbox><xmin>q</xmin></bndbox></object></annotation>",
        r"object\[0\]\.bndbox",
    ),
    ("a.csv", "source,label,x0,y0,x1,y1\na.tif,x,1,2,nan,4\n", "line 2: x1: .*numbers are needed"),
    ("a.csv", "source,label,x0,y0,x1,y1\na.tif,x,-9,2,3,4\n", "outside"),
    ("a.csv", "source,page,label,x0,y0,x1,y1\na.pdf,0,x,1,2,3,4\n", "pages count from one"),
]


@pytest.mark.parametrize(("name", "text", "said"), BROKEN)
def test_broken_entries_are_told_or_left_out(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LabelError, match=said):
        read_labels(tmp_path / name)
    lenient = read_labels(tmp_path / name, strict=False)
    assert (lenient.boxes, len(lenient.problems)) == (0, 1)


@pytest.mark.parametrize(
    "text", ["<annotation>", '<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>']
)
def test_broken_or_hostile_xml(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(LabelError, match=r"a\.xml"):
        read_labels(tmp_path / "a.xml", "voc")


def test_broken_yolo(tmp_path: Path) -> None:
    key = PageKey(str(tmp_path / "a.tif"))
    write_labels(
        LabelSet({key: Annotations([[1, 2, 3, 4]], None, ["x"])}, sizes={key: (9, 9)}), tmp_path, "yolo"
    )
    file = next((tmp_path / "labels").glob("*.txt"))
    file.write_text("0 0.5 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n0 0.5\nx\n")
    with pytest.raises(LabelError, match="line 2: class"):
        read_labels(tmp_path)
    assert [problem.line for problem in read_labels(tmp_path, strict=False).problems] == [2, 3, 4]
    (tmp_path / "data.yaml").write_text("path: .\n")
    with pytest.raises(LabelError, match="names is missing"):
        read_labels(tmp_path)
