"""What label tools write, one small file each, and what it means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tilekit.errors import LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import read_labels


def coco(annotations: list[dict[str, Any]], images: Any = None, categories: Any = None) -> str:
    entries = [
        {"id": n, "image_id": 1, "category_id": 1, "area": 1.0, "iscrowd": 0, **entry}
        for n, entry in enumerate(annotations, 1)
    ]
    return json.dumps(
        {
            "images": images or [{"id": 1, "file_name": "p.jpg", "width": 640, "height": 480}],
            "categories": categories or [{"id": 1, "name": "tap"}],
            "annotations": entries,
        }
    )


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def picture(folder: Path, name: str, size: tuple[int, int] = (64, 48)) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "white").save(folder / name)


def only(labels: LabelSet) -> tuple[list[list[float]], list[str]]:
    (page,) = labels.values()
    return page.boxes.tolist(), page.labels


TRACK = """<track id='0' label='tap' {more}><box frame='0' keyframe='1' outside='0' occluded='0' xtl='1' ytl='2' xbr='11' ybr='22'/>
<box frame='1' keyframe='0' outside='0' occluded='0' xtl='2' ytl='2' xbr='12' ybr='22'/>
<box frame='2' keyframe='1' outside='1' occluded='0' xtl='2' ytl='2' xbr='12' ybr='22'/></track>"""


def test_cvat_tracks_of_a_task_and_of_a_project(tmp_path: Path) -> None:
    size = "<original_size><width>640</width><height>480</height></original_size>"
    task = (
        f"<annotations><meta><task><name>tour</name>{size}</task></meta>{TRACK.format(more='')}</annotations>"
    )
    project = (
        f"<annotations><meta><project><tasks><task><id>4</id><name>a</name>{size}</task></tasks></project></meta>"
        + TRACK.format(more="task_id='4' subset='train'")
        + "</annotations>"
    )
    for name, text, source in (("t.xml", task, "tour"), ("p.xml", project, "a")):
        found = read_labels(put(tmp_path, name, text))
        assert [(Path(key.source).name, key.page) for key in found] == [(source, 0), (source, 1)]
        assert [page.boxes.tolist() for page in found.values()] == [[[1, 2, 11, 22]], [[2, 2, 12, 22]]]
        assert str(found.tally) == "3 entries: 2 boxes, 1 outside the picture in a frame"
    assert set(found.reading.splits.values()) == {"train"}
    picture(tmp_path, "images/frame_000001.png")
    picture(tmp_path, "images/frame_000000.png")
    keys = read_labels(tmp_path / "t.xml").pages()
    assert [Path(key.source).name for key in keys] == ["frame_000000.png", "frame_000001.png"]


def test_cvat_masks_give_the_box_of_their_pixels(tmp_path: Path) -> None:
    mask = "<mask label='tap' rle='22, 2, 8, 2, 66' left='100' top='50' width='10' height='10'/>"
    text = f"<annotations><image id='0' name='p.jpg' width='640' height='480'>{mask}</image></annotations>"
    assert only(read_labels(put(tmp_path, "m.xml", text))) == ([[102, 52, 104, 54]], ["tap"])
    bad = put(tmp_path, "b.xml", text.replace("66'", "65'"))
    with pytest.raises(
        LabelError, match=r"b\.xml: image\[0\]\.mask\[0\]\.rle: has 99 px for a mask of 10 x 10"
    ):
        read_labels(bad)


def test_createml(tmp_path: Path) -> None:
    at = {"x": 20, "y": 35, "width": 20, "height": 30}
    text = json.dumps([{"image": "a.jpg", "annotations": [{"label": "arrow", "coordinates": at}]}])
    assert only(read_labels(put(tmp_path, "c.json", text))) == ([[10, 20, 30, 50]], ["arrow"])


def test_darknet(tmp_path: Path) -> None:
    put(tmp_path, "obj.names", "arrow\nbox\n")
    put(
        tmp_path,
        "obj.data",
        "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
    )
    put(tmp_path, "train.txt", "data/obj_train_data/a.jpg\n")
    put(tmp_path, "obj_train_data/a.txt", "1 0.5 0.5 0.25 0.25\n")
    picture(tmp_path, "obj_train_data/a.jpg")
    for path in (tmp_path, tmp_path / "obj.data"):
        assert only(read_labels(path)) == ([[24, 18, 40, 30]], ["box"])


def test_dota(tmp_path: Path) -> None:
    lines = "imagesource:GoogleEarth\ngsd:0.15\n10.0 20.0 30.0 20.0 30.0 50.0 10.0 50.0 arrow 0\n15 60 35 70 30 80 10 70 arrow 1\n"
    put(tmp_path, "labelTxt/a.txt", lines)
    for path in (tmp_path, tmp_path / "labelTxt/a.txt"):
        (page,) = read_labels(path).values()
        assert page.boxes.tolist() == [[10, 20, 30, 50], [10, 60, 35, 80]]
        assert page.ignore.tolist() == [False, True]


def test_via_of_three_kinds(tmp_path: Path) -> None:
    shape = {"name": "rect", "x": 10, "y": 20, "width": 20, "height": 30}
    region = {"shape_attributes": shape, "region_attributes": {"label": "arrow"}}
    two = {"a.jpg12345": {"filename": "a.jpg", "size": 12345, "regions": [region], "file_attributes": {}}}
    three = {
        "project": {}, "config": {}, "attribute": {"1": {"aname": "label", "options": {"0": "arrow"}}},
        "file": {"1": {"fname": "a.jpg"}}, "view": {"1": {"fid_list": ["1"]}},
        "metadata": {"k": {"vid": "1", "xy": [2, 10, 20, 20, 30], "z": [], "av": {"1": "0"}}},
    }  # fmt: skip
    table = (
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
        'a.jpg,1,"{}",1,0,"{""name"":""rect"",""x"":10,""y"":20,""width"":20,""height"":30}","{""label"":""arrow""}"\n'
    )
    for name, text in (("2.json", json.dumps(two)), ("3.json", json.dumps(three)), ("t.csv", table)):
        found = read_labels(put(tmp_path, name, text))
        assert (found.format, *only(found)) == ("via", [[10, 20, 30, 50]], ["arrow"])


def test_open_images(tmp_path: Path) -> None:
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
    rows = "a,xclick,arrow,1,0.125,0.5,0.25,0.5,0,0,0,0,0\nb,xclick,arrow,1,0.125,0.5,0.25,0.5,0,0,1,0,0\n"
    path = put(tmp_path, "o.csv", header + rows)
    with pytest.raises(LabelError, match=r"line 2: the size of .*a.jpg is not known.*images="):
        read_labels(path)
    for name in "ab":
        picture(tmp_path, f"scans/{name}.jpg")
    found = read_labels(path, images=tmp_path / "scans")
    assert [page.boxes.tolist() for page in found.values()] == [[[8, 12, 32, 24]]] * 2
    assert [page.ignore.tolist() for page in found.values()] == [[False], [True]]


def test_a_coco_folder_and_its_side(tmp_path: Path) -> None:
    put(tmp_path, "annotations/instances_train.json", coco([{"bbox": [10, 20, 20, 20]}]))
    found = read_labels(tmp_path)
    assert (found.format, *only(found)) == ("coco", [[10, 20, 30, 40]], ["tap"])
    assert set(found.reading.splits.values()) == {"train"}


def test_label_studio_accounts_for_four_entries(tmp_path: Path) -> None:
    size = {"from_name": "l", "to_name": "i", "original_width": 640, "original_height": 480}
    box = {"x": 10, "y": 10, "width": 10, "height": 10, "rotation": 0, "rectanglelabels": ["arrow", "box"]}
    regions = [
        {"id": "1", "type": "rectanglelabels", **size, "value": box},
        {
            "id": "2",
            "type": "brushlabels",
            **size,
            "value": {"format": "rle", "rle": [0, 1], "brushlabels": ["arrow"]},
        },
        {
            "id": "3",
            "type": "keypointlabels",
            **size,
            "value": {"x": 5, "y": 5, "width": 1, "keypointlabels": ["arrow"]},
        },
    ]
    task = [{"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"id": 1, "result": regions}]}]
    found = read_labels(put(tmp_path, "l.json", json.dumps(task)), strict=False)
    assert only(found) == ([[64, 48, 128, 96]] * 2, ["arrow", "box"])
    assert str(found.tally) == "4 entries: 2 boxes, 2 problems"


def test_label_studio_addresses_and_two_annotators(tmp_path: Path) -> None:
    def region(x: float) -> dict[str, Any]:
        value = {"x": x, "y": 10, "width": 10, "height": 10, "rotation": 0, "rectanglelabels": ["tap"]}
        return {
            "id": "r",
            "type": "rectanglelabels",
            "original_width": 640,
            "original_height": 480,
            "value": value,
        }

    data = {"image": "http://host.example/files/set%2Fa.jpg?t=1"}
    path = put(tmp_path, "u.json", json.dumps([{"data": data, "annotations": [{"result": [region(10)]}]}]))
    picture(tmp_path, "flat/a.jpg")
    picture(tmp_path, "deep/set/a.jpg")
    for images, name in (("flat", "flat/a.jpg"), ("deep", "deep/set/a.jpg"), ("none", "none/a.jpg")):
        assert read_labels(path, images=tmp_path / images).pages()[0].source == str(tmp_path / name)
    two = [
        {
            "data": {"image": "a.jpg"},
            "annotations": [{"result": [region(10)]}, {"result": [region(10.2), region(60)]}],
        }
    ]
    path = put(tmp_path, "two.json", json.dumps(two))
    with pytest.raises(LabelError, match="named twice"):
        read_labels(path)
    counts = {
        policy: read_labels(path, duplicates=policy).boxes for policy in ("union", "first", "consensus")
    }  # type: ignore[arg-type]
    assert counts == {"union": 3, "first": 1, "consensus": 1}
    (page,) = read_labels(path, duplicates="consensus").values()
    assert page.boxes[0, 0] == pytest.approx(64.64)


def test_shares_are_never_taken_for_pixels(tmp_path: Path) -> None:
    path = put(tmp_path, "s.json", coco([{"bbox": [0.1, 0.1, 0.2, 0.2]}]))
    with pytest.raises(LabelError, match="units='share'"):
        read_labels(path)
    assert only(read_labels(path, units="share"))[0] == [[64, 48, 192, 144]]
    assert read_labels(path, units="px").boxes == 1
    table = put(tmp_path, "t.csv", "filename,class,xmin,ymin,xmax,ymax\na.jpg,tap,0.1,0.1,0.4,0.5\n")
    with pytest.raises(LabelError, match="units='share'"):
        read_labels(table)
    degrees = {"type": "Polygon", "coordinates": [[[8.5, 47.1], [8.6, 47.1], [8.6, 47.2], [8.5, 47.1]]]}
    features = [{"type": "Feature", "geometry": degrees, "properties": {"name": "lake"}}]
    earth = put(tmp_path, "e.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.raises(LabelError, match="places on the earth"):
        read_labels(earth)


def test_a_page_named_twice_is_a_stated_conflict(tmp_path: Path) -> None:
    images = [{"id": k, "file_name": "a.jpg", "width": 64, "height": 48} for k in (1, 2)]
    path = put(tmp_path, "t.json", coco([{"bbox": [10, 10, 20, 20], "image_id": k} for k in (1, 2)], images))
    with pytest.raises(
        LabelError, match=r"images\[1\]: .*a.jpg is named twice, first in images\[0\]; .*duplicates='union'"
    ):
        read_labels(path)
    for policy in ("union", "first", "consensus"):
        found = read_labels(path, duplicates=policy)  # type: ignore[arg-type]
        assert found.boxes == 1
        assert found.tally is not None
        assert found.tally.entries == 2


def test_one_id_for_two_images(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": name, "width": 640, "height": 480} for name in ("p.jpg", "q.jpg")]
    path = put(tmp_path, "o.json", coco([{"bbox": [10, 10, 20, 20]}, {"bbox": [50, 10, 20, 20]}], images))
    with pytest.raises(LabelError, match=r"images\[0\].id"):
        read_labels(path)
    found = read_labels(path, strict=False)
    assert (len(found), len(found.unlabeled), found.tally and found.tally.problems) == (0, 2, 2)
    names = [{"id": 1, "name": "tap"}, {"id": 1, "name": "valve"}]
    with pytest.raises(LabelError, match=r"categories\[1\].id"):
        read_labels(put(tmp_path, "c.json", coco([], None, names)))


@pytest.mark.parametrize(
    ("entry", "images", "boxes"),
    [
        ({"bbox": [0, 327, "511.0000", "56.0000"]}, None, [[0, 327, 511, 383]]),
        ({"bbox": [10, 30, 60, 20], "attributes": {"rotation": 90.0}}, None, [[30, 10, 50, 70]]),
        (
            {"bbox": [10, 10, 20, 20]},
            [{"id": 1, "file_name": "p.jpg", "width": 0, "height": 0}],
            [[10, 10, 30, 30]],
        ),
        ({"bbox": [10, 10, 20, 20], "image_id": "1"}, None, [[10, 10, 30, 30]]),
        ({"bbox": [10, 10, 20, 20], "iscrowd": None}, None, [[10, 10, 30, 30]]),
    ],
)
def test_coco_as_exporters_write_it(tmp_path: Path, entry: Any, images: Any, boxes: Any) -> None:
    assert only(read_labels(put(tmp_path, "x.json", coco([entry], images))))[0] == boxes


def test_brushed_objects_are_said_and_can_be_boxes(tmp_path: Path) -> None:
    mask = {"counts": [40, 30, 450, 30, 306650], "size": [480, 640]}
    path = put(tmp_path, "b.json", coco([{"segmentation": mask, "bbox": [0, 40, 2, 30], "iscrowd": 1}]))
    found = read_labels(path)
    assert next(iter(found.values())).ignore.tolist() == [True]
    assert "crowd='box'" in found.notes[0]
    assert next(iter(read_labels(path, crowd="box").values())).ignore.tolist() == [False]
    (page,) = read_labels(put(tmp_path, "n.json", coco([{"segmentation": mask}]))).values()
    assert page.boxes.tolist() == [[0, 40, 2, 70]]


def test_a_page_whose_labels_were_refused_is_no_background(tmp_path: Path) -> None:
    images = [
        {"id": k, "file_name": name, "width": 640, "height": 480} for k, name in ((1, "p.jpg"), (2, "q.jpg"))
    ]
    found = read_labels(put(tmp_path, "h.json", coco([{"bbox": [10, 10, -5, 20]}], images)), strict=False)
    assert [Path(key.source).name for key in found] == ["q.jpg"]
    assert [Path(key.source).name for key in found.unlabeled] == ["p.jpg"]


def test_yolo_folders_as_they_are_exported(tmp_path: Path) -> None:
    put(tmp_path, "data.yaml", "train: ../train/images\nval: ../valid/images\nnames: ['book', 'box']\n")
    put(tmp_path, "README.dataset.txt", "taps > 1\nprovided by a user\n")
    for where, line in (("train", "0 0.5 0.5 0.25 0.25\n"), ("other-training", "1 0.5 0.5 0.5 0.5\n")):
        put(tmp_path, f"{where}/labels/a.txt", line)
        picture(tmp_path, f"{where}/images/a.jpg")
    picture(tmp_path, "train/images/b.jpg")
    found = read_labels(tmp_path)
    assert only(found) == ([[24, 18, 40, 30]], ["book"])
    assert [Path(key.source).name for key in found.unlabeled] == ["b.jpg"]
    assert len(read_labels(tmp_path, no_file="empty")) == 2


def test_yolo_pages_named_like_lists_and_pose_lines(tmp_path: Path) -> None:
    put(tmp_path, "data.yaml", "train: images\nkpt_shape: [2, 3]\nnames: ['tap']\n")
    for name in ("train", "test", "classes"):
        put(tmp_path, f"labels/{name}.txt", "0 0.5 0.5 0.25 0.25 0.4 0.4 2 0.6 0.6 1\n")
        picture(tmp_path, f"images/{name}.jpg")
    found = read_labels(tmp_path)
    assert [page.boxes.tolist() for page in found.values()] == [[[24, 18, 40, 30]]] * 3
    (tmp_path / "data.yaml").write_text("train: images\nnames: ['tap']\n")
    put(tmp_path, "labels/test.txt", "0 0.5 0.5 0.25 0.25 0.4 0.4 2 0.6 0.6 1 0.1\n")
    with pytest.raises(LabelError, match="kpt_shape"):
        read_labels(tmp_path)


def test_a_name_that_no_image_can_have(tmp_path: Path) -> None:
    put(tmp_path, "data.yaml", "path: .\ntrain: images\nval: images\nnames: ['tap']\n")
    put(tmp_path, "labels/a.txt", "0 0.5 0.5 0.25 0.25\n")
    put(tmp_path, "labels/" + "n" * 251 + ".txt", "0 0.5 0.5 0.25 0.25\n")
    picture(tmp_path, "images/a.jpg")
    found = read_labels(tmp_path, strict=False)
    assert (found.boxes, len(found.problems)) == (1, 1)


def test_two_voc_files_that_name_one_image(tmp_path: Path) -> None:
    def voc(name: str, x: int) -> str:
        box = f"<xmin>{x}</xmin><ymin>5</ymin><xmax>{x + 9}</xmax><ymax>14</ymax>"
        return f"<annotation><filename>{name}</filename><object><name>tap</name><bndbox>{box}</bndbox></object></annotation>"

    put(tmp_path, "a.xml", voc("a.jpg", 5))
    put(tmp_path, "b.xml", voc("a.jpg", 30))
    with pytest.raises(LabelError, match="named twice"):
        read_labels(tmp_path)
    picture(tmp_path, "a.jpg")
    picture(tmp_path, "b.jpg")
    found = read_labels(tmp_path)
    assert [(Path(key.source).name, page.boxes[0, 0]) for key, page in found.items()] == [
        ("a.jpg", 5),
        ("b.jpg", 30),
    ]
    assert "b.jpg lies beside it" in found.notes[0]


def test_labelme_masks_and_old_xml(tmp_path: Path) -> None:
    shape = {"label": "x", "shape_type": "mask", "points": [[10, 20], [29, 49]], "mask": None}
    page = {"imagePath": "a.jpg", "imageWidth": 64, "imageHeight": 64, "shapes": [shape]}
    assert only(read_labels(put(tmp_path, "m.json", json.dumps(page))))[0] == [[10, 20, 30, 50]]
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((1, 2), (9, 2), (5, 8)))
    old = f"<annotation><filename>a.jpg</filename><object><name>x</name><deleted>0</deleted><polygon>{points}</polygon></object></annotation>"
    assert only(read_labels(put(tmp_path, "o.xml", old)))[0] == [[1, 2, 9, 8]]


MANIFEST_META = {
    "human-annotated": "yes",
    "creation-date": "2026-01-01T00:00:00.000000",
    "job-name": "labeling-job/a",
}


def test_manifests_that_are_no_boxes(tmp_path: Path) -> None:
    color = {"0": {"class-name": "BACKGROUND"}, "1": {"class-name": "chip", "hex-color": "#2ca02c"}}
    meta = {"type": "groundtruth/semantic-segmentation", "internal-color-map": color, **MANIFEST_META}
    line = {"source-ref": "s3://b/s.png", "seg-ref": "s3://b/0.png", "seg-ref-metadata": meta}
    path = put(tmp_path, "seg.manifest", json.dumps(line))
    with pytest.raises(LabelError, match=r"line 1: seg-ref: labels s3://b/s.png by a mask image \(chip\)"):
        read_labels(path)
    found = read_labels(path, strict=False)
    assert found.tally is not None
    assert (found.tally.problems, found.tally.unlabeled) == (1, 0)


@pytest.mark.parametrize(
    "text",
    [
        '{"source-ref": "s3://bucket-x/a\\u0000.jpg"}',
        '{"source-ref": "s3://bucket-x/\\ud800.jpg"}',
        '{"source-ref": ["a.jpg"]}',
        '{"source-ref": 1e400}',
        '{"source-ref": "a.jpg", "b": {"annotations": [' + "[" * 3000 + "]" * 3000 + "]}}",
        '{"source-ref": "a.jpg", "b": {"image_size": [{"width": 1' + "0" * 400 + ', "height": 5, "depth": 3}], "annotations": []}, '
        '"b-metadata": {"objects": [], "class-map": {}, "type": "groundtruth/object-detection"}}',
        '{"source-ref": "a.jpg", "b": {"annotations": [{"class_id": 1e400, "left": 1, "top": 1, "width": 1, "height": 1}]}, '
        '"b-metadata": {"objects": [], "class-map": {}, "type": "groundtruth/object-detection"}}',
    ],
)  # fmt: skip
def test_odd_json_is_one_sentence_with_the_line(tmp_path: Path, text: str) -> None:
    path = put(tmp_path, "x.manifest", '{"source-ref": "ok.jpg"}\n' + text + "\n")
    with pytest.raises(LabelError, match=r"x\.manifest, line 2: "):
        read_labels(path)
    assert len(read_labels(path, strict=False).problems) == 1
