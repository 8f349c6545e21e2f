"""Synthetic scans that look like paper: text, line art, tables, stamps, shading, sensor noise.

Made by rows, so a scan of any size takes the memory of a band. The same arguments give the same
pixels, and any part of a larger scan of the same seed equals the smaller one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument
from tilekit.tiles.assembling import save_rows

Kind = Literal[
    "jpeg", "png", "deflate-strips", "lzw-strips", "plain-strips", "tiled-jpeg", "tiled-deflate", "webp"
]
Pixels = NDArray[np.uint8]

CELL = 512
_VARIANTS = 24
_PLATE = 1536
_NOISE_LEVELS = {False: 0.0, True: 1.0}
_TIFF: dict[str, dict[str, Any]] = {
    "deflate-strips": {"compression": "deflate", "predictor": "horizontal"},
    "lzw-strips": {"compression": "lzw", "predictor": "horizontal"},
    "plain-strips": {"compression": "none"},
    "tiled-jpeg": {"compression": "jpeg", "Q": 90, "tile": True, "tile_width": 256, "tile_height": 256},
    "tiled-deflate": {"compression": "deflate", "predictor": "horizontal", "tile": True},
}


def paper_scan(
    width: int, height: int, seed: int = 0, noise: bool | float = True, gray: bool = False
) -> Pixels:
    """A page of (height, width, 3), or 1 with `gray`, uint8.

    `noise`: standard deviation of the paper's noise in levels; True is 1, a good scanner; 12 is a
    noisy photo. It is the same in all bands.
    """
    out = np.empty((height, width, 1 if gray else 3), np.uint8)
    top = 0
    for band in paper_rows(width, height, seed, noise, gray):
        out[top : top + len(band)] = band
        top += len(band)
    return out


def paper_rows(
    width: int, height: int, seed: int = 0, noise: bool | float = True, gray: bool = False
) -> Iterator[Pixels]:
    """The same page in bands of at most 512 rows, top to bottom. Memory: one band and 40 MB of patterns."""
    if width < 1 or height < 1:
        raise InvalidArgument(f"a scan of {width} x {height} px has no pixels")
    sigma = _NOISE_LEVELS[noise] if isinstance(noise, bool) else float(noise)
    bands = 1 if gray else 3
    plate = _plate(seed, sigma, bands)
    across = -(-width // CELL)
    for row in range(-(-height // CELL)):
        band = np.empty((CELL, across * CELL, bands), np.uint8)
        for col in range(across):
            pick = np.random.default_rng([seed, row, col])
            cell = _cell(seed, int(pick.integers(_VARIANTS)), bands)
            y, x = (int(value) for value in pick.integers(0, _PLATE - CELL, 2))
            part = band[:, col * CELL : (col + 1) * CELL]
            if plate is None:
                part[:] = cell
            else:
                np.add(cell, plate[y : y + CELL, x : x + CELL], out=part)
        yield band[: min(CELL, height - row * CELL), :width]


def write_scan(
    path: str | os.PathLike[str],
    width: int,
    height: int,
    kind: Kind = "jpeg",
    seed: int = 0,
    *,
    noise: bool | float = True,
    gray: bool = False,
    quality: int = 90,
) -> Path:
    """Write such a page to a file, streaming: memory does not grow with its height.

    `kind` decides the format, whatever the extension. JPEG and tiled JPEG are 4:4:4 from quality 90 on.
    """
    import tempfile

    target = Path(path)
    suffix, options = _saver(kind, quality)
    rows = paper_rows(width, height, seed, noise, gray)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".scan-") as folder:
        made = Path(folder, f"scan{suffix}")
        save_rows(made, rows, width, height, 1 if gray else 3, **options)
        os.replace(made, target)
    return target


def _saver(kind: str, quality: int) -> tuple[str, dict[str, Any]]:
    if kind == "jpeg":
        return ".jpg", {"Q": quality}
    if kind == "png":
        return ".png", {"compression": 1}
    if kind == "webp":
        return ".webp", {"lossless": True}
    if kind not in _TIFF:
        raise InvalidArgument(f"kind={kind!r} must be one of jpeg, png, webp, {', '.join(_TIFF)}")
    options = dict(_TIFF[kind])
    if "Q" in options:
        options["Q"] = quality
    return ".tif", options


@lru_cache(maxsize=4)
def _plate(seed: int, sigma: float, bands: int) -> Pixels | None:
    """Noise to add, wrapped to uint8: patterns stay 40 levels away from both ends."""
    if sigma <= 0:
        return None
    drawn = np.random.default_rng([seed, 77]).normal(0, sigma, (_PLATE, _PLATE, 1))
    noise = np.clip(np.rint(drawn), -40, 40).astype(np.int8).view(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(noise, (_PLATE, _PLATE, bands)))


@lru_cache(maxsize=2 * _VARIANTS)
def _cell(seed: int, variant: int, bands: int) -> Pixels:
    """A 512 px patch: text, a drawing, a table, a stamp or nothing but paper."""
    rng = np.random.default_rng([seed, 1, variant])
    cell = np.empty((CELL, CELL, 3), np.uint8)
    cell[:] = (214, 211, 202)
    kind = variant % 6
    if kind in (0, 1, 2):
        _text(cell, rng, size=(2, 3, 2)[kind])
    elif kind == 3:
        _drawing(cell, rng)
    elif kind == 4:
        _table(cell, rng)
    elif rng.random() < 0.5:
        _stamp(cell, rng)
    return cell if bands == 3 else np.ascontiguousarray(cell[:, :, 1:2])


def _text(cell: Pixels, rng: np.random.Generator, size: int) -> None:
    glyphs = rng.random((40, 9, 6)) < 0.42
    ink = rng.integers(40, 80, 3).astype(np.uint8)
    step_x, step_y = 8 * size, 15 * size
    for y in range(12, CELL - 10 * size, step_y):
        words = rng.random(CELL) < 0.83
        for place, x in enumerate(range(10, CELL - 7 * size, step_x)):
            if words[place]:
                glyph = np.kron(glyphs[rng.integers(40)], np.ones((size, size), bool))
                cell[y : y + glyph.shape[0], x : x + glyph.shape[1]][glyph] = ink


def _drawing(cell: Pixels, rng: np.random.Generator) -> None:
    down, across = np.mgrid[0:CELL, 0:CELL]
    ink = rng.integers(40, 90, 3).astype(np.uint8)
    for _ in range(8):
        x, y, radius = rng.integers(40, CELL - 40, 3)
        distance = np.hypot(across - x, down - y)
        cell[np.abs(distance - radius / 3) < 1.2] = ink
        slope = rng.uniform(-2, 2)
        cell[np.abs(down - y - slope * (across - x)) < 1.5] = ink


def _table(cell: Pixels, rng: np.random.Generator) -> None:
    for place in range(20, CELL, int(rng.integers(40, 80))):
        cell[place : place + 2, 16:-16] = 60
        cell[16:-16, place : place + 2] = 60
    cell[22:58, 22:-22] = (200, 205, 190)


def _stamp(cell: Pixels, rng: np.random.Generator) -> None:
    down, across = np.mgrid[0:CELL, 0:CELL]
    distance = np.hypot(across - 256, down - 256)
    ring = (np.abs(distance - 150) < 8) | (np.abs(distance - 110) < 3)
    cell[ring] = (170, 60, 70)
    cell[240:272, 150:362][rng.random((32, 212)) < 0.5] = (170, 60, 70)
