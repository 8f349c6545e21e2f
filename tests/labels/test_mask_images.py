"""Ground Truth's semantic segmentation: regions of mask images as shapes, or what stands in the way, named."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tilekit.boxes.shapes import Masks
from tilekit.errors import LabelError, StorageDenied, StorageError, StorageNotFound
from tilekit.labels.mask_images import _regions
from tilekit.labels.reading import read_labels

CHIP, DENT, BACKGROUND = "#2ca02c", "#1f77b4", "#ffffff"
COLORS = {
    "0": {"class-name": "BACKGROUND", "hex-color": BACKGROUND, "confidence": 0.0},
    "1": {"class-name": "chip", "hex-color": CHIP, "confidence": 0.0},
    "2": {"class-name": "dent", "hex-color": DENT, "confidence": 0.0},
}


def segmented(mask: Any, size: tuple[int, int] | None = None, **more: Any) -> dict[str, Any]:
    """A line as a semantic segmentation job writes it; with a size also an empty box attribute."""
    meta = {
        "internal-color-map": COLORS, "type": "groundtruth/semantic-segmentation", "human-annotated": "yes",
        "creation-date": "2026-01-02T00:00:00", "job-name": "labeling-job/seg", **more,
    }  # fmt: skip
    line = {"source-ref": "a.png", "seg-ref": mask, "seg-ref-metadata": meta}
    if size is not None:
        sides = {"width": size[0], "height": size[1], "depth": 3}
        about = {**meta, "type": "groundtruth/object-detection", "class-map": {}, "objects": []}
        line |= {"bb": {"image_size": [sides], "annotations": []}, "bb-metadata": about}
    return line


def mask_of_chips(
    boxes: list[tuple[int, int, int, int]], size: tuple[int, int] = (40, 30), mode: str = "RGB"
) -> bytes:
    """A mask image with chips in these boxes and one dent in the corner where it is wide enough."""
    picture = Image.new("RGB", size, BACKGROUND)
    for box in boxes:
        picture.paste(CHIP, box)
    if size[0] > 8:
        picture.paste(DENT, (size[0] - 3, size[1] - 2, *size))
    out = io.BytesIO()
    (picture.quantize(8) if mode == "P" else picture.convert(mode)).save(out, "PNG")
    return out.getvalue()


def written(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "seg.manifest"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_regions_are_shapes(tmp_path: Path, mode: str) -> None:
    (tmp_path / "m.png").write_bytes(mask_of_chips([(2, 3, 12, 9), (20, 3, 25, 20)], mode=mode))
    path = written(tmp_path, segmented("m.png"))
    found = read_labels(path, shapes=True)
    (page,) = found.values()
    assert page.labels == ["chip", "chip", "dent"]
    assert page.boxes.tolist() == [[2, 3, 12, 9], [20, 3, 25, 20], [37, 28, 40, 30]]
    assert isinstance(page.shapes, Masks)
    assert page.shapes.areas.tolist() == [60, 85, 6]
    assert list(found.sizes.values()) == [(40, 30)]
    assert str(found.tally) == "3 entries: 3 boxes"
    assert "does not tell objects apart" in found.notes[0]
    with pytest.raises(LabelError, match=r"line 1: seg-ref: labels .*a.png by a mask image \(chip, dent\)"):
        read_labels(path)


def test_masks_stand_beside_boxes_and_under_images(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/m.png").write_bytes(mask_of_chips([(2, 3, 12, 9)]))
    line = segmented("s3://bucket/out/m.png", (40, 30))
    found = read_labels(written(tmp_path, line), images=tmp_path / "scans", shapes=True)
    assert str(found.tally) == "2 entries: 2 boxes"


@pytest.mark.parametrize(("error", "read"), [(StorageNotFound, 1), (StorageDenied, 0)])
def test_one_missing_mask_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[StorageError], read: int
) -> None:
    def answer(path: str) -> bytes:
        if path.endswith("gone.png"):
            raise error(path)
        return mask_of_chips([(2, 3, 12, 9)], (8, 20))

    monkeypatch.setattr("tilekit.labels.mask_images.read_bytes", answer)
    lines = [
        segmented(f"s3://bucket/out/{name}.png") | {"source-ref": f"{name}-page.png"}
        for name in ("gone", "here")
    ]
    found = read_labels(written(tmp_path, *lines), shapes=True, strict=False)
    assert sum(len(page) for page in found.values()) == read
    assert len(found.problems) == 2 - read


def test_a_mask_of_background_is_a_page_without_objects(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(mask_of_chips([], (8, 6)))
    found = read_labels(written(tmp_path, segmented("m.png")), shapes=True)
    assert [len(page) for page in found.values()] == [0]
    assert not found.unlabeled


def test_an_adjustment_replaces_the_mask(tmp_path: Path) -> None:
    for name, chips in (("m.png", [(2, 3, 12, 9)]), ("n.png", [(4, 3, 12, 9)])):
        (tmp_path / name).write_bytes(mask_of_chips(chips, (8, 20)))
    later = {"adjustment-status": "adjusted", "creation-date": "2026-02-02T00:00:00"}
    new = segmented("n.png", **later)
    line = segmented("m.png") | {"adjusted-ref": "n.png", "adjusted-ref-metadata": new["seg-ref-metadata"]}
    path = written(tmp_path, line)
    found = read_labels(path, shapes=True)
    assert [page.boxes.tolist() for page in found.values()] == [[[4, 3, 8, 9]]]
    assert str(found.tally) == "2 entries: 1 box, 1 superseded by an adjustment"
    (page,) = read_labels(path, shapes=True, attributes=["seg-ref"]).values()
    assert page.boxes.tolist() == [[2, 3, 8, 9]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (segmented("none.png"), r"seg-ref: the mask image cannot be reached: .*none\.png.*--images"),
        (segmented("bad.png"), "seg-ref: the mask image cannot be read: "),
        (segmented(7), "seg-ref: is 7; the path"),
        (segmented("m.png", (41, 30)), "seg-ref: the mask image is 40 x 30 px, the page 41 x 30 px"),
        (segmented("m.png", **{"internal-color-map": None}), r"seg-ref-metadata\.internal-color-map: is None"),
        (
            segmented("m.png", **{"internal-color-map": {"0": COLORS["0"], "1": {"class-name": "chip"}}}),
            r"seg-ref-metadata\.internal-color-map\.1: is .*hex-color",
        ),
        (
            segmented("m.png", **{"internal-color-map": {"0": COLORS["0"], "1": COLORS["1"]}}),
            "seg-ref: has 6 px of colors such as #1f77b4 that its internal-color-map does not name",
        ),
        (
            segmented("m.png", **{"internal-color-map": {"0": COLORS["0"], "1": {**COLORS["1"], "hex-color": BACKGROUND}}}),
            r"seg-ref-metadata\.internal-color-map: gives #ffffff to two labels",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(tmp_path: Path, line: dict[str, Any], said: str) -> None:
    (tmp_path / "m.png").write_bytes(mask_of_chips([(2, 3, 12, 9)]))
    (tmp_path / "bad.png").write_bytes(mask_of_chips([])[:60])
    path = written(tmp_path, line)
    with pytest.raises(LabelError, match=f"line 1: {said}"):
        read_labels(path, shapes=True)
    found = read_labels(path, strict=False, shapes=True)
    assert found.tally is not None
    assert (found.tally.entries, found.tally.problems) == (1, 1)


@given(
    st.integers(1, 7).flatmap(
        lambda w: st.lists(st.lists(st.integers(0, 2), min_size=w, max_size=w), min_size=1, max_size=6)
    )
)
def test_regions_hold_every_pixel_once(rows: list[list[int]]) -> None:
    values = np.array(rows)
    colors = np.array([0xFFFFFF, 0x2CA02C, 0x1F77B4])[values]
    pixels = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=2).astype(np.uint8)
    found = _regions(pixels, {0xFFFFFF: "", 0x2CA02C: "chip", 0x1F77B4: "dent"})
    painted = np.zeros_like(values)
    for region in found:
        left, top, right, bottom = (int(side) for side in region.sides)
        (mask,) = Masks.from_json([region.drawn]).to_arrays(values.shape[1], values.shape[0])
        assert not painted[mask].any()
        painted[mask] = {"chip": 1, "dent": 2}[region.label]
        assert mask[top:bottom, left:right].any(axis=0).all()
    assert (painted == values).all()
    assert len(found) == parts(values)


def parts(values: Any) -> int:
    """How many parts touch by a side, counted by walking."""
    left = {(y, x) for y, x in np.argwhere(values).tolist()}
    count = 0
    while left:
        count += 1
        todo = [left.pop()]
        while todo:
            y, x = todo.pop()
            for step in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if step in left and values[step] == values[y, x]:
                    left.remove(step)
                    todo.append(step)
    return count
