"""The table of formats in docs/labels.md, cell by cell: what it says is what happens."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.shapes import Keypoints, Masks, OrientedBoxes, Polygons, Shapes
from tilekit.errors import InvalidArgument
from tilekit.labels.label_set import ImageLabel, LabelSet, Reading
from tilekit.labels.masks import mask_png
from tilekit.labels.reading import FOLDERS, FORMATS, WRITABLE, read_labels, write_labels
from tilekit.pages import PageKey

DOCS = Path(__file__).parents[2] / "docs/labels.md"
ENDING = {"csv": ".csv", "open-images": ".csv", "cvat": ".xml", "ground-truth": ".manifest"}


def table() -> dict[tuple[str, str], str]:
    """(format, column) -> cell of the table that begins with `| format | polygon |`."""
    text = DOCS.read_text(encoding="utf-8")
    lines = text[text.index("| format | polygon |") :].split("\n\n", 1)[0].splitlines()
    header, _, *rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    return {
        (row[0].strip("`"), name): cell
        for row in rows
        for name, cell in zip(header[1:], row[1:], strict=True)
    }


CELLS = table()
DRAWN: dict[str, Shapes] = {
    "polygon": Polygons.of([[[(1, 2), (30, 4), (20, 40)]]]),
    "oriented": OrientedBoxes([[30, 24, 20, 10, 30]]),
    "mask": Masks.from_arrays([np.triu(np.ones((9, 7)))], [[3, 4]]),
    "key points": Keypoints.of([[[3, 4, 2], [10, 12, 1], [5, 30, 2]]]),
}
KIND = {"polygon": "polygon", "oriented": "oriented", "mask": "mask", "keypoints": "key points"}


def vott(kind: str) -> Any:
    points = [{"x": 1, "y": 2}, {"x": 30, "y": 4}, {"x": 20, "y": 40}]
    box = {"left": 1, "top": 2, "width": 29, "height": 38}
    region = {
        "type": "POLYGON" if kind == "polygon" else "RECTANGLE",
        "tags": ["x"],
        "boundingBox": box,
        "points": points,
    }
    return {
        "assets": {
            "1": {"asset": {"name": "a.png", "size": {"width": 64, "height": 48}}, "regions": [region]}
        }
    }


def supervisely(kind: str) -> Any:
    points = {"exterior": [[1, 2], [30, 4], [20, 40]], "interior": []}
    item: dict[str, Any] = {"classTitle": "x", "geometryType": "polygon", "points": points}
    if kind == "mask":
        data = base64.b64encode(zlib.compress(mask_png(np.triu(np.ones((9, 7))) > 0))).decode()
        item = {"classTitle": "x", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [3, 4]}}
    if kind in ("oriented", "key points"):
        item = {
            "classTitle": "x",
            "geometryType": "rectangle",
            "points": {"exterior": [[1, 2], [30, 40]], "interior": []},
        }
    return {"size": {"width": 64, "height": 48}, "tags": [], "objects": [item]}


def labelbox(kind: str) -> Any:
    found: dict[str, Any] = {"name": "x", "bounding_box": {"left": 1, "top": 2, "width": 29, "height": 38}}
    if kind == "polygon":
        found = {"name": "x", "polygon": [{"x": 1, "y": 2}, {"x": 30, "y": 4}, {"x": 20, "y": 40}]}
    labels = [{"annotations": {"objects": [found], "classifications": []}}]
    media = {"width": 64, "height": 48}
    return {
        "data_row": {"external_id": "a.png"},
        "media_attributes": media,
        "projects": {"p": {"labels": labels}},
    }


READ: dict[str, Callable[[str], Any]] = {"vott": vott, "supervisely": supervisely, "labelbox": labelbox}


@pytest.fixture
def page(tmp_path: Path) -> PageKey:
    Image.new("L", (64, 48)).save(tmp_path / "a.png")
    return PageKey(str(tmp_path / "a.png"))


def place(folder: Path, name: str) -> Path:
    return folder / "out" if name in FOLDERS else folder / f"x{ENDING.get(name, '.json')}"


def test_every_format_has_its_row() -> None:
    assert {name for name, _ in CELLS} == set(FORMATS)
    columns = {column for _, column in CELLS}
    assert columns == {*DRAWN, "sides", "scores", "page labels", "written"}


@pytest.mark.parametrize(("name", "kind"), [cell for cell in CELLS if cell[1] in DRAWN])
def test_shapes(name: str, kind: str, tmp_path: Path, page: PageKey) -> None:
    path = place(tmp_path, name)
    if name in WRITABLE:
        shapes = DRAWN[kind]
        drawn = LabelSet({page: Annotations.from_shapes(shapes, None, ("x",))}, sizes={page: (64, 48)})
        said = write_labels(drawn, path, name)
        back = read_labels(
            path, name, shapes=True, images=tmp_path if name in ("dota", "kitti", "open-images") else None
        )
    elif name == "wider":
        path.write_text("a.png\n1\n1 2 29 38 0 0 0 0 0 0\n")
        back, said = read_labels(path, name, shapes=True), ()
    else:
        path.write_text(json.dumps(READ[name](kind)))
        back, said = read_labels(path, name, shapes=True), ()
    (found,) = back.values()
    kept = "-" if found.shapes is None else KIND[found.shapes.kind]
    if name not in WRITABLE:
        assert CELLS[name, kind] == ("read" if kept == kind else "-")
        return
    assert CELLS[name, kind] == {"polygon": "outline", kind: "kept"}.get(kept, "box")
    assert ("stays" in " ".join(said)) == (CELLS[name, kind] == "box")


def sided(name: str, folder: Path) -> Path:
    """A folder or file of a format with two sides, one page each, as its tools lay them out."""
    for side in ("train", "val"):
        image, document = f"{side}.png", ""
        (folder / f"images/{side}").mkdir(parents=True)
        Image.new("L", (64, 48)).save(folder / f"images/{side}/{image}")
        if name == "coco":
            document = {
                "images": [{"id": 1, "file_name": image, "width": 64, "height": 48}],
                "annotations": [],
                "categories": [],
            }
            file = folder / f"annotations/instances_{side}.json"
        elif name == "createml":
            document, file = (
                [{"image": image, "annotations": []}],
                folder / side / "_annotations.createml.json",
            )
        elif name == "datumaro":
            items = [{"id": side, "annotations": [], "image": {"path": image, "size": [48, 64]}}]
            document, file = (
                {"categories": {"label": {"labels": []}}, "items": items},
                folder / f"annotations/{side}.json",
            )
        elif name == "yolo":
            document, file = "", folder / f"labels/{side}/{side}.txt"
        else:
            text = "".join(
                f'<image name="{s}.png" width="64" height="48" subset="{s}"/>' for s in ("train", "val")
            )
            (folder / "x.xml").write_text(f"<annotations>{text}</annotations>")
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document) if document != "" else "")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [x]\n")
    return folder / "x.xml" if name == "cvat" else folder


@pytest.mark.parametrize("name", [name for name, column in CELLS if column == "sides"])
def test_sides(name: str, tmp_path: Path, page: PageKey) -> None:
    cell = CELLS[name, "sides"]
    if cell in ("read", "kept"):
        found = read_labels(sided(name, tmp_path / "d"), name)
        assert sorted(found.reading.splits.values()) == ["train", "val"]
    if name not in WRITABLE:
        assert cell == "-"
        return
    labels = LabelSet(
        {page: Annotations([[1, 2, 3, 4]], None, ("x",))},
        sizes={page: (64, 48)},
        reading=Reading(splits={page: "train"}),
    )
    said = " ".join(write_labels(labels, place(tmp_path, name), name))
    assert ("side of the split" in said) == (cell != "kept")


@pytest.mark.parametrize("name", [name for name, column in CELLS if column == "scores"])
def test_scores(name: str, tmp_path: Path, page: PageKey) -> None:
    labels = LabelSet(
        {page: Annotations([[1, 2, 3, 4]], None, ("x",))}, sizes={page: (64, 48)}, scores={page: [1 / 3]}
    )
    cell, path = CELLS[name, "scores"], place(tmp_path, name)
    if cell == "kept":
        assert write_labels(labels, path, name) == ()
        options: dict[str, Any] = {"predictions": True} if name == "label-studio" else {}
        back = read_labels(path, name, images=tmp_path if name == "kitti" else None, **options)
        assert [score for found in back.scores.values() for score in found.tolist()] == [1 / 3]
        return
    assert cell == ("refused" if name in WRITABLE else "-")
    with pytest.raises(InvalidArgument, match=r"scores|only read"):
        write_labels(labels, path, name)


@pytest.mark.parametrize("name", [name for name, column in CELLS if column == "page labels"])
def test_page_labels(name: str, tmp_path: Path, page: PageKey) -> None:
    marks = {page: (ImageLabel("torn"),)}
    labels = LabelSet(
        {page: Annotations([[1, 2, 3, 4]], None, ("x",))}, sizes={page: (64, 48)}, image_labels=marks
    )
    cell, path = CELLS[name, "page labels"], place(tmp_path, name)
    if name not in WRITABLE:
        document = READ[name]("polygon") if name in READ else {}
        document["tags"] = [{"name": "torn"}]
        if name == "labelbox":
            (label,) = document["projects"]["p"]["labels"]
            label["annotations"]["classifications"] = [{"radio_answer": {"name": "torn"}}]
        path.write_text("a.png\n1\n1 2 29 38 0 0 0 0 0 0\n" if name == "wider" else json.dumps(document))
        found = [mark.name for given in read_labels(path, name).image_labels.values() for mark in given]
        assert cell == ("read" if found == ["torn"] else "-")
        return
    said = write_labels(labels, path, name)
    back = read_labels(path, name, images=tmp_path if name in ("dota", "kitti", "open-images") else None)
    assert (list(back.image_labels.values()) == list(marks.values())) == (cell == "kept")
    assert ("label of a whole page" in " ".join(said)) == (cell != "kept")


@pytest.mark.parametrize("name", [name for name, column in CELLS if column == "written"])
def test_written(name: str) -> None:
    assert CELLS[name, "written"] == (
        "no" if name not in WRITABLE else "folder" if name in FOLDERS else "file"
    )


def test_words_of_the_table_are_explained() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for word in sorted(set(CELLS.values())):
        assert word == "-" or re.search(rf"\*{word}\*", text), word
