"""Labels on pictures of pages, taken over to the document; and what formats cannot hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.label_set import ImageLabel, LabelSet
from tilekit.labels.matching import match_pages
from tilekit.labels.reading import read_labels, write_labels
from tilekit.pages import PageKey


def drawn(*names: str, size: tuple[int, int] = (100, 50)) -> LabelSet:
    page = Annotations([[10, 20, 30, 40]], None, ["x"])
    return LabelSet({PageKey(name): page for name in names}, sizes={PageKey(name): size for name in names})


@pytest.fixture
def document(tmp_path: Path) -> Path:
    pages = [Image.new("L", (200, 100), 255) for _ in range(3)]
    pages[0].save(tmp_path / "plan.tif", save_all=True, append_images=pages[1:])
    return tmp_path / "plan.tif"


@pytest.mark.parametrize(
    ("names", "pages"),
    [
        (["plan-1.png", "plan-3.png"], [0, 2]),
        (["plan-0001.jpg", "plan-0002.jpg"], [0, 1]),
        (["plan_page_2.png"], [1]),
        (["plan-0.png", "plan-2.png"], [0, 2]),
    ],
)
def test_pictures_become_pages(document: Path, names: list[str], pages: list[int]) -> None:
    found = match_pages(drawn(*names), document)
    assert [key.page for key in found] == pages
    assert all(page.boxes.tolist() == [[20, 40, 60, 80]] for page in found.values())
    assert set(found.sizes.values()) == {(200, 100)}


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("plan-4.png", (100, 50), "has 3 pages"),
        ("other-1.png", (100, 50), "no picture of 'plan'"),
        ("plan.png", (100, 50), "no page number"),
        ("plan-1.png", (100, 90), "another shape"),
    ],
)
def test_what_is_no_page_is_told(document: Path, name: str, size: tuple[int, int], said: str) -> None:
    with pytest.raises(LabelError, match=said):
        match_pages(drawn(name, size=size), document)


def test_what_a_format_cannot_hold_is_said_or_refused(tmp_path: Path) -> None:
    key = PageKey(str(tmp_path / "a.png"))
    page = Annotations([[1, 2, 3, 4]], None, ["x"])
    labels = LabelSet({key: page}, sizes={key: (9, 9)}, image_labels={key: (ImageLabel("torn"),)})
    assert write_labels(labels, tmp_path / "c.json", "coco") == (
        "coco has no place for 1 label of a whole page",
    )
    assert write_labels(labels, tmp_path / "c.xml", "cvat") == ()
    scored = LabelSet({key: page}, sizes={key: (9, 9)}, scores={key: [0.1234567890123]})
    with pytest.raises(InvalidArgument, match="no place for scores"):
        write_labels(scored, tmp_path / "v", "voc")
    write_labels(scored, tmp_path / "s.csv", "csv")
    assert read_labels(tmp_path / "s.csv").scores[key].tolist() == [0.1234567890123]
    with pytest.raises(LabelError, match="nothing would be left"):
        write_labels(LabelSet({}, unlabeled={key: "waiting"}), tmp_path / "e.json", "coco")
    with pytest.raises(InvalidArgument, match="only read"):
        write_labels(labels, tmp_path / "w.txt", "wider")
