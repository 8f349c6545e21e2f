"""Formats of plain text with absolute px: DOTA, KITTI and WIDER FACE.

DOTA: `x1 y1 x2 y2 x3 y3 x4 y4 label difficult` a line in `labelTxt/`, difficult ones are ignore regions. KITTI:
`label truncated occluded alpha x0 y0 x1 y1 ...` in `label_2/`, `DontCare` is an ignore region. WIDER FACE: one file
of an image's name, a count and so many lines `x y width height ...`, of which those marked invalid are ignore regions.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tilekit.errors import InvalidArgument
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, around, number_text, numbers, pairs_of
from tilekit.labels.files import folder_of, read_bytes
from tilekit.labels.holding import HOLDS, fitted
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.shapes import corners
from tilekit.labels.sources import PathLike, find_image, resolve
from tilekit.labels.voc import page_files
from tilekit.pages import PageKey
from tilekit.storage.local import storage_errors, write_text

Take = Callable[[Collector, int, list[str], Where], None]
_DOTA_FOLDERS = ("labelTxt", "labelTxt-v1.0", "labelTxt-v1.5", "labelTxt-v2.0")
_KITTI_FOLDERS = ("label_2", "label_02")
_IMAGES = ("images", "image_2", "image_02", "img")
_FACE = "face"


def dota_files(folder: Path) -> list[Path]:
    """Text files of DOTA in a folder: below labelTxt, or beside it."""
    found = [file for name in _DOTA_FOLDERS for file in sorted(folder.rglob(f"{name}/*.txt"))]
    return found or [file for file in sorted(folder.glob("*.txt")) if is_dota(_first_lines(file))]


def kitti_files(folder: Path) -> list[Path]:
    """Text files of KITTI in a folder: below label_2, or beside it."""
    found = [file for name in _KITTI_FOLDERS for file in sorted(folder.rglob(f"{name}/*.txt"))]
    return found or [file for file in sorted(folder.glob("*.txt")) if is_kitti(_first_lines(file))]


def is_dota(lines: list[str]) -> bool:
    """Whether lines of a text are DOTA's."""
    rows = [line.split() for line in lines if line.strip() and not _is_header(line)]
    return bool(rows) and all(
        len(row) in (9, 10) and _all_numbers(row[:8]) and not _all_numbers(row[8:9]) for row in rows
    )


def is_kitti(lines: list[str]) -> bool:
    """Whether lines of a text are KITTI's."""
    rows = [line.split() for line in lines if line.strip()]
    return bool(rows) and all(
        len(row) in (15, 16) and _all_numbers(row[1:]) and not _all_numbers(row[:1]) for row in rows
    )


def is_wider(lines: list[str]) -> bool:
    """Whether lines of a text are WIDER FACE's: a name, a count, rows of ten numbers."""
    rows = [line.strip() for line in lines if line.strip()]
    return (
        len(rows) > 2
        and rows[0].lower().endswith((".jpg", ".jpeg", ".png"))
        and rows[1].isdecimal()
        and len(rows[2].split()) == 10
        and _all_numbers(rows[2].split())
    )


def _is_header(line: str) -> bool:
    return line.startswith(("imagesource:", "gsd:"))


def _all_numbers(words: list[str]) -> bool:
    try:
        return bool(words) and bool([float(word) for word in words])
    except ValueError:
        return False


def _first_lines(file: Path) -> list[str]:
    with storage_errors(file), file.open("rb") as opened:
        head = opened.read(4096)
    return (
        head.decode("utf-8", "replace").splitlines()[:5]
        if len(head) < 4096
        else head.decode("utf-8", "replace").splitlines()[:5][:-1]
    )


