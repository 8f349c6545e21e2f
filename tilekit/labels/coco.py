"""COCO detection files: one JSON object with images, annotations, categories (cocodataset.org/#format-data).

A file, or a folder of them: `annotations/instances_*.json` beside the images, or `_annotations.coco.json` in a
folder for each side. `iscrowd` regions are ignore regions. Annotations without a bbox take the box around their
polygons or mask. Category ids may have gaps; names come in their order. A fast path takes well-formed entries as
columns; what it cannot take goes through the exact one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.coco_folders import coco_files, image_folder, side_of
from tilekit.labels.coco_shapes import drawn, sides_of
from tilekit.labels.collecting import Collector
from tilekit.labels.documents import coco_categories, coco_entries, coco_images
from tilekit.labels.entries import (
    FAR,
    Where,
    Wrong,
    a_list,
    shown,
    text,
    true,
)
from tilekit.labels.files import folder_of, read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.pages import PageKey
from tilekit.rekognition.lines import decode_plain
from tilekit.storage import json_names
from tilekit.storage.local import atomic_file

Crowd = Literal["ignore", "box"]
_NONE = msgspec.Raw(b"null")


class _Annotation(msgspec.Struct, gc=False):
    """An entry of the fast path; `segmentation` and `attributes` as bytes, which mostly do not matter."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    segmentation: msgspec.Raw = _NONE
    iscrowd: int | bool | None = 0
    score: float | None = None
    attributes: msgspec.Raw = _NONE


class _Image(msgspec.Struct, gc=False):
    """An image that is in order."""

    id: int
    file_name: str
    width: int
    height: int


_T = TypeVar("_T")
_EMPTY = msgspec.Raw(b"[]")
_IMAGES = msgspec.json.Decoder(list[_Image])
_FAST = msgspec.json.Decoder(list[_Annotation])


@dataclass
class _File:
    """A file's images and categories by id; an id that means two things means none."""

    collector: Collector
    where: Where
    crowd: Crowd
    images: dict[Any, int | None] = field(default_factory=dict)
    names: dict[Any, str | None] = field(default_factory=dict)


def read_coco(path: PathLike, options: ReadOptions, *, crowd: Crowd = "ignore") -> LabelSet:
    """Read a COCO file, or a folder of them; problems name the entry, such as `annotations[3].bbox`.

    `crowd`: "ignore" makes `iscrowd` entries ignore regions; "box" takes them as boxes, for tools that write every
    brushed object so. Shapes are segmentation, or else keypoints, and take several times as long. Memory: the whole file.
    """
    if crowd not in ("ignore", "box"):
        raise InvalidArgument(f"crowd={crowd!r}: use 'ignore' or 'box'")
    collector = Collector(path, options)
    files = coco_files(Path(path)) if os.path.isdir(path) else [path]
    if not files:
        raise LabelError(f"{os.fspath(path)}: no COCO file in it")
    for file in files:
        _file(
            collector,
            file,
            options,
            crowd,
            side_of(Path(file)) if len(files) > 1 or os.path.isdir(path) else "",
        )
    return collector.finish("coco")


def labels_of_coco(document: bytes, options: ReadOptions) -> LabelSet:
    """The labels of a COCO document in memory; its file names count from the working folder."""
    collector = Collector("document", options)
    _document(collector, document, "document", options, "ignore", "")
    return collector.finish("coco")


def _file(collector: Collector, path: PathLike, options: ReadOptions, crowd: Crowd, side: str) -> None:
    _document(collector, read_bytes(path), path, options, crowd, side)


