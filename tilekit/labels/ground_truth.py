"""SageMaker Ground Truth manifests, natively and completely: read, written, streamed.

Formats: SageMaker guide, page "sms-data-output", and Custom Labels guide, pages "md-create-manifest-file-…".
Read: adjustment and verification jobs, several box attributes, failed items, unlabeled lines, image-level
labels (single and multi-label), `image_size` as list or object, class ids that differ from line to line.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.errors import LabelError
from tilekit.labels.files import folder_of, open_bytes
from tilekit.labels.label_set import BadLabel, ImageLabel, LabelSet, Problem, Size
from tilekit.labels.manifest_lines import IGNORE_KEY, ManifestLine, parse_line
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.pages import PageKey
from tilekit.rekognition.lines import CLASSIFICATION, DETECTION, METADATA, LineBox, LineObject, iter_lines
from tilekit.storage.local import atomic_file, storage_errors

CREATED = "2000-01-01T00:00:00"
"""Creation date written unless one is given: fixed, so that the same labels give the same bytes."""

_ENCODER = msgspec.json.Encoder()
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
    name = os.fspath(path)
    with open_bytes(path) as file, storage_errors(path):
        for number, raw in iter_lines(file, MAX_LINE):
            if number == 1 and raw[:3] == b"\xef\xbb\xbf":
                raw = raw[3:]
            if not raw.strip():
                continue
            try:
                line = parse_line(raw, number, name)
            except BadLabel as exc:
                if strict:
                    raise
                if problems is not None:
                    problems.append(exc.problem)
                continue
            yield line


def read_ground_truth(
    path: PathLike,
    *,
    strict: bool = True,
    images: PathLike | None = None,
    attributes: Sequence[str] | None = None,
) -> LabelSet:
    """A manifest as a LabelSet. `attributes`: take only these box attributes (None: see `ManifestLine.chosen`).

    Lines of the same page are put together. Memory: the labels themselves, not the file.
    """
    folder = folder_of(path)
    problems: list[Problem] = []
    reading = _Reading()
    for line in iter_manifest(path, strict=strict, problems=problems):
        key = resolve(line.source, folder, images)
        if wrong := reading.add(key, line, attributes):
            problem = Problem(os.fspath(path), line.number, "image_size", wrong)
            if strict:
                raise BadLabel(problem)
            problems.append(problem)
    return reading.finish(tuple(problems))


@dataclass
class _Reading:
    boxes: dict[PageKey, list[Annotations]] = field(default_factory=dict)
    sizes: dict[PageKey, Size] = field(default_factory=dict)
    image_labels: dict[PageKey, list[ImageLabel]] = field(default_factory=dict)
    unlabeled: dict[PageKey, str] = field(default_factory=dict)
    extra: dict[PageKey, dict[str, Any]] = field(default_factory=dict)
    ids: dict[str, set[int]] = field(default_factory=dict)

    def add(self, key: PageKey, line: ManifestLine, attributes: Sequence[str] | None) -> str:
        """Take a line in; says what is wrong with it, in which case it is left out."""
        size = line.size
        if size is not None and self.sizes.setdefault(key, size) != size:
            return (
                f"{key} is {size[0]} x {size[1]} px here but {self.sizes[key][0]} x {self.sizes[key][1]} px "
                "in an earlier line; write its true size in both"
            )
        for attribute in line.boxes:
            for number, name in attribute.class_map.items():
                self.ids.setdefault(name, set()).add(number)
        if line.extra:
            self.extra.setdefault(key, {}).update(line.extra)
        if line.labeled:
            self.boxes.setdefault(key, []).append(line.annotations(attributes))
            self.image_labels.setdefault(key, []).extend(line.image_labels)
            self.unlabeled.pop(key, None)
        elif key not in self.boxes:
            self.unlabeled[key] = line.reason
        return ""

    def finish(self, problems: tuple[Problem, ...]) -> LabelSet:
        pages = {
            key: parts[0] if len(parts) == 1 else Annotations.concat(parts)
            for key, parts in self.boxes.items()
        }
        return LabelSet(
            pages,
            sizes=self.sizes,
            names=self._names(),
            image_labels={key: tuple(value) for key, value in self.image_labels.items()},
            unlabeled=self.unlabeled,
            extra=self.extra,
            problems=problems,
            format="ground-truth",
        )

    def _names(self) -> tuple[str, ...]:
        """In the order of their ids where every line agrees on those; else as they first came."""
        taken = [number for numbers in self.ids.values() for number in numbers]
        if all(len(numbers) == 1 for numbers in self.ids.values()) and len(set(taken)) == len(taken):
            return tuple(sorted(self.ids, key=lambda name: min(self.ids[name])))
        return tuple(self.ids)


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
        """Write a page or tile. `source` goes out as given; `size` (width, height) px; `confidences` 0..1.

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
        self._file.write(_ENCODER.encode(line) + b"\n")
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
                image_labels=labels.image_labels.get(key, ()),
                extra=labels.extra.get(key),
                declare=declare,
            )
            declare = ()
        for key in labels.unlabeled:
            writer.write_line({"source-ref": relative(key, folder), **labels.extra.get(key, {})})
        return writer.lines


def copy_lines(lines: Iterable[Mapping[str, Any]], path: PathLike) -> int:
    """Write lines as they are; returns how many."""
    with ManifestWriter(path) as writer:
        for line in lines:
            writer.write_line(line)
        return writer.lines


def _confidence(value: float) -> float:
    number = float(value)
    return round(number, 6) if math.isfinite(number) else 0.0
