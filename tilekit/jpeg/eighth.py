"""A JPEG at an eighth of its size, made of the DC values that a parse of its bits sees anyway.

At this size a decoder makes one pixel of a block, of nothing but its DC value. So where all components have as many
blocks as the page (gray, 4:4:4), its pixels are known without a second reading. Where color is stored at half the
size, a decoder takes 2 x 2 pixels of each of its blocks, which need more than DC; those pages are not made here.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tilekit.jpeg.markers import Header

MOST_BYTES = 1 << 26
_RANGE = 1024  # of what a decoder looks its samples up in, by the lowest bits
_HALF = 1 << 15
_ROWS = 16  # converted together: they stay in a processor's cache


class Eighth:
    """One pixel a block, filled in as a parse goes on. Memory: the blocks x components bytes, at most 64 MB."""

    def __init__(self, header: Header) -> None:
        tables = dict(header.quantization)
        self._header, self._is_rgb = header, bool(_is_rgb(header))
        self._samples = [_samples(tables[component.quantization][0]) for component in header.components]
        self._planes = np.empty((len(self._samples), header.across * header.down), np.uint8)

    def take(self, first: int, values: NDArray[np.int32]) -> None:
        """The (n, 3) DC values of the MCUs from `first` on."""
        for component, (plane, samples) in enumerate(zip(self._planes, self._samples, strict=True)):
            kept = values[:, component].astype(np.int16)  # in so many bits a decoder keeps them
            plane[first : first + len(values)] = samples[kept.view(np.uint16)]

    def pixels(self) -> NDArray[np.uint8]:
        """(height // 8, width // 8, bands), as a decoder gives them."""
        header = self._header
        planes = self._planes.reshape(-1, header.down, header.across)
        planes = planes[:, : header.height // 8, : header.width // 8]
        if len(planes) == 3 and not self._is_rgb:
            return _rgb(planes)
        return np.ascontiguousarray(np.moveaxis(planes, 0, 2))


def eighth_of(header: Header) -> Eighth | None:
    """What a parse fills in; None where DC values are not enough, or the page would be too large."""
    count, shapes = len(header.components), {(part.h, part.v) for part in header.components}
    if count == 3 and (shapes != {(1, 1)} or _is_rgb(header) is None):
        return None
    if any(len(table) > 64 for _, table in header.quantization) or min(header.width, header.height) < 8:
        return None
    return Eighth(header) if header.across * header.down * count <= MOST_BYTES else None


def _is_rgb(header: Header) -> bool | None:
    """Whether three components are RGB and not YCbCr, as decoders tell by markers; None where they may not agree."""
    if header.adobe is None or header.density is not None:
        plain = tuple(part.number for part in header.components) == (1, 2, 3) or header.density is not None
        return False if plain and header.adobe in (None, 1) else None
    return header.adobe == 0


@lru_cache(8)
def _samples(step: int) -> NDArray[np.uint8]:
    """The pixel of each DC value, those below zero behind the others, where it counts in steps of `step`."""
    values = np.arange(_HALF * 2, dtype=np.uint16).view(np.int16).astype(np.int64)
    levels = (values * step + 4 >> 3) & (_RANGE - 1)
    return np.clip(np.where(levels < _RANGE // 2, levels, levels - _RANGE) + 128, 0, 255).astype(np.uint8)


def _rgb(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) RGB of (3, h, w) YCbCr, in 16 bits behind the point, as libjpeg's decoders compute it."""
    apart = np.arange(-128, 128, dtype=np.int64)
    red, blue = ((apart * factor + _HALF >> 16).astype(np.int16) for factor in (91881, 116130))
    green_red, green_blue = (apart * -46802).astype(np.int32), (apart * -22554 + _HALF).astype(np.int32)
    out = np.empty((*planes.shape[1:], 3), np.uint8)
    for top in range(0, len(out), _ROWS):
        (luma, cb, cr), made = planes[:, top : top + _ROWS], out[top : top + _ROWS]
        light = luma.astype(np.int16)
        made[..., 0] = np.clip(light + red[cr], 0, 255)
        made[..., 1] = np.clip(light + (green_blue[cb] + green_red[cr] >> 16).astype(np.int16), 0, 255)
        made[..., 2] = np.clip(light + blue[cb], 0, 255)
    return out
