"""YOLO: a text file for each page beside a data.yaml (docs.ultralytics.com/datasets/detect).

A line is `class x y width height`, center and sides as ratios of the page; `class x1 y1 x2 y2 …` is a polygon, read
as the box around it. The ratios need the page's size: from `pages.json`, which write_yolo puts beside data.yaml, or
from the images. YOLO knows no ignore regions; write_yolo keeps those in pages.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tilekit.errors import LabelError, ScanError
from tilekit.labels.collecting import Collector, hull, snapped
from tilekit.labels.files import read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.labels.voc import page_files
from tilekit.pages import PageKey
from tilekit.rekognition.lines import decode_plain
from tilekit.storage.local import storage_errors, write_text

PAGES = "pages.json"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".heic", ".avif")
_CONFIG = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")


def find_config(folder: PathLike) -> Path | None:
    """The data.yaml of a folder, by its usual names, or the only YAML file there."""
    for name in _CONFIG:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    found = [*Path(folder).glob("*.yaml"), *Path(folder).glob("*.yml")]
    return found[0] if len(found) == 1 else None


def read_yolo(path: PathLike, *, strict: bool = True, images: PathLike | None = None) -> LabelSet:
    """Read a folder, or its data.yaml. Problems name the text file and line."""
    place = Path(path)
    config = place if place.is_file() else find_config(place)
    root = place if place.is_dir() else place.parent
    names, folders = _config(config, root)
    collector = Collector(path, strict, [names[number] for number in sorted(names)])
    known = _pages(root)
    for file in _label_files(root, folders):
        entry = known.get(file.relative_to(root).as_posix()) if file.is_relative_to(root) else None
        _file(collector, root, file, entry, names, images)
    return collector.finish("yolo")


def _config(config: Path | None, root: Path) -> tuple[dict[int, str], list[Path]]:
    if config is None:
        classes = root / "classes.txt"
        if not classes.is_file():
            raise LabelError(f"{root}: no data.yaml and no classes.txt, so class numbers have no names")
        lines = classes.read_text(encoding="utf-8").splitlines()
        return {place: line.strip() for place, line in enumerate(lines) if line.strip()}, []
    document = _yaml(config)
    found = document.get("names")
    if isinstance(found, list):
        found = dict(enumerate(found))
    if not isinstance(found, dict) or not found:
        raise LabelError(f"{config}: names is missing; it is a list of labels, or number: label")
    try:
        names = {int(number): str(label) for number, label in found.items()}
    except (TypeError, ValueError) as exc:
        raise LabelError(f"{config}: names has a key that is no number: {exc}") from exc
    base = root / str(document.get("path") or ".")
    base = base if base.is_dir() else root
    folders = []
    for split in ("train", "val", "test"):
        entries = document.get(split) or []
        folders += [base / str(entry) for entry in (entries if isinstance(entries, list) else [entries])]
    return names, folders


def _yaml(config: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(read_bytes(config))
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise LabelError(f"{config}: not YAML: {exc}") from exc
    if not isinstance(document, dict):
        raise LabelError(f"{config}: not a YOLO data.yaml: names is missing")
    return document


def _pages(root: Path) -> dict[str, dict[str, Any]]:
    file = root / PAGES
    if not file.is_file():
        return {}
    try:
        document = decode_plain(read_bytes(file))
        return {str(name): dict(entry) for name, entry in document.items()}
    except (ValueError, TypeError, AttributeError) as exc:
        raise LabelError(f"{file}: {exc}; remove it to read sizes from the images") from exc


def _label_files(root: Path, folders: list[Path]) -> list[Path]:
    """Text files of the image folders the data.yaml names, else every one below `labels` or the folder."""
    found: set[Path] = set()
    for folder in folders:
        listed = folder.suffix == ".txt" and folder.is_file()
        pictures = _listed(folder) if listed else [folder]
        for picture in pictures:
            twin = Path(*_swapped(picture.parts, "images", "labels"))
            found.update([twin.with_suffix(".txt")] if listed else twin.rglob("*.txt"))
    found = {file for file in found if file.is_file()}
    if not found:
        base = root / "labels" if (root / "labels").is_dir() else root
        found = set(base.rglob("*.txt"))
    return sorted(
        file for file in found if file.name not in ("classes.txt", "train.txt", "val.txt", "test.txt")
    )


def _listed(file: Path) -> list[Path]:
    with storage_errors(file):
        return [file.parent / line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]


def _swapped(parts: tuple[str, ...], old: str, new: str) -> Iterator[str]:
    """Path parts with the last `old` replaced."""
    last = max((place for place, part in enumerate(parts) if part == old), default=-1)
    return (new if place == last else part for place, part in enumerate(parts))


def _file(
    collector: Collector,
    root: Path,
    file: Path,
    entry: dict[str, Any] | None,
    names: dict[int, str],
    images: PathLike | None,
) -> None:
    if entry is not None:
        key = resolve(str(entry.get("source")), root, images)
        width, height = int(entry.get("width") or 0), int(entry.get("height") or 0)
    else:
        picture = _image_of(file, images)
        if picture is None:
            collector.problem(
                "", "has no image beside it or in images/, so ratios cannot become px", file=file
            )
            return
        key = PageKey(str(picture))
        try:
            from tilekit.scans.opening import scan_info

            info = scan_info(str(picture))
        except ScanError as exc:
            collector.problem("", f"its image cannot be read: {exc}", file=file)
            return
        width, height = info.width, info.height
    if not collector.page(key, width, height, f"{file}: size"):
        return
    ignored = set(entry.get("ignore", ())) if entry else set()
    with storage_errors(file):
        lines = file.read_bytes().decode("utf-8", "replace").splitlines()
    rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    for place, (number, words) in enumerate(rows):
        _line(collector, key, words, (width, height), names, place in ignored, number, file)


def _line(
    collector: Collector,
    key: PageKey,
    words: list[str],
    size: tuple[int, int],
    names: dict[int, str],
    ignore: bool,
    number: int,
    file: Path,
) -> None:
    try:
        values = [float(word) for word in words]
        label = names[int(words[0])]
    except ValueError:
        collector.problem("", f"is {' '.join(words)!r:.100}; numbers are needed", number, file)
        return
    except KeyError:
        collector.problem("class", f"is {words[0]}, which data.yaml has no name for", number, file)
        return
    if len(values) in (5, 6):
        x, y, w, h = values[1:5]
        ratios: tuple[float, ...] | None = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    else:
        ratios = hull(list(zip(values[1::2], values[2::2], strict=False))) if len(values) >= 7 else None
    if ratios is None:
        collector.problem(
            "", f"has {len(values)} numbers; 5 are needed: class x y width height", number, file
        )
        return
    sides = snapped([ratio * size[place % 2] for place, ratio in enumerate(ratios)])
    collector.box(key, label, sides, ignore=ignore, line=number, file=file)


def _image_of(file: Path, images: PathLike | None) -> Path | None:
    folders = [Path(*_swapped(file.parent.parts, "labels", "images")), file.parent]
    for folder in [Path(images)] if images is not None else folders:
        for suffix in IMAGE_SUFFIXES:
            for name in (file.with_suffix(suffix).name, file.with_suffix(suffix.upper()).name):
                if (folder / name).is_file():
                    return folder / name
    return None


def write_yolo(labels: LabelSet, path: PathLike) -> None:
    """Write data.yaml, labels/, pages.json. Images below `images/` get their text file at the same place.

    Every page needs its size. Ignored boxes are kept out of what a trainer counts on: they stand in the text
    file, since YOLO has no other place, and their places in pages.json.
    """
    import yaml

    root = Path(path)
    pages: dict[str, Any] = {}
    for key, file in page_files(labels, root / "labels", ".txt").items():
        inside = Path(relative(key, root))
        if inside.parts[:1] == ("images",) and not key.page:
            file = root / Path("labels", *inside.parts[1:]).with_suffix(".txt")
        page, (width, height) = labels[key], labels.size(key)
        scale = np.array([width, height, width, height], dtype=np.float64)
        ratios = (page.boxes / scale).tolist()
        rows = [
            f"{number} {(x0 + x1) / 2!r} {(y0 + y1) / 2!r} {x1 - x0!r} {y1 - y0!r}\n"
            for number, (x0, y0, x1, y1) in zip(page.class_ids.tolist(), ratios, strict=True)
        ]
        write_text(file, "".join(rows))
        entry: dict[str, Any] = {"source": relative(key, root), "width": width, "height": height}
        if page.ignore.any():
            entry["ignore"] = np.flatnonzero(page.ignore).tolist()
        pages[file.relative_to(root).as_posix()] = entry
    document = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(labels.names))}
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=1 << 20)
    write_text(root / "data.yaml", text)
    write_text(root / PAGES, json.dumps(pages, ensure_ascii=False, indent=1) + "\n")
