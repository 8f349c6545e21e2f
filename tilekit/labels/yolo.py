"""YOLO: a text file for each page (docs.ultralytics.com/datasets), beside a data.yaml or Darknet's obj.data.

A line is `class x y width height`, center and sides as shares of the page, with a sixth number its score;
`class x1 y1 x2 y2 ...` is a polygon or, of four points, an oriented box, read as the box around it; with `kpt_shape`
in data.yaml key points follow the box. The page's size comes from `pages.json`, which write_yolo puts beside
data.yaml, or from the image. Only the folders that data.yaml names are read. An image without a text file is
unlabeled here, unless `no_file="empty"` says that it shows nothing, as Ultralytics takes it. YOLO knows no ignore
regions; write_yolo keeps those in pages.json.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, around, checked_score, numbers, pairs_of, text, whole
from tilekit.labels.files import read_bytes
from tilekit.labels.holding import Holds, fitted, holds_of
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.page_sizes import size_of_image
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import corners, outline
from tilekit.labels.sources import IMAGE_SUFFIXES, PathLike, image_of, is_there, relative, resolve
from tilekit.labels.voc import page_files
from tilekit.pages import PageKey
from tilekit.rekognition.lines import decode_plain
from tilekit.storage.local import storage_errors, write_text

PAGES = "pages.json"
_CONFIG = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_SIDES = ("train", "val", "valid", "test")
_NO_LABELS = ("classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt", "names.txt")
NoFile = Literal["unlabeled", "empty"]


@dataclass
class _Set:
    """What a config says: names by number, (side, folder of images or list of them), numbers of a line's key points."""

    names: dict[int, str]
    folders: list[tuple[str, Path]] = field(default_factory=list)
    points: tuple[int, int] | None = None
    listed: list[tuple[str, Path]] = field(default_factory=list)


@dataclass(frozen=True)
class _Page:
    """A page whose lines are read; `scored`: polygons, too, end with a score."""

    mention: int
    size: tuple[int, int]
    scored: bool


def find_config(folder: PathLike) -> Path | None:
    """The data.yaml of a folder by its usual names, or the only YAML file there; else Darknet's obj.data."""
    for name in _CONFIG:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    found = [*Path(folder).glob("*.yaml"), *Path(folder).glob("*.yml")]
    if len(found) == 1:
        return found[0]
    darknet = sorted(Path(folder).glob("*.data"))
    return darknet[0] if len(darknet) == 1 and is_darknet(darknet[0]) else None


def is_darknet(file: PathLike) -> bool:
    """Whether it is Darknet's obj.data: lines of `key = value` with `names`."""
    try:
        return "names" in _darknet_values(Path(file))
    except (OSError, UnicodeDecodeError):
        return False


def read_yolo(path: PathLike, options: ReadOptions, *, no_file: NoFile = "unlabeled") -> LabelSet:
    """Read a folder, its data.yaml or obj.data. Problems name the text file and line."""
    if no_file not in ("unlabeled", "empty"):
        raise InvalidArgument(f"no_file={no_file!r}: use 'unlabeled' or 'empty'")
    place = Path(path)
    config = place if place.is_file() else find_config(place)
    root = place if place.is_dir() else place.parent
    found = (
        _darknet(config, root) if config is not None and config.suffix == ".data" else _config(config, root)
    )
    collector = Collector(path, options, [found.names[number] for number in sorted(found.names)])
    known = _pages(root)
    files = _label_files(root, found)
    for file, side in files.items():
        entry = known.get(file.relative_to(root).as_posix()) if file.is_relative_to(root) else None
        _file(collector, root, file, side, entry, found)
    labeled = {
        os.path.normpath(image) for file in files if (image := _image_of(file, options.images)) is not None
    }
    for side, image in _images(found):
        if os.path.normpath(image) not in labeled:
            _without(collector, image, side, no_file)
    return collector.finish("yolo")


