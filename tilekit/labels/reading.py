"""read_labels and write_labels: every format, found by content."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.coco import read_coco, write_coco
from tilekit.labels.csv_table import (
    OPEN_IMAGES,
    columns,
    delimiter_of,
    read_csv,
    read_open_images,
    write_csv,
    write_open_images,
)
from tilekit.labels.cvat import read_cvat, write_cvat
from tilekit.labels.files import open_bytes, read_bytes
from tilekit.labels.geojson import read_geojson, write_geojson
from tilekit.labels.ground_truth import read_ground_truth, write_ground_truth
from tilekit.labels.label_set import LabelSet
from tilekit.labels.label_studio import read_label_studio, write_label_studio
from tilekit.labels.labelme import read_labelme, write_labelme
from tilekit.labels.options import Duplicates, ReadOptions, Units
from tilekit.labels.pdf_points import FORMAT as PDF_POINTS
from tilekit.labels.pdf_points import read_pdf_points, write_pdf_points
from tilekit.labels.sources import PathLike
from tilekit.labels.voc import read_voc, write_voc
from tilekit.labels.yolo import find_config, read_yolo, write_yolo
from tilekit.storage.local import storage_errors

_READERS: dict[str, Callable[..., LabelSet]] = {
    "ground-truth": read_ground_truth,
    "coco": read_coco,
    "voc": read_voc,
    "yolo": read_yolo,
    "labelme": read_labelme,
    "cvat": read_cvat,
    "label-studio": read_label_studio,
    "csv": read_csv,
    "open-images": read_open_images,
    "geojson": read_geojson,
    PDF_POINTS: read_pdf_points,
}
_WRITERS: dict[str, Callable[..., Any]] = {
    "ground-truth": write_ground_truth,
    "coco": write_coco,
    "voc": write_voc,
    "yolo": write_yolo,
    "labelme": write_labelme,
    "cvat": write_cvat,
    "label-studio": write_label_studio,
    "csv": write_csv,
    "open-images": write_open_images,
    "geojson": write_geojson,
    PDF_POINTS: write_pdf_points,
}
FORMATS = tuple(_READERS)
"""Names of the formats, as `format=` takes them."""
WRITABLE = tuple(_WRITERS)
"""Those of them that write_labels writes."""
FOLDERS = ("voc", "yolo", "labelme")
"""Formats that are written as a folder."""
_HEAD = 64 * 1024
_XML_ROOT = re.compile(rb"<([A-Za-z_][\w.-]*)[\s>/]")


def read_labels(
    path: PathLike,
    format: str | None = None,
    *,
    strict: bool = True,
    images: PathLike | None = None,
    ignore_names: Sequence[str] = (),
    duplicates: Duplicates = "refuse",
    units: Units | None = None,
    **options: Any,
) -> LabelSet:
    """Read labels from a file or folder; `format` None finds it by content. Every entry is accounted for in `tally`.

    `strict`: the first bad entry raises LabelError; False keeps what is good and lists the rest in
    `LabelSet.problems`. `images`: folder (or URL) the scans are in, where the file's own paths do not say.
    `ignore_names`: boxes of these labels become ignore regions. `duplicates`: what becomes of a page that is named
    twice: "refuse", "union", "first", "consensus". `units`: "px", or "share" of the page's sides; None takes what the
    format says, and px that all lie within 0..1 are a problem. `options` go to the format's own reader.
    Raises LabelError, StorageNotFound, StorageDenied, InvalidArgument.
    """
    chosen = _known(format) if format is not None else detect_format(path)
    try:
        found = _READERS[chosen](path, ReadOptions(strict, images, duplicates, units), **options)
    except OSError as exc:
        with storage_errors(path):
            raise exc
    except TypeError as exc:
        if options and "unexpected keyword" in str(exc):
            raise InvalidArgument(f"{chosen}: {exc}") from exc
        raise
    return found.ignoring(list(ignore_names))


def write_labels(labels: LabelSet, path: PathLike, format: str = "ground-truth", **options: Any) -> None:
    """Write labels in one of FORMATS: a file, or a folder for those in FOLDERS.

    Sources go out relative to the file's folder, URLs and absolute paths as they are. `options` go to the
    format's own writer. Raises InvalidArgument where a format needs sizes that are not known.
    """
    _WRITERS[_known(format)](labels, path, **options)


def detect_format(path: PathLike) -> str:
    """The format of a file or folder, by its content; LabelError where it is none of FORMATS."""
    found = _folder_format(Path(path)) if os.path.isdir(path) else _file_format(path)
    if found is None:
        raise LabelError(
            f"{os.fspath(path)}: no label format we know; give format= one of {', '.join(FORMATS)}"
        )
    return found


def _known(format: str) -> str:
    if format not in FORMATS:
        raise InvalidArgument(f"format={format!r}: use one of {', '.join(FORMATS)}")
    return format


def _folder_format(folder: Path) -> str | None:
    if find_config(folder) is not None or (folder / "classes.txt").is_file():
        return "yolo"
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in (".xml", ".json") and file.is_file():
            found = _file_format(file)
            if found in ("voc", "labelme"):
                return found
    return None


def _file_format(path: PathLike) -> str | None:
    with open_bytes(path) as file, storage_errors(path):
        head = file.read(_HEAD)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise LabelError(f"{os.fspath(path)}: is UTF-16 text; save the file as UTF-8")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise LabelError(f"{os.fspath(path)}: is empty")
    if text[:1] == b"<":
        return _xml_format(text)
    if text[:1] in (b"{", b"["):
        return _json_format(path, text)
    if Path(os.fspath(path)).suffix.lower() in (".yaml", ".yml"):
        return "yolo"
    return _table_format(text)


def _xml_format(text: bytes) -> str | None:
    for found in _XML_ROOT.finditer(re.sub(rb"<!--.*?-->", b"", text, flags=re.DOTALL)):
        return {b"annotation": "voc", b"annotations": "cvat"}.get(found[1])
    return None


def _json_format(path: PathLike, text: bytes) -> str | None:
    lines = text.split(b"\n", 2)
    if b'"source-ref"' in lines[0] or (b'"source-ref"' in text and _is_json(lines[0])):
        return "ground-truth"
    try:
        document = msgspec.json.decode(read_bytes(path), type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        if b'"source-ref"' in text:
            return "ground-truth"
        if b'"detections"' in lines[0]:
            raise LabelError(
                f"{os.fspath(path)}: holds detections, not labels; use read_predictions"
            ) from exc
        raise LabelError(f"{os.fspath(path)}: not JSON: {exc}") from exc
    if isinstance(document, list):
        return "geojson" if document and b'"Feature"' in bytes(document[0])[:2000] else "label-studio"
    keys = document.keys()
    if "detections" in keys and "source" in keys:
        raise LabelError(f"{os.fspath(path)}: holds detections, not labels; use read_predictions")
    if "shapes" in keys:
        return "labelme"
    if "features" in keys:
        return "geojson"
    if "images" in keys and ("annotations" in keys or "categories" in keys):
        return "coco"
    if "source-ref" in keys:
        return "ground-truth"
    return PDF_POINTS if "pages" in keys and bytes(document.get("format", b"")) == b'"pdf-points"' else None


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _table_format(text: bytes) -> str | None:
    first = text.decode("utf-8", "replace").split("\n", 1)[0].strip()
    header = next(csv.reader([first], delimiter=delimiter_of(first)), [])
    if set(OPEN_IMAGES) <= set(header):
        return "open-images"
    try:
        columns(header)
    except LabelError:
        return None
    return "csv"
