"""The decoder of a Ground Truth manifest's lines, for all who read one: msgspec structs for what is well formed.

`decode_line` takes a line of one box attribute, which most are; any other goes as Python values (`decode_object`)
to slow, exact code, which says what is wrong. `attribute_decoder` is for many lines of one attribute.
22,934 lines of 20 boxes (50 MB) in seconds of processor time: these structs 0.25, msgspec without types 0.32,
orjson 0.31, json 1.27; the first also checks every field.
Fields: Custom Labels guide, pages "md-create-manifest-file-object-detection" and "…-classification"; SageMaker
guide, page "sms-data-output".
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import IO, Annotated, Any, NamedTuple, Protocol

import msgspec

from tilekit.storage import json_names

NotNegative = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

DETECTION = "groundtruth/object-detection"
CLASSIFICATION = "groundtruth/image-classification"
MULTILABEL = "groundtruth/image-classification-multilabel"
SEGMENTATION = "groundtruth/semantic-segmentation"
VERIFICATION = "groundtruth/label-verification"
METADATA = "-metadata"


class LineBox(msgspec.Struct, gc=False):
    """One entry of `annotations`: px of the image, origin top left."""

    class_id: NotNegative
    left: NotNegative
    top: NotNegative
    width: Positive
    height: Positive


class LineSize(msgspec.Struct, gc=False):
    """One entry of `image_size`."""

    width: Positive
    height: Positive
    depth: NotNegative


class LineObject(msgspec.Struct, gc=False):
    """One entry of the metadata's `objects`."""

    confidence: Share


class LinePart(msgspec.Struct, gc=False):
    """A box attribute or the metadata of any attribute: whichever of its fields stand in the line."""

    image_size: list[LineSize] | None = None
    annotations: list[LineBox] | None = None
    objects: msgspec.Raw = msgspec.Raw(b"")
    """As bytes, for `confidences_of`: mostly the same from line to line."""
    class_map: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="class-map")
    """As bytes: lines mostly repeat it, so `class_map_of` decodes it once for all of them."""
    type: str | None = None
    human_annotated: str | None = msgspec.field(default=None, name="human-annotated")
    creation_date: str | None = msgspec.field(default=None, name="creation-date")
    job_name: str | None = msgspec.field(default=None, name="job-name")
    class_name: str | None = msgspec.field(default=None, name="class-name")
    confidence: Share | None = None
    failure_reason: str | None = msgspec.field(default=None, name="failure-reason")
    adjustment_status: str | None = msgspec.field(default=None, name="adjustment-status")


class ClassMap(NamedTuple):
    """A class map: labels by id, all labels in order, and the length of the shortest and the longest."""

    by_id: dict[int, str]
    named: tuple[str, ...]
    shortest: int
    longest: int


class BoxLine(NamedTuple):
    """A plain line: one box attribute, the size of its image, and labels for its class ids, which may lack some."""

    source: str
    attribute: str
    size: LineSize
    boxes: list[LineBox]
    meta: LinePart
    names: ClassMap
    confidences: tuple[float, ...]


class RawPart(msgspec.Struct, gc=False):
    """A box attribute of a RawLine. `image_size` as bytes, for `size_of`: lines mostly repeat it."""

    image_size: msgspec.Raw
    annotations: list[LineBox]


class RawLine(Protocol):
    """What an `attribute_decoder` gives. `meta`: bytes for `metadata_of`."""

    source: str
    part: RawPart
    meta: msgspec.Raw


