"""Values that are not 8-bit: their range, and how it becomes 0 to 255.

A sample of 16 bits has a meaning of its own only where the file says how many of them are used, or where the
top one is; a float, a signed or a 32-bit sample has none. Nothing here guesses: it measures, or asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument, ScanUnsupported
from tilekit.rendition import Levels
from tilekit.scans.forking import about_to_compute

Range = tuple[float, float]
NUMPY = {
    "uchar": np.uint8, "char": np.int8, "ushort": np.uint16, "short": np.int16, "uint": np.uint32,
    "int": np.int32, "float": np.float32, "double": np.float64,
}  # fmt: skip
WORDS = {
    "char": "signed 8-bit", "ushort": "16-bit", "short": "signed 16-bit", "uint": "32-bit",
    "int": "signed 32-bit", "float": "float", "double": "64-bit float", "uchar": "8-bit",
}  # fmt: skip
_ROW_BYTES, _MOST_ROWS = 1 << 20, 1024
_HALF = 1 << 15
_BINS = 1 << 16
_SHARE = 0.005  # of the samples, at each end, for "percentile"


def rows_of(image: Any) -> Iterator[NDArray[Any]]:
    """An image as libvips has it, as (rows, width, bands) arrays from top to bottom."""
    about_to_compute()
    kind = np.dtype(NUMPY[image.format])
    region = pyvips.Region.new(image)
    rows = min(max(1, _ROW_BYTES // (image.width * image.bands * kind.itemsize)), _MOST_ROWS)
    for top in range(0, image.height, rows):
        count = min(rows, image.height - top)
        data = region.fetch(0, top, image.width, count)
        yield np.frombuffer(data, kind).reshape(count, image.width, image.bands)


def uses_its_top_bit(image: Any) -> bool:
    """Whether a 16-bit image has a value in the upper half, or nothing but zeros. Stops where it finds one."""
    most = 0
    for rows in rows_of(image):
        most = max(most, int(rows.max()))
        if most >= _HALF:
            return True
    return most == 0


def range_of(image: Any) -> Range:
    """Least and greatest finite value; (0, 0) where there is none."""
    low, high = np.inf, -np.inf
    for rows in rows_of(image):
        values = rows if rows.dtype.kind != "f" else rows[np.isfinite(rows)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def resolved(levels: Levels, load: Any, most: int, name: str, stored: str = "") -> Range:
    """Levels in numbers; `load()` gives the image afresh, `most` the largest value if the file says.

    `stored`: what the samples are in the file, if not as they come.
    """
    if not isinstance(levels, str):
        return levels
    image = load()
    if levels == "full":
        return _full(image.format, most, name, stored)
    low, high = range_of(image)
    if levels == "percentile" and low < high:
        low, high = _percentiles(load(), low, high)
    return (low, high) if low < high else (low - 1, low)


def refusal(name: str, words: str, found: Range) -> ScanUnsupported:
    """What is said of samples whose values have no 8-bit meaning, such as "signed 16-bit" ones."""
    full = '"full", ' if words in WORDS.values() and "float" not in words else ""
    least, most = found if found[0] < found[1] else (min(found[0], 0), max(found[1], 1))
    low, high = f"{least:.10g}", f"{most:.10g}"
    return ScanUnsupported(
        f"{name}: has {words} samples with values from {found[0]:.10g} to {found[1]:.10g}, and nothing says which are "
        f"black and white; open it with levels=({low}, {high}) (--levels {low}:{high}) or another range, "
        f'{full}"minmax" or "percentile"'
    )


def leveled(image: Any, levels: Range) -> Any:
    """The image as uint8: `low` is 0, `high` 255, straight between, halves up, what is beyond clipped.

    Not a number is 0.
    """
    low, high = levels
    if image.format in {"uchar", "ushort"}:
        table = level_table(levels, 256 if image.format == "uchar" else 1 << 16)
        return image.maplut(pyvips.Image.new_from_memory(table, len(table), 1, 1, "uchar"))
    wide = image.cast("double")
    if image.format in {"float", "double"}:
        wide = (wide == wide).ifthenelse(wide, low)
    return ((wide - low) * (255 / (high - low)) + 0.5).floor().cast("uchar")


def level_table(levels: Range, size: int) -> NDArray[np.uint8]:
    """What `leveled` makes of the whole numbers from 0."""
    low, high = levels
    values = np.floor((np.arange(size, dtype=np.float64) - low) * (255 / (high - low)) + 0.5)
    return np.clip(values, 0, 255).astype(np.uint8)


def _full(form: str, most: int, name: str, stored: str) -> Range:
    kind = np.dtype(NUMPY[form])
    if kind.kind == "f":
        raise InvalidArgument(
            f'{name}: levels="full" means nothing for {stored or WORDS[form]} samples; give levels=(low, high) or "minmax"'
        )
    if most and kind.kind == "u":
        return 0, most
    bits = kind.itemsize * 8
    return (0, (1 << bits) - 1) if kind.kind == "u" else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def _percentiles(image: Any, low: float, high: float) -> Range:
    counts = np.zeros(_BINS, np.int64)
    whole = NUMPY[image.format] not in (np.float32, np.float64) and high - low < _BINS
    step = 1.0 if whole else (high - low) / (_BINS - 1)
    for rows in rows_of(image):
        values = rows.astype(np.float64).ravel()
        places = ((values[np.isfinite(values)] - low) / step).astype(np.int64)
        counts += np.bincount(places, minlength=_BINS)
    total = np.cumsum(counts)
    first = int(np.searchsorted(total, total[-1] * _SHARE, side="right"))
    last = int(np.searchsorted(total, total[-1] * (1 - _SHARE), side="left"))
    return low + first * step, low + max(first, last) * step
