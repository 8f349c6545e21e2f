"""tilekit as it is timed: tiling in a fresh process, as `tilekit.bench.child` runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

Answer = dict[str, Any]
Work = Callable[[], Answer]


def tilekit(
    path: str, out: str, tile: int, overlap: int, format: str, quality: int, sub: str, workers: int
) -> Work:
    """tile_scan to a folder, with its index."""
    from tilekit.grid import Tiling
    from tilekit.scans.opening import open_scan
    from tilekit.tiles.options import TileScanOptions
    from tilekit.tiles.writing import tile_scan

    tiling = Tiling(tile, overlap, edge="clip") if overlap == 0 else Tiling(tile, overlap)
    how = TileScanOptions(subsampling=cast(Any, sub))
    kind: Any = format
    load(path, format)

    def work() -> Answer:
        with open_scan(path, max_pixels=2**62) as scan:
            done = tile_scan(scan, out, tiling, format=kind, quality=quality, workers=workers, options=how)
        found = list(done.records())
        places = [
            (str(Path(out, found[at].file or "")), found[at].window[0], found[at].window[1])
            for at in thirds(len(found))
        ]
        return {"tiles": done.tiles, "bytes": done.bytes, "samples": places}

    return work


def tilekit_flat(path: str, tile: int, overlap: int, workers: int) -> Work:
    """Encode every tile and keep none: what memory depends on, without the disk."""
    from tilekit.grid import Tiling
    from tilekit.scans.opening import open_scan
    from tilekit.tiles.writing import encode_tiles

    def work() -> Answer:
        count = size = 0
        with open_scan(path, max_pixels=2**62) as scan:
            for item in encode_tiles(scan, Tiling(tile, overlap), workers=workers):
                count, size = count + 1, size + len(item.data)
        return {"tiles": count, "bytes": size}

    return work


def load(path: str, format: Any) -> None:
    """Import what tilekit imports on first use, as the peers' imports are not counted either."""
    import numpy as np

    from tilekit.scans.encoding import encode_image
    from tilekit.scans.opening import open_scan

    encode_image(np.zeros((16, 16, 3), np.uint8), format)
    open_scan(path, max_pixels=2**62).close()


def thirds(count: int) -> list[int]:
    """First, middle and last of `count`."""
    return sorted({0, count // 2, count - 1}) if count else []
