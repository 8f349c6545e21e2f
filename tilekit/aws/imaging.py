"""Tiles as the service wants them: large enough, small enough in bytes, and boxes back from its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument
from tilekit.rekognition.limits import LIMITS
from tilekit.scans.encoding import encode_image
from tilekit.tiles.recipe import Quality
from tilekit.tiles.tile import Tile

TileFormat = Literal["jpeg", "png"]
_QUALITY = 90  # of tiles that are encoded


@dataclass(frozen=True, slots=True)
class SentImage:
    """Encoded bytes and the size they stand for: that of the tile, padded where it was too small."""

    data: bytes
    width: int
    height: int


def sent_tile(
    tile: Tile,
    *,
    format: TileFormat = "jpeg",
    quality: Quality = "keep",
    min_side: int = LIMITS.min_side,
    max_bytes: int = LIMITS.max_call_bytes,
) -> SentImage:
    """A tile for a call: the file it was cut as, where that fits and nothing else is asked for, else `encode_tile`."""
    width, height = tile.window.width, tile.window.height
    least = max(min_side, -(-max(height, width) // LIMITS.max_aspect))
    fits = min(width, height) >= least and max(width, height) <= LIMITS.max_side
    if (
        format == "jpeg"
        and quality == "keep"
        and tile.jpeg is not None
        and fits
        and len(tile.jpeg) < max_bytes
    ):
        return SentImage(tile.jpeg, width, height)
    return encode_tile(
        tile.pixels,
        format=format,
        quality=_QUALITY if quality == "keep" else quality,
        min_side=min_side,
        max_bytes=max_bytes,
    )


def encode_tile(
    pixels: NDArray[np.uint8],
    *,
    format: TileFormat = "jpeg",
    quality: int = _QUALITY,
    min_side: int = LIMITS.min_side,
    max_side: int = LIMITS.max_side,
    max_bytes: int = LIMITS.max_call_bytes,
) -> SentImage:
    """Encode (h, w, 1 or 3) uint8 pixels for a call: padded to `min_side`, under `max_bytes`.

    JPEG quality steps down until the bytes fit; a PNG that is too large is sent as JPEG.
    Raises InvalidArgument for tiles over `max_side` px or longer than 20 : 1.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > max_side:
        raise InvalidArgument(f"a tile of {width} x {height} px is over the service's {max_side} px a side")
    padded = _padded(pixels, max(min_side, -(-max(height, width) // LIMITS.max_aspect)))
    limit = max_bytes - 1  # "smaller than 4.0 MB"
    if format == "png":
        data = encode_image(padded, "png").data
        if len(data) <= limit:
            return SentImage(data, padded.shape[1], padded.shape[0])
    encoded = encode_image(padded, "jpeg", quality=quality, max_bytes=limit)
    return SentImage(encoded.data, padded.shape[1], padded.shape[0])


def _padded(pixels: NDArray[np.uint8], least: int) -> NDArray[np.uint8]:
    """Right and bottom filled with the median of the tile's last column and row."""
    height, width = pixels.shape[:2]
    if height >= least and width >= least:
        return pixels
    edge = np.concatenate([pixels[:, -1], pixels[-1, :]])
    out = np.empty((max(height, least), max(width, least), pixels.shape[2]), np.uint8)
    out[:] = np.median(edge, axis=0).astype(np.uint8)
    out[:height, :width] = pixels
    return out


def boxes_from_ratios(
    places: Sequence[Mapping[str, Any]], sent: tuple[int, int], tile: tuple[int, int]
) -> NDArray[np.float64]:
    """(n, 4) xyxy in tile pixels of the service's `BoundingBox`es, ratios of what was `sent` (w, h).

    Clipped to the `tile` (w, h): the service may give boxes that pass the edge, and boxes in the padding
    end with no area.
    """
    out = np.empty((len(places), 4))
    for row, box in enumerate(places):
        left, top = float(box.get("Left", 0.0)), float(box.get("Top", 0.0))
        out[row] = left, top, left + float(box.get("Width", 0.0)), top + float(box.get("Height", 0.0))
    out[:, 0::2] *= sent[0]
    out[:, 1::2] *= sent[1]
    np.clip(out[:, 0::2], 0, tile[0], out=out[:, 0::2])
    np.clip(out[:, 1::2], 0, tile[1], out=out[:, 1::2])
    return out