def _document(
    collector: Collector, raw: bytes, path: PathLike, options: ReadOptions, crowd: Crowd, side: str
) -> None:
    try:
        top = json_names.fields(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise LabelError(f"{os.fspath(path)}: not a COCO file: {exc}") from exc
    file = _File(collector, Where(file=os.fspath(path)), crowd)
    _names(file, _listed(path, top, "categories"))
    if not options.shapes:
        fast = _decoded(_FAST, top.get("annotations", _EMPTY))
        if fast is not None:
            del raw
            quick = _quick_images(file, top.get("images", _EMPTY), path, options, side)
            if not quick:
                asked = Counter(entry.image_id for entry in fast)
                _images(file, _listed(path, top, "images"), asked, path, options, side)
            _columns(file, fast, expected=not quick)
            return
    slow = _listed(path, top, "annotations")
    asked = Counter(_id(entry, "image_id") for entry in slow)
    _images(file, _listed(path, top, "images"), asked, path, options, side)
    for place, entry in enumerate(slow):
        _one(file, entry, place)


def _listed(path: PathLike, top: Mapping[str, msgspec.Raw], name: str) -> list[Any]:
    """A list of the file, as plain values."""
    try:
        return a_list(decode_plain(bytes(top.get(name, _EMPTY))))
    except (ValueError, Wrong) as exc:
        raise LabelError(f"{os.fspath(path)}: not a COCO file: {name}: {exc}") from exc


def _decoded(decoder: msgspec.json.Decoder[list[_T]], raw: msgspec.Raw) -> list[_T] | None:
    """A list as structs; None where that does not fit."""
    try:
        return json_names.decoded(decoder, raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _quick_images(file: _File, raw: msgspec.Raw, path: PathLike, options: ReadOptions, side: str) -> bool:
    """Take images that are all in order, each with an id, a name and a size of its own; False, and nothing done, else."""
    images = _decoded(_IMAGES, raw)
    if not images or not all(0 < image.width < FAR and 0 < image.height < FAR for image in images):
        return False
    folder = image_folder(path, images[0].file_name, side)
    try:
        keys = [resolve(text(image.file_name, ""), folder, options.images) for image in images]
    except Wrong:
        return False
    ids = {image.id: place for place, image in enumerate(images)}
    sizes = [(image.width, image.height) for image in images]
    where = lambda place: file.where.at(f"images[{place}]")  # noqa: E731
    first = file.collector.pages(keys, sizes, where) if len(ids) == len(images) else None
    if first is None:
        return False
    file.images = {number: first + place for number, place in ids.items()}
    if side:
        for key in keys:
            file.collector.splits.setdefault(key, side)
    return True


def _id(entry: Any, name: str) -> Any:
    """An id as number or text, the key of a lookup; None where it is neither."""
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _both(value: Any) -> list[Any]:
    """An id as number and as text: some tools write 1, others "1"."""
    if isinstance(value, int):
        return [value, str(value)]
    return (
        [value, int(value)] if isinstance(value, str) and value.isdecimal() and len(value) < 19 else [value]
    )


def _names(file: _File, categories: list[Any]) -> None:
    for place, entry in enumerate(categories):
        where = file.where.at(f"categories[{place}]")
        number, name = _id(entry, "id"), entry.get("name") if isinstance(entry, dict) else None
        if number is None or not isinstance(name, str) or not name:
            file.collector.refuse(where, f"is {shown(entry)}; an id and a name are needed", 0)
            continue
        if file.names.get(number, name) != name:
            said = (
                f"is {number!r} for {name!r} and {file.names[number]!r}; give each category an id of its own"
            )
            file.collector.refuse(where.at("id"), said, 0)
            name = None
        for form in _both(number):
            file.names[form] = name
    order = sorted(number for number in file.names if isinstance(number, int))
    named = [file.names[number] for number in [*order, *(n for n in file.names if isinstance(n, str))]]
    for found in named:
        if found is not None:
            file.collector.declare(found)


def _images(
    file: _File, images: list[Any], counts: Counter[Any], path: PathLike, options: ReadOptions, side: str
) -> None:
    named = images[0].get("file_name") if images and isinstance(images[0], dict) else None
    folder = image_folder(path, named if isinstance(named, str) else "", side)
    first: dict[Any, tuple[int, str]] = {}
    doubled = set()
    for place, entry in enumerate(images):
        number = _id(entry, "id")
        if number is not None:
            name = str(entry.get("file_name"))
            if first.setdefault(str(number), (place, name))[1] != name:
                doubled.add(str(number))
    for place, entry in enumerate(images):
        where = file.where.at(f"images[{place}]")
        number = _id(entry, "id")
        if number is None:
            file.collector.refuse(where.at("id"), f"of {shown(entry)} is no id", 0)
            continue
        forms = _both(number)
        if str(number) in doubled:
            _doubled(
                file, entry, forms, first[str(number)], counts, place, resolve_or_none(entry, folder, options)
            )
            continue
        if forms[0] in file.images:
            continue  # the same image, listed once more
        entries = sum(counts[form] for form in forms)
        mention = None
        try:
            name = text(entry.get("file_name") or entry.get("path") or entry.get("coco_url"), "file_name")
            key = resolve(name, folder, options.images)
        except Wrong as exc:
            file.collector.expect(entries)
            file.collector.refuse(where.at(exc.field), str(exc), entries)
        else:
            size = (entry.get("width"), entry.get("height"))
            mention = file.collector.page(key, size, where, entries)
            if side and mention is not None:
                file.collector.splits.setdefault(key, side)
        for form in forms:
            file.images[form] = mention


def resolve_or_none(entry: Any, folder: str, options: ReadOptions) -> PageKey | None:
    """The page of an image entry, where it names one."""
    try:
        return resolve(text(entry.get("file_name"), "file_name"), folder, options.images)
    except Wrong:
        return None


def _doubled(
    file: _File,
    entry: Any,
    forms: list[Any],
    first: tuple[int, str],
    counts: Counter[Any],
    place: int,
    key: PageKey | None,
) -> None:
    """Two images of one id: nobody knows on which of them its boxes are."""
    where = file.where.at(f"images[{place}].id")
    entries = 0
    if forms[0] not in file.images:
        entries = sum(counts[form] for form in forms)
        file.collector.expect(entries)
        for form in forms:
            file.images[form] = None
    said = f"is {forms[0]!r} for {entry.get('file_name')!r} too, which other images have; give each image an id of its own"
    if place == first[0]:
        said = f"is {forms[0]!r} for {first[1]!r} and for another image; its boxes cannot be told apart"
    file.collector.refuse(where, said, entries, key)


def _columns(file: _File, entries: list[_Annotation], *, expected: bool) -> None:
    """Entries of the fast path in their order: runs of plain ones as columns, the others between them one by one.

    `expected`: the entries of known images are counted already.
    """
    if not entries:
        return
    missing, count = -2, len(entries)
    lookup = {key: -1 if value is None else value for key, value in file.images.items()}
    labels = {key: file.collector.label(name) for key, name in file.names.items() if name is not None}
    mention = _looked_up(lookup, [entry.image_id for entry in entries], missing)
    label = _looked_up(labels, [entry.category_id for entry in entries], missing)
    if not expected:
        file.collector.expect(int((mention != missing).sum()))
    crowd = np.fromiter((bool(entry.iscrowd) for entry in entries), np.bool_, count)
    score = np.array([entry.score for entry in entries], dtype=np.float64)  # None is NaN
    segments = (bytes(entry.segmentation) for entry in entries)
    heads = np.fromiter((data[0] if len(data) > 2 else 0 for data in segments), np.uint8, count)
    masks, polygons = heads == ord("{"), heads == ord("[")
    turned_ones = np.fromiter(
        (entry.attributes is not _NONE and b'"rotation"' in bytes(entry.attributes) for entry in entries),
        np.bool_,
        count,
    )
    known = ~np.isnan(score)
    odd = (mention == missing) | (label == missing) | turned_ones | (crowd & masks)
    odd |= known & ~((score >= 0) & (score <= 1))
    odd &= mention != -1  # those are accounted for with their image
    plain = (mention >= 0) & ~odd
    flat = chain.from_iterable([entry.bbox for entry in entries])
    sides = np.fromiter(flat, np.float64, 4 * count).reshape(-1, 4)
    sides[:, 2:] += sides[:, :2]
    for name, which in (("mask", masks), ("polygon", polygons)):
        file.collector.count_shapes(name, int((which & plain).sum()))
    start = 0
    for stop in [*np.flatnonzero(odd).tolist(), len(entries)]:
        rows = start + np.flatnonzero(plain[start:stop])
        if len(rows):
            ignore = crowd[rows] & (file.crowd == "ignore")
            file.collector.boxes(
                mention[rows], label[rows], sides[rows], ignore, score[rows], _places(file, rows)
            )
        if stop < len(entries):
            _one(file, _plain(entries[stop]), stop)
        start = stop + 1


def _looked_up(table: Mapping[Any, int], keys: list[int], missing: int) -> NDArray[np.int64]:
    """What a table says of each key."""
    found = map(table.get, keys, repeat(missing))
    return np.fromiter(found, np.int64, len(keys))


def _places(file: _File, rows: NDArray[np.int64]) -> Callable[[int], Where]:
    return lambda row: file.where.at(f"annotations[{rows[row]}].bbox")


def _plain(entry: _Annotation) -> dict[str, Any]:
    """An entry of the fast path as the exact one takes it."""
    value: dict[str, Any] = {**msgspec.structs.asdict(entry), "bbox": list(entry.bbox)}
    for name in ("segmentation", "attributes"):
        try:
            value[name] = decode_plain(bytes(value[name]))
        except ValueError:  # a number that is none of ours: the box does not need it
            value[name] = None
    return value


def _one(file: _File, entry: Any, place: int) -> None:
    """An entry by the exact rules."""
    where = file.where.at(f"annotations[{place}]")
    number = _id(entry, "image_id")
    if number is None or number not in file.images:
        file.collector.expect(1)
        said = f"is {shown(entry.get('image_id') if isinstance(entry, dict) else entry)}, which no image has; add the image"
        file.collector.refuse(where.at("image_id"), said)
        return
    mention = file.images[number]
    if mention is None:
        return  # accounted for with its image
    file.collector.each([entry], lambda _: where, lambda item, spot: _box(file, mention, item, spot), mention)


def _box(file: _File, mention: int, entry: Any, where: Where) -> None:
    label = file.names.get(_id(entry, "category_id"))
    if label is None:
        raise Wrong(
            f"is {shown(entry.get('category_id'))}, which no category has (or two have); add it",
            "category_id",
        )
    sides, shape = sides_of(entry)
    crowd = true(entry.get("iscrowd"))
    if crowd and isinstance(entry.get("segmentation"), dict):
        taken = "an ignore region" if file.crowd == "ignore" else "a box"
        other = "crowd='box' (--crowd box) takes it as a box" if file.crowd == "ignore" else ""
        many = f"{{count}} objects are brushed (run lengths are always written with iscrowd 1); each is taken as {taken}"
        one = f"1 object is brushed (run lengths are always written with iscrowd 1); it is taken as {taken}"
        end = f"; {other.replace('takes it as a box', 'takes such as boxes')}" if other else ""
        file.collector.note(one + end, many + end)
    ignore = crowd and file.crowd == "ignore"
    file.collector.box(
        mention,
        label,
        sides,
        where.at("bbox"),
        ignore=ignore,
        score=entry.get("score"),
        outline=Outline(shape, lambda: drawn(entry, file.collector.size_of(mention))),
    )


def write_coco(labels: LabelSet, path: PathLike) -> None:
    """Write a COCO file; category ids count from one, in the order of names. Every page needs its size.

    Memory: the text of a part of the boxes at a time.
    """
    folder = folder_of(path)
    encode = json_names.encoded
    images = coco_images(labels, lambda key: relative(key, folder))
    with atomic_file(path) as file:
        file.write(b'{"images":' + encode(images) + b',"annotations":[')
        for place, entries in enumerate(coco_entries(labels)):
            file.write(b"," * (place > 0) + encode(entries)[1:-1])
        file.write(b'],"categories":' + encode(coco_categories(labels)) + b"}")
