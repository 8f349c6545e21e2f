"""CSV: one box a row. Columns `source, page, width, height, label, x0, y0, x1, y1, ignore`, and `score` where known.

`page` counts from one. A row without label and sides is a page without boxes. The column names of other tools are
known: TensorFlow's (filename, width, height, class, xmin, ymin, xmax, ymax), VoTT's and plain x, y, w, h; Open
Images' table (ImageID, LabelName, XMin, ... as shares of the page) is a format of its own.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import (
    Where,
    Wrong,
    checked_label,
    checked_score,
    number,
    number_text,
    shown,
    text,
    true,
    whole,
)
from tilekit.labels.files import folder_of, read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.sources import PathLike, find_image, relative, resolve
from tilekit.pages import PageKey
from tilekit.storage.local import write_text

COLUMNS = ("source", "page", "width", "height", "label", "x0", "y0", "x1", "y1", "ignore")
_ALIASES = {
    "source": ("source", "filename", "file_name", "file", "image", "image_path", "path", "source-ref"),
    "page": ("page",),
    "width": ("width", "image_width"),
    "height": ("height", "image_height"),
    "label": ("label", "class", "class_name", "name", "category"),
    "x0": ("x0", "xmin", "x_min", "x1", "left", "x"),
    "y0": ("y0", "ymin", "y_min", "y1", "top", "y"),
    "x1": ("x1", "xmax", "x_max", "x2", "right"),
    "y1": ("y1", "ymax", "y_max", "y2", "bottom"),
    "w": ("w", "box_width", "bbox_width"),
    "h": ("h", "box_height", "bbox_height"),
    "ignore": ("ignore", "difficult", "iscrowd"),
    "score": ("score", "confidence"),
}
_SIDES = ("x0", "y0", "x1", "y1", "w", "h")


def columns(header: list[str]) -> dict[str, int]:
    """Our names of the columns -> their place in a header; LabelError where source, label or sides lack."""
    plain = [name.strip().strip('"').lower() for name in header]
    found: dict[str, int] = {}
    for ours, names in _ALIASES.items():
        for name in names:
            if name in plain and plain.index(name) not in found.values():
                found[ours] = plain.index(name)
                break
    needed = {"source", "label", "x0", "y0"}
    ends = {"x1", "y1"} <= found.keys() or {"w", "h"} <= found.keys()
    if not needed <= found.keys() or not ends:
        raise LabelError(f"the columns are {', '.join(header)!r:.200}; needed are {', '.join(COLUMNS)}")
    return found


def table_rows(path: PathLike) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header of a CSV file, and (line, row) of its other rows; comma, semicolon or tab. LabelError where broken."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise LabelError(f"{os.fspath(path)}: not UTF-8 text: {exc}; save it as UTF-8") from exc
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
    try:
        header = next(rows, [])
    except csv.Error as exc:
        raise LabelError(f"{os.fspath(path)}, line 1: {exc}") from exc

    def rest() -> Iterator[tuple[int, list[str]]]:
        try:
            for row in rows:
                if any(cell.strip() for cell in row):
                    yield rows.line_num, row
        except csv.Error as exc:
            raise LabelError(f"{os.fspath(path)}, line {rows.line_num}: {exc}") from exc

    return header, rest()


def delimiter_of(text: str) -> str:
    """Comma, semicolon or tab: the one most often in the first line."""
    first = text.split("\n", 1)[0]
    return max(",;\t", key=first.count)


@dataclass(frozen=True)
class _Entry:
    """A row that makes sense; `box`: label, sides, ignore, score, or None for a page without boxes."""

    key: PageKey
    size: tuple[Any, Any]
    box: tuple[str, list[float], bool, float | None] | None


def read_csv(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a CSV file with a header; comma, semicolon or tab. Problems name the line."""
    header, rows = table_rows(path)
    try:
        places = columns(header)
    except LabelError as exc:
        raise LabelError(f"{os.fspath(path)}, line 1: {exc}") from exc
    collector, folder = Collector(path, options), folder_of(path)
    for line, row in rows:
        cell = {name: row[place].strip() for name, place in places.items() if place < len(row)}
        if "label" in places and places["label"] < len(row):
            cell["label"] = row[places["label"]]  # spaces around a label are its own
        entry, where = any(cell.get(name, "").strip() for name in ("label", *_SIDES)), Where(line=line)
        try:
            found = _entry(cell, entry, folder, options)
        except Wrong as exc:
            collector.expect(int(entry))
            collector.refuse(where.at(exc.field), str(exc), int(entry))
            continue
        mention = collector.page(found.key, found.size, where.at("width"), int(entry), again=True)
        if mention is not None and found.box is not None:
            label, sides, ignore, score = found.box
            collector.box(mention, label, sides, where, ignore=ignore, score=score)
    return collector.finish("csv")


