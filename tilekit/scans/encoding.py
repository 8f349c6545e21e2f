"""Tiles to bytes and back: JPEG by libjpeg-turbo's accurate DCT, PNG by ISA-L, lossless WebP by libvips.

Chosen by measurement, per 1024 px tile at equal bytes and equal PSNR: imagecodecs' binding of libjpeg-turbo takes
0.7 of libvips' time and, unlike simplejpeg's, uses the accurate DCT below quality 96. ISA-L's deflate writes a PNG in
a quarter to a half of libvips' time, to 0.6 to 0.8 of its bytes. `benchmarks/encoders.py` measures both again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument
from tilekit.scans.formats import ImageFormat, Subsampling

EXTENSIONS: dict[str, str] = {"jpeg": "jpg", "png": "png", "webp": "webp"}
# The largest side each format can hold, by its own header fields.
MAX_SIDE = {"jpeg": 65500, "png": 2**31 - 1, "webp": 16383}
LOWEST_QUALITY = 10
_STEP = 5
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_SUB = 1


@dataclass(frozen=True)
class JpegTables:
    """A JPEG's own settings: the 64 steps of each quantization table in the file's order, and its sampling."""

    steps: tuple[tuple[int, ...], ...]
    subsampling: Subsampling


@dataclass(frozen=True, slots=True)
class Encoded:
    """Bytes of an image file, and the JPEG quality they were made with (None: lossless)."""

    data: bytes = field(repr=False)
    quality: int | None


def encode_image(
    pixels: NDArray[np.uint8],
    format: ImageFormat = "jpeg",
    *,
    quality: int = 90,
    subsampling: Subsampling = "444",
    max_bytes: int | None = None,
    tables: JpegTables | None = None,
) -> Encoded:
    """Encode (h, w, 1 or 3) or (h, w) uint8 pixels.

    JPEG: `quality` 1 to 100; with `max_bytes`, the highest of quality, quality - 5, ... down to 10
    that fits, found by halving (at most five tries more). PNG: each pixel less its left neighbor,
    deflated at ISA-L's level 1. WebP: lossless.
    Raises InvalidArgument for pixels or settings that make no sense, and where `max_bytes` cannot
    be kept. Safe from any number of threads; one thread's work each.
    """
    pixels = _checked(pixels, format)
    if format == "jpeg":
        if tables is not None:
            data = _encode_by(pixels, tables)
            if max_bytes is None or len(data) <= max_bytes:
                return Encoded(data, None)
            subsampling = tables.subsampling
        return _encode_jpeg(pixels, quality, subsampling, max_bytes)
    data = _encode_lossless(pixels, format)
    if max_bytes is not None and len(data) > max_bytes:
        raise InvalidArgument(
            f"max_bytes={max_bytes}: this {format} tile takes {len(data)} bytes and is lossless; "
            'use format="jpeg" or smaller tiles'
        )
    return Encoded(data, None)


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """Bytes of a JPEG, PNG, WebP or any other scan to (h, w, 1 or 3) uint8, as `open_scan` gives them.

    Raises ScanUnsupported, ScanCorrupt. Memory: the whole picture, so meant for tiles.
    """
    from tilekit.scans.opening import open_scan

    with open_scan(data) as scan:
        return next(scan.bands_of_rows([scan.height]))


def _checked(pixels: NDArray[np.uint8], format: str) -> NDArray[np.uint8]:
    if format not in get_args(ImageFormat):
        raise InvalidArgument(f"format={format!r} must be one of {', '.join(get_args(ImageFormat))}")
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise InvalidArgument(
            f"pixels: {pixels.dtype} of shape {pixels.shape}, must be uint8 (height, width, 1 or 3)"
        )
    if max(pixels.shape[:2]) > MAX_SIDE[format]:
        raise InvalidArgument(
            f"format={format!r} holds at most {MAX_SIDE[format]} px a side, the tile has {pixels.shape[:2]}"
        )
    return pixels


def _encode_jpeg(pixels: NDArray[np.uint8], quality: int, subsampling: str, max_bytes: int | None) -> Encoded:
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise InvalidArgument(f"quality={quality!r} must be a whole number from 1 to 100")
    if subsampling not in get_args(Subsampling):
        raise InvalidArgument(
            f"subsampling={subsampling!r} must be one of {', '.join(get_args(Subsampling))}"
        )
    data = _jpeg(pixels, quality, subsampling)
    if max_bytes is None or len(data) <= max_bytes:
        return Encoded(data, quality)
    ladder = list(range(quality - _STEP, LOWEST_QUALITY - 1, -_STEP))
    best: Encoded | None = None
    first, last = 0, len(ladder)
    while first < last:
        middle = (first + last) // 2
        data = _jpeg(pixels, ladder[middle], subsampling)
        if len(data) <= max_bytes:
            best, last = Encoded(data, ladder[middle]), middle
        else:
            first = middle + 1
    if best is None:
        raise InvalidArgument(
            f"max_bytes={max_bytes}: the tile takes {len(data)} bytes even at quality {LOWEST_QUALITY}; "
            "use smaller tiles"
        )
    return best


def _encode_by(pixels: NDArray[np.uint8], tables: JpegTables) -> bytes:
    """By Pillow: the one encoder at hand that takes quantization tables."""
    import io

    from PIL import Image

    # Pillow takes a table row by row; the file has it along the diagonals (T.81, figure A.6).
    order = sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))
    place = {natural: at for at, natural in enumerate(order)}
    steps = [[min(255, table[place[i]]) for i in range(64)] for table in tables.steps]
    gray = pixels.shape[2] == 1
    options: dict[str, Any] = {} if gray else {"subsampling": ":".join(tables.subsampling)}
    out = io.BytesIO()
    picture = Image.fromarray(pixels[..., 0] if gray else np.ascontiguousarray(pixels))
    picture.save(out, "JPEG", qtables=steps, **options)
    return out.getvalue()


def _jpeg(pixels: NDArray[np.uint8], quality: int, subsampling: str) -> bytes:
    import imagecodecs

    if pixels.shape[2] == 1:
        return bytes(imagecodecs.jpeg8_encode(pixels[..., 0], level=quality))
    return bytes(imagecodecs.jpeg8_encode(pixels, level=quality, subsampling=subsampling))


def _encode_lossless(pixels: NDArray[np.uint8], format: str) -> bytes:
    return _png(pixels) if format == "png" else _webp(pixels)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of one IDAT chunk, all rows by the filter Sub (PNG specification, sections 5, 9 and 11)."""
    from isal import isal_zlib

    height, width, bands = pixels.shape
    flat = pixels.reshape(height, width * bands)
    rows = np.empty((height, 1 + width * bands), np.uint8)
    rows[:, 0] = _PNG_SUB
    rows[:, 1 : 1 + bands] = flat[:, :bands]
    np.subtract(flat[:, bands:], flat[:, :-bands], out=rows[:, 1 + bands :])
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if bands == 1 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", isal_zlib.compress(rows, 1)), (b"IEND", b""))
    parts = [_PNG_SIGNATURE]
    for kind, body in chunks:
        check = isal_zlib.crc32(body, isal_zlib.crc32(kind))
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", check)]
    return b"".join(parts)


def _webp(pixels: NDArray[np.uint8]) -> bytes:
    import pyvips

    from tilekit.scans.reducing import calm

    height, width, bands = pixels.shape
    pixels = np.ascontiguousarray(pixels)
    image: Any = pyvips.Image.new_from_memory(pixels, width, height, bands, "uchar")
    image = calm(image.copy(interpretation="b-w" if bands == 1 else "srgb"))
    return bytes(image.webpsave_buffer(lossless=True, effort=1))