def read_dota(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a text file of DOTA or a folder of them; problems name file and line."""
    files = dota_files(Path(path)) if os.path.isdir(path) else [Path(path)]
    return _read(Collector(path, options), files, _dota, ".png").finish("dota")


def read_kitti(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a text file of KITTI or a folder of them; problems name file and line."""
    files = kitti_files(Path(path)) if os.path.isdir(path) else [Path(path)]
    return _read(Collector(path, options), files, _kitti, ".png").finish("kitti")


def _read(collector: Collector, files: list[Path], take: Take, suffix: str) -> Collector:
    for file in files:
        with storage_errors(file):
            lines = file.read_bytes().decode("utf-8", "replace").splitlines()
        rows = [(n, line.split()) for n, line in enumerate(lines, 1) if line.strip() and not _is_header(line)]
        folder = file.parent
        if collector.options.images is not None:
            found = find_image(collector.options.images, file.stem)
        else:
            beside = [str(place / name) for place in (folder.parent, folder) for name in _IMAGES]
            found = find_image(folder, file.stem, tuple(beside))
        if not os.path.isfile(found):
            found = found.removesuffix(".jpg") + suffix
        mention = collector.page(PageKey(found), where=Where(file=str(file)), entries=len(rows))
        if mention is not None:
            collector.each(
                [row for _, row in rows],
                lambda place, rows=rows, file=file: Where("", rows[place][0], str(file)),  # type: ignore[misc]
                lambda row, where, mention=mention: take(collector, mention, row, where),  # type: ignore[misc]
                mention,
            )
    return collector


def _dota(collector: Collector, mention: int, row: list[str], where: Where) -> None:
    if len(row) not in (9, 10):
        raise Wrong(f"has {len(row)} parts; 10 are needed: x1 y1 x2 y2 x3 y3 x4 y4 label difficult")
    points = pairs_of(row[:8], "")
    flat = len({x for x, _ in points}) == 2 and len({y for _, y in points}) == 2
    ignore = len(row) == 10 and row[9] not in ("0", "0.0")
    shape = "box" if flat else "rotated box"
    collector.box(
        mention, row[8], around(points, ""), where, ignore=ignore, outline=Outline(shape, corners(points))
    )


def _kitti(collector: Collector, mention: int, row: list[str], where: Where) -> None:
    if len(row) not in (8, 15, 16):
        raise Wrong(f"has {len(row)} parts; 15 are needed, the fifth to the eighth the sides of the box")
    sides = numbers(row[4:8], 4, "")
    score = row[15] if len(row) == 16 and 0 <= float(numbers(row[15:], 1, "")[0]) <= 1 else None
    collector.box(mention, row[0], sides, where, ignore=row[0] == "DontCare", score=score)  # type: ignore[arg-type]


def read_wider(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read an annotation file of WIDER FACE; problems name the line."""
    collector, folder = Collector(path, options, [_FACE]), folder_of(path)
    lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    place = 0
    while place < len(lines):
        name, where = lines[place].strip(), Where(line=place + 1)
        place += 1
        if not name:
            continue
        count = int(lines[place][:9]) if place < len(lines) and lines[place].strip().isdecimal() else -1
        if count < 0:
            collector.expect(1)
            collector.refuse(
                where, f"is {name!r:.80}, where an image's name and, on the next line, a count are needed"
            )
            continue
        rows = [line.split() for line in lines[place + 1 : place + 1 + max(count, 1)]]
        start = place + 2
        place += 1 + max(count, 1)
        if not count:
            rows = []  # the file has a line of zeros there
        try:
            key = resolve(name, folder, options.images)
        except Wrong as exc:
            collector.expect(len(rows))
            collector.refuse(where, str(exc), len(rows))
            continue
        mention = collector.page(key, where=where, entries=len(rows))
        if mention is not None:
            collector.each(
                rows,
                lambda row, start=start: Where(line=start + row),  # type: ignore[misc]
                lambda row, at, mention=mention: _face(collector, mention, row, at),  # type: ignore[misc]
                mention,
            )
    return collector.finish("wider")


def _face(collector: Collector, mention: int, row: list[str], where: Where) -> None:
    if len(row) < 4:
        raise Wrong(f"has {len(row)} numbers; x y width height are needed")
    x, y, w, h = numbers(row[:4], 4, "")
    ignore = len(row) > 7 and row[7] == "1"
    collector.box(mention, _FACE, [x, y, x + w, y + h], where, ignore=ignore)


def write_dota(labels: LabelSet, path: PathLike) -> None:
    """Write a folder `labelTxt/` with a text file for each page. Labels must be one word each."""
    _check_words(labels, "DOTA")
    for key, file in page_files(labels, Path(path) / "labelTxt", ".txt").items():
        page, rows = labels[key], []
        shapes = fitted(page, HOLDS["dota"]).rows
        for (x0, y0, x1, y1), label, ignored, drawn in zip(
            page.boxes.tolist(), page.labels, page.ignore.tolist(), shapes, strict=True
        ):
            points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)] if drawn is None else drawn["polygon"][0]
            said = " ".join(number_text(side) for point in points for side in point)
            rows.append(f"{said} {label} {int(ignored)}\n")
        write_text(file, "".join(rows))


def write_kitti(labels: LabelSet, path: PathLike) -> None:
    """Write a folder `label_2/` with a text file for each page; ignore regions become DontCare."""
    _check_words(labels, "KITTI")
    for key, file in page_files(labels, Path(path) / "label_2", ".txt").items():
        page, rows = labels[key], []
        scores = (
            [f" {score!r}" for score in labels.scores[key].tolist()]
            if key in labels.scores
            else [""] * len(page)
        )
        for box, label, ignored, score in zip(
            page.boxes.tolist(), page.labels, page.ignore.tolist(), scores, strict=True
        ):
            sides = " ".join(map(number_text, box))
            rows.append(
                f"{'DontCare' if ignored else label} -1 -1 -10 {sides} -1 -1 -1 -1000 -1000 -1000 -10{score}\n"
            )
        write_text(file, "".join(rows))


def _check_words(labels: LabelSet, what: str) -> None:
    for name in labels.names:
        if len(name.split()) != 1:
            raise InvalidArgument(
                f"{what} separates by spaces, and the label {name!r} is not one word; rename it first"
            )
