"""What `encode_tiles` and `tile_scan` may be told beyond scan, tiling and format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tilekit.flow import DEFAULT_BUDGET
from tilekit.scans.formats import Subsampling


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """How tiles are encoded.

    `subsampling`: of JPEG's colors, "444" unless given. `max_bytes`: JPEG quality steps down until a tile fits, and
    the tile says so. `budget`: bytes of tiles in flight.
    """

    subsampling: Subsampling | None = None
    max_bytes: int | None = None
    budget: int = DEFAULT_BUDGET


@dataclass(frozen=True, kw_only=True)
class TileScanOptions(EncodeOptions):
    """How a scan is opened, its tiles are encoded and named.

    `page`, `dpi`: as `open_scan` has them, of a scan that is not open yet. `stem`: relative folder and stem of the
    tiles' names, the file's own stem unless given. `progress(done, total)` is called after every tile.
    """

    page: int = 0
    dpi: float | Literal["native"] | None = None
    stem: str | None = None
    progress: Callable[[int, int], object] | None = None
