"""SageMaker Ground Truth manifests, natively and completely: read, written, streamed.

Formats: SageMaker guide, page "sms-data-output", and Custom Labels guide, pages "md-create-manifest-file-…".
Read: adjustment and verification jobs, several box attributes, failed items, unlabeled lines, image-level
labels (single and multi-label), `image_size` as list or object, class ids that differ from line to line.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong
from tilekit.labels.files import folder_of, open_bytes
from tilekit.labels.label_set import BadLabel, ImageLabel, LabelSet, Problem, Size
from tilekit.labels.manifest_lines import IGNORE_KEY, BoxAttribute, ManifestLine, parse_line
from tilekit.labels.mask_images import MaskFiles, Region
from tilekit.labels.options import ReadOptions
from tilekit.labels.rows import Outline
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.pages import PageKey
from tilekit.rekognition.lines import (
    CLASSIFICATION,
    DETECTION,
    METADATA,
    LineBox,
    LineObject,
    decode_object,
    iter_lines,
)
from tilekit.storage import json_names
from tilekit.storage.local import atomic_file, storage_errors

CREATED = "2000-01-01T00:00:00"
"""Creation date written unless one is given: fixed, so that the same labels give the same bytes."""

_SURE = LineObject(1.0)
MAX_LINE = 64 * 1024 * 1024
"""Bytes of a line beyond which it is not read."""


def iter_manifest(
    path: PathLike, *, strict: bool = True, problems: list[Problem] | None = None
) -> Iterator[ManifestLine]:
    """The lines of a manifest, one at a time, blank ones left out.

    A bad line raises LabelError naming file, line and field; with `strict=False` it is left out and put into
    `problems`. Memory: one line.
    """
    for line in _lines(path):
        if isinstance(line, ManifestLine):
            yield line
        elif strict:
            raise BadLabel(line)
        elif problems is not None:
            problems.append(line)


def read_ground_truth(
    path: PathLike, options: ReadOptions, *, attributes: Sequence[str] | None = None
) -> LabelSet:
    """A manifest as a LabelSet. `attributes`: take only these box attributes (None: see `ManifestLine.chosen`).

    Memory: the labels themselves, not the file.
    """
    folder, name = folder_of(path), os.fspath(path)
    collector = Collector(path, options)
    masks = MaskFiles(folder, options.images)
    ids: dict[str, set[int]] = {}
    for line in _lines(path, beyond=True):
        if isinstance(line, Problem):
            collector.expect(line.entries)
            collector.refuse(Where(line.field, line.line, name), line.message, line.entries)
            continue
        _take(collector, line, masks, attributes)
        for attribute in line.boxes:
            for number, label in attribute.class_map.items():
                ids.setdefault(label, set()).add(number)
    for label in _names(ids):
        collector.declare(label)
    return collector.finish("ground-truth")


def _lines(path: PathLike, *, beyond: bool = False) -> Iterator[ManifestLine | Problem]:
    """The lines of a manifest, or what is wrong with them; `beyond`: as in `parse_line`."""
    name = os.fspath(path)
    with open_bytes(path) as file, storage_errors(path):
        for number, raw in iter_lines(file, MAX_LINE):
            if number == 1 and raw[:3] == b"\xef\xbb\xbf":
                raw = raw[3:]
            if not raw.strip():
                continue
            try:
                yield parse_line(raw, number, name, beyond=beyond)
            except BadLabel as exc:
                yield replace(exc.problem, entries=_entries(raw))


def _entries(raw: bytes) -> int:
    """How many annotations a line has that cannot be read as a whole; at least one."""
    try:
        parts = decode_object(raw).values()
    except ValueError:
        return 1
    lists = [part.get("annotations") for part in parts if isinstance(part, dict)]
    return max(1, sum(len(found) for found in lists if isinstance(found, list)))


def _take(
    collector: Collector, line: ManifestLine, files: MaskFiles, attributes: Sequence[str] | None
) -> None:
    where, chosen = Where("", line.number), line.chosen(attributes)
    page = line.annotations(attributes) if line.labeled else Annotations.empty()
    total = sum(len(attribute.boxes) for attribute in line.boxes) + len(line.ignored)
    try:
        key = resolve(line.source, files.folder, collector.options.images)
    except Wrong as exc:
        entries = max(total + len(line.image_labels) + len(line.masks), 1)
        collector.expect(entries)
        collector.refuse(where.at("source-ref"), str(exc), entries)
        return
    if line.extra:
        collector.extra(key, dict(line.extra))
    size, regions = _masks(collector, line, key, files, attributes) if line.masks else (line.size, None)
    if not line.labeled and regions is None:
        if not line.masks:
            collector.expect(1)
            collector.unlabeled(key, line.reason)
        return
    entries = total + len(line.image_labels) + len(regions or ())
    mention = collector.page(key, size or (None, None), where.at("image_size"), entries)
    if mention is None:
        return
    for region in regions or ():
        collector.box(mention, region.label, region.sides, where, outline=Outline("mask", region.drawn))
    older = total - len(line.ignored) - sum(len(attribute.boxes) for attribute in chosen)
    if older and attributes is None:
        gone = ", ".join(attribute.name for attribute in line.boxes if attribute not in chosen)
        say = f"of {gone}, which an adjustment superseded; attributes= (--attribute NAME) reads it"
        collector.note(f"1 box {say}", f"{{count}} boxes {say}", older)
    collector.passed(
        "superseded by an adjustment" if attributes is None else "of attributes not asked for", older
    )
    collector.passed("repeated exactly by another attribute", total - older - len(page))
    for mark in line.image_labels:
        collector.image_label(mention, mark.name, mark.confidence)
    scores = _scores(line, chosen, len(page))
    field = f"{chosen[0].name}.annotations" if len(chosen) == 1 else "annotations"
    for place, (box, label, ignored, score) in enumerate(
        zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), scores, strict=True)
    ):
        inside = min(box) >= 0 and (size is None or (box[2] <= size[0] and box[3] <= size[1]))
        spot = where if inside else where.at(f"{field}[{place}]")
        collector.box(mention, label, box, spot, ignore=ignored, score=score)


def _masks(
    collector: Collector,
    line: ManifestLine,
    key: PageKey,
    files: MaskFiles,
    attributes: Sequence[str] | None,
) -> tuple[Size | None, list[Region] | None]:
    """The size of the page and the regions of its mask images; None where none of these could be read."""
    chosen, size, regions = line.chosen_masks(attributes), line.size, None
    if gone := len(line.masks) - len(chosen):
        collector.expect(gone)
        why = "superseded by an adjustment" if attributes is None else "of attributes not asked for"
        collector.passed(why, gone)
    for name, mask in chosen.items():
        try:
            if not collector.options.shapes:
                labels = ", ".join(mask.labels) or "semantic segmentation"
                raise Wrong(
                    f"labels {key} by a mask image ({labels}), which says no boxes; shapes=True (`tilekit labels convert`) takes "
                    "its regions, strict=False (--lenient) leaves the page out"
                )
            found, sides = files.regions(mask, key)
            if size is not None and size != sides:
                raise Wrong(
                    f"the mask image is {sides[0]} x {sides[1]} px, the page {size[0]} x {size[1]} px"
                )
        except Wrong as exc:
            at = f"{name}{METADATA}.{exc.field}" if exc.field else name
            collector.expect(1)
            collector.refuse(Where(at, line.number), str(exc), key=key)
            continue
        size, regions = sides, [*(regions or ()), *found]
        collector.note(
            "a mask image does not tell objects apart: each region of one label is taken for one object"
        )
    return size, regions


def _scores(line: ManifestLine, chosen: Sequence[BoxAttribute], count: int) -> list[float | None]:
    """The scores of boxes that a machine found: those of one attribute which people did not draw."""
    none: list[float | None] = [None] * count
    if len(chosen) != 1 or chosen[0].human or len(chosen[0].confidences) != len(chosen[0].boxes):
        return none
    return [*chosen[0].confidences, *none[len(chosen[0].boxes) :]]


def _names(ids: Mapping[str, set[int]]) -> tuple[str, ...]:
    """In the order of their ids where every line agrees on those; else as they first came."""
    taken = [number for numbers in ids.values() for number in numbers]
    if all(len(numbers) == 1 for numbers in ids.values()) and len(set(taken)) == len(taken):
        return tuple(sorted(ids, key=lambda name: min(ids[name])))
    return tuple(ids)


def whole_boxes(boxes: NDArray[np.float64], size: Size | None) -> NDArray[np.int64]:
    """xyxy boxes as Ground Truth's integers left, top, width, height: outward, in the image, at least 1 px."""
    with np.errstate(invalid="ignore"):
        whole = boxes.astype(np.int64)
    if size is not None and len(whole) and (whole == boxes).all():
        low, sides = whole[:, :2], whole[:, 2:] - whole[:, :2]
        if low.min() >= 0 and sides.min() >= 1 and (whole[:, 2:].max(axis=0) <= size).all():
            whole[:, 2:] = sides
            return whole
    low = np.floor(np.round(boxes[:, :2], 6)).astype(np.int64)
    high = np.ceil(np.round(boxes[:, 2:], 6)).astype(np.int64)
    low = np.maximum(low, 0)
    if size is not None:
        limit = np.array(size, dtype=np.int64)
        low = np.minimum(low, limit - 1)
        high = np.minimum(high, limit)
    high = np.maximum(high, low + 1)
    return np.concatenate([low, high - low], axis=1)


