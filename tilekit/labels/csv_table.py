"""CSV: one box a row. Columns `source, page, width, height, label, x0, y0, x1, y1, ignore`.

`page` counts from one. A row without a label is a page without boxes. The column names of other tools are known:
TensorFlow's (filename, width, height, class, xmin, ymin, xmax, ymax) and plain x, y, w, h.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector, number_text
from tilekit.labels.files import folder_of, read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import PathLike, relative, resolve
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
}
_TRUE = ("1", "true", "yes")


def columns(header: list[str]) -> dict[str, int]:
    """Our names of the columns -> their place in a header; LabelError where source, label or sides lack."""
    plain = [name.strip().lower() for name in header]
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


def read_csv(path: PathLike, *, strict: bool = True, images: PathLike | None = None) -> LabelSet:
    """Read a CSV file with a header; comma, semicolon or tab. Problems name the line."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise LabelError(f"{path}: not UTF-8 text: {exc}; save it as UTF-8") from exc
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = next(rows, [])
    try:
        places = columns(header)
    except LabelError as exc:
        raise LabelError(f"{path}, line 1: {exc}") from exc
    collector, folder = Collector(path, strict), folder_of(path)
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                _row(collector, row, places, folder, images, rows.line_num)
    except csv.Error as exc:
        raise LabelError(f"{path}, line {rows.line_num}: {exc}") from exc
    return collector.finish("csv")


def _row(
    collector: Collector,
    row: list[str],
    places: dict[str, int],
    folder: str,
    images: PathLike | None,
    line: int,
) -> None:
    cell = {name: row[place] for name, place in places.items() if place < len(row)}
    source = cell.get("source", "").strip()
    if not source:
        collector.problem("source", "is missing", line)
        return
    key = resolve(source, folder, images)
    number = cell.get("page", "").strip()
    if number:
        if not number.isdecimal() or int(number) < 1:
            collector.problem("page", f"is {number!r}; pages count from one", line)
            return
        key = PageKey(key.source, int(number) - 1)
    width, height = cell.get("width") or None, cell.get("height") or None
    label = cell.get("label", "")
    if not collector.page(key, width, height, "width", line) or not label:
        return
    try:
        sides = _sides(cell)
    except ValueError:
        given = {name: cell.get(name) for name in ("x0", "y0", "x1", "y1", "w", "h") if name in cell}
        collector.problem("x0", f"the sides are {given}; numbers are needed", line)
        return
    ignore = cell.get("ignore", "").strip().lower() in _TRUE
    collector.box(key, label, sides, ignore=ignore, line=line)


def _sides(cell: dict[str, str]) -> list[float]:
    x0, y0 = float(cell.get("x0", "")), float(cell.get("y0", ""))
    if "x1" in cell and "y1" in cell:
        return [x0, y0, float(cell["x1"]), float(cell["y1"])]
    return [x0, y0, x0 + float(cell.get("w", "")), y0 + float(cell.get("h", ""))]


def write_csv(labels: LabelSet, path: PathLike) -> None:
    """Write a CSV file; pages without boxes become a row without a label."""
    folder = folder_of(path)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for key, page in labels.items():
        size: tuple[Any, Any] = labels.sizes.get(key, ("", ""))
        start = [relative(PageKey(key.source), folder), key.page + 1, *size]
        if not len(page):
            writer.writerow([*start, "", "", "", "", "", ""])
        for box, label, ignored in zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), strict=True):
            writer.writerow([*start, label, *map(number_text, box), int(ignored)])
    write_text(path, text.getvalue())