def _entry(cell: dict[str, str], entry: bool, folder: str, options: ReadOptions) -> _Entry:
    key = resolve(text(cell.get("source"), "source"), folder, options.images)
    if cell.get("page"):
        page = cell["page"][:12]
        if not page.isdecimal() or int(page) < 1:
            raise Wrong(f"is {cell['page']!r}; pages count from one", "page")
        key = PageKey(key.source, int(page) - 1)
    size = (cell.get("width") or None, cell.get("height") or None)
    if not entry:
        return _Entry(key, size, None)
    ends = ("x1", "y1") if "x1" in cell and "y1" in cell else ("w", "h")
    try:
        sides = [number(cell.get(name), name) for name in ("x0", "y0", *ends)]
    except Wrong as exc:
        given = {name: cell[name] for name in _SIDES if name in cell}
        raise Wrong(f"the sides are {shown(given)}; numbers are needed", exc.field) from exc
    if ends == ("w", "h"):
        sides[2:] = sides[0] + sides[2], sides[1] + sides[3]
    score = checked_score(cell["score"]) if cell.get("score") else None
    return _Entry(
        key,
        size,
        (checked_label(cell.get("label", "").strip("\r\n")), sides, true(cell.get("ignore", "")), score),
    )


def write_csv(labels: LabelSet, path: PathLike) -> None:
    """Write a CSV file; pages without boxes become a row without a label."""
    folder = folder_of(path)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    header = (*COLUMNS, *(["score"] if labels.scores else []))
    writer.writerow(header)
    for key, page in labels.items():
        size: tuple[Any, Any] = labels.sizes.get(key, ("", ""))
        start = [relative(PageKey(key.source), folder), key.page + 1, *size]
        if not len(page):
            writer.writerow([*start, *[""] * (len(header) - len(start))])
        scores = (
            [[repr(score)] for score in labels.scores[key].tolist()]
            if key in labels.scores
            else [[]] * len(page)
        )
        rows = zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), scores, strict=True)
        for box, label, ignored, score in rows:
            writer.writerow([*start, label, *map(number_text, box), int(ignored), *score])
    write_text(path, text.getvalue(), escape=False)


OPEN_IMAGES = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
"""Columns that make a table one of Open Images."""


def read_open_images(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read Open Images' box table: shares of the page; `IsGroupOf` is an ignore region.

    `ImageID` is the image's name without its ending: looked for in `images` or beside the file.
    """
    header, rows = table_rows(path)
    plain = [name.strip().strip('"') for name in header]
    lacking = [name for name in OPEN_IMAGES if name not in plain]
    if lacking:
        raise LabelError(f"{os.fspath(path)}, line 1: has no column {', '.join(lacking)}")
    collector = Collector(path, options)
    folder = os.fspath(options.images) if options.images is not None else folder_of(path)
    for line, row in rows:
        cell, where = dict(zip(plain, row, strict=False)), Where(line=line)
        try:
            key = PageKey(find_image(folder, text(cell.get("ImageID"), "ImageID")))
            sides = [number(cell.get(name), name) for name in ("XMin", "YMin", "XMax", "YMax")]
            label = checked_label(cell.get("LabelName"))
            group = cell.get("IsGroupOf") or "0"
            ignore = whole(group, "IsGroupOf") == 1
        except Wrong as exc:
            collector.expect(1)
            collector.refuse(where.at(exc.field), str(exc))
            continue
        mention = collector.page(key, (None, None), where, 1, again=True)
        if mention is not None:
            collector.box(mention, label, sides, where, ignore=ignore, share=True)
    return collector.finish("open-images")


def write_open_images(labels: LabelSet, path: PathLike) -> None:
    """Write Open Images' box table; every page needs its size, and images are found again by their names."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax",
                     "IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"])  # fmt: skip
    folder = folder_of(path)
    for key, page in labels.items():
        if not len(page):
            continue
        width, height = labels.size(key)
        name = os.path.splitext(relative(PageKey(key.source), folder))[0]
        for (x0, y0, x1, y1), label, ignored in zip(
            page.boxes.tolist(), page.labels, page.ignore.tolist(), strict=True
        ):
            sides = [repr(side) for side in (x0 / width, x1 / width, y0 / height, y1 / height)]
            writer.writerow([name, "tilekit", label, 1, *sides, -1, -1, int(ignored), -1, -1])
    write_text(path, text.getvalue(), escape=False)
