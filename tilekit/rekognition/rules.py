"""The service's rules for one manifest line: what it would take from it, and what it would say.

Source: Custom Labels guide, pages "md-create-manifest-file-validation-rules" and
"tm-debugging-json-line-errors". A bad box alone drops the box; a bad line drops the line. The first eight
errors are looked for first and hide all others until fixed ("tm-debugging-fixing-validation-errors").
Plain, well-formed lines of one box attribute take a quick way, which accepts only what the exact way would
accept without a word (a property of the tests).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tilekit.errors import InvalidArgument
from tilekit.rekognition.arns import split_s3
from tilekit.rekognition.checked import CheckedLine, LabeledBox, Status, UseCase
from tilekit.rekognition.findings import Finding
from tilekit.rekognition.images import ImageFacts, check_image, check_sides
from tilekit.rekognition.limits import LIMITS, Limits
from tilekit.rekognition.lines import (
    CLASSIFICATION,
    DETECTION,
    METADATA,
    BoxLine,
    ClassMap,
    LinePart,
    decode_line,
    decode_object,
    is_number,
)
from tilekit.rekognition.shrink import smallest_side

Look = ImageFacts | Callable[[str], ImageFacts | None]
"""An image's facts, or a function from a source-ref to them (None: cannot be looked at)."""


def check_line(
    raw: bytes, *, limits: Limits = LIMITS, image: Look | None = None, allow_local: bool = False
) -> CheckedLine:
    """Check a line (bytes without the line end). `image`: the image's facts, or what looks them up.

    `allow_local`: paths are taken for a `source-ref` too, as before an upload.
    """
    line = decode_line(raw)
    if line is not None:
        quick = _quick(line, limits, allow_local)
        if quick is not None:
            if image is None:
                return quick
            facts = image(quick.source_ref) if callable(image) else image
            if facts is None or _agrees(facts, quick, limits):
                return quick
            image = facts
    return _exact(raw, limits, image, allow_local)


def _agrees(facts: ImageFacts, line: CheckedLine, limits: Limits) -> bool:
    """Whether the image is a sound one of the size the line says."""
    return (
        bool(facts.kind)
        and facts.orientation == 1
        and not facts.damage
        and line.size == (facts.width, facts.height)
        and facts.bytes <= limits.max_image_bytes
    )


def _quick(line: BoxLine, limits: Limits, allow_local: bool) -> CheckedLine | None:
    """A plain line without any finding; None sends it the exact way."""
    boxes, names, width, height = line.boxes, line.names, line.size.width, line.size.height
    if not good_metadata(line.meta, names, limits) or not good_sides(width, height, limits):
        return None
    if not 0 < len(boxes) == len(line.confidences) <= limits.max_boxes:
        return None
    least = smallest_side(width, height, limits.shrink_side)
    ids = set()
    for box in boxes:
        wide, tall = box.width, box.height
        if box.left + wide > width or box.top + tall > height or wide <= least or tall <= least:
            return None
        ids.add(box.class_id)
    try:
        labels = tuple(dict.fromkeys([names.by_id[number] for number in ids]))
    except KeyError:
        return None
    bucket = bucket_of(line.source, allow_local)
    if bucket is None:
        return None
    size = (width, height)
    return CheckedLine(
        "valid",
        line.source,
        bucket,
        "OBJECT_LOCALIZATION",
        labels,
        names.named,
        size,
        (),
        None,
        None,
        line,
    )


def good_metadata(meta: LinePart, names: ClassMap, limits: Limits) -> bool:
    """Whether a box attribute's metadata are without fault."""
    return (
        meta.human_annotated in ("yes", "no")
        and names.longest <= limits.max_label_chars
        and meta.creation_date is not None
        and good_date(meta.creation_date)
    )


def good_sides(width: int, height: int, limits: Limits) -> bool:
    """Whether an image may have these sides (px)."""
    low, high = (width, height) if width < height else (height, width)
    return low >= limits.min_side and high <= limits.max_side and high <= limits.max_aspect * low


