"""No label lost: the entries of a file, counted naively, are all in the tally, whatever was done to the file."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tests.labels.strategies import label_sets, words
from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.label_set import LabelSet, Problem, Reading
from tilekit.labels.reading import FOLDERS, FORMATS, WRITABLE, read_labels, write_labels
from tilekit.labels.tally import Tally
from tilekit.pages import PageKey

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    3,
    0.5,
    1e300,
    10**400,
    "",
    "x",
    "7",
    "nan",
    "a\0b",
    [],
    {},
    [1, 2],
    {"x": 1},
    [[]],
]

READ_ONLY: dict[str, Any] = {
    "vott": {
        "tags": [{"name": "x"}],
        "assets": {
            "1": {
                "asset": {"name": "a.jpg", "size": {"width": 50, "height": 40}, "state": 2},
                "regions": [
                    {"type": "RECTANGLE", "tags": ["x", "y"], "boundingBox": {"left": 1, "top": 2, "width": 9, "height": 8}},
                    {"type": "POINT", "tags": ["x"], "points": [{"x": 1, "y": 2}]},
                ],
            }
        },
    },
    "labelbox": [
        {
            "data_row": {"external_id": "a.jpg"},
            "media_attributes": {"width": 50, "height": 40},
            "projects": {
                "p": {
                    "labels": [
                        {
                            "annotations": {
                                "objects": [
                                    {"name": "x", "bounding_box": {"left": 1, "top": 2, "width": 9, "height": 8}},
                                    {"name": "y", "polygon": [{"x": 1, "y": 1}, {"x": 9, "y": 1}, {"x": 5, "y": 9}]},
                                    {"name": "z", "point": {"x": 1, "y": 1}},
                                ],
                                "classifications": [{"radio_answer": {"name": "plan"}}],
                            }
                        }
                    ]
                }
            },
        }
    ],
    "supervisely": {
        "size": {"width": 50, "height": 40},
        "tags": [{"name": "plan"}],
        "objects": [
            {"classTitle": "x", "geometryType": "rectangle", "points": {"exterior": [[1, 2], [10, 20]], "interior": []}},
            {"classTitle": "y", "geometryType": "point", "points": {"exterior": [[1, 2]]}},
        ],
    },
}  # fmt: skip
SUFFIX = {"cvat": ".xml", "csv": ".csv", "open-images": ".csv", "ground-truth": ".manifest"}


def counted_xml(text: str | bytes) -> int:
    root = ET.fromstring(text)
    if root.tag == "annotations":
        return sum(len(list(image)) for image in root.iterfind("image"))
    return len(root.findall("object")) + len(root.findall("object/part"))


def counted_json(name: str, document: Any) -> int:
    """Entries of a document as anybody would count them who knows the format."""
    many: Callable[[Any], int] = lambda value: len(value) if isinstance(value, list) else 0  # noqa: E731
    if name == "coco":
        return many(document["annotations"])
    if name == "geojson":
        return many(document["features"])
    if name == "labelme":
        flags = document.get("flags")
        raised = [value for value in (flags if isinstance(flags, dict) else {}).values() if value is True]
        return many(document["shapes"]) + len(raised)
    if name == "pdf-points":
        return sum(many(page.get("boxes")) for page in document["pages"] if isinstance(page, dict))
    raise AssertionError(f"nobody counts the entries of {name}")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, part in value.items():
            found += leaves(part, (*path, key))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            found += leaves(part, (*path, place))
    return found


def mutated(document: Any, data: st.DataObject) -> Any:
    """The document with up to three values replaced by odd ones."""
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(0, 3))):
        places = leaves(document)
        if not places:
            break
        *way, last = data.draw(st.sampled_from(places))
        inside = document
        for step in way:
            inside = inside[step]
        inside[last] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
    return document


def write(labels: LabelSet, path: Path, name: str) -> None:
    """Write what a format has a place for; an example of which nothing would be left is another one's turn."""
    try:
        write_labels(labels, path, name)
    except LabelError as exc:
        if "nothing would be left to write" not in str(exc):
            raise
        reject()


def held(path: Path, name: str) -> LabelSet | None:
    """What comes out leniently; None where the file as a whole is refused in a sentence."""
    try:
        found = read_labels(path, name, strict=False, units="px", shapes=True)
    except LabelError:
        return None
    tally = found.tally
    assert tally is not None
    boxes = sum(len(page) for page in found.values())
    assert tally.boxes + tally.ignored == boxes
    assert tally.problems == sum(problem.entries for problem in found.problems)
    parts = (tally.boxes, tally.ignored, tally.problems, tally.unlabeled, tally.page_labels)
    assert tally.entries == sum(parts) + sum(tally.passed.values())
    return found


