"""One line of a Ground Truth manifest, in every form the SageMaker guide describes ("sms-data-output")."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.labels.label_set import BadLabel, ImageLabel, Problem, Size
from tilekit.labels.mask_images import MaskImage
from tilekit.rekognition.lines import (
    CLASSIFICATION,
    DETECTION,
    METADATA,
    MULTILABEL,
    SEGMENTATION,
    VERIFICATION,
    BoxLine,
    decode_line,
    decode_object,
    is_number,
)

_FAR = 1e9  # px beyond which nothing is
_TURNS = (b'"rotation"', b'"angle"')
IGNORE_KEY = "tilekit-ignore"
"""Key of a list of {label, box: [x0, y0, x1, y1]}: regions that count neither way."""


@dataclass(frozen=True, slots=True)
class BoxAttribute:
    """A box attribute of a line: `boxes` (n, 4) float64 xyxy, `class_ids` as in its own `class_map`."""

    name: str
    boxes: NDArray[np.float64]
    class_ids: tuple[int, ...]
    class_map: dict[int, str]
    confidences: tuple[float, ...]
    size: Size | None
    created: str
    human: bool
    """Whether people drew them; else their confidences are a detector's scores."""
    adjustment: str
    """`adjusted`, `unadjusted`, or empty where this is no adjustment job."""

    @property
    def labels(self) -> list[str]:
        """The label of each box."""
        return [self.class_map[number] for number in self.class_ids]


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """A line as read: `boxes` its box attributes in order, `failures` attribute -> reason."""

    number: int
    source: str
    boxes: tuple[BoxAttribute, ...] = ()
    image_labels: tuple[ImageLabel, ...] = ()
    failures: Mapping[str, str] | None = None
    ignored: tuple[tuple[str, tuple[float, float, float, float]], ...] = ()
    masks: Mapping[str, MaskImage] = field(default_factory=dict)
    """Attributes that label the page by a mask image (semantic segmentation)."""
    extra: Mapping[str, Any] | None = None
    """Every other top-level key: verification results, keys of other tools."""

    @property
    def labeled(self) -> bool:
        """Whether someone labeled it: a failed or waiting line is not background."""
        return bool(self.boxes or self.image_labels)

    @property
    def reason(self) -> str:
        """Why it is not labeled; empty where it is."""
        if self.labeled:
            return ""
        if self.failures:
            return "; ".join(f"{name} failed: {reason}" for name, reason in self.failures.items())
        return "has no labels yet"

    @property
    def size(self) -> Size | None:
        """(width, height) px as the newest box attribute says."""
        sizes = [attribute.size for attribute in self.chosen() if attribute.size is not None]
        return sizes[0] if sizes else None

    def chosen(self, names: Sequence[str] | None = None) -> tuple[BoxAttribute, ...]:
        """The box attributes that count: those in `names`, else all that no adjustment job has replaced.

        An adjustment replaces the attribute it is named after (`adjusted-<name>`), or, named otherwise, all
        older ones.
        """
        if names is not None:
            return tuple(attribute for attribute in self.boxes if attribute.name in names)
        if len(self.boxes) < 2:
            return self.boxes
        known = {attribute.name: attribute for attribute in self.boxes}
        gone: set[str] = set()
        for attribute in self.boxes:
            if not attribute.adjustment:
                continue
            origin = attribute.name.removeprefix("adjusted-")
            if origin != attribute.name and origin in known:
                gone.add(origin)
            else:
                gone.update(
                    other.name
                    for other in self.boxes
                    if other is not attribute and other.created <= attribute.created
                )
        return tuple(attribute for attribute in self.boxes if attribute.name not in gone)

    def chosen_masks(self, names: Sequence[str] | None = None) -> dict[str, MaskImage]:
        """The mask images that count: those in `names`, else all that are no older than the newest adjustment."""
        if names is not None:
            return {name: mask for name, mask in self.masks.items() if name in names}
        newest = max((mask.created for mask in self.masks.values() if mask.adjusted), default="")
        return {name: mask for name, mask in self.masks.items() if mask.created >= newest}

    def annotations(self, names: Sequence[str] | None = None) -> Annotations:
        """The boxes of the chosen attributes; a box that a later attribute repeats exactly counts once."""
        chosen = self.chosen(names)
        if len(chosen) == 1 and not self.ignored:
            return _alone(chosen[0])
        places: dict[str, int] = {}
        rows: list[NDArray[np.float64]] = []
        ids: list[int] = []
        seen: set[tuple[Any, ...]] = set()
        for attribute in chosen:
            fresh = [
                (*box, label)
                for box, label in zip(attribute.boxes.tolist(), attribute.labels, strict=True)
                if len(chosen) == 1 or (*box, label) not in seen
            ]
            seen.update(fresh)
            rows.extend(np.array(row[:4], dtype=np.float64) for row in fresh)
            ids.extend(places.setdefault(row[4], len(places)) for row in fresh)
        for label, box in self.ignored:
            rows.append(np.array(box, dtype=np.float64))
            ids.append(places.setdefault(label, len(places)))
        ignore = np.arange(len(rows)) >= len(rows) - len(self.ignored)
        return Annotations(
            np.array(rows).reshape(-1, 4), np.array(ids, dtype=np.int64), tuple(places), ignore
        )


