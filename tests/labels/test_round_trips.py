"""From A to B to A: what B can hold comes back, and the rest was named, for every pair of formats that are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.shapes import Keypoints, Masks, OrientedBoxes, Polygons, Shapes
from tilekit.labels.label_set import ImageLabel, LabelSet, Reading
from tilekit.labels.reading import FOLDERS, WRITABLE, read_labels, write_labels
from tilekit.labels.scans import resolve_scans
from tilekit.pages import PageKey

SIDE = 64
ENDING = {"csv": ".csv", "open-images": ".csv", "cvat": ".xml", "ground-truth": ".manifest"}
OUTLINED = {
    "coco",
    "voc",
    "yolo",
    "labelme",
    "cvat",
    "label-studio",
    "geojson",
    "annotorious",
    "via",
    "datumaro",
}
SCORED = {"coco", "yolo", "labelme", "cvat", "label-studio", "csv", "geojson", "pdf-points", "createml", "kitti",
          "datumaro", "ground-truth", "annotorious"}  # fmt: skip
PAGE_LABELS = {"ground-truth", "labelme", "cvat", "label-studio"}
NAMES = {"ground-truth", "coco", "yolo", "cvat", "pdf-points", "datumaro"}


@dataclass(frozen=True)
class Facts:
    """What a person would compare of a page: label, sides, whether it counts, score, outline, points."""

    rows: tuple[tuple[Any, ...], ...]
    marks: tuple[str, ...]


@st.composite
def drawings(draw: st.DrawFn, kind: str, count: int) -> Shapes | None:
    """Shapes of one kind, whole px, each a few px in size."""
    if kind == "box" or not count:
        return None
    places = [(draw(st.integers(0, 40)), draw(st.integers(0, 40))) for _ in range(count)]
    size = draw(st.integers(4, 12))
    some = [kind == "oriented" or draw(st.integers(0, 3)) > 0 for _ in places]
    if kind == "polygon":
        rings = [[(x, y), (x + size, y), (x + size, y + size + 3), (x + 1, y + 2)] for x, y in places]
        parts = [[ring[:3]] if draw(st.booleans()) else [ring] for ring in rings]
        parts = [
            part + ([[(0, 0), (2, 0), (0, 2)]] if draw(st.integers(0, 3)) == 0 else []) for part in parts
        ]
        return Polygons.of([part if there else None for part, there in zip(parts, some, strict=True)])
    if kind == "oriented":
        angles = [draw(st.sampled_from([0.0, 30.0, -70.0, 90.0, 45.0])) for _ in places]
        return OrientedBoxes(
            [(x + 12, y + 12, size, 3, angle) for (x, y), angle in zip(places, angles, strict=True)]
        )
    if kind == "mask":
        pictures = [np.triu(np.ones((size, size - 1))) if there else np.zeros((1, 1)) for there in some]
        return Masks.from_arrays(pictures, np.array(places))
    pose = [[(x, y, 2), (x + size, y + 1, 1), (x + 2, y + size, 2)] for x, y in places]
    return Keypoints.of([points if there else None for points, there in zip(pose, some, strict=True)])


@st.composite
def sets(draw: st.DrawFn, scored: bool) -> LabelSet:
    names = ("tap", "legend", "arrow")
    pages, sizes, marks, scores = {}, {}, {}, {}
    kind = draw(st.sampled_from(["box", "polygon", "oriented", "mask", "keypoints"]))
    for place in range(draw(st.integers(1, 3))):
        key = PageKey(f"p{place}.png")
        count = draw(st.integers(0 if place else 1, 3))
        shapes = draw(drawings(kind, count))
        boxes = np.array([[place, 3, place + 9, 20 + place]] * count, dtype=float).reshape(-1, 4)
        if shapes is not None:
            boxes[shapes.given] = shapes.boxes[shapes.given]
        ids = [draw(st.integers(0, 2)) for _ in range(count)]
        ignore = sorted(draw(st.booleans()) for _ in range(count))
        pages[key] = Annotations(boxes, ids, names, [False] * count if scored else ignore, shapes)
        sizes[key] = (SIDE, SIDE)
        if draw(st.booleans()):
            marks[key] = (ImageLabel("torn"),)
        if scored and count:
            scores[key] = np.array([draw(st.sampled_from([0.1, 1 / 3, 0.999999999])) for _ in range(count)])
    return LabelSet(pages, sizes=sizes, names=names, image_labels=marks, scores=scores)


def through(labels: LabelSet, folder: Path, name: str) -> tuple[LabelSet, tuple[str, ...]]:
    """Written in a format and read again, and what the writer named as lost."""
    folder.mkdir()
    path = folder if name in FOLDERS else folder / f"x{ENDING.get(name, '.json')}"
    lost = write_labels(labels, path, name)
    options: dict[str, Any] = {"predictions": True} if name == "label-studio" else {}
    if name in ("dota", "kitti", "open-images"):
        options["images"] = folder.parent
    found = read_labels(path, name, units=None if name == "open-images" else "px", shapes=True, **options)
    assert not found.problems
    assert found.tally is not None
    return resolve_scans(found), lost


def outline(page: Annotations, row: int) -> Any:
    """What a row covers, and its key points."""
    shapes = page.shapes
    if shapes is None or not shapes.given[row]:
        return shapely.box(*page.boxes[row]), ()
    if isinstance(shapes, Keypoints):
        return shapely.box(*page.boxes[row]), tuple(map(tuple, shapes.to_json()[row]["keypoints"]))
    return shapes[[row]].to_polygons().geometries()[0], ()


def held(page: Annotations, row: int, name: str) -> Any:
    """What a format keeps of it, by the plainest rule there is."""
    covered, points = outline(page, row)
    boxed = shapely.box(*page.boxes[row]), ()
    if points:
        hull = np.array(points)[:, :2]
        fits = np.allclose([*hull.min(0), *hull.max(0)], page.boxes[row])
        kept = name in ("coco", "yolo", "geojson") or (name == "cvat" and fits)
        return (covered, points) if kept else boxed
    parts, holes = (
        shapely.get_num_geometries(covered),
        sum(len(p.interiors) for p in shapely.get_parts(covered)),
    )
    kind = page.shapes.kind if page.shapes is not None else "box"
    if name in ("coco", "geojson"):
        return covered, ()
    if kind == "mask" and name in ("labelme", "cvat", "label-studio", "datumaro"):
        return covered, ()
    if name == "dota" and len(shapely.get_coordinates(covered)) != 5:
        return boxed
    return (covered, ()) if name in OUTLINED | {"dota"} and parts == 1 and not holes else boxed


def check(before: LabelSet, after: LabelSet, name: str, lost: tuple[str, ...]) -> None:
    """`after` is what `name` holds of `before`; whatever is missing was named."""
    said = " ".join(lost)
    away = 1.0 if name == "ground-truth" else 1e-5
    gone = [key for key in before if key not in after]
    assert all(not len(before[key]) for key in gone)
    assert not [key for key in gone if not before.image_labels.get(key)] or "without boxes" in said
    changed = False
    for key in after:
        one, other = before[key], after[key]
        expected = [
            "DontCare" if name == "kitti" and off else x
            for x, off in zip(one.labels, one.ignore, strict=True)
        ]
        assert other.labels == expected
        assert other.ignore.tolist() == one.ignore.tolist()
        assert np.abs(one.boxes - other.boxes).max(initial=0) <= away
        for row in range(len(one)):
            wanted, found = held(one, row, name), outline(other, row)
            changed |= not same(outline(one, row), wanted, 0.0)
            assert same(wanted, found, away)
        marks = before.image_labels.get(key, ())
        assert after.image_labels.get(key, ()) == (marks if name in PAGE_LABELS else ())
        assert np.array_equal(before.scores.get(key, []), after.scores.get(key, []))
    assert changed == ("stay" in said)
    marked = bool(before.image_labels) and name not in PAGE_LABELS
    assert marked == ("whole page" in said)
    unused = {n for n in before.names if not any(n in page.labels for page in before.values())}
    assert bool(unused and name not in NAMES) == ("that no box has" in said)
    if name in NAMES:
        assert set(before.names) <= set(after.names)


def same(one: Any, other: Any, away: float) -> bool:
    area = one[0].symmetric_difference(other[0]).area
    return area <= 1e-3 + away * max(one[0].length, other[0].length) and np.allclose(
        one[1] or [0], other[1] or [0]
    )


@pytest.mark.parametrize("first", WRITABLE)
@settings(max_examples=1)
@given(data=st.data())
def test_there_and_back(first: str, data: st.DataObject, tmp_path_factory: Any) -> None:
    root = tmp_path_factory.mktemp(first)
    scored = first in SCORED and data.draw(st.booleans())
    drawn = data.draw(sets(scored))
    for key in drawn:
        Image.new("L", (SIDE, SIDE)).save(root / key.source)
    labels = LabelSet(
        {PageKey(str(root / key.source)): page for key, page in drawn.items()},
        sizes={PageKey(str(root / key.source)): size for key, size in drawn.sizes.items()},
        names=drawn.names,
        image_labels={PageKey(str(root / key.source)): marks for key, marks in drawn.image_labels.items()},
        scores={PageKey(str(root / key.source)): scores for key, scores in drawn.scores.items()},
    )
    start, lost = through(labels, root / "start", first)
    check(labels, start, first, lost)
    for second in WRITABLE:
        if scored and second not in SCORED:
            continue
        there, lost = through(start, root / f"to-{second}", second)
        check(start, there, second, lost)
        back, lost = through(there, root / f"back-{second}", first)
        check(there, back, first, lost)


def test_what_else_is_lost_is_named(tmp_path: Path) -> None:
    pages = {
        PageKey("a.pdf", 1): Annotations([[1, 2, 3.5, 4]], [0], ("x", "spare")),
        PageKey("b.png"): Annotations.empty(("x", "spare")),
    }
    labels = LabelSet(
        pages,
        sizes=dict.fromkeys(pages, (9, 9)),
        image_labels={PageKey("b.png"): (ImageLabel("torn", 0.5),)},
        unlabeled={PageKey("c.png"): "nobody came"},
        extra={PageKey("b.png"): {"dpi": 300}},
        reading=Reading(splits={PageKey("b.png"): "train"}),
    )
    said = {name: " ".join(write_labels(labels, tmp_path / name, name)) for name in WRITABLE}
    for name, text in said.items():
        assert ("1 label that no box has" in text) == (name not in NAMES), name
        assert ("1 label of a whole page" in text) == (name != "ground-truth"), name
        assert ("the confidence of" in text) == (name in PAGE_LABELS - {"ground-truth"}), name
        assert ("nobody labeled" in text) == (name not in ("ground-truth", "label-studio")), name
        assert ("what else the file said" in text) == (name != "ground-truth"), name
        assert ("the side of the split" in text) == (name != "cvat"), name
        assert ("the page number" in text) == (name in ("open-images", "dota", "kitti")), name
        assert ("1 page without boxes" in text) == (name in ("open-images", "annotorious")), name
        assert ("fractions of a pixel of 1 box" in text) == (name == "ground-truth"), name


def test_boxes_that_are_not_around_their_shapes_are_named(tmp_path: Path) -> None:
    key = PageKey(str(tmp_path / "a.png"))
    shape = Polygons.of([[[(5, 5), (9, 5), (9, 9)]]])
    labels = LabelSet({key: Annotations([[1, 5, 9, 9]], None, ("x",), shapes=shape)}, sizes={key: (20, 20)})
    for name in ("cvat", "labelme", "label-studio", "via", "yolo", "datumaro", "geojson"):
        (said,) = write_labels(labels, tmp_path / f"{name}.out", name)
        assert "1 box beside a shape, of which the one around the shape stays (up to 4 px away)" in said
    for name in ("coco", "voc"):
        assert write_labels(labels, tmp_path / f"{name}.out", name) == ()
        (page,) = read_labels(tmp_path / f"{name}.out", shapes=True).values()
        assert page.boxes.tolist() == [[1, 5, 9, 9]]
        assert page.shapes == shape
