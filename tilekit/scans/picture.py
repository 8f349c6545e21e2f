"""A scan at a glance: all of it, small, with the tiles that a tiling would cut drawn on it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tilekit.figures import picture_axes, pixels_html, saved
from tilekit.grid import TileGrid, Tiling

if TYPE_CHECKING:
    from tilekit.scans.scan import Scan

_LINE, _SHARED = np.array([0, 114, 178]), np.array([213, 94, 0])
_MOST_IN_A_NOTEBOOK = 100_000_000  # px that a repr may decode: about a second


def thumbnail(scan: Scan, side: int = 1000) -> NDArray[np.uint8]:
    """The whole page with its longer side reduced to `side` px at most: fresh (h, w, 1 or 3) pixels."""
    size = _reduced_size(scan, side)
    scale = None if size == (scan.width, scan.height) else size
    return np.array(scan.read(0, 0, *size, scale=scale), dtype=np.uint8)


def grid_picture(scan: Scan, tiling: Tiling, side: int = 1600) -> NDArray[np.uint8]:
    """The page with the tiles on it: borders in blue, what tiles share in orange; (h, w, 3) pixels.

    Where tiles would be less than 4 px apart in the picture only the shared strips are tinted.
    """
    pixels = thumbnail(scan, side)
    picture = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    grid = scan.grid(tiling)
    turned = (picture.transpose(1, 0, 2), picture)
    for rows, (starts, stops, whole) in zip(turned, _edges(grid), strict=True):
        _tint(rows, *_places(starts, stops, whole, len(rows)))
    for rows, (starts, stops, whole) in zip(turned, _edges(grid), strict=True):
        _borders(rows, *_places(starts, stops, whole, len(rows)))
    return picture


def plot_scan(
    scan: Scan, tiling: Tiling | None = None, side: int = 1600, path: str | os.PathLike[str] | None = None
) -> Any:
    """`grid_picture`, or the bare page, as a figure whose axes count the scan's own px."""
    pixels = thumbnail(scan, side) if tiling is None else grid_picture(scan, tiling, side)
    figure, axes = picture_axes(pixels, _words(scan, None if tiling is None else scan.grid(tiling)))
    axes.images[0].set_extent((0, scan.width, scan.height, 0))
    return saved(figure, path)


def scan_html(scan: Scan) -> str:
    """What a notebook shows: the figures in words, and the page where that is quickly decoded."""
    from html import escape

    words = _words(scan, None)
    if scan.width * scan.height > _MOST_IN_A_NOTEBOOK and scan.info.access != "block":
        return f"<p>{escape(words)}; too large to show unasked: scan.plot()</p>"
    return pixels_html(thumbnail(scan, 640), words)


def _reduced_size(scan: Scan, side: int) -> tuple[int, int]:
    factor = min(1.0, side / max(scan.width, scan.height))
    return max(1, round(scan.width * factor)), max(1, round(scan.height * factor))


def _words(scan: Scan, grid: TileGrid | None) -> str:
    text = f"{scan.key}: {scan.width} x {scan.height} px, {scan.info.kind}"
    if scan.dpi:
        text += f", {scan.dpi:.0f} dpi"
    return text if grid is None else f"{text}; {len(grid)} tiles, {grid.cols} across, {grid.rows} down"


def _edges(grid: TileGrid) -> list[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Where the columns and the rows of tiles begin and end, and how long the page is, px of the reduced scan."""
    windows = grid.windows()
    spans = []
    for low, high, whole in ((0, 2, grid.width), (1, 3, grid.height)):
        unique = np.unique(windows[:, [low, high]], axis=0)
        spans.append((unique[:, 0], unique[:, 1], int(whole)))
    return spans


Places = NDArray[np.int64]


def _places(starts: Places, stops: Places, whole: int, rows: int) -> tuple[Places, Places]:
    """Where tiles begin and end, in rows of the picture."""
    first = np.clip(np.round(starts * rows / whole), 0, rows - 1).astype(np.int64)
    last = np.clip(np.round(np.minimum(stops, whole) * rows / whole), 1, rows).astype(np.int64)
    return first, last


def _tint(picture: NDArray[np.uint8], first: Places, last: Places) -> None:
    """Tint the rows that two tiles share, in a picture of (rows, anything, 3)."""
    rows = len(picture)
    count = np.zeros(rows + 1, np.int64)
    np.add.at(count, first, 1)
    np.add.at(count, last, -1)
    shared = np.cumsum(count)[:rows] > 1
    picture[shared] = (picture[shared] * 0.72 + _SHARED * 0.28).astype(np.uint8)


def _borders(picture: NDArray[np.uint8], first: Places, last: Places) -> None:
    if len(first) < 2 or np.diff(first).min() >= 4:
        thick = max(1, len(picture) // 500)
        for at in (*first, *(last - thick)):
            picture[max(0, at) : at + thick] = _LINE
