from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.labels.strategies import label_sets
from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import FOLDERS, WRITABLE, detect_format, read_labels, write_labels
from tilekit.pages import PageKey

SUFFIX = {
    "ground-truth": "x.manifest",
    "coco": "x.json",
    "cvat": "x.xml",
    "csv": "x.csv",
    "geojson": "x.geojson",
    "datumaro": "x.json",
}
SPARE = ("open-images", "createml", "annotorious", "via", "dota", "kitti")
SELF_CONTAINED = [name for name in WRITABLE if name not in SPARE]
"""Formats that hold sizes, pages without boxes and pages of a PDF; the others have tests of their own."""
SUFFIX |= {"label-studio": "ls.json", "pdf-points": "points.json"}


def placed(labels: LabelSet, folder: Path) -> LabelSet:
    def move(key: PageKey) -> PageKey:
        return PageKey(str(folder / key.source), key.page)

    return LabelSet(
        {move(key): page for key, page in labels.items()},
        sizes={move(key): size for key, size in labels.sizes.items()},
        names=labels.names,
        image_labels={move(key): marks for key, marks in labels.image_labels.items()},
    )


def close(one: LabelSet, other: LabelSet, tolerance: float) -> None:
    assert set(one) == set(other)
    assert one.sizes == other.sizes
    for key in one:
        assert one[key].labels == other[key].labels
        assert one[key].ignore.tolist() == other[key].ignore.tolist()
        assert np.abs(one[key].boxes - other[key].boxes).max(initial=0) <= tolerance


@pytest.mark.parametrize("name", [name for name in SELF_CONTAINED if name != "ground-truth"])
@settings(max_examples=25)
@given(data=st.data())
def test_whole_pixels_come_back_exactly(name: str, data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp(name)
    drawn = data.draw(
        label_sets(ignore=True, used=name in ("voc", "labelme", "csv", "geojson", "label-studio"))
    )
    labels = placed(drawn, folder)
    path = folder if name in FOLDERS else folder / SUFFIX[name]
    write_labels(labels, path, name)
    assert detect_format(path) == name
    again = read_labels(path)
    assert again.format == name
    assert again == labels
    close(read_labels(path, name, strict=False), labels, 0)


@pytest.mark.parametrize("name", [name for name in SELF_CONTAINED if name != "ground-truth"])
@settings(max_examples=25)
@given(data=st.data())
def test_fractions_come_back_to_a_millionth(name: str, data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp(name)
    labels = placed(data.draw(label_sets(whole=False, ignore=True)), folder)
    path = folder if name in FOLDERS else folder / SUFFIX[name]
    write_labels(labels, path, name)
    close(read_labels(path, units="px"), labels, 1e-5)


@pytest.mark.parametrize("name", ["cvat", "labelme", "label-studio"])
def test_labels_of_whole_pages(name: str, tmp_path: Path) -> None:
    from tilekit.labels.label_set import ImageLabel

    key = PageKey(str(tmp_path / "a.tif"))
    page = Annotations([[1, 2, 3, 4]], None, ["x"])
    labels = LabelSet({key: page}, sizes={key: (9, 9)}, image_labels={key: (ImageLabel("torn"),)})
    path = tmp_path if name in FOLDERS else tmp_path / "x.any"
    write_labels(labels, path, name)
    assert read_labels(path) == labels


def test_labels_of_300_characters_and_unicode(tmp_path: Path) -> None:
    names = ("ä" * 300, '标签 / "x" <&>, ;\'', "🏗️")
    key = PageKey(str(tmp_path / "ü b/图.tif"))
    labels = LabelSet({key: Annotations([[1, 2, 3, 4]] * 3, [0, 1, 2], names)}, sizes={key: (90, 80)})
    for name in SELF_CONTAINED:
        path = tmp_path / name if name in FOLDERS else tmp_path / f"{name}.any"
        write_labels(labels, path, name)
        assert read_labels(path) == labels, name


def test_every_format_into_every_other(tmp_path: Path) -> None:
    pages = {
        PageKey(str(tmp_path / "a/f.pdf"), 2): Annotations(
            [[1, 2, 30, 40], [5, 6, 7, 8]], [1, 0], ("b", "a")
        ),
        PageKey(str(tmp_path / "b/f.tif")): Annotations([[3, 4, 90, 80]], [0], ("b", "a")),
    }
    labels = LabelSet(pages, sizes=dict.fromkeys(pages, (100, 90)))
    for one in SELF_CONTAINED:
        for other in SELF_CONTAINED:
            first = tmp_path / one / other / ("d" if one in FOLDERS else "1.any")
            second = tmp_path / one / other / ("e" if other in FOLDERS else "2.any")
            write_labels(labels, first, one)
            write_labels(read_labels(first), second, other)
            assert read_labels(second) == labels, (one, other)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.json", "{"),
        ("x.json", "{}"),
        ("x.json", '{"a": 1}'),
        ("x.txt", "hello"),
        ("x.xml", "<html></html>"),
        ("x.csv", "a,b,c\n1,2,3\n"),
        ("x.any", ""),
        ("detections.jsonl", '{"source": "a", "detections": []}\n{"source": "b", "detections": []}\n'),
    ],
)
def test_unknown_content_is_told(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LabelError, match=name):
        read_labels(tmp_path / name)


def test_unknown_format_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="format="):
        read_labels(tmp_path, "dwg")
    with pytest.raises(InvalidArgument, match="format="):
        write_labels(LabelSet({}), tmp_path, "dwg")
    with pytest.raises(LabelError, match="no label format"):
        read_labels(tmp_path)


