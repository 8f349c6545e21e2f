"""Plain lines, which most lines of a manifest are, by the thousand: checked and counted with little done a line.

A line that is not plain, or of which anything would be said, is set aside for the exact rules. What is taken here,
those take without a word (a property of the tests).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tilekit.rekognition.limits import LIMITS, Limits
from tilekit.rekognition.lines import (
    BAD_JSON,
    ClassMap,
    LineBox,
    attribute_decoder,
    decode_line,
    metadata_of,
    size_of,
)
from tilekit.rekognition.rules import bucket_of, good_metadata, good_sides
from tilekit.rekognition.shrink import smallest_side

_REMEMBERED = 4096
_NONE: dict[int, int] = {}


@dataclass(slots=True)
class _Map:
    """A class map: a bit for each class id, and how many images show which of them."""

    names: ClassMap
    bits: dict[int, int]
    used: dict[int, int]


@dataclass(slots=True)
class _Meta:
    """What a line's metadata comes to: how many confidences, and the class map."""

    count: int
    map: _Map


@dataclass(slots=True)
class PlainLines:
    """The source-ref of each line that is plain; empty where it is not, its place then in `odd`."""

    sources: list[str]
    odd: list[int]


class PlainChecker:
    """Takes lines and counts what is in the plain ones; `drain` gives the counts and starts anew.

    Plain: of one box attribute, its image in a bucket. Memory: about 4,096 kinds of metadata at most, and the
    counts until `drain`.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.buckets: Counter[str] = Counter()
        """Lines taken, by the bucket of their image."""
        self._attribute = "bounding-box"
        self._decode = attribute_decoder(self._attribute)
        self._metas: dict[tuple[bytes, bytes], _Meta | None] = {}
        self._sizes: dict[bytes, tuple[int, int, float] | None] = {}
        self._maps: dict[bytes, _Map] = {}
        self._bucket, self._start = "", "\n"

    @property
    def full(self) -> bool:
        """Whether so much is counted that it is time to `drain`."""
        return sum(len(each.used) + 1 for each in self._maps.values()) > _REMEMBERED

    def drain(self) -> Iterator[tuple[ClassMap, tuple[str, ...], int]]:
        """(class map, labels, number of images that show just these) of the lines taken since the last time."""
        for each in self._maps.values():
            for bits, count in each.used.items():
                shown = [each.names.by_id[number] for number, bit in each.bits.items() if bit & bits]
                yield each.names, tuple(dict.fromkeys(shown)), count
        self.forget()

    def forget(self) -> None:
        """Drop what was counted."""
        self.buckets = Counter()
        self._maps, self._metas = {}, {}

    def check(self, lines: Sequence[bytes]) -> PlainLines:
        """Count the plain ones among some lines, and say which are not. A line may end in CR."""
        sources: list[str] = []
        odd: list[int] = []
        metas, sizes, decode = self._metas, self._sizes, self._decode
        boxes_most, chars_most = self.limits.max_boxes, self.limits.max_line_chars
        counted, learned = 0, False  # `counted`: plain lines already in `buckets`
        for raw in lines:
            try:
                line = decode(raw)
            except BAD_JSON:
                odd.append(len(sources))
                sources.append("")
                if not learned and self._learn(raw):
                    decode = self._decode
                learned = True
                continue
            part, source = line.part, line.source
            data, side = bytes(line.meta), bytes(part.image_size)
            key = _without_date(data)
            meta = metas[key] if key in metas else self._meta(key, data)
            size = sizes[side] if side in sizes else self._size(side)
            boxes, used, shown = part.annotations, _NONE, 0
            if meta is not None and size is not None and len(boxes) == meta.count <= boxes_most:
                used, shown = meta.map.used, _shown(boxes, size, meta.map.bits)
            if len(raw) > chars_most or not (raw.isascii() or _is_utf8(raw)):
                shown = 0
            if shown and not (source.startswith(self._start) and 0 < len(source) - len(self._start) <= 1024):
                self._count(len(sources) - len(odd) - counted)
                counted = len(sources) - len(odd)
                shown = shown if self._begins(source) else 0
            if shown:
                used[shown] = used.get(shown, 0) + 1
                sources.append(source)
            else:
                odd.append(len(sources))
                sources.append("")
        self._count(len(sources) - len(odd) - counted)
        return PlainLines(sources, odd)

    def _count(self, lines: int) -> None:
        if lines:
            self.buckets[self._bucket] += lines

    def _begins(self, source: str) -> bool:
        """Whether it is an image in a bucket; its beginning is what the next lines are compared with."""
        bucket = bucket_of(source, allow_local=False)
        if bucket:
            self._bucket, self._start = bucket, f"s3://{bucket}/"
        return bool(bucket)

    def _learn(self, raw: bytes) -> bool:
        """Take the attribute's name from a line; whether it is another than before."""
        line = decode_line(raw)
        if line is None or line.attribute in ("", "source-ref", self._attribute):
            return False
        self._attribute, self._decode = line.attribute, attribute_decoder(line.attribute)
        return True

    def _size(self, raw: bytes) -> tuple[int, int, float] | None:
        """Width, height and what both sides of a box must exceed, of an image_size that is allowed."""
        found, size = None, size_of(raw)
        if size is not None and good_sides(size.width, size.height, self.limits):
            found = size.width, size.height, smallest_side(size.width, size.height, self.limits.shrink_side)
        if len(self._sizes) > _REMEMBERED:
            self._sizes.clear()
        self._sizes[raw] = found
        return found

    def _meta(self, key: tuple[bytes, bytes], raw: bytes) -> _Meta | None:
        found, known = None, metadata_of(raw)
        if known is not None:
            meta, names, confidences = known
            if good_metadata(meta, names, self.limits):
                found = _Meta(len(confidences), self._map(bytes(meta.class_map), names))
        if len(self._metas) > _REMEMBERED:
            self._metas.clear()
        self._metas[key] = found
        return found

    def _map(self, raw: bytes, names: ClassMap) -> _Map:
        if raw not in self._maps:
            bits = {number: 1 << place for place, number in enumerate(names.by_id)}
            self._maps[raw] = _Map(names, bits, {})
        return self._maps[raw]


def _without_date(meta: bytes) -> tuple[bytes, bytes]:
    """Metadata without the creation date, by which lines of one job differ; whole where that is not sound."""
    before, name, after = meta.rpartition(b'"creation-date"')
    parts = after.split(b'"', 2)
    if not name or len(parts) < 3 or parts[0] not in (b": ", b":"):
        return meta, b""
    try:
        datetime.fromisoformat(parts[1].decode())
    except ValueError:
        return meta, b""
    return before, parts[2]


def _shown(boxes: list[LineBox], size: tuple[int, int, float], bit: dict[int, int]) -> int:
    """The bits of all class ids, or 0 where there is no box or something to be said of one."""
    width, height, least = size
    bits = 0
    try:
        for box in boxes:
            wide, tall = box.width, box.height
            if box.left + wide > width or box.top + tall > height or wide <= least or tall <= least:
                return 0
            bits |= bit[box.class_id]
    except KeyError:
        return 0
    return bits


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
