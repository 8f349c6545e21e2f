"""What a person decides about reading, the same for all formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tilekit.cli.labels import labels
from tilekit.errors import LabelError
from tilekit.labels.reading import read_labels


def coco(path: Path, boxes: list[list[float]]) -> Path:
    """A COCO file of one page of 100 x 80."""
    document = {
        "images": [{"id": 1, "file_name": "p.png", "width": 100, "height": 80}],
        "categories": [{"id": 1, "name": "valve"}],
        "annotations": [
            {"id": place, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for place, box in enumerate(boxes, 1)
        ],
    }
    path.write_text(json.dumps(document))
    return path


def test_boxes_that_pass_the_edge_are_clipped_where_asked(tmp_path: Path) -> None:
    path = coco(tmp_path / "a.json", [[10, 10, 20, 20], [90, 70, 30, 30], [-15, 5, 20, 10]])
    with pytest.raises(LabelError, match="--clip"):
        read_labels(path)
    lenient = read_labels(path, strict=False)
    assert (lenient.boxes, len(lenient.problems)) == (1, 2)
    found = read_labels(path, clip=True)
    (page,) = found.values()
    assert page.boxes.tolist() == [[10, 10, 30, 30], [90, 70, 100, 80], [0, 5, 5, 15]]
    assert any("2 boxes passed the edge of their page and were clipped" in note for note in found.notes)
    assert not found.problems


def test_a_box_that_lies_off_its_page_is_no_box_with_clip_either(tmp_path: Path) -> None:
    path = coco(tmp_path / "a.json", [[10, 10, 20, 20], [150, 10, 20, 20]])
    with pytest.raises(LabelError, match="outside the page"):
        read_labels(path, clip=True)
    assert read_labels(path, clip=True, strict=False).boxes == 1


def test_the_command_takes_clip(tmp_path: Path) -> None:
    path = coco(tmp_path / "a.json", [[90, 70, 30, 30]])
    out = tmp_path / "b.json"
    told = CliRunner().invoke(labels, ["convert", str(path), str(out), "--to", "coco", "--clip"])
    assert told.exit_code == 0, told.output
    assert "1 box passed the edge" in told.output
    assert json.loads(out.read_text())["annotations"][0]["bbox"] == [90, 70, 10, 10]


def outlined(path: Path, *outlines: list[float], box: tuple[float, ...] = (10, 10, 20, 20)) -> Path:
    document = json.loads(coco(path, [list(box)] * len(outlines)).read_text())
    for entry, outline in zip(document["annotations"], outlines, strict=True):
        entry["segmentation"] = [outline]
    path.write_text(json.dumps(document))
    return path


INSIDE = [10, 10, 30, 10, 30, 30]


def test_a_shape_that_lies_off_its_page_is_named_though_its_box_lies_on_it(tmp_path: Path) -> None:
    path = outlined(tmp_path / "a.json", INSIDE, [510, 10, 530, 10, 530, 30], [10, -90, 30, -90, 30, -70])
    for clip in (False, True):
        with pytest.raises(
            LabelError, match=r"annotations\[1\].*polygon at 510, 10 to 530, 30, outside the page"
        ):
            read_labels(path, shapes=True, clip=clip)
        found = read_labels(path, shapes=True, clip=clip, strict=False)
        assert str(found.tally).startswith("3 entries: 1 box, 2 problems")
        (page,) = found.values()
        assert page.shapes.areas.tolist() == [200]
    assert read_labels(path).boxes == 3  # who asks for no shapes takes the boxes


def test_a_shape_apart_from_its_box_is_named(tmp_path: Path) -> None:
    path = outlined(tmp_path / "a.json", [60, 60, 80, 60, 80, 79], INSIDE)
    with pytest.raises(LabelError, match="apart from its box at 10, 10 to 30, 30"):
        read_labels(path, shapes=True)
    assert read_labels(path, shapes=True, strict=False).boxes == 1
    near = outlined(tmp_path / "b.json", [30, 30, 40, 30, 40, 40])  # touches it, as rounding may
    assert read_labels(near, shapes=True).boxes == 1


def test_a_shape_that_passes_the_edge_is_clipped_where_asked(tmp_path: Path) -> None:
    beyond, little = [80, 10, 140, 10, 140, 30, 80, 30], [80, 10, 100.5, 10, 100.5, 30, 80, 30]
    path = outlined(tmp_path / "a.json", beyond, little, box=(80, 10, 20, 20))
    with pytest.raises(LabelError, match="clip it"):
        read_labels(path, shapes=True)
    (page,) = read_labels(path, shapes=True, strict=False).values()
    assert page.shapes.areas.tolist() == [400]  # what rounding adds counts for nothing
    found = read_labels(path, shapes=True, clip=True)
    (page,) = found.values()
    assert page.shapes.areas.tolist() == [400, 400]
    assert any("1 shape passed the edge of its page and was clipped" in note for note in found.notes)