def _config(config: Path | None, root: Path) -> _Set:
    if config is None:
        classes = root / "classes.txt"
        if not classes.is_file():
            raise LabelError(f"{root}: no data.yaml, obj.data or classes.txt, so class numbers have no names")
        return _Set(_names_of(classes))
    document = _yaml(config)
    named = document.get("names")
    if isinstance(named, list):
        named = dict(enumerate(named))
    if not isinstance(named, dict):
        raise LabelError(f"{config}: names is missing; it is a list of labels, or number: label")
    try:
        names = {int(number): str(label) for number, label in named.items()}
    except (TypeError, ValueError) as exc:
        raise LabelError(f"{config}: names has a key that is no number: {exc}") from exc
    shape = document.get("kpt_shape")
    points = (shape[0], shape[1]) if isinstance(shape, list) and len(shape) == 2 else None
    bases = [root / str(document.get("path") or "."), Path(str(document.get("path") or ".")), root]
    found = _Set(names, points=points)
    for side in _SIDES:
        entries = document.get(side) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            place = _place(bases, str(entry))
            if place is not None and not any(place == other for _, other in found.folders):
                found.folders.append((side, place))
    return found


def _place(bases: list[Path], text: str) -> Path | None:
    """Where a folder or list of images is; some exports begin with ../ and lie beside their data.yaml."""
    for base in bases:
        for name in (text, text.removeprefix("../"), text.removeprefix("./")):
            try:
                if (base / name).exists():
                    return Path(os.path.normpath(base / name))
            except (OSError, ValueError):
                continue
    return None


def _names_of(file: Path) -> dict[int, str]:
    with storage_errors(file):
        lines = file.read_bytes().decode("utf-8", "replace").splitlines()
    return {place: line.strip() for place, line in enumerate(lines) if line.strip()}