@pytest.mark.parametrize(
    "name", [n for n in FORMATS if n not in FOLDERS and n not in ("cvat", "csv", "open-images", "wider")]
)
@settings(max_examples=30)
@given(data=st.data())
def test_entries_of_json_are_accounted_for(name: str, data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp(name)
    path = folder / f"x{SUFFIX.get(name, '.json')}"
    if name in READ_ONLY:
        documents = [READ_ONLY[name]]
    else:
        write(data.draw(label_sets(labels=words, pdf=False, ignore=True)), path, name)
        text = path.read_text()
        documents = (
            [json.loads(line) for line in text.splitlines()] if name == "ground-truth" else [json.loads(text)]
        )
    documents = [mutated(document, data) for document in documents]
    path.write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
    found = held(path, name)
    if found is not None and name in ("coco", "geojson", "pdf-points"):
        assert found.tally is not None
        assert found.tally.entries == counted_json(name, documents[0])


@pytest.mark.parametrize("name", ["voc", "cvat", "csv", "open-images", "yolo", "dota", "kitti", "labelme"])
@settings(max_examples=25)
@given(data=st.data())
def test_entries_of_text_are_accounted_for(name: str, data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp(name)
    drawn = data.draw(label_sets(labels=words, pdf=False, ignore=True, folders=False))
    path = folder if name in FOLDERS else folder / f"x{SUFFIX.get(name, '.json')}"
    write(drawn, path, name)
    files = (
        [path]
        if path.is_file()
        else sorted(p for p in path.rglob("*") if p.suffix in (".txt", ".xml", ".json"))
    )
    files = [file for file in files if file.name != "pages.json"]
    file = data.draw(st.sampled_from(files))
    text = file.read_text(encoding="utf-8")
    words_ = list(re.finditer(r"[0-9a-z.]+", text))
    if words_:
        place = data.draw(st.sampled_from(words_))
        new = data.draw(st.sampled_from(["", "x", "-5", "1e99", "nan", "99999999", "<", '"', "0"]))
        file.write_text(text[: place.start()] + new + text[place.end() :], encoding="utf-8")
    found = held(path, name)
    if found is None:
        return
    assert found.tally is not None
    if name in ("yolo", "dota", "kitti"):
        lines = [line for f in files for line in f.read_text().splitlines() if line.strip()]
        assert found.tally.entries == len(lines)
    if name == "cvat":
        assert found.tally.entries == counted_xml(path.read_text())
    if name == "voc":
        counts = []
        for f in files:
            try:
                counts.append(
                    counted_xml(f.read_bytes()) if ET.fromstring(f.read_bytes()).tag == "annotation" else 0
                )
            except (ET.ParseError, LookupError, ValueError):  # also of no known encoding
                counts.append(1)
        assert found.tally.entries == sum(counts)
    if name == "labelme":
        total = 0
        for f in files:
            try:
                document = json.loads(f.read_text(), parse_constant=float.fromhex)
                total += counted_json(name, document) if isinstance(document.get("shapes"), list) else 0
            except ValueError:
                total += 1
        assert found.tally.entries == total


def test_every_reader_is_in_a_property() -> None:
    tested = {"voc", "cvat", "csv", "open-images", "yolo", "dota", "kitti", "labelme", "wider"}
    assert set(FORMATS) == tested | {n for n in FORMATS if n not in FOLDERS and n not in tested}
    assert set(FORMATS) - set(WRITABLE) == {"vott", "labelbox", "supervisely", "wider"}


@settings(max_examples=25)
@given(
    lines=st.lists(
        st.sampled_from(
            ["a/b.jpg", "2", "1", "0", "1 2 30 40 0 0 0 0 0 0", "0 0 0 0 0 0 0 1 0 0", "x", "5 5"]
        ),
        max_size=12,
    )
)
def test_entries_of_wider_are_accounted_for(lines: list[str], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("wider") / "x.txt"
    path.write_text("\n".join(lines))
    held(path, "wider")


def test_the_type_refuses_what_does_not_add_up() -> None:
    with pytest.raises(InvalidArgument, match="3 entries cannot give 2"):
        Tally(3, boxes=2)
    page = {PageKey("a"): Annotations([[1, 2, 3, 4]], None, ["x"])}
    assert LabelSet(page, reading=Reading(tally=Tally(1, boxes=1))).tally == Tally(1, boxes=1)
    with pytest.raises(InvalidArgument, match="hold"):
        LabelSet(page, reading=Reading(tally=Tally(2, boxes=2)))
    with pytest.raises(InvalidArgument, match="hold"):
        LabelSet(
            page,
            reading=Reading(tally=Tally(2, boxes=1, problems=1), problems=(Problem("f", 1, "", "x", 2),)),
        )


def test_the_sum_in_words() -> None:
    assert str(Tally(1204, 1180, 20, 4)) == "1,204 entries: 1,180 boxes, 20 ignore regions, 4 problems"
