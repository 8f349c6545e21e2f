"""Pages whose pixels, or whose one JPEG, are in memory already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from tilekit.scans.color import AS_LOADED, Meaning, to_page
from tilekit.scans.reducing import calm
from tilekit.scans.request import Request
from tilekit.scans.vips import VipsScan, scan_of


def scan_of_array(
    pixels: NDArray[Any],
    ask: Request,
    *,
    turn: int = 1,
    dpi: float | None = None,
    pages: int = 1,
    profile: bytes | None = None,
    cmyk: bool = False,
    meaning: Meaning = AS_LOADED,
) -> VipsScan:
    """A scan of (h, w, 1 to 4) uint8, uint16 or float32 pixels; a second or fourth band is alpha, or black of `cmyk`.

    `turn`: EXIF orientation to apply; `profile`: ICC profile to follow. Memory: the pixels.
    """
    height, width, bands = pixels.shape
    wide = pixels.dtype == np.uint16
    form = {"u1": "uchar", "u2": "ushort", "f4": "float"}[pixels.dtype.str[1:]]
    space = ("grey16" if wide else "b-w") if bands <= 2 else ("rgb16" if wide else "srgb")
    if cmyk:
        space = "cmyk"

    def load(_: str) -> Any:
        image = pyvips.Image.new_from_memory(pixels, width, height, bands, form)
        image = image.copy(interpretation=space)
        if profile:
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        return turned(image, turn)

    return scan_of(load, _at(ask, dpi), meaning=meaning, pages=pages, access="whole")


def scan_of_jpeg(data: bytes, ask: Request, *, turn: int, dpi: float | None, pages: int) -> VipsScan:
    """A scan of a JPEG inside a PDF: its own orientation and profile do not count there."""

    def load(access: str) -> Any:
        image = pyvips.Image.jpegload_buffer(data, access=access, fail_on="warning").copy()
        for name in ("icc-profile-data", "orientation"):
            if image.get_typeof(name):
                image.remove(name)
        return turned(image, turn)

    return scan_of(load, _at(ask, dpi), pages=pages, access="scanline")


def with_profile(pixels: NDArray[np.uint8], profile: bytes) -> NDArray[np.uint8]:
    """(h, w, 1 or 3) pixels as their ICC profile has them in gray or sRGB, as everywhere."""
    height, width, bands = pixels.shape
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels), width, height, bands, "uchar")
    image = image.copy(interpretation="b-w" if bands == 1 else "srgb")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    made = calm(to_page(image, "picture")).write_to_memory()
    return np.frombuffer(made, np.uint8).reshape(height, width, bands)


def gray_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) sRGB pixels as (h, w, 1) gray: by luminance, as libvips has it."""
    height, width, bands = pixels.shape
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels), width, height, bands, "uchar")
    made = calm(image.copy(interpretation="srgb").colourspace("b-w")).write_to_memory()
    return np.frombuffer(made, np.uint8).reshape(height, width, 1)


def _at(ask: Request, dpi: float | None) -> Request:
    return ask if dpi is None else replace(ask, dpi=dpi)


def turned(image: Any, turn: int) -> Any:
    """The image marked with an EXIF orientation; `to_page` applies it."""
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", turn)
    return image