def test_ignore_names(tmp_path: Path) -> None:
    key = PageKey(str(tmp_path / "a.tif"))
    labels = LabelSet(
        {key: Annotations([[1, 2, 3, 4]] * 2, [0, 1], ("arrow", "legend"))}, sizes={key: (9, 9)}
    )
    write_labels(labels, tmp_path / "x.json", "labelme")
    again = read_labels(tmp_path / "x.json", ignore_names=["legend"])
    assert again[key].ignore.tolist() == [False, True]


def test_relative_sources_survive_a_move(tmp_path: Path) -> None:
    for name in SELF_CONTAINED:
        old, new = tmp_path / f"{name}-old", tmp_path / f"{name}-new"
        key = PageKey(str(old / "scans/a.tif"))
        labels = LabelSet({key: Annotations([[1, 2, 3, 4]], None, ["x"])}, sizes={key: (9, 9)})
        write_labels(labels, old if name in FOLDERS else old / "x.any", name)
        old.rename(new)
        again = read_labels(new if name in FOLDERS else new / "x.any")
        assert again.pages() == [PageKey(str(new / "scans/a.tif"))], name


def test_deep_nesting_is_told(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(LabelError, match=r"deep\.json"):
        read_labels(path)


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
def test_a_file_of_another_coding_says_so(tmp_path, coding):
    path = tmp_path / "x.manifest"
    path.write_bytes(("\ufeff" + '{"source-ref": "a.png"}').encode(coding))
    with pytest.raises(LabelError, match=r"x\.manifest: is UTF-16 text; save the file as UTF-8"):
        read_labels(path)


def test_a_label_studio_region_without_a_label_is_told(tmp_path):
    path = tmp_path / "ls.json"
    region = (
        '{"type": "rectanglelabels", "original_width": 9, "original_height": 9,'
        ' "value": {"x": 1, "y": 2, "width": 3, "height": 4}}'
    )
    path.write_text(f'[{{"data": {{"image": "a.png"}}, "annotations": [{{"result": [{region}]}}]}}]')
    with pytest.raises(LabelError, match=r"\[0\].result\[0\].*rectanglelabels without a label"):
        read_labels(path)
    kept = read_labels(path, strict=False)
    assert len(kept.problems) == 1
    assert [len(kept), len(kept.unlabeled)] == [0, 1]