def _darknet_values(file: Path) -> dict[str, str]:
    lines = file.read_text("utf-8").splitlines()
    parts = [line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#")]
    return {key.strip(): value.strip() for key, value in parts}


def _darknet(config: Path, root: Path) -> _Set:
    """Darknet's obj.data: its paths count from a folder above, often one named data that is not there."""
    with storage_errors(config):
        values = _darknet_values(config)
    names = _below(root, values.get("names", "obj.names"))
    if names is None:
        raise LabelError(
            f"{config}: names is {values.get('names')!r}, which is not there, so class numbers have no names"
        )
    found = _Set(_names_of(names))
    for key in _SIDES:
        listing = _below(root, values[key]) if key in values else None
        if listing is None:
            continue
        for line in listing.read_bytes().decode("utf-8", "replace").splitlines():
            if line.strip():
                image = _below(root, line.strip()) or root / Path(*Path(line.strip()).parts[1:])
                found.listed.append((key, image))
    return found


def _below(root: Path, text: str) -> Path | None:
    """A file by ever shorter ends of a path."""
    parts = Path(text).parts
    for start in range(len(parts)):
        if is_there(root.joinpath(*parts[start:])):
            return root.joinpath(*parts[start:])
    return None


def _yaml(config: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(read_bytes(config))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as exc:
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


def _label_files(root: Path, found: _Set) -> dict[Path, str]:
    """Text files of the images that the config names, else every one below `labels` or the folder; file -> side."""
    files: dict[Path, str] = {}
    for side, folder in found.folders:
        if folder.suffix == ".txt" and is_there(folder):
            for picture in _listed(folder):
                files.setdefault(_twin(picture).with_suffix(".txt"), side)
        else:
            for file in sorted(_twin(folder).rglob("*.txt")):
                files.setdefault(file, side)
    for side, picture in found.listed:
        files.setdefault(picture.with_suffix(".txt"), side)
    files = {file: side for file, side in files.items() if is_there(file) and not _is_list(file, root)}
    if not files and not found.listed:
        base = root / "labels" if (root / "labels").is_dir() else root
        files = {file: "" for file in sorted(base.rglob("*.txt")) if not _is_list(file, root)}
    return files


def _is_list(file: Path, root: Path) -> bool:
    """Whether a text file is a list or a README beside the labels, and no page's."""
    if file.parent != root and "labels" in file.parts[len(root.parts) :]:
        return False
    listed = file.name.lower() in _NO_LABELS or file.name.lower().startswith("readme")
    return listed and _image_of(file, None) is None


def _images(found: _Set) -> list[tuple[str, str]]:
    """(side, image) of the folders and lists that the config names."""
    images = []
    for side, folder in found.folders:
        pictures = _listed(folder) if folder.is_file() else sorted(folder.rglob("*"))
        images += [
            (side, str(file)) for file in pictures if file.suffix.lower() in IMAGE_SUFFIXES and is_there(file)
        ]
    return images + [(side, str(file)) for side, file in found.listed if is_there(file)]


def _listed(file: Path) -> list[Path]:
    with storage_errors(file):
        lines = file.read_bytes().decode("utf-8", "replace").splitlines()
    return [
        Path(os.path.normpath(file.parent / line.strip()))
        for line in lines
        if line.strip() and "\0" not in line
    ]


def _twin(folder: Path) -> Path:
    """The labels' place of an images' place: the last `images` in the path replaced."""
    return _swapped(folder, "images", "labels")


def _swapped(path: Path, old: str, new: str) -> Path:
    last = max((place for place, part in enumerate(path.parts) if part == old), default=-1)
    return Path(*(new if place == last else part for place, part in enumerate(path.parts)))


def _without(collector: Collector, image: str, side: str, no_file: NoFile) -> None:
    key = PageKey(image)
    if no_file == "unlabeled":
        collector.expect(1)
        collector.unlabeled(
            key, "has no text file; no_file='empty' (--no-file empty) takes it as a page without objects"
        )
        return
    try:
        size = size_of_image(key)
    except Wrong as exc:
        collector.refuse(Where(file=image), str(exc), 0)
        return
    if collector.page(key, size, Where(file=image)) is not None:
        collector.splits[key] = side


def _file(
    collector: Collector, root: Path, file: Path, side: str, entry: dict[str, Any] | None, found: _Set
) -> None:
    where = Where(file=str(file))
    with storage_errors(file):
        lines = file.read_bytes().decode("utf-8", "replace").splitlines()
    rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    images = collector.options.images
    try:
        if entry is not None:
            key = resolve(text(entry.get("source"), "source"), root, images)
            size = (entry.get("width"), entry.get("height"))
        else:
            picture = _image_of(file, images)
            if picture is None:
                raise Wrong("has no image beside it or in images/, so shares of the page cannot become px")
            key = PageKey(picture)
            size = size_of_image(key)
    except Wrong as exc:
        collector.expect(len(rows))
        collector.refuse(where, str(exc), len(rows))
        return
    mention = collector.page(key, size, where.at("size"), len(rows))
    if mention is None:
        return
    if side:
        collector.splits[key] = side
    on = _Page(mention, collector.size_of(mention), bool(entry and entry.get("scored") is True))
    ignored = entry.get("ignore") if entry else None
    places = set(ignored) if isinstance(ignored, list) else set()
    collector.each(
        range(len(rows)),
        lambda place: Where("", rows[place][0], str(file)),
        lambda place, spot: _line(collector, on, rows[place][1], found, place in places, spot),
        mention,
    )


def _line(collector: Collector, on: _Page, words: list[str], found: _Set, ignore: bool, where: Where) -> None:
    mention, size, scored = on.mention, on.size, on.scored
    try:
        values = numbers(words, len(words), "")
        number = whole(words[0], "")
    except Wrong as exc:
        raise Wrong(f"is {' '.join(words)!r:.100}; numbers are needed") from exc
    if number not in found.names:
        raise Wrong(f"is {words[0]}, which data.yaml has no name for", "class")
    count, shape, score, drawn = len(values), "box", None, None
    wide, tall = size
    posed = 5 + found.points[0] * found.points[1] if found.points is not None else -1
    if count in (5, 6) or count in (posed, posed + 1):
        x, y, w, h = values[1:5]
        sides = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
        shape = "box" if count in (5, 6) else "key points"
        score = checked_score(values[-1]) if count in (6, posed + 1) else None
        if shape == "key points":
            drawn = _posed(values[5:posed], found.points, size)
            shape = "box" if drawn is None else shape
    elif count >= 7 and count % 2 != scored:
        if scored:
            score = checked_score(values.pop())
        points = pairs_of(values[1:], "")
        sides = around(points, "", 3)
        shape = "rotated box" if len(points) == 4 else "polygon"
        points = [(x * wide, y * tall) for x, y in points]
        drawn = corners(points) if len(points) == 4 else outline(points)
    else:
        raise Wrong(
            f"has {count} numbers; 5 are needed: class x y width height, or pairs of a polygon; "
            "for key points data.yaml must have kpt_shape"
        )
    collector.box(
        mention,
        found.names[number],
        sides,
        where,
        ignore=ignore,
        share=True,
        score=score,
        outline=Outline(shape, drawn),
    )


def _posed(values: list[float], points: tuple[int, int] | None, size: tuple[int, int]) -> Any:
    """Key points from shares of the page; without a third number, those at 0, 0 are not there."""
    step = 2 if points is None else points[1]
    rows = []
    for place in range(0, len(values), step):
        x, y, *seen = values[place : place + step]
        rows.append([x * size[0], y * size[1], seen[0] if seen else 2.0 * (x > 0 or y > 0)])
    return {"keypoints": rows} if any(row[2] > 0 for row in rows) else None


def _image_of(file: Path, images: PathLike | None) -> str | None:
    folders = (
        [Path(images)] if images is not None else [_swapped(file.parent, "labels", "images"), file.parent]
    )
    for folder in folders:
        stem = file.name.removesuffix(file.suffix)
        found = image_of(folder, stem)
        if found is not None and Path(found) != file:
            return found
    return None


def write_yolo(labels: LabelSet, path: PathLike) -> None:
    """Write data.yaml, labels/, pages.json. Images below `images/` get their text file at the same place.

    Every page needs its size. Ignored boxes are kept out of what a trainer counts on: they stand in the text
    file, since YOLO has no other place, and their places in pages.json.
    """
    import yaml

    root = Path(path)
    pages: dict[str, Any] = {}
    holds = holds_of(labels, "yolo")
    points = _points_of(labels) if "keypoints" in holds.shapes else 0
    for key, file in page_files(labels, root / "labels", ".txt").items():
        inside = Path(relative(key, root))
        if inside.parts[:1] == ("images",) and not key.page:
            file = root / Path("labels", *inside.parts[1:]).with_suffix(".txt")
        page, (width, height) = labels[key], labels.size(key)
        scale = np.array([width, height, width, height], dtype=np.float64)
        scores = (
            [f" {score!r}" for score in labels.scores[key].tolist()]
            if key in labels.scores
            else [""] * len(page)
        )
        shapes = _shapes(page, holds, points, (width, height))
        ratios = (page.boxes / scale).tolist()
        rows = [
            f"{number} {drawn or _box(box)}{score}\n"
            for number, box, drawn, score in zip(page.class_ids.tolist(), ratios, shapes, scores, strict=True)
        ]
        write_text(file, "".join(rows))
        entry: dict[str, Any] = {"source": relative(key, root), "width": width, "height": height}
        if key in labels.scores:
            entry["scored"] = True
        if page.ignore.any():
            entry["ignore"] = np.flatnonzero(page.ignore).tolist()
        pages[file.relative_to(root).as_posix()] = entry
    document: dict[str, Any] = {
        "path": ".",
        "train": "images",
        "val": "images",
        "names": dict(enumerate(labels.names)),
    }
    if points:
        document["kpt_shape"] = [points, 3]
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=1 << 20)
    write_text(root / "data.yaml", text)
    write_text(root / PAGES, json.dumps(pages, ensure_ascii=False, indent=1) + "\n")


def _points_of(labels: LabelSet) -> int:
    """How many key points each object has, where some have any."""
    for page in labels.values():
        for row in page.shapes.to_json() if page.shapes is not None else ():
            if row is not None:
                return len(row["keypoints"])
    return 0


def _box(sides: list[float]) -> str:
    x0, y0, x1, y1 = sides
    return f"{(x0 + x1) / 2!r} {(y0 + y1) / 2!r} {x1 - x0!r} {y1 - y0!r}"


def _shapes(page: Annotations, holds: Holds, points: int, size: tuple[int, int]) -> list[str]:
    """What a line has in place of a box; trainers take a file's lines all as boxes, as outlines, or as posed ones."""
    rows, (wide, tall) = fitted(page, holds).rows, size
    if points:
        none = [[0.0, 0.0, 0.0]] * points
        boxes = (page.boxes / np.array([wide, tall, wide, tall])).tolist()
        return [
            f"{_box(box)} "
            + " ".join(
                f"{x / wide!r} {y / tall!r} {int(seen)}" for x, y, seen in (row["keypoints"] if row else none)
            )
            for box, row in zip(boxes, rows, strict=True)
        ]
    if not any(rows):
        return [""] * len(page)
    lines = []
    for row, (x0, y0, x1, y1) in zip(rows, page.boxes.tolist(), strict=True):
        ring = row["polygon"][0] if row else [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        lines.append(" ".join(f"{x / wide!r} {y / tall!r}" for x, y in ring))
    return lines
