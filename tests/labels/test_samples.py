"""Label files as datumaro (CVAT, COCO, VOC) and Label Studio's own converter wrote them; see samples/README.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilekit.labels.reading import read_labels

SAMPLES = Path(__file__).parent / "samples"
DRAWN = [[10.5, 20, 40.5, 44.25], [60, 70, 72, 88], [100, 10, 140, 50]]
STUDIO = [[10, 12, 40, 36], [80, 60, 96, 72]]
THREE, TWO = ["up_arrow", "legend", "legend"], ["up_arrow", "legend"]


@pytest.mark.parametrize(
    ("name", "form", "boxes", "labels", "pages"),
    [
        ("datumaro-cvat.xml", "cvat", DRAWN, THREE, 2),
        ("datumaro-coco.json", "coco", DRAWN, THREE, 2),
        ("voc/datumaro.xml", "voc", DRAWN[:2], TWO, 1),
        ("voc/label-studio.xml", "voc", STUDIO, TWO, 1),
        ("label-studio.json", "label-studio", STUDIO, TWO, 2),
        ("label-studio-min.json", "label-studio", STUDIO, TWO, 1),
        ("label-studio-coco.json", "coco", STUDIO, TWO, 2),
    ],
)
def test_what_tools_write_is_read(
    name: str, form: str, boxes: list[list[float]], labels: list[str], pages: int
) -> None:
    found = read_labels(SAMPLES / name)
    first = next(iter(found))
    assert found.format == form
    assert len(found) == pages
    assert found[first].boxes.tolist() == boxes
    assert found[first].labels == labels
    assert found.sizes[first] == (160, 120)
    assert not found.problems
    assert all(not len(page) for key, page in found.items() if key != first)
    assert not found[first].ignore.any()
