"""Small files of the shape that labeling tools export, and what their tools mean by them, shapes too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tilekit.boxes.detections import Detections
from tilekit.boxes.shapes import Keypoints, Masks, OrientedBoxes, Polygons
from tilekit.labels.label_set import LabelSet
from tilekit.labels.masks import studio_bytes
from tilekit.labels.reading import read_labels, write_labels
from tilekit.labels.scans import resolve_scans


def put(folder: Path, name: str, text: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return path


def picture(folder: Path, name: str, size: tuple[int, int] = (64, 48)) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size).save(folder / name)


def only(labels: LabelSet) -> Any:
    assert not labels.problems
    (page,) = labels.values()
    return page


def test_vott_csv_with_quoted_headers(tmp_path: Path) -> None:
    text = '"image","xmin","ymin","xmax","ymax","label"\n"a.jpg",10.5,20,30,50,"arrow"\n"a.jpg",1,2,3,4,"a ""b"", c"\n'
    page = only(read_labels(put(tmp_path, "vott-export.csv", text)))
    assert page.boxes.tolist() == [[10.5, 20, 30, 50], [1, 2, 3, 4]]
    assert page.labels == ["arrow", 'a "b", c']


def test_vott_json_of_a_project(tmp_path: Path) -> None:
    box = {"left": 1, "top": 2, "width": 29, "height": 38}
    points = [{"x": 1, "y": 2}, {"x": 30, "y": 4}, {"x": 20, "y": 40}]
    regions = [{"id": "r", "type": "POLYGON", "tags": ["tap", "open"], "boundingBox": box, "points": points}]
    assets = {
        "1": {
            "asset": {"name": "a.jpg", "size": {"width": 64, "height": 48}, "state": 2},
            "regions": regions,
        },
        "2": {"asset": {"name": "b.jpg", "size": {"width": 64, "height": 48}, "state": 1}, "regions": []},
        "3": {"asset": {"name": "c.jpg", "size": {"width": 64, "height": 48}, "state": 0}, "regions": []},
    }
    found = read_labels(
        put(tmp_path, "vott.json", {"assets": assets, "tags": [{"name": "tap"}]}), shapes=True
    )
    first, second = found.values()
    assert first.labels == ["tap", "open"]
    assert first.boxes.tolist() == [[1, 2, 30, 40]] * 2
    assert first.shapes == Polygons.of([[[(1, 2), (30, 4), (20, 40)]]] * 2)
    assert len(second) == 0  # visited, and nothing there
    assert [key.source.endswith("c.jpg") for key in found.unlabeled] == [True]


def test_supervisely_polygons_with_holes(tmp_path: Path) -> None:
    picture(tmp_path, "ds/img/a.jpg")
    rings = {"exterior": [[0, 0], [20, 0], [20, 20], [0, 20]], "interior": [[[5, 5], [9, 5], [9, 9], [5, 9]]]}
    items = [{"classTitle": "tap", "geometryType": "polygon", "points": rings}]
    put(tmp_path, "ds/ann/a.jpg.json", {"size": {"width": 64, "height": 48}, "tags": [], "objects": items})
    found = read_labels(tmp_path, shapes=True)
    assert found.format == "supervisely"
    assert only(found).shapes.areas.tolist() == [400 - 16]


def test_labelbox_ndjson(tmp_path: Path) -> None:
    def line(name: str, objects: list[Any]) -> str:
        labels = [{"label_kind": "Default", "annotations": {"objects": objects, "classifications": []}}]
        row = {"id": "1", "external_id": name, "row_data": f"https://host.example/{name}"}
        media = {"width": 64, "height": 48, "mime_type": "image/jpeg"}
        return json.dumps({"data_row": row, "media_attributes": media, "projects": {"p": {"labels": labels}}})

    box = {
        "name": "tap",
        "annotation_kind": "ImageBoundingBox",
        "bounding_box": {"top": 2, "left": 1, "height": 8, "width": 9},
    }
    ring = {
        "name": "tap",
        "annotation_kind": "ImagePolygon",
        "polygon": [{"x": 1, "y": 1}, {"x": 9, "y": 1}, {"x": 5, "y": 9}],
    }
    text = "\n".join([line("a.jpg", [box, ring]), line("b.jpg", [])]) + "\n"
    found = read_labels(put(tmp_path, "export.ndjson", text), shapes=True)
    first, second = found.values()
    assert first.boxes.tolist() == [[1, 2, 10, 10], [1, 1, 9, 9]]
    assert first.shapes.given.tolist() == [False, True]
    assert len(second) == 0


def test_wider_without_faces_and_with_invalid_ones(tmp_path: Path) -> None:
    text = "0--Parade/a.jpg\n2\n10 20 30 40 0 0 0 0 0 0\n1 2 3 4 2 0 0 1 2 0\n1--Hall/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
    found = read_labels(put(tmp_path, "wider_face_train_bbx_gt.txt", text))
    first, second = found.values()
    assert first.boxes.tolist() == [[10, 20, 40, 60], [1, 2, 4, 6]]
    assert first.ignore.tolist() == [False, True]
    assert len(second) == 0


def test_roboflow_voc_has_polygons_beside_boxes(tmp_path: Path) -> None:
    ring = "<polygon><x1>1</x1><y1>2</y1><x2>30</x2><y2>4</y2><x3>20</x3><y3>40</y3></polygon>"
    box = "<bndbox><xmin>1</xmin><xmax>30</xmax><ymin>2</ymin><ymax>40</ymax></bndbox>"
    text = (
        "<annotation><folder></folder><filename>a_jpg.rf.0123.jpg</filename><source><database>roboflow.com</database></source>"
        f"<size><width>64</width><height>48</height><depth>3</depth></size><object><name>tap</name><difficult>0</difficult>{box}{ring}</object></annotation>"
    )
    page = only(read_labels(put(tmp_path, "train/a_jpg.rf.0123.xml", text), shapes=True))
    assert page.boxes.tolist() == [[1, 2, 30, 40]]
    assert page.shapes == Polygons.of([[[(1, 2), (30, 4), (20, 40)]]])


def test_roboflow_coco_names_a_class_that_no_box_has(tmp_path: Path) -> None:
    for side in ("train", "valid"):
        picture(tmp_path, f"{side}/{side}.jpg")
        document = {
            "categories": [{"id": 0, "name": "taps", "supercategory": "none"}, {"id": 1, "name": "tap", "supercategory": "taps"}],
            "images": [{"id": 0, "file_name": f"{side}.jpg", "width": 64, "height": 48}],
            "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "segmentation": [], "iscrowd": 0}],
        }  # fmt: skip
        put(tmp_path, f"{side}/_annotations.coco.json", document)
    found = read_labels(tmp_path)
    assert [page.labels for page in found.values()] == [["tap"], ["tap"]]
    assert sorted(found.reading.splits.values()) == ["train", "valid"]


def test_label_studio_shapes_in_percent(tmp_path: Path) -> None:
    mask = np.zeros((48, 64), dtype=bool)
    mask[10:20, 5:9] = True
    size = {"original_width": 64, "original_height": 48, "from_name": "l", "to_name": "i"}
    triangle = {"points": [[25, 25], [50, 25], [50, 50]], "closed": True, "polygonlabels": ["tap"]}
    brush = {"format": "rle", "rle": studio_bytes(mask), "brushlabels": ["tap"]}
    tasks = [
        {
            "id": 1,
            "data": {"image": "a.png"},
            "annotations": [{"result": [{"type": "polygonlabels", "value": triangle, **size}]}],
        },
        {
            "id": 2,
            "data": {"image": "b.png"},
            "annotations": [{"result": [{"type": "brushlabels", "value": brush, **size}]}],
        },
    ]
    first, second = read_labels(put(tmp_path, "ls.json", tasks), shapes=True).values()
    assert first.shapes == Polygons.of([[[(16, 12), (32, 12), (32, 24)]]])
    assert second.shapes == Masks.from_arrays([mask])
    assert second.boxes.tolist() == [[5, 10, 9, 20]]


def test_yolo_segments_turned_boxes_and_poses(tmp_path: Path) -> None:
    for name, line in (
        ("seg", "0 0.1 0.1 0.5 0.1 0.5 0.5 0.3 0.6 0.1 0.5"),
        ("obb", "0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5"),
    ):
        picture(tmp_path, f"{name}/images/a.png", (100, 100))
        put(tmp_path, f"{name}/labels/a.txt", line + "\n")
        put(tmp_path, f"{name}/data.yaml", "train: images\nnames: [tap]\n")
    picture(tmp_path, "pose/images/a.png", (100, 100))
    put(tmp_path, "pose/labels/a.txt", "0 0.5 0.5 0.2 0.2 0.45 0.45 2 0.5 0.55 1 0 0 0\n")
    put(tmp_path, "pose/data.yaml", "train: images\nkpt_shape: [3, 3]\nnames: [tap]\n")
    seg, obb, pose = (
        only(read_labels(tmp_path / name, shapes=True)).shapes for name in ("seg", "obb", "pose")
    )
    assert np.allclose(seg.points, [[10, 10], [50, 10], [50, 50], [30, 60], [10, 50]])
    assert isinstance(obb, OrientedBoxes)
    assert np.allclose(obb.areas, 1250)
    assert isinstance(pose, Keypoints)
    assert np.allclose(pose.points, [[45, 45, 2], [50, 55, 1], [0, 0, 0]])


def test_dota_corners_that_are_no_rectangle_stay_as_they_are(tmp_path: Path) -> None:
    picture(tmp_path, "images/a.png")
    put(tmp_path, "labelTxt/a.txt", "10 20 30 20 38 40 10 30 ship 0\n1 2 3 2 3 4 1 4 ship 0\n")
    page = only(read_labels(tmp_path, shapes=True))
    assert page.shapes == Polygons.of(
        [[[(10, 20), (30, 20), (38, 40), (10, 30)]], [[(1, 2), (3, 2), (3, 4), (1, 4)]]]
    )


def test_cvat_skeletons_and_turned_boxes(tmp_path: Path) -> None:
    joints = "".join(
        f'<points label="{n}" outside="{n // 3}" occluded="{n % 2}" points="{10 * n},{5 * n}"/>'
        for n in (3, 1, 2)
    )
    text = (
        '<annotations><image id="0" name="a.png" width="64" height="48"><skeleton label="man" z_order="0">'
        f'{joints}</skeleton></image><image id="1" name="b.png" width="64" height="48">'
        '<box label="tap" xtl="10" ytl="10" xbr="30" ybr="20" rotation="30"/></image></annotations>'
    )
    man, tap = read_labels(put(tmp_path, "c.xml", text), shapes=True).values()
    assert man.shapes == Keypoints.of([[(10, 5, 1), (20, 10, 2), (30, 15, 0)]])
    assert man.boxes.tolist() == [[10, 5, 20, 10]]
    assert np.allclose(tap.shapes.rows, [[20, 15, 20, 10, 30]])


def test_lines_keep_their_box_and_are_said(tmp_path: Path) -> None:
    text = '<annotations><image id="0" name="a.png" width="64" height="48"><polyline label="pipe" points="1,2;30,4;20,40"/></image></annotations>'
    found = read_labels(put(tmp_path, "c.xml", text), shapes=True)
    assert only(found).shapes is None
    assert found.notes == ("1 object drawn as polyline keeps only the box around it",)


def test_sides_of_a_file_are_the_split(tmp_path: Path) -> None:
    from tilekit.datasets.splitting import split_from_labels

    for side in ("train", "val"):
        picture(tmp_path, f"images/{side}/{side}.png", (100, 100))
        put(tmp_path, f"labels/{side}/{side}.txt", "0 0.5 0.5 0.2 0.2\n")
    put(tmp_path, "data.yaml", "train: images/train\nval: images/val\nnames: [tap]\n")
    labels = read_labels(tmp_path)
    split = split_from_labels(labels)
    assert split is not None
    assert [key.source.endswith("val.png") for key in split.test] == [True]  # no test side: val is the test
    assert [key.source.endswith("train.png") for key in split.train] == [True]
    assert "train 1, tune 0, test 1" in split.notes[0]
    assert split_from_labels(labels.subset(list(split.train))) is None
    write_labels(labels, tmp_path / "x.xml", "cvat")
    assert read_labels(tmp_path / "x.xml").reading.splits == labels.reading.splits


@pytest.mark.parametrize(
    "geometry",
    [{"coordinates": [[[1, 2], [9, 2], [5, 9]]]}, {"type": "Polygon", "coordinates": [[1, 2], [9, 9]]}],
)
def test_geometries_that_are_none(tmp_path: Path, geometry: Any) -> None:
    feature = {"type": "Feature", "geometry": geometry, "properties": {"label": "tap", "source": "a.png"}}
    path = put(tmp_path, "x.geojson", {"type": "FeatureCollection", "features": [feature]})
    found = read_labels(path, strict=False, shapes=True)
    assert found.boxes + len(found.problems) == 1
    assert all(page.shapes is None for page in found.values())


def test_annotorious_as_its_own_examples_are(tmp_path: Path) -> None:
    def entry(selector: Any, *tags: str, source: str | None = "a.png") -> Any:
        body = [{"type": "TextualBody", "value": "a remark"}]
        body += [{"type": "TextualBody", "purpose": "tagging", "value": tag} for tag in tags]
        target = {"selector": selector} | ({} if source is None else {"source": source})
        return {
            "@context": "http://www.w3.org/ns/anno.jsonld",
            "id": "#1",
            "type": "Annotation",
            "body": body,
            "target": target,
        }

    def fragment(value: str) -> Any:
        return {"type": "FragmentSelector", "conformsTo": "http://www.w3.org/TR/media-frags/", "value": value}

    def drawing(value: str) -> Any:
        return [{"type": "SvgSelector", "value": f"<svg>{value}</svg>"}]

    picture(tmp_path, "a.png", (200, 100))
    picture(tmp_path, "list.png", (200, 100))
    entries = [
        entry(fragment("xywh=pixel:10,20,30,40"), "tap"),
        entry(fragment("xywh=10,20,30,40"), "tap"),
        entry(fragment("xywh=percent:10,20,50,40"), "tap"),
        entry(drawing("<polygon points='1,2 30,4 20,40 1,2'></polygon>"), "pump"),
        entry(drawing('<path d="M 1 2 L 30,4 L20 40 Z" />'), "pump"),
        entry(drawing('<circle cx="50" cy="40" r="10"></circle>'), "pump"),
        entry(fragment("xywh=pixel:1,2,3,4"), "tap", source=None),
    ]
    found = resolve_scans(read_labels(put(tmp_path, "list.json", entries), shapes=True))
    first, second = found.values()
    assert [key.source.rpartition("/")[2] for key in found] == ["a.png", "list.png"]
    assert first.boxes.tolist() == [
        [10, 20, 40, 60], [10, 20, 40, 60], [20, 20, 120, 60], [1, 2, 30, 40], [1, 2, 30, 40], [40, 30, 60, 50],
    ]  # fmt: skip
    assert first.shapes.given.tolist() == [False, False, False, True, True, True]
    assert second.boxes.tolist() == [[1, 2, 4, 6]]
    wrong = [
        entry(fragment("xywh=pixel:1,2,3"), "tap"),
        entry(fragment("xywh=pixel:1,2,3,4"), "tap", "pump"),
        entry(drawing('<path d="M 1 2 C 1 2 3 4 5 6 Z" />'), "pump"),
        entry({"type": "PointSelector", "value": "x"}, "pump"),
    ]
    found = read_labels(put(tmp_path, "wrong.json", wrong), strict=False)
    assert [problem.field for problem in found.problems] == [
        "[0].target.selector.value", "[1].body", "[2].target.selector.value", "[3].target.selector.type",
    ]  # fmt: skip


def test_scores_that_qupath_keeps_as_measurements(tmp_path: Path) -> None:
    ring = [[1, 2], [30, 2], [30, 40], [1, 40], [1, 2]]
    picture(tmp_path, "a.png")

    def feature(measurements: Any) -> Any:
        properties = {
            "objectType": "detection",
            "classification": {"name": "tap", "color": [1, 2, 3]},
            "measurements": measurements,
        }
        return {
            "type": "Feature",
            "id": "x",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": properties,
        }

    for form in ({"score": 0.25, "Area": 3}, [{"name": "score", "value": 0.25}]):
        found = read_labels(
            put(tmp_path, "a.geojson", {"type": "FeatureCollection", "features": [feature(form)]})
        )
        assert [scores.tolist() for scores in found.scores.values()] == [[0.25]]
    page = Detections([[1, 2, 3, 4]], [0.5], None, ("tap",))
    assert page.to_geojson()["features"][0]["properties"]["measurements"] == {"score": 0.5}