BATCH_BYTES = 1 << 16
_CACHED = 8192
"""Bytes of a part up to which it is worth remembering."""
_OBJECTS = msgspec.json.Decoder(list[LineObject])
_MAP = msgspec.json.Decoder(dict[str, str])
_META = msgspec.json.Decoder(LinePart)
_SIZE = msgspec.json.Decoder(list[LineSize])
_TYPED = msgspec.json.Decoder(dict[str, LinePart | str | int])
_PLAIN: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoders raise for a line they do not take."""


def decode_line(raw: bytes) -> BoxLine | None:
    """A plain line, or None where it is anything else or not well formed."""
    try:
        line = json_names.decoded(_TYPED, raw)
    except BAD_JSON:
        return None
    if len(line) != 3:
        return None
    (first, source), (name, part), (other, meta) = line.items()
    if not (
        first == "source-ref"
        and isinstance(source, str)
        and isinstance(part, LinePart)
        and isinstance(meta, LinePart)
        and other == name + METADATA
        and part.annotations is not None
        and part.image_size is not None
        and len(part.image_size) == 1
    ):
        return None
    known = _box_metadata(meta)
    return (
        None if known is None else BoxLine(source, name, part.image_size[0], part.annotations, meta, *known)
    )


def attribute_decoder(attribute: str) -> Callable[[bytes], RawLine]:
    """Decodes lines with just this box attribute, and leaves what repeats as bytes; raises BAD_JSON for others."""
    fields = [
        ("source", str, msgspec.field(name="source-ref")),
        ("part", RawPart, msgspec.field(name=attribute)),
        ("meta", msgspec.Raw, msgspec.field(name=attribute + METADATA)),
    ]
    kind: Any = msgspec.defstruct("PlainLine", fields, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(kind).decode


def size_of(raw: bytes) -> LineSize | None:
    """The size in `image_size`, a list of one; None where it is anything else."""
    try:
        sizes = _SIZE.decode(raw)
    except BAD_JSON:
        return None
    return sizes[0] if len(sizes) == 1 else None


def metadata_of(raw: bytes) -> tuple[LinePart, ClassMap, tuple[float, ...]] | None:
    """Metadata of a box attribute with its class map and confidences; None where it is anything else."""
    try:
        meta = _META.decode(raw)
    except BAD_JSON:
        return None
    known = _box_metadata(meta)
    return None if known is None else (meta, *known)


def _box_metadata(meta: LinePart) -> tuple[ClassMap, tuple[float, ...]] | None:
    if meta.type != DETECTION:
        return None
    names, confidences = class_map_of(meta.class_map), confidences_of(meta.objects)
    if names is None or confidences is None or not names.shortest:
        return None
    return names, confidences


def class_map_of(raw: msgspec.Raw) -> ClassMap | None:
    """A class map from its bytes, or None where it is not ids to labels. The result is shared: leave it be."""
    data = bytes(raw)
    return _class_map(data) if len(data) > _CACHED else _cached_class_map(data)


def confidences_of(raw: msgspec.Raw) -> tuple[float, ...] | None:
    """The confidences of `objects` from their bytes, or None where they are not all from 0 to 1."""
    data = bytes(raw)
    return _confidences(data) if len(data) > _CACHED else _cached_confidences(data)


def _confidences(raw: bytes) -> tuple[float, ...] | None:
    try:
        return tuple([entry.confidence for entry in _OBJECTS.decode(raw)])
    except (msgspec.DecodeError, ValueError):
        return None


def _class_map(raw: bytes) -> ClassMap | None:
    try:
        found = _MAP.decode(raw)
        by_id = {int(key): label for key, label in found.items() if key.isdecimal() and str(int(key)) == key}
    except (msgspec.DecodeError, ValueError):
        return None
    if len(by_id) < len(found):
        return None
    lengths = [len(label) for label in found.values()]
    return ClassMap(
        by_id, tuple(dict.fromkeys(found.values())), min(lengths, default=1), max(lengths, default=1)
    )


_cached_class_map = functools.lru_cache(maxsize=512)(_class_map)
_cached_confidences = functools.lru_cache(maxsize=512)(_confidences)


def decode_object(raw: bytes) -> dict[str, Any]:
    """Any line as Python values; ValueError with a sentence where it is no JSON object."""
    line = decode_plain(raw)
    if not isinstance(line, dict):
        raise ValueError("is not a JSON object; a manifest has one object per line")
    return line


def decode_plain(raw: bytes) -> Any:
    """A JSON document as Python values; ValueError with a sentence saying where the JSON breaks."""
    try:
        return json_names.decoded(_PLAIN, raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ValueError(_broken(raw, exc)) from exc
    except RecursionError as exc:
        raise ValueError("is nested too deeply to be labels") from exc


def iter_batches(file: IO[bytes], limit: int) -> Iterator[tuple[int, int, list[bytes]]]:
    """(number of its first line from one, byte offset read to, some lines without LF) through a file.

    Of a line over `limit` bytes the first, at least `limit + 1`, are given. Memory: BATCH_BYTES, and one line of
    at most `limit` bytes.
    """
    number, offset, rest = 1, 0, b""
    while chunk := file.read(BATCH_BYTES):
        offset += len(chunk)
        lines = chunk.split(b"\n")
        lines[0] = rest + lines[0]
        rest = lines.pop()
        if len(rest) > limit:
            rest = rest[: limit + 1]
        if lines:
            yield number, offset, lines
        number += len(lines)
    if rest:
        yield number, offset, [rest]


def iter_lines(file: IO[bytes], limit: int) -> Iterator[tuple[int, bytes]]:
    """(number from one, line without its end) of each line, blank ones too; long ones as `iter_batches` says."""
    for start, _, lines in iter_batches(file, limit):
        for number, line in enumerate(lines, start):
            yield number, line.rstrip(b"\r")


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number (true and false are not)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # 10**400
        return False


def _broken(raw: bytes, exc: Exception) -> str:
    text = str(exc)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in raw[:4]:
        return "is not UTF-8 but looks like UTF-16; save the file as UTF-8"
    if raw[:3] == b"\xef\xbb\xbf":
        return "begins with a byte order mark; save the file as UTF-8 without one"
    if isinstance(exc, UnicodeDecodeError):
        return "is not UTF-8; save the file as UTF-8"
    if "truncated" in text.lower():
        return "is cut off: the JSON ends too early"
    if b"NaN" in raw or b"Infinity" in raw:
        return f"is not JSON: NaN and Infinity are not allowed ({text})"
    return f"is not JSON: {text}"