class ManifestWriter:
    """Writes a manifest line by line, atomically: the file appears whole when the block ends well.

    `attribute`: the label attribute's name. `created`: ISO 8601 UTC; a constant unless given, so that the same
    labels give the same bytes. Boxes become integers outward, inside the image, at least 1 px.
    Use as a context manager. Memory: one line.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        attribute: str = "bounding-box",
        job_name: str = "tilekit",
        created: str = CREATED,
        human_annotated: bool = True,
    ) -> None:
        if METADATA in attribute or attribute.endswith("-ref") or not attribute:
            raise LabelError(f"attribute={attribute!r}: it may not contain '-metadata' nor end with '-ref'")
        self.path = path
        self.lines = 0
        self._attribute = attribute
        self._common = {
            "type": DETECTION,
            "human-annotated": "yes" if human_annotated else "no",
            "creation-date": created,
            "job-name": job_name,
        }
        self._stack = ExitStack()
        self._file: Any = None

    def __enter__(self) -> Self:
        self._file = self._stack.enter_context(atomic_file(self.path))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(
        self,
        source: PageKey | str,
        size: Size | None,
        annotations: Annotations,
        *,
        confidences: Sequence[float] | None = None,
        image_labels: Sequence[ImageLabel] = (),
        extra: Mapping[str, Any] | None = None,
        declare: Sequence[str] = (),
    ) -> None:
        """Write a page or tile. `source` goes out as given; `size` (width, height) px.

        `confidences`: 0..1 of boxes that a machine found, which the line then says of them.

        Without a size it must have image labels and no boxes, and gets no box attribute.
        Ignore regions go into a key of their own, never among the annotations. `declare`: labels to put into
        the class map beside those used.
        """
        line: dict[str, Any] = {"source-ref": str(source)}
        if size is not None:
            line.update(self._box_part(size, annotations, confidences, declare))
        elif len(annotations) or not image_labels:
            raise LabelError(f"{source}: its size in px is needed to write boxes, or that there are none")
        for place, label in enumerate(image_labels):
            line.update(self._image_part(place, label))
        if annotations.ignore.any():
            ignored = annotations[annotations.ignore]
            line[IGNORE_KEY] = [
                {"label": name, "box": box}
                for name, box in zip(ignored.labels, ignored.boxes.tolist(), strict=True)
            ]
        line.update({key: value for key, value in (extra or {}).items() if key not in line})
        self.write_line(line)

    def write_line(self, line: Mapping[str, Any]) -> None:
        """Write a line as it is; numbers that JSON does not have (NaN) become null."""
        if self._file is None:
            raise LabelError("a ManifestWriter is written to inside its `with` block")
        self._file.write(json_names.encoded(line) + b"\n")
        self.lines += 1

    def _box_part(
        self,
        size: Size,
        annotations: Annotations,
        confidences: Sequence[float] | None,
        declare: Sequence[str],
    ) -> dict[str, Any]:
        kept = slice(None) if not annotations.ignore.any() else ~annotations.ignore
        boxes = whole_boxes(annotations.boxes[kept], size).tolist()
        ids = annotations.class_ids[kept].tolist()
        if confidences is None:
            objects = [_SURE] * len(ids)
        else:
            scores = np.asarray(confidences, float)[kept].tolist()
            objects = [LineObject(_confidence(value)) for value in scores]
        rows = [LineBox(number, *box) for number, box in zip(ids, boxes, strict=True)]
        used = {str(number): annotations.names[number] for number in sorted(set(ids))}
        if declare:
            used = {str(number): name for number, name in enumerate(declare)}
        name = self._attribute
        return {
            name: {
                "image_size": [{"width": int(size[0]), "height": int(size[1]), "depth": 3}],
                "annotations": rows,
            },
            name + METADATA: {
                "objects": objects,
                "class-map": used,
                **self._common,
                **({} if confidences is None else {"human-annotated": "no"}),
            },
        }

    def _image_part(self, place: int, label: ImageLabel) -> dict[str, Any]:
        name = f"image-label{place}"
        return {
            name: 1,
            name + METADATA: {
                "confidence": _confidence(label.confidence),
                "class-name": label.name,
                **self._common,
                "type": CLASSIFICATION,
            },
        }


def write_ground_truth(labels: LabelSet, path: PathLike, **options: Any) -> int:
    """Write a LabelSet as one manifest; returns the number of lines. `options` go to ManifestWriter.

    Every page needs its size. Unlabeled pages become lines with a `source-ref` alone.
    """
    folder = os.path.dirname(os.fspath(path)) or "."
    used = {int(number) for page in labels.values() for number in np.unique(page.class_ids[~page.ignore])}
    declare: Sequence[str] = labels.names if len(used) < len(labels.names) else ()
    with ManifestWriter(path, **options) as writer:
        for key, page in labels.items():
            writer.write(
                relative(key, folder),
                labels.sizes.get(key),
                page,
                confidences=labels.scores.get(key),  # type: ignore[arg-type]
                image_labels=labels.image_labels.get(key, ()),
                extra=labels.extra.get(key),
                declare=declare,
            )
            declare = ()
        for key in labels.unlabeled:
            writer.write_line({"source-ref": relative(key, folder), **labels.extra.get(key, {})})
        return writer.lines


def _confidence(value: float) -> float:
    number = float(value)
    return number if math.isfinite(number) else 0.0