def _alone(attribute: BoxAttribute) -> Annotations:
    """The boxes of the only attribute; names in the order they appear."""
    used = dict.fromkeys(attribute.labels)
    places = {name: place for place, name in enumerate(used)}
    ids = [places[attribute.class_map[number]] for number in attribute.class_ids]
    return Annotations(attribute.boxes, np.array(ids, dtype=np.int64), tuple(used))


def parse_line(
    raw: bytes, number: int = 0, file: str | os.PathLike[str] = "", *, beyond: bool = False
) -> ManifestLine:
    """Read a line; BadLabel names file, line and field, and what to do.

    `beyond`: boxes that pass the edge of their image are given as they are, for the caller to judge.
    """
    plain = None if any(key in raw for key in _TURNS) else decode_line(raw)
    line = None if plain is None else _quick(plain, number)
    return _Parser(os.fspath(file), number, beyond).line(raw) if line is None else line


def _quick(line: BoxLine, number: int) -> ManifestLine | None:
    """A plain line; None for anything of which something is to be said, which the slow reader does."""
    width, height, class_map = line.size.width, line.size.height, line.names.by_id
    if not line.source or "\0" in line.source:
        return None
    rows = []
    for box in line.boxes:
        right, bottom = box.left + box.width, box.top + box.height
        if right > width or bottom > height or box.class_id not in class_map:
            return None
        rows.append((box.left, box.top, right, bottom))
    meta = line.meta
    attribute = BoxAttribute(
        line.attribute,
        np.array(rows, dtype=np.float64).reshape(-1, 4),
        tuple([box.class_id for box in line.boxes]),
        class_map,
        line.confidences,
        (width, height),
        meta.creation_date or "",
        meta.human_annotated != "no",
        meta.adjustment_status or "",
    )
    return ManifestLine(number, line.source, (attribute,))


