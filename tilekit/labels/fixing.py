"""fix_manifest: write a manifest the service takes, and say what was changed.

What can be mended is mended; a line that would be refused even so is left out, as the service would do, but not
silently.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tilekit.errors import InvalidArgument
from tilekit.labels.checking import Looking
from tilekit.labels.files import folder_of, open_bytes
from tilekit.labels.ground_truth import CREATED, MAX_LINE
from tilekit.labels.sources import PathLike
from tilekit.rekognition.images import ImageFacts
from tilekit.rekognition.limits import LIMITS, Limits
from tilekit.rekognition.lines import (
    CLASSIFICATION,
    DETECTION,
    METADATA,
    MULTILABEL,
    decode_object,
    is_number,
    iter_batches,
)
from tilekit.rekognition.plain import PlainChecker
from tilekit.rekognition.rules import check_line, good_date
from tilekit.rekognition.shrink import survives
from tilekit.storage.local import atomic_file, storage_errors


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a line (from one): `kept` False where it was left out, for these `codes` of the service."""

    line: int
    what: str
    kept: bool = True
    codes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" if self.kept else f"line {self.line} left out: {self.what}"


@dataclass(frozen=True)
class FixReport:
    """Lines read and written, and every change."""

    read: int
    written: int
    changes: tuple[Change, ...]

    @property
    def left_out(self) -> list[Change]:
        """The lines that are not kept."""
        return [change for change in self.changes if not change.kept]

    @property
    def pages_lost(self) -> int:
        """Lines left out for what tiles would mend: too large an image, too many boxes, boxes lost in the shrink."""
        return sum(not TILES_MEND.isdisjoint(change.codes) for change in self.left_out)


TILES_MEND = frozenset(
    {"ERROR_INVALID_IMAGE_DIMENSION", "ERROR_TOO_MANY_BOUNDING_BOXES", "ERROR_BOUNDING_BOX_TOO_SMALL"}
)
"""Codes of lines that whole pages have and tiles have not."""


def fix_manifest(
    path: PathLike,
    out: PathLike,
    *,
    images: PathLike | None = None,
    uploaded: bool = False,
    limits: Limits = LIMITS,
) -> FixReport:
    """Write a corrected copy of the manifest `path` to `out`, which may not be the same file.

    Mended: byte order marks, `image_size` as an object or without depth, fractions (outward), boxes over the
    edge (clipped), missing confidences, dates and flags, Ground Truth's multi-label form, labels over 255
    characters (cut). Boxes off the image, of an unknown class or too small to survive the shrink are taken out.
    Left out: blank, broken, repeated and over-long lines, and what is refused even so. `images`, `uploaded` as
    in check_manifest. Memory: one line, about 100 bytes for each line's reference, and the changes.
    """
    if str(path) == str(out):
        raise InvalidArgument(f"out={str(out)!r} is the manifest itself; write to another file")
    with atomic_file(out) as target:
        return _gone_through(path, target.write, images, uploaded, limits)


def would_fix(
    path: PathLike, *, images: PathLike | None = None, uploaded: bool = False, limits: Limits = LIMITS
) -> FixReport:
    """What `fix_manifest` would do; nothing is written."""
    return _gone_through(path, lambda text: None, images, uploaded, limits)


def _gone_through(
    path: PathLike,
    write: Callable[[bytes], object],
    images: PathLike | None,
    uploaded: bool,
    limits: Limits,
) -> FixReport:
    look = None if uploaded and images is None else Looking(folder_of(path), images)
    plain = PlainChecker(limits) if images is None else None
    changes: list[Change] = []
    seen: set[int] = set()
    read = 0
    with open_bytes(path) as source, storage_errors(path):
        for first, _, lines in iter_batches(source, MAX_LINE):
            read += len(lines)
            refs = [""] * len(lines) if plain is None else plain.check(lines).sources
            if plain is not None and plain.full:
                plain.forget()
            for number, (raw, ref) in enumerate(zip(lines, refs, strict=True), first):
                text = raw.rstrip(b"\r")
                if not ref:
                    fixed = _fixed(number, text, look, uploaded, limits, changes)
                    if fixed is None:
                        continue
                    text, ref = fixed
                if hash(ref) in seen:
                    changes.append(Change(number, f"an earlier line has {ref} too", kept=False))
                    continue
                seen.add(hash(ref))
                write(text + b"\n")
    return FixReport(read, len(seen), tuple(changes))


