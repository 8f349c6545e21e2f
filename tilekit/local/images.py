"""Images as the service accepts them: format and size read from the header alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tilekit.local.protocol import ServiceFault
from tilekit.rekognition.limits import LIMITS

_PNG = b"\x89PNG\r\n\x1a\n"
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Format (`jpeg` or `png`) and size in pixels as stored."""

    format: str
    width: int
    height: int


def read_header(data: bytes) -> ImageHeader | None:
    """Format and size of a JPEG or PNG; None for anything else or a header that makes no sense."""
    if data[:8] == _PNG and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return ImageHeader("png", width, height) if width and height else None
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    return None


def _jpeg(data: bytes) -> ImageHeader | None:
    place = 2
    while place + 9 < len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in _SIZES:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return ImageHeader("jpeg", width, height) if width and height else None
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 2
            continue
        place += 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]
    return None


def check_image(data: bytes, max_bytes: int) -> ImageHeader:
    """The header of an image for detection, or the service's error for what is wrong with it."""
    if len(data) > max_bytes:
        raise ServiceFault(
            "ImageTooLargeException", f"The image is larger than the limit of {max_bytes // 1_000_000} MB."
        )
    header = read_header(data)
    if header is None:
        raise ServiceFault("InvalidImageFormatException", "Request has invalid image format")
    short, long = sorted((header.width, header.height))
    if long > LIMITS.max_side:
        raise ServiceFault(
            "ImageTooLargeException",
            f"Input image dimensions {header.width} x {header.height} exceed maximum dimension size of {LIMITS.max_side} pixels",
        )
    if short < LIMITS.min_side:
        raise ServiceFault(
            "InvalidParameterException", f"Both sides of the image must be at least {LIMITS.min_side} pixels."
        )
    if long > LIMITS.max_aspect * short:
        raise ServiceFault("InvalidParameterException", "The image's sides differ by more than 20 to 1.")
    return header