class _Parser:
    """The slow, exact reader of one line."""

    def __init__(self, file: str, number: int, beyond: bool) -> None:
        self._file = file
        self._number = number
        self._beyond = beyond

    def fail(self, field: str, message: str) -> NoReturn:
        raise BadLabel(Problem(self._file, self._number, field, message))

    def line(self, raw: bytes) -> ManifestLine:
        try:
            line = decode_object(raw)
        except ValueError as exc:
            self.fail("", str(exc))
        source = line.get("source-ref")
        if not isinstance(source, str) or not source.strip():
            self.fail("source-ref", "is missing; give the image's path or s3:// address as text")
        if "\0" in source:
            self.fail("source-ref", "holds a NUL, which no file name and no S3 key can; correct the name")
        boxes: list[BoxAttribute] = []
        labels: list[ImageLabel] = []
        failures: dict[str, str] = {}
        masks: dict[str, MaskImage] = {}
        used = {"source-ref", IGNORE_KEY}
        for key, meta in line.items():
            if not key.endswith(METADATA) or not isinstance(meta, dict):
                continue
            name = key[: -len(METADATA)]
            kind = meta.get("type")
            if "failure-reason" in meta and name not in line:
                failures[name] = str(meta["failure-reason"])
            elif kind == DETECTION or (kind is None and _looks_like_boxes(line.get(name))):
                boxes.append(self.boxes(name, line.get(name), meta))
            elif kind == CLASSIFICATION:
                labels.append(self.image_label(name, meta))
            elif kind == MULTILABEL:
                labels.extend(self.many_labels(name, line.get(name), meta))
            elif kind == SEGMENTATION:
                masks[name] = _mask(line.get(name), meta)
            elif kind == VERIFICATION or kind is not None or name not in line:
                continue
            else:
                self.fail(f"{key}.type", f"is missing; for boxes it is {DETECTION!r}")
            used |= {name, key}
        for key, value in line.items():
            if key not in used and _looks_like_boxes(value):
                self.fail(key, f"has boxes but there is no {key + METADATA!r} with their class-map")
        extra = {key: value for key, value in line.items() if key not in used}
        return ManifestLine(
            self._number,
            source,
            tuple(boxes),
            tuple(labels),
            failures or None,
            self.ignored(line.get(IGNORE_KEY)),
            masks,
            extra or None,
        )

    def boxes(self, name: str, part: Any, meta: dict[str, Any]) -> BoxAttribute:
        if not isinstance(part, dict) or not isinstance(part.get("annotations"), list):
            self.fail(f"{name}.annotations", "is missing; it is a list, empty where there is nothing to see")
        mapping = self.class_map(name, meta)
        size = self.size(name, part.get("image_size"))
        rows, ids = [], []
        for place, box in enumerate(part["annotations"]):
            field = f"{name}.annotations[{place}]"
            rows.append(self.box(field, box, size))
            number = box.get("class_id")
            if isinstance(number, str) and number.isdecimal() and len(number) < 19:
                number = int(number)
            if not isinstance(number, int) or isinstance(number, bool) or number not in mapping:
                self.fail(
                    f"{field}.class_id",
                    f"is {number!r}, which the class-map of this line does not have; add it to {name + METADATA}.class-map",
                )
            ids.append(number)
        objects = meta.get("objects")
        scores = [
            entry.get("confidence", 0.0)
            for entry in (objects if isinstance(objects, list) else [])
            if isinstance(entry, dict)
        ]
        return BoxAttribute(
            name,
            np.array(rows, dtype=np.float64).reshape(-1, 4),
            tuple(ids),
            mapping,
            tuple(float(score) if is_number(score) else 0.0 for score in scores),
            size,
            str(meta.get("creation-date", "")),
            meta.get("human-annotated") != "no",
            str(meta.get("adjustment-status", "")),
        )

    def class_map(self, name: str, meta: dict[str, Any]) -> dict[int, str]:
        field = f"{name}{METADATA}.class-map"
        mapping = meta.get("class-map")
        if not isinstance(mapping, dict):
            self.fail(field, 'is missing; it is an object such as {"0": "arrow"}')
        found = {}
        for key, label in mapping.items():
            if not key.isdecimal() or len(key) > 18 or not isinstance(label, str) or not label:
                self.fail(field, f"has {key!r}: {label!r}; its keys are numbers as text, its values labels")
            found[int(key)] = label
        return found

    def size(self, name: str, value: Any) -> Size | None:
        """`image_size` as the schema's list of one, or the object one AWS page shows."""
        if value is None:
            return None
        entry = value[0] if isinstance(value, list) and value else value
        field = f"{name}.image_size"
        if not isinstance(entry, dict):
            self.fail(field, "must be a list of one {width, height, depth}")
        sides: list[Any] = [entry.get("width"), entry.get("height")]
        if not all(is_number(side) and side >= 1 and side == int(side) for side in sides):
            self.fail(field, f"width and height must be whole numbers of at least 1 px, not {sides}")
        return int(sides[0]), int(sides[1])

    def box(self, field: str, box: Any, size: Size | None) -> tuple[float, float, float, float]:
        if not isinstance(box, dict):
            self.fail(field, "must be an object with class_id, left, top, width, height")
        values: list[float] = []
        for name in ("left", "top", "width", "height"):
            value: Any = box.get(name)
            if not is_number(value):
                self.fail(f"{field}.{name}", f"is {value!r}; a number of px is needed")
            if abs(value) > _FAR:
                self.fail(f"{field}.{name}", "is beyond every page; a number of px is needed")
            values.append(float(value))
        for name in ("rotation", "angle"):
            turn: Any = box.get(name)
            if is_number(turn) and turn % 360:
                said = f"is {turn:g}: the boxes of Ground Truth stand upright, and as such this one would lie elsewhere"
                self.fail(f"{field}.{name}", f"{said}; write the upright box around it")
        left, top, width, height = values
        if width <= 0 or height <= 0:
            self.fail(field, f"is {width:g} x {height:g} px; a box needs at least 1 x 1 px")
        if self._beyond:
            return left, top, left + width, top + height
        if left < 0 or top < 0:
            self.fail(field, f"begins at {left:g}, {top:g}; clip it to the image, whose corner is 0, 0")
        if size is not None and (left + width > size[0] or top + height > size[1]):
            self.fail(
                field,
                f"ends at {left + width:g}, {top + height:g}, beyond the image of {size[0]} x {size[1]} px; "
                "clip it or correct image_size",
            )
        return left, top, left + width, top + height

    def image_label(self, name: str, meta: dict[str, Any]) -> ImageLabel:
        label = meta.get("class-name")
        if not isinstance(label, str) or not label:
            self.fail(f"{name}{METADATA}.class-name", "is missing; it is the label's text")
        score = meta.get("confidence", 0.0)
        return ImageLabel(label, float(score) if is_number(score) else 0.0)

    def many_labels(self, name: str, part: Any, meta: dict[str, Any]) -> list[ImageLabel]:
        """Ground Truth's own multi-label form: `[1, 0, 8]` with class-map and confidence-map."""
        mapping = self.class_map(name, meta)
        scores = meta.get("confidence-map")
        if not isinstance(part, list):
            self.fail(name, "must be a list of class ids")
        labels = []
        for number in part:
            if not isinstance(number, int) or number not in mapping:
                self.fail(name, f"has class id {number!r}, which its class-map does not have")
            score = scores.get(str(number), 0.0) if isinstance(scores, dict) else 0.0
            labels.append(ImageLabel(mapping[number], float(score) if is_number(score) else 0.0))
        return labels

    def ignored(self, value: Any) -> tuple[tuple[str, tuple[float, float, float, float]], ...]:
        if value is None:
            return ()
        found = []
        for place, entry in enumerate(value if isinstance(value, list) else [None]):
            box = entry.get("box") if isinstance(entry, dict) else None
            if not isinstance(box, list) or len(box) != 4 or not all(is_number(side) for side in box):
                self.fail(f"{IGNORE_KEY}[{place}]", "must be {label, box: [x0, y0, x1, y1]}")
            if not (0 <= box[0] < box[2] <= _FAR and 0 <= box[1] < box[3] <= _FAR):
                self.fail(
                    f"{IGNORE_KEY}[{place}].box", f"is {box}; x0 < x1 and y0 < y1, from 0 on, are needed"
                )
            found.append((str(entry.get("label") or "ignore"), (box[0], box[1], box[2], box[3])))
        return tuple(found)


def _mask(source: Any, meta: Mapping[str, Any]) -> MaskImage:
    created, status = meta.get("creation-date"), meta.get("adjustment-status")
    return MaskImage(source, meta.get("internal-color-map"), str(created or ""), isinstance(status, str))


def _looks_like_boxes(value: Any) -> bool:
    return isinstance(value, dict) and "annotations" in value
