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
from tilekit.labels.annotorious import read_annotorious, write_annotorious
from tilekit.labels.coco import read_coco, write_coco
from tilekit.labels.coco_folders import coco_files
from tilekit.labels.createml import createml_files, read_createml, write_createml
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
from tilekit.labels.datumaro_json import datumaro_files, read_datumaro, write_datumaro
from tilekit.labels.files import open_bytes, read_bytes
from tilekit.labels.geojson import read_geojson, write_geojson
from tilekit.labels.ground_truth import read_ground_truth, write_ground_truth
from tilekit.labels.holding import losses
from tilekit.labels.label_set import LabelSet
from tilekit.labels.label_studio import read_label_studio, write_label_studio
from tilekit.labels.labelbox import read_labelbox
from tilekit.labels.labelme import read_labelme, write_labelme
from tilekit.labels.options import Duplicates, ReadOptions, Units
from tilekit.labels.pdf_points import FORMAT as PDF_POINTS
from tilekit.labels.pdf_points import read_pdf_points, write_pdf_points
from tilekit.labels.sources import PathLike
from tilekit.labels.supervisely import read_supervisely, supervisely_files
from tilekit.labels.text_files import (
    dota_files,
    is_dota,
    is_kitti,
    is_wider,
    kitti_files,
    read_dota,
    read_kitti,
    read_wider,
    write_dota,
    write_kitti,
)
from tilekit.labels.via import COLUMNS as VIA
from tilekit.labels.via import read_via, write_via
from tilekit.labels.voc import read_voc, write_voc
from tilekit.labels.vott import read_vott
from tilekit.labels.yolo import find_config, is_darknet, read_yolo, write_yolo
from tilekit.storage import json_names
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
    "createml": read_createml,
    "annotorious": read_annotorious,
    "via": read_via,
    "vott": read_vott,
    "dota": read_dota,
    "kitti": read_kitti,
    "wider": read_wider,
    "datumaro": read_datumaro,
    "supervisely": read_supervisely,
    "labelbox": read_labelbox,
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
    "createml": write_createml,
    "annotorious": write_annotorious,
    "via": write_via,
    "dota": write_dota,
    "kitti": write_kitti,
    "datumaro": write_datumaro,
}
FORMATS = tuple(_READERS)
"""Names of the formats, as `format=` takes them."""
WRITABLE = tuple(_WRITERS)
"""Those of them that write_labels writes."""
FOLDERS = ("voc", "yolo", "labelme", "dota", "kitti")
"""Formats that are written as a folder."""
_HEAD = 64 * 1024
_SOURCE_REF = re.compile(rb'"source-ref"\s*:')  # a key, not a label of that name
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
    format says, and px that all lie within 0..1 are a problem. `options`: `clip=True`: boxes that pass the edge of
    their page are clipped, not a problem; `shapes=True` takes outlines, turned boxes, masks and key points along
    beside the boxes; the others go to the format's own reader.
    Raises LabelError, StorageNotFound, StorageDenied, InvalidArgument.
    """
    path = path if format is not None else only_file(path)
    chosen = _known(format) if format is not None else detect_format(path)
    try:
        flags = [bool(options.pop(name, False)) for name in ("clip", "shapes")]
        how = ReadOptions(strict, images, duplicates, units, *flags)
        found = _READERS[chosen](path, how, **options)
    except OSError as exc:
        with storage_errors(path):
            raise exc
    except TypeError as exc:
        if options and "unexpected keyword" in str(exc):
            raise InvalidArgument(f"{chosen}: {exc}") from exc
        raise
    return found.ignoring(list(ignore_names))


def write_labels(
    labels: LabelSet, path: PathLike, format: str = "ground-truth", **options: Any
) -> tuple[str, ...]:
    """Write labels in one of WRITABLE: a file, or a folder for those in FOLDERS. Gives what the format cannot hold.

    Sources go out relative to the file's folder, URLs and absolute paths as they are. `options` go to the
    format's own writer. Raises InvalidArgument where a format needs sizes that are not known, or cannot hold
    scores; LabelError where nothing would be left to write.
    """
    if _known(format) not in _WRITERS:
        raise InvalidArgument(f"format={format!r} is only read; write one of {', '.join(WRITABLE)}")
    lost = losses(labels, format)
    _WRITERS[format](labels, path, **options)
    return lost


def detect_format(path: PathLike) -> str:
    """The format of a file or folder, by its content; LabelError where it is none of FORMATS."""
    found = _folder_format(Path(path)) if os.path.isdir(path) else _file_format(path)
    if found is None:
        raise LabelError(
            f"{os.fspath(path)}: no label format we know; give format= (--from) one of {', '.join(FORMATS)}"
        )
    return found


def _known(format: str) -> str:
    if format not in FORMATS:
        raise InvalidArgument(f"format={format!r}: use one of {', '.join(FORMATS)}")
    return format


_FOLDER_FILES: dict[str, Callable[[Path], list[Path]]] = {
    "coco": coco_files,
    "datumaro": datumaro_files,
    "supervisely": supervisely_files,
    "createml": createml_files,
    "dota": dota_files,
    "kitti": kitti_files,
}
"""Formats of folders -> their files there."""


def _folder_format(folder: Path) -> str | None:
    if find_config(folder) is not None or (folder / "classes.txt").is_file():
        return "yolo"
    for name, files in _FOLDER_FILES.items():
        if files(folder):
            return name
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in (".xml", ".json") and file.is_file():
            found = _quietly(file)
            if found in ("voc", "labelme"):
                return found
    return None


def only_file(path: PathLike) -> PathLike:
    """The one label file in a folder that is no format of folders; else the path as it is."""
    if not os.path.isdir(path) or _folder_format(Path(path)) is not None:
        return path
    endings = (".xml", ".json", ".csv", ".manifest", ".jsonl", ".ndjson", ".geojson")
    files = [
        file for file in sorted(Path(path).iterdir()) if file.suffix.lower() in endings and file.is_file()
    ]
    found = [file for file in files if _quietly(file) is not None]
    return found[0] if len(found) == 1 else path


def _quietly(file: Path) -> str | None:
    """The format of a file; None where it has none, or is broken."""
    try:
        return _file_format(file)
    except LabelError:
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
    if Path(os.fspath(path)).suffix.lower() == ".data" and is_darknet(path):
        return "yolo"
    return _table_format(text)


def _xml_format(text: bytes) -> str | None:
    for found in _XML_ROOT.finditer(re.sub(rb"<!--.*?-->", b"", text, flags=re.DOTALL)):
        return {b"annotation": "voc", b"annotations": "cvat"}.get(found[1])
    return None


def _json_format(path: PathLike, text: bytes) -> str | None:
    lines = text.split(b"\n", 2)
    if _SOURCE_REF.search(lines[0]) or (_SOURCE_REF.search(text) and _is_json(lines[0])):
        return "ground-truth"
    try:
        document = json_names.parts(read_bytes(path))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        if _SOURCE_REF.search(text):
            return "ground-truth"
        if b'"data_row"' in lines[0]:
            return "labelbox"
        if b'"detections"' in lines[0]:
            raise LabelError(
                f"{os.fspath(path)}: holds detections, not labels; use read_predictions"
            ) from exc
        raise LabelError(f"{os.fspath(path)}: not JSON: {exc}") from exc
    if isinstance(document, list):
        return _list_format(document)
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
    if "pages" in keys and bytes(document.get("format", b"")) == b'"pdf-points"':
        return PDF_POINTS
    return _object_format(document)


_OBJECTS: tuple[tuple[str, frozenset[str]], ...] = (
    ("annotorious", frozenset({"type", "items"})),
    ("datumaro", frozenset({"items", "categories"})),
    ("vott", frozenset({"assets"})),
    ("vott", frozenset({"asset", "regions"})),
    ("labelbox", frozenset({"data_row"})),
    ("supervisely", frozenset({"objects", "size"})),
    ("via", frozenset({"_via_img_metadata"})),
    ("via", frozenset({"metadata", "file", "view"})),
)
"""Formats of JSON objects, by the keys that make them."""


def _object_format(document: dict[str, msgspec.Raw]) -> str | None:
    for name, keys in _OBJECTS:
        if keys <= document.keys():
            return name
    first = bytes(next(iter(document.values()), b""))
    return "via" if b'"regions"' in first and b'"filename"' in first else None


def _list_format(document: list[msgspec.Raw]) -> str:
    first = bytes(document[0]) if document else b""
    if b'"Feature"' in first[:2000]:
        return "geojson"
    if b'"Labeled Data"' in first or b'"External ID"' in first or b'"data_row"' in first:
        return "labelbox"
    try:
        entry = json_names.fields(first) if document else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "label-studio"
    if "target" in entry:
        return "annotorious"
    named = any(bytes(entry.get(name, b""))[:1] == b'"' for name in ("image", "imagefilename", "filename"))
    boxes = bytes(entry.get("annotations", entry.get("annotation", b"")))
    if named and "data" not in entry and boxes[:1] == b"[" and b'"result"' not in boxes:
        return "createml"
    return "label-studio"


def _is_json(line: bytes) -> bool:
    try:
        json_names.decoded(msgspec.json.Decoder(Any), line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _table_format(text: bytes) -> str | None:
    lines = text.decode("utf-8", "replace").splitlines()[:5]
    for name, fits in (("dota", is_dota), ("kitti", is_kitti), ("wider", is_wider)):
        if fits(lines):
            return name
    first = lines[0].strip()
    header = next(csv.reader([first], delimiter=delimiter_of(first)), [])
    if set(OPEN_IMAGES) <= set(header):
        return "open-images"
    if set(VIA) <= set(header):
        return "via"
    try:
        columns(header)
    except LabelError:
        return None
    return "csv"
