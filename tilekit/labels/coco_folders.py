"""Where COCO files lie, which side each is of, and where its images are."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tilekit.labels.files import folder_of
from tilekit.labels.sources import PathLike, is_there, is_url
from tilekit.storage import json_names

_ROBOFLOW = "_annotations.coco.json"


def coco_files(folder: Path) -> list[Path]:
    """The COCO files of a folder: one for each side, boxes rather than keypoints where there are both."""
    found = sorted(
        [*folder.glob("*.json"), *folder.glob("annotations/*.json"), *folder.glob(f"*/{_ROBOFLOW}")]
    )
    files = [file for file in found if _is_coco(file)]
    boxes = [file for file in files if file.name.startswith("instances_")]
    return boxes or files


def _is_coco(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(1 << 16)
    if not head.lstrip().startswith(b"{"):
        return False
    if b'"images"' not in head and b'"annotations"' not in head and b'"categories"' not in head:
        return False
    try:
        keys = json_names.fields(file.read_bytes()).keys()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b'"images"' in head
    return "images" in keys and "annotations" in keys and "categories" in keys


def side_of(file: Path) -> str:
    """The side a file is of, by its name (instances_train2017.json) or, Roboflow's way, its folder's."""
    if file.name == _ROBOFLOW:
        return file.parent.name
    stem = file.stem.removesuffix(".coco").removeprefix("instances_").removeprefix("annotations_")
    return stem.rstrip("0123456789") or file.stem


def image_folder(path: PathLike, name: str, side: str) -> str:
    """Where the images are: beside the file, or where the tools that write `annotations/` put them."""
    folder = folder_of(path)
    if is_url(folder):
        return folder
    here, root = Path(folder), Path(folder).parent
    stem = side or side_of(Path(path))
    year = Path(path).stem.removeprefix("instances_")
    for place in (
        here,
        root,
        root / "images",
        root / stem,
        root / "images" / stem,
        root / year,
        here / "images",
    ):
        if name and "\0" not in name and is_there(place / name):
            return str(place)
    return folder
