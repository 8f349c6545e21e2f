"""Rendition: which samples of a scan are seen, and which values become black and white.

Part of the recipe that travels: see `Tiling`. A leaf: it knows no pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from tilekit.errors import InvalidArgument

Bands = tuple[int, ...] | Literal["gray"]
Levels = tuple[float, float] | Literal["full", "minmax", "percentile"]
_WORDS = ("full", "minmax", "percentile")
_MOST_BANDS = 65535


@dataclass(frozen=True)
class Rendition:
    """`bands`: numbers of one or three stored samples, from 0, or "gray"; `levels`: (low, high), the values
    that become 0 and 255, or a word; None: what the file says. Raises InvalidArgument."""

    bands: Bands | None = None
    levels: Levels | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", checked_bands(self.bands))
        object.__setattr__(self, "levels", checked_levels(self.levels))


@dataclass(frozen=True)
class Rendering(Rendition):
    """A rendition, and the `dpi` PDF pages are rendered at (None: what each call says)."""

    dpi: float | None = None

    @property
    def shown(self) -> dict[str, Any]:
        """`bands` and `levels` as `open_scan` takes them, empty where neither is asked for."""
        asked = {"bands": self.bands, "levels": self.levels}
        return {} if (self.bands, self.levels) == (None, None) else asked


def checked_bands(value: Any) -> Bands | None:
    """`bands=` in its plain form; raises InvalidArgument."""
    if value is None or value == "gray":
        return value  # type: ignore[no-any-return]
    if not isinstance(value, str):
        try:
            found = tuple(value)
        except TypeError:
            found = (value,)
        whole = all(isinstance(item, int) and not isinstance(item, bool) for item in found)
        if len(found) in (1, 3) and whole and all(0 <= item <= _MOST_BANDS for item in found):
            return found
    raise InvalidArgument(
        f'bands={value!r} must be one or three whole numbers from 0, such as (0, 1, 2), or "gray"'
    )


def checked_levels(value: Any) -> Levels | None:
    """`levels=` in its plain form; raises InvalidArgument."""
    if value is None or (isinstance(value, str) and value in _WORDS):
        return value  # type: ignore[return-value]
    if not isinstance(value, str):
        try:
            low, high = (float(item) for item in value)
        except (TypeError, ValueError):
            low = high = math.nan
        if math.isfinite(low) and math.isfinite(high) and low < high:
            return _plain(low), _plain(high)
    raise InvalidArgument(
        f'levels={value!r} must be (low, high) with low < high, or "full", "minmax" or "percentile"'
    )


def _plain(value: float) -> float:
    return int(value) if value == int(value) and abs(value) < 1e15 else value
