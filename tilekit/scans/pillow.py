"""Pictures that Pillow reads and libvips does not: BMP, binary PBM, PCX, TGA, PSD (flattened), TIFF of old-style JPEG.

Each is decoded whole, so its pixels are charged to the budget, and to the file's own length, before memory is
asked for: no header makes Pillow take more than its bytes can hold.
"""

from __future__ import annotations

import struct

import numpy as np
from PIL import (
    BmpImagePlugin,
    Image,
    PcxImagePlugin,
    PpmImagePlugin,
    PsdImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
)

from tilekit.errors import ScanCorrupt, ScanError, ScanNotFound, ScanTooLarge, ScanUnsupported
from tilekit.scans.color import AS_LOADED, Meaning
from tilekit.scans.faults import check_size, one_line
from tilekit.scans.memory import scan_of_array
from tilekit.scans.request import Request
from tilekit.scans.vips import VipsScan

_KEPT = {"L", "RGB", "RGBA", "LA", "CMYK", "LAB"}
# The readers themselves: Image.open() has limits of its own, for all of a process.
_DECODERS = {
    "bmp": BmpImagePlugin.BmpImageFile, "ppm": PpmImagePlugin.PpmImageFile, "pcx": PcxImagePlugin.PcxImageFile,
    "tga": TgaImagePlugin.TgaImageFile, "psd": PsdImagePlugin.PsdImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
}  # fmt: skip
# Modes of a PSD of 8 bits (1 of a bitmap), and the channels that are color. Pillow takes a fourth for opacity; by Adobe's
# specification it is that only where the layer count is below zero, otherwise a selection, and Photoshop's flattened
# picture is blended with white then (ImageMagick undoes that: psd:alpha-unblend). The colors are right as they stand.
_PSD_COLORS = {(0, 1): 1, (1, 8): 1, (2, 8): 3, (3, 8): 3, (4, 8): 4, (8, 8): 1, (9, 8): 3}
# The most pixels a byte of the file can stand for: eight in plain bits, a run of 64 or 128 px in two bytes.
_DENSITY = {"bmp": 128, "ppm": 8, "pcx": 8 * 63, "tga": 128, "psd": 8 * 128, "tiff": 512}


def open_by_pillow(ask: Request) -> VipsScan:
    """Open a picture. Memory: its pixels, twice while opening.

    Raises ScanCorrupt, ScanNotFound, ScanTooLarge (over the budget), ScanUnsupported (a color Pillow has no 8-bit form of).
    """
    key, kind = ask.key, ask.form.kind
    if ask.page:
        raise ScanNotFound(f"{key}: the file has 1 page")
    colors = _psd_colors(ask) if kind == "psd" else 0
    mode, pixels, found, profile = _decoded(ask)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if colors:
        pixels = pixels[..., :colors]
        if mode == "1":
            pixels = 255 - pixels  # a bit of a PSD is ink
    meaning = Meaning(3, (), lab="signed") if mode == "LAB" else AS_LOADED
    return scan_of_array(
        np.ascontiguousarray(pixels), ask, dpi=found, profile=profile, cmyk=mode == "CMYK", meaning=meaning
    )


def open_old_jpeg(ask: Request, place: int, pages: int) -> VipsScan:
    """Open the TIFF page that is directory `place` of the file, compressed by old-style JPEG (scheme 6), turned upright.

    libvips' libtiff leaves that scheme out, Pillow's has it; reduced chroma is repeated, as libtiff does.
    Memory and errors as of `open_by_pillow`.
    """
    _, pixels, dpi, profile = _decoded(ask, place)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return scan_of_array(np.ascontiguousarray(pixels), ask, dpi=dpi, pages=pages, profile=profile)


def _decoded(ask: Request, place: int = 0) -> tuple[str, np.ndarray, float | None, bytes | None]:
    """Mode, samples, dots per inch and profile of a picture, or of the one at `place`."""
    key = ask.key
    try:
        with ask.source.open() as stream, _DECODERS[ask.form.kind](stream) as picture:
            if place:
                picture.seek(place)
            check_size(key, picture.size[0], picture.size[1], ask.max_pixels)
            _check_claim(ask, picture)
            found = ask.number or _dpi(picture.info.get("dpi"))
            return picture.mode, _samples(picture), found, picture.info.get("icc_profile")
    except ScanError:
        raise
    except (
        ValueError,
        RuntimeError,
        OSError,
        EOFError,
        SyntaxError,
        MemoryError,
        struct.error,
        KeyError,
        IndexError,
        TypeError,
    ) as exc:
        raise ScanCorrupt(f"{key}: is damaged or cut short ({one_line(exc)})") from exc


def _psd_colors(ask: Request) -> int:
    """Color channels of a PSD. Raises ScanUnsupported for modes and depths not read here."""
    mode, depth = (int.from_bytes(ask.source.head[at : at + 2], "big") for at in (24, 22))
    if (mode, depth) not in _PSD_COLORS:
        raise ScanUnsupported(
            f"{ask.key}: is a Photoshop document of mode {mode} with {depth} bits a channel, which cannot be read; "
            "save it flattened as TIFF or PNG"
        )
    return _PSD_COLORS[mode, depth]


def _check_claim(ask: Request, picture: Image.Image) -> None:
    """Raises ScanCorrupt for more pixels than the file's bytes can stand for, ScanTooLarge over the budget."""
    width, height = picture.size
    if width * height > ask.source.size * _DENSITY[ask.form.kind]:
        raise ScanCorrupt(
            f"{ask.key}: says it is {width} x {height} px, which its {ask.source.size:,} bytes cannot hold"
        )
    wanted = width * height * max(len(picture.getbands()), 1) * (4 if picture.mode in "IF" else 1) * 2
    if wanted > ask.budget:
        raise ScanTooLarge(
            f"{ask.key}: can only be decoded whole, which takes {wanted:,} bytes, over the budget of "
            f"{ask.budget:,}; pass a larger budget if you trust it"
        )


def _samples(picture: Image.Image) -> np.ndarray:
    if picture.mode in _KEPT:
        return np.array(picture)
    plain = "L" if picture.mode == "1" else "RGBA" if "transparency" in picture.info else "RGB"
    return np.array(picture.convert(plain), np.uint8)


def _dpi(claimed: object) -> float | None:
    first = claimed[0] if isinstance(claimed, tuple) and claimed else None
    return round(float(first), 4) if isinstance(first, (int, float)) and first > 1 else None
