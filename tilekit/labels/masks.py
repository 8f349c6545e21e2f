"""Run lengths of label formats to boxes and back: COCO's counts down the columns, CVAT's across the rows, Label Studio's.

Only runs are looked at: no mask is ever drawn out in full here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.labels.entries import Wrong, shown

Runs = NDArray[np.int64]


def coco_counts(value: Any) -> tuple[Runs, tuple[int, int]]:
    """(counts, (width, height)) of a COCO run-length mask, plain or packed; Wrong where they do not add up."""
    if not isinstance(value, dict):
        raise Wrong(f"is {shown(value)}; an object with counts and size is needed", "segmentation")
    counts, size = value.get("counts"), value.get("size")
    if isinstance(counts, str):
        counts = unpacked(counts)
    if not isinstance(counts, list) or not isinstance(size, (list, tuple)) or len(size) != 2:
        raise Wrong("has no counts and size that are lists of whole numbers", "segmentation")
    if not _wholes(counts) or not _wholes(size):
        raise Wrong("has no counts and size that are whole numbers", "segmentation")
    height, width = size
    runs = np.array(counts, dtype=np.int64)
    if int(runs.sum()) != width * height:
        raise Wrong(
            f"has run lengths of {int(runs.sum())} px for a mask of {width} x {height}", "segmentation"
        )
    return runs, (width, height)


def box_of_columns(runs: Runs, size: tuple[int, int]) -> list[float]:
    """The box around the set pixels of a mask that runs down its columns."""
    left, top, right, bottom = _box(runs, size[1])
    return [top, left, bottom, right]  # runs count across their own lines


def box_of_rows(runs: Runs, width: int) -> list[float]:
    """The box around the set pixels of a mask that runs across its rows."""
    return _box(runs, width)


def _box(runs: Runs, line: int) -> list[float]:
    """x0, y0, x1, y1 of the set pixels where a line has `line` pixels; unset and set runs take turns."""
    ends = np.cumsum(runs)
    stops, starts = ends[1::2], ends[: len(ends) - len(ends) % 2 : 2]
    starts = starts[: len(stops)]
    some = stops > starts
    starts, stops = starts[some], stops[some]
    if not len(starts) or line < 1:
        raise Wrong("has a mask without any set pixel")
    first, last = starts // line, (stops - 1) // line
    within = first == last  # a run that goes on into the next line reaches both ends of a line
    low = np.where(within, starts % line, 0).min()
    high = np.where(within, (stops - 1) % line, line - 1).max()
    return [float(low), float(first.min()), float(high + 1), float(last.max() + 1)]


def unpacked(text: str) -> list[int]:
    """Counts from COCO's packed text: six bits a character, low ones first, each but the first three a difference."""
    counts: list[int] = []
    place = 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            if place >= len(text):
                raise Wrong("has packed counts that end too early", "segmentation")
            bits = ord(text[place]) - 48
            if not 0 <= bits < 64:
                raise Wrong("has packed counts with a character that is none of theirs", "segmentation")
            value |= (bits & 31) << shift
            more = bool(bits & 32)
            place, shift = place + 1, shift + 5
            if not more and bits & 16:
                value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts


def runs_of(mask: NDArray[np.bool_]) -> Runs:
    """Run lengths of a flat mask, unset first."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0))
    return np.diff(np.concatenate([[0], edges, [len(mask)]])).astype(np.int64)


def studio_mask(values: Any, width: int, height: int) -> NDArray[np.bool_]:
    """A Label Studio brush (RGBA bytes packed in words of varying width) as a (height, width) mask of its alpha.

    Format: github.com/thi-ng/umbrella, package rle-pack; 32 bits of length, 5 of word size, four times 4 of the
    widths of run lengths, then blocks: a bit for repeated or not, two for the width, the length, the words.
    """
    if not isinstance(values, list) or not all(
        isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 256 for v in values
    ):
        raise Wrong("is no list of bytes", "rle")
    bits = np.unpackbits(np.array(values, dtype=np.uint8))
    reader = _Bits(bits)
    count, word = reader.take(32), reader.take(5) + 1
    widths = [reader.take(4) + 1 for _ in range(4)]
    if count != width * height * 4 or word != 8:
        raise Wrong(
            f"holds {count} values of {word} bits; a page of {width} x {height} px has {width * height * 4} of 8",
            "rle",
        )
    found = np.zeros(count, dtype=np.uint8)
    place = 0
    while place < count:
        repeated = reader.take(1)
        length = reader.take(widths[reader.take(2)]) + 1
        length = min(length, count - place)
        if repeated:
            found[place : place + length] = reader.take(word)
        else:
            found[place : place + length] = reader.words(length, word)
        place += length
    return found.reshape(height, width, 4)[:, :, 3] > 0


def studio_bytes(mask: NDArray[np.bool_]) -> list[int]:
    """A (height, width) mask as a Label Studio brush: RGBA bytes, of which those of a run of pixels repeat."""
    runs = runs_of(mask.ravel())
    bits = [_bits(mask.size * 4, 32), _bits(7, 5), *(_bits(width - 1, 4) for width in (3, 4, 8, 16))]
    for place, run in enumerate(runs.tolist()):
        left = 4 * run
        while left:
            part = min(left, 1 << 16)
            bits += [_bits(1, 1), _bits(3, 2), _bits(part - 1, 16), _bits(255 * (place % 2), 8)]
            left -= part
    return np.packbits(np.concatenate(bits)).tolist()  # type: ignore[no-any-return]


def _bits(value: int, width: int) -> NDArray[np.uint8]:
    return np.array([value >> shift & 1 for shift in range(width - 1, -1, -1)], dtype=np.uint8)


def png_mask(data: bytes) -> NDArray[np.bool_]:
    """The set pixels of a PNG: those that are opaque where it has an alpha, else those that are not 0."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            picture.load()
            if "A" in picture.getbands() or "transparency" in picture.info:
                return np.asarray(picture.convert("RGBA"))[:, :, 3] > 0
            plain = np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise Wrong(f"is no PNG that can be read: {exc}") from exc
    return np.asarray((plain > 0).reshape(*plain.shape[:2], -1).any(axis=2), dtype=np.bool_)


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """A mask as a PNG of one bit."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(mask).save(out, "PNG")
    return out.getvalue()


class _Bits:
    """Bits from the most significant on."""

    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self.bits, self.place = bits, 0

    def take(self, count: int) -> int:
        value = 0
        for bit in self._next(count).tolist():
            value = value << 1 | bit
        return value

    def words(self, count: int, width: int) -> NDArray[np.uint8]:
        return np.packbits(self._next(count * width).reshape(count, width), axis=1)[:, 0]

    def _next(self, count: int) -> NDArray[np.uint8]:
        part = self.bits[self.place : self.place + count]
        if len(part) < count:
            raise Wrong("is cut off", "rle")
        self.place += count
        return part


def _wholes(value: Sequence[Any]) -> bool:
    return all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part < 1 << 40 for part in value)