def good_date(text: str) -> bool:
    """Whether it is a time in ISO 8601, with or without fraction and zone."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def bucket_of(source: str, allow_local: bool) -> str | None:
    """The bucket of a source-ref, "" for a local path where those are allowed; None where it is malformed."""
    if source.startswith("s3://"):
        end = source.find("/", 5)
        bucket = source[5:end]
        return bucket if end > 0 and 0 < len(source) - end - 1 <= 1024 and _good_bucket(bucket) else None
    return "" if allow_local and source.strip() and "://" not in source else None


@functools.lru_cache(maxsize=1024)
def _good_bucket(bucket: str) -> bool:
    try:
        split_s3(f"s3://{bucket}/x")
    except InvalidArgument:
        return False
    return True


def _exact(raw: bytes, limits: Limits, image: Look | None, allow_local: bool) -> CheckedLine:
    if not raw.strip():
        return CheckedLine("invalid", findings=(Finding("ERROR_INVALID_JSON_LINE", "the line is blank"),))
    try:
        line = decode_object(raw)
    except ValueError as exc:
        return CheckedLine("invalid", findings=(Finding("ERROR_INVALID_JSON_LINE", f"it {exc}"),))
    return _Line(line, limits, image, allow_local).check()


class _Line:
    """The exact way: one JSON object, rule by rule."""

    def __init__(self, line: dict[str, Any], limits: Limits, image: Look | None, allow_local: bool) -> None:
        self.line = line
        self.limits = limits
        self.look = image
        self.image: ImageFacts | None = None
        self.allow_local = allow_local
        self.findings: list[Finding] = []
        self.boxes: list[LabeledBox] = []
        self.image_labels: list[str] = []
        self.named: dict[str, None] = {}
        self.size: tuple[int, int] | None = None
        self.empty = 0
        self.sound = 0

    def say(self, code: str, detail: str = "", attribute: str = "", index: int = -1) -> None:
        self.findings.append(Finding(code, detail, attribute, index))

    def check(self) -> CheckedLine:
        source, bucket = self.source()
        if self.look is not None and not self.findings:
            self.image = self.look(source) if callable(self.look) else self.look
        pairs = self.attributes()
        if not pairs:
            self.unlabeled()
        for name, meta in pairs:
            self.attribute(name, self.line.get(name), meta)
        if pairs and not self.sound and not self.first:
            self.say("ERROR_NO_VALID_LABEL_ATTRIBUTES")
        if self.image is not None:
            self.findings += check_image(self.image, self.limits)
            self.compare_size(self.image)
        elif self.size is not None:
            self.findings += check_sides(*self.size, self.limits)
        if len(self.boxes) > self.limits.max_boxes:
            self.say("ERROR_TOO_MANY_BOUNDING_BOXES", f"there are {len(self.boxes)} boxes")
        if len(self.image_labels) > self.limits.max_image_labels:
            self.say(
                "ERROR_NO_VALID_LABEL_ATTRIBUTES", f"there are {len(self.image_labels)} labels of the image"
            )
        if self.empty and not self.boxes and not self.image_labels and not self.errors:
            self.say("WARNING_NO_ANNOTATIONS")
        return self.result(source, bucket)

    @property
    def first(self) -> bool:
        """Whether one of the errors that hide all others was found."""
        return any(finding.about.first for finding in self.findings)

    @property
    def errors(self) -> bool:
        return any(finding.about.error for finding in self.findings)

    def result(self, source: str, bucket: str) -> CheckedLine:
        if self.first:
            self.findings = [finding for finding in self.findings if finding.about.first]
        whole = any(finding.about.error and finding.index < 0 for finding in self.findings)
        status: Status = "invalid" if whole or self.first else "valid"
        if status == "valid" and not self.boxes and not self.image_labels:
            status = "ignored"
        good = status == "valid"
        use: UseCase = "NOT_DETERMINED"
        if self.boxes or self.empty:
            use = "OBJECT_LOCALIZATION"
        elif self.image_labels:
            use = "IMAGE_LEVEL_LABELS"
        used = [box[0] for box in self.boxes] if self.boxes else self.image_labels
        return CheckedLine(
            status,
            source,
            bucket,
            use,
            tuple(dict.fromkeys(used)) if good else (),
            tuple(self.named),
            self.size,
            tuple(self.findings),
            self.line,
            self.boxes if good else [],
        )

    def source(self) -> tuple[str, str]:
        source = self.line.get("source-ref")
        if source is None:
            self.say("ERROR_MISSING_SOURCE_REF")
            return "", ""
        bucket = bucket_of(source, self.allow_local) if isinstance(source, str) else None
        if bucket is None:
            self.say("ERROR_INVALID_SOURCE_REF_FORMAT", f"it is {source!r:.200}")
        return str(source), bucket or ""

    def attributes(self) -> list[tuple[str, dict[str, Any]]]:
        """Label attributes with their metadata; verification and failed attributes are none."""
        pairs = []
        for key, meta in self.line.items():
            name = key.removesuffix(METADATA)
            if name == key or not name:
                continue
            if not isinstance(meta, dict):
                self.say("ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT", "it is not an object", key)
            elif name in self.line:
                pairs.append((name, meta))
        return pairs

    def unlabeled(self) -> None:
        if self.line.keys() - {"source-ref", "cl-metadata", "errors", "warnings", "cl-errors"}:
            self.say("ERROR_NO_LABEL_ATTRIBUTES", self.half())
        elif not self.findings:
            self.say("WARNING_UNANNOTATED_RECORD")

    def half(self) -> str:
        for key in self.line:
            if key.endswith(METADATA):
                return f"there is {key!r} but no {key.removesuffix(METADATA)!r}"
            if isinstance(self.line[key], dict):
                return f"there is {key!r} but no {key + METADATA!r}"
        return ""

    def attribute(self, name: str, part: Any, meta: dict[str, Any]) -> None:
        kind = meta.get("type")
        if not isinstance(kind, str):
            self.say("ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT", "type is missing", name + METADATA)
        elif kind == DETECTION:
            self.detection(name, part, meta)
        elif kind == CLASSIFICATION:
            self.classification(name, part, meta)
        elif kind.startswith("groundtruth/label-verification"):
            return
        else:
            self.say("ERROR_UNSUPPORTED_USE_CASE_TYPE", f"it is {kind!r:.100}", name + METADATA)

    def metadata(self, name: str, meta: dict[str, Any]) -> bool:
        key, code = name + METADATA, "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT"
        before = len(self.findings)
        if meta.get("human-annotated") not in ("yes", "no"):
            self.say(code, 'human-annotated must be "yes" or "no"', key)
        date = meta.get("creation-date")
        if not isinstance(date, str) or not good_date(date):
            self.say(code, f"creation-date must be an ISO 8601 time, not {date!r:.60}", key)
        return len(self.findings) == before

    def classification(self, name: str, part: Any, meta: dict[str, Any]) -> None:
        key, before = name + METADATA, len(self.findings)
        if not isinstance(part, int) or isinstance(part, bool):
            self.say("ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT", "it must be a whole number", name)
        self.metadata(name, meta)
        if not is_number(meta.get("confidence")) or not 0 <= meta["confidence"] <= 1:
            self.say("ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT", "confidence must be from 0 to 1", key)
        label = meta.get("class-name")
        if not isinstance(label, str):
            self.say("ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT", "class-name is missing", key)
        elif self.name_fits(label, key) and len(self.findings) == before:
            self.named[label] = None
            self.image_labels.append(label)
            self.sound += 1

    def name_fits(self, label: str, key: str) -> bool:
        if 0 < len(label) <= self.limits.max_label_chars:
            return True
        self.say("ERROR_INVALID_LABEL_NAME_LENGTH", f"{label[:20]!r}... has {len(label)} characters", key)
        return False

    def detection(self, name: str, part: Any, meta: dict[str, Any]) -> None:
        good = self.metadata(name, meta)
        mapping = self.class_map(name, meta)
        size = self.image_size(name, part)
        annotations = part.get("annotations") if isinstance(part, dict) else None
        if not isinstance(annotations, list):
            self.say("ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT", "annotations must be a list", name)
            return
        if not self.confidences(name, meta, len(annotations)) or mapping is None or size is None or not good:
            return
        self.sound += 1
        if not annotations:
            self.empty += 1
            self.say("WARNING_NO_ATTRIBUTE_ANNOTATIONS", "", name)
            return
        kept = [self.box(name, place, box, mapping, size) for place, box in enumerate(annotations)]
        fitting = [box for box in kept if box is not None]
        self.named.update(dict.fromkeys(box[0] for box in fitting))
        self.boxes += fitting
        if not fitting and not self.first:
            self.say("ERROR_NO_VALID_ANNOTATIONS", "", name)

    def class_map(self, name: str, meta: dict[str, Any]) -> dict[str, str] | None:
        key, mapping = name + METADATA, meta.get("class-map")
        if not isinstance(mapping, dict):
            self.say("ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT", "class-map is missing", key)
            return None
        for number, label in mapping.items():
            if not number.isdecimal() or not isinstance(label, str):
                self.say(
                    "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT",
                    f"class-map has {number!r:.40}: {label!r:.40}; keys are numbers as text, values labels",
                    key,
                )
                return None
        fits = [self.name_fits(label, key) for label in mapping.values()]
        self.named.update(dict.fromkeys(mapping.values()))
        return mapping if all(fits) else None

    def image_size(self, name: str, part: Any) -> tuple[int, int] | None:
        value = part.get("image_size") if isinstance(part, dict) else None
        if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], dict):
            self.say(
                "ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT",
                "image_size must be a list of one {width, height, depth}",
                name,
            )
            return None
        sides = [value[0].get(side) for side in ("width", "height", "depth")]
        if (
            not all(isinstance(side, int) and not isinstance(side, bool) and side >= 0 for side in sides)
            or 0 in sides[:2]
        ):
            self.say("ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT", f"image_size is {value[0]!r:.100}", name)
            return None
        self.size = int(value[0]["width"]), int(value[0]["height"])
        return self.size

    def confidences(self, name: str, meta: dict[str, Any], count: int) -> bool:
        key, objects = name + METADATA, meta.get("objects")
        if not isinstance(objects, list):
            self.say("ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT", "objects is missing", key)
            return False
        given = sum(
            isinstance(entry, dict) and is_number(entry.get("confidence")) and 0 <= entry["confidence"] <= 1
            for entry in objects
        )
        if given == len(objects) == count:
            return True
        self.say(
            "ERROR_MISSING_BOUNDING_BOX_CONFIDENCE", f"{count} boxes, {given} confidences from 0 to 1", key
        )
        return False

    def box(
        self, name: str, place: int, box: Any, mapping: dict[str, str], size: tuple[int, int]
    ) -> LabeledBox | None:
        code = "ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT"
        if not isinstance(box, dict):
            self.say(code, "it must be {class_id, left, top, width, height}", name, place)
            return None
        values: list[Any] = [box.get(side) for side in ("left", "top", "width", "height")]
        number = box.get("class_id")
        if (
            not all(is_number(value) for value in values)
            or not isinstance(number, int)
            or isinstance(number, bool)
        ):
            self.say(code, f"it is {box!r:.150}; all five are whole numbers", name, place)
            return None
        label = mapping.get(str(number))
        if label is None:
            self.say("ERROR_MISSING_CLASS_MAP_ID", f"class_id {number}", name, place)
            return None
        left, top, width, height = values
        if any(value != int(value) for value in values):
            self.say("TILEKIT_NOT_WHOLE_NUMBERS", f"{left:g}, {top:g}, {width:g} x {height:g}", name, place)
        true = size
        if self.image is not None and self.image.width:
            stored = (self.image.width, self.image.height)
            true = self.image.upright if self.size == self.image.upright else stored
        if left < 0 or top < 0 or width < 0 or height < 0 or left + width > true[0] or top + height > true[1]:
            self.say(
                "ERROR_INVALID_BOUNDING_BOX",
                f"left {left:g}, top {top:g}, {width:g} x {height:g} px in an image of {true[0]} x {true[1]} px",
                name,
                place,
            )
            return None
        least = smallest_side(*true, self.limits.shrink_side)
        if width <= least or height <= least:
            self.say(
                "ERROR_BOUNDING_BOX_TOO_SMALL",
                f"{width:g} x {height:g} px; in an image of {true[0]} x {true[1]} px both must be over {least:.3g} px",
                name,
                place,
            )
            return None
        return label, left, top, width, height

    def compare_size(self, image: ImageFacts) -> None:
        stored, upright = (image.width, image.height), image.upright
        if image.orientation > 1 and image.width:
            turned = f"EXIF orientation {image.orientation}, {stored[0]} x {stored[1]} px as stored"
            turned += f", {upright[0]} x {upright[1]} px upright" if upright != stored else ""
            if self.size is not None and self.size == stored != upright:
                turned += "; the line has the size before the turn, so boxes drawn on the upright image lie elsewhere"
            self.say("TILEKIT_IMAGE_TURNED", turned)
        if self.size is not None and image.width and self.size not in (stored, upright):
            self.say(
                "TILEKIT_IMAGE_SIZE_DIFFERS",
                f"{self.size[0]} x {self.size[1]} px in the line, {image.width} x {image.height} px in the file",
            )