def _fixed(
    number: int,
    raw: bytes,
    look: Callable[[str], ImageFacts | None] | None,
    uploaded: bool,
    limits: Limits,
    changes: list[Change],
) -> tuple[bytes, str] | None:
    checked = check_line(raw, limits=limits, image=look, allow_local=not uploaded)
    if not checked.findings and len(raw) <= limits.max_line_chars:
        return raw, checked.source_ref
    mending = _Mending(limits, look)
    try:
        line = decode_object(raw.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as exc:
        changes.append(Change(number, "it is blank" if not raw.strip() else f"it {exc}", kept=False))
        return None
    if raw[:3] == b"\xef\xbb\xbf":
        mending.done.append("took out the byte order mark")
    mending.line(line)
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    again = check_line(text, limits=limits, image=look, allow_local=not uploaded)
    errors = [finding for finding in again.findings if finding.about.error]
    if len(text.decode()) > limits.max_line_chars:
        changes.append(
            Change(
                number,
                f"it has {len(text):,} bytes, more than a line may have; use smaller tiles",
                kept=False,
            )
        )
        return None
    if errors:
        changes.append(
            Change(
                number,
                "; ".join(f"{error.code}: {error.message}" for error in errors),
                kept=False,
                codes=tuple(error.code for error in errors),
            )
        )
        return None
    changes.extend(Change(number, what) for what in mending.done)
    return (text if mending.done or raw[:3] == b"\xef\xbb\xbf" else raw), again.source_ref


class _Mending:
    """Mends one line in place; `done` says what was changed."""

    def __init__(self, limits: Limits, look: Callable[[str], ImageFacts | None] | None) -> None:
        self.limits = limits
        self.look = look
        self.done: list[str] = []

    def line(self, line: dict[str, Any]) -> None:
        source = line.get("source-ref")
        facts = self.look(source) if self.look is not None and isinstance(source, str) else None
        for key in [key for key in line if key.endswith(METADATA)]:
            name, meta = key.removesuffix(METADATA), line[key]
            if not isinstance(meta, dict) or name not in line:
                continue
            if meta.get("type") == MULTILABEL:
                self.split_labels(line, name, meta)
                continue
            part = line[name]
            boxes = isinstance(part, dict) and isinstance(part.get("annotations"), list)
            if "type" not in meta and boxes:
                meta["type"] = DETECTION
                self.done.append(f"{key}: added type")
            if meta.get("type") not in (DETECTION, CLASSIFICATION):
                continue
            self.common(key, meta)
            if meta["type"] == DETECTION and boxes:
                self.names(key, meta)
                self.boxes(name, part, meta, facts)

    def common(self, key: str, meta: dict[str, Any]) -> None:
        if meta.get("human-annotated") not in ("yes", "no"):
            meta["human-annotated"] = "yes"
            self.done.append(f'{key}: set human-annotated to "yes"')
        date = meta.get("creation-date")
        if not isinstance(date, str) or not good_date(date):
            meta["creation-date"] = CREATED
            self.done.append(f"{key}: set creation-date to {CREATED}, was {date!r:.40}")

    def names(self, key: str, meta: dict[str, Any]) -> None:
        mapping = meta.get("class-map")
        if not isinstance(mapping, dict):
            return
        for number, label in mapping.items():
            most = self.limits.max_label_chars
            if isinstance(label, str) and len(label) > most and label[:most] not in mapping.values():
                mapping[number] = label[:most]
                self.done.append(f"{key}: cut the label {label[:20]!r}... to {most} characters")

    def size(self, name: str, part: dict[str, Any], facts: ImageFacts | None) -> tuple[int, int] | None:
        value = part.get("image_size")
        entry = value[0] if isinstance(value, list) and value else value
        entry = dict(entry) if isinstance(entry, dict) else {}
        if facts is not None and facts.width:
            entry.update(width=facts.width, height=facts.height)
        if not isinstance(entry.get("depth"), int):
            entry["depth"] = 3
        if value != [entry]:
            part["image_size"] = [entry]
            self.done.append(f"{name}: wrote image_size as {entry}")
        width, height = entry.get("width"), entry.get("height")
        return (width, height) if isinstance(width, int) and isinstance(height, int) else None

    def boxes(self, name: str, part: dict[str, Any], meta: dict[str, Any], facts: ImageFacts | None) -> None:
        size, mapping = self.size(name, part, facts), meta.get("class-map")
        if size is None or not isinstance(mapping, dict):
            return
        old = part["annotations"]
        objects = meta.get("objects")
        scores = list(objects) if isinstance(objects, list) else []
        scores += [{}] * (len(old) - len(scores))
        kept, kept_scores, filled = [], [], 0
        for place, (box, score) in enumerate(zip(old, scores[: len(old)], strict=True)):
            fixed = self.box(f"{name}.annotations[{place}]", box, size, mapping)
            if fixed is None:
                continue
            kept.append(fixed)
            good = (
                isinstance(score, dict)
                and is_number(score.get("confidence"))
                and 0 <= score["confidence"] <= 1
            )
            kept_scores.append(score if good else {"confidence": 1})
            filled += not good
        if filled or not isinstance(objects, list) or len(objects) > len(old):
            self.done.append(f"{name}{METADATA}: gave each box a confidence ({filled} were missing)")
        part["annotations"], meta["objects"] = kept, kept_scores

    def box(
        self, place: str, box: Any, size: tuple[int, int], mapping: dict[str, Any]
    ) -> dict[str, Any] | None:
        sides = (
            [box.get(side) for side in ("left", "top", "width", "height")]
            if isinstance(box, dict)
            else [None]
        )
        if not all(is_number(side) for side in sides):
            self.done.append(f"{place}: took out a box without numbers")
            return None
        if str(box.get("class_id")) not in mapping:
            self.done.append(f"{place}: took out a box of class {box.get('class_id')!r}, not in class-map")
            return None
        left, top, width, height = (float(side) for side in sides if side is not None)
        x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
        x1, y1 = min(size[0], math.ceil(left + width)), min(size[1], math.ceil(top + height))
        if not survives(x1 - x0, y1 - y0, *size, limit=self.limits.shrink_side):
            self.done.append(
                f"{place}: took out a box of {max(0, x1 - x0)} x {max(0, y1 - y0)} px inside the image, too small to train on"
            )
            return None
        new = {"left": x0, "top": y0, "width": x1 - x0, "height": y1 - y0}
        if any(box[side] != value or not isinstance(box[side], int) for side, value in new.items()):
            self.done.append(
                f"{place}: {left:g}, {top:g}, {width:g} x {height:g} became {x0}, {y0}, {x1 - x0} x {y1 - y0}"
            )
        return {**box, **new, "class_id": int(box["class_id"])}

    def split_labels(self, line: dict[str, Any], name: str, meta: dict[str, Any]) -> None:
        """Ground Truth's `[1, 0, 8]` as several single labels, the only form the service takes."""
        ids, mapping, scores = line[name], meta.get("class-map"), meta.get("confidence-map")
        if not isinstance(ids, list) or not isinstance(mapping, dict):
            return
        self.common(name + METADATA, meta)
        shared = {key: meta[key] for key in ("job-name", "human-annotated", "creation-date") if key in meta}
        for place, number in enumerate(ids):
            score = scores.get(str(number), 0) if isinstance(scores, dict) else 0
            line[f"{name}{place}"] = number
            line[f"{name}{place}{METADATA}"] = {
                "class-name": mapping.get(str(number)),
                "confidence": score,
                "type": CLASSIFICATION,
                **shared,
            }
        del line[name], line[name + METADATA]
        self.done.append(f"{name}: wrote {len(ids)} labels as single ones")
