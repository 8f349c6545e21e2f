"""What the service wants of an image, from its first bytes: format, sides, aspect, bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tilekit.rekognition.findings import Finding
from tilekit.rekognition.limits import LIMITS, Limits

HEAD_BYTES = 256 * 1024
"""How much of a file `image_facts` wants to see: a JPEG's size may come late."""
_PNG = b"\x89PNG\r\n\x1a\n"
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """`kind` "jpeg" or "png", or "" where it is neither; sides in px (0 where unknown); `bytes` of the file."""

    kind: str
    width: int
    height: int
    bytes: int


def image_facts(head: bytes, size: int) -> ImageFacts:
    """Facts of an image file of `size` bytes from its first HEAD_BYTES."""
    if head[:8] == _PNG and head[12:16] == b"IHDR" and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return ImageFacts("png", width, height, size)
    if head[:3] == b"\xff\xd8\xff":
        width, height = _jpeg_sides(head)
        return ImageFacts("jpeg", width, height, size)
    return ImageFacts("", 0, 0, size)


def check_image(facts: ImageFacts, limits: Limits = LIMITS) -> list[Finding]:
    """What the service would refuse about an image of a dataset."""
    if not facts.bytes:
        return [Finding("ERROR_INVALID_IMAGE", "there is no such image, or it is empty")]
    if not facts.kind or not facts.width or not facts.height:
        return [Finding("ERROR_INVALID_IMAGE", "it is neither a PNG nor a JPEG")]
    found = check_sides(facts.width, facts.height, limits)
    if facts.bytes > limits.max_image_bytes:
        found.append(
            Finding("ERROR_INVALID_IMAGE", f"it has {facts.bytes:,} bytes, over {limits.max_image_bytes:,}")
        )
    return found


def check_sides(width: int, height: int, limits: Limits = LIMITS) -> list[Finding]:
    """What the service would refuse about an image's sides (px)."""
    found = []
    if min(width, height) < limits.min_side or max(width, height) > limits.max_side:
        found.append(
            Finding(
                "ERROR_INVALID_IMAGE_DIMENSION",
                f"it is {width} x {height} px; sides are from {limits.min_side} to {limits.max_side} px",
            )
        )
    if max(width, height) > limits.max_aspect * min(width, height):
        found.append(
            Finding("ERROR_INVALID_IMAGE", f"it is {width} x {height} px, more than {limits.max_aspect}:1")
        )
    return found


def _jpeg_sides(head: bytes) -> tuple[int, int]:
    place = 2
    while place + 9 <= len(head):
        if head[place] != 0xFF:
            return 0, 0
        marker = head[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 2
            continue
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", head[place + 5 : place + 9])
            return width, height
        place += 2 + int(struct.unpack(">H", head[place + 2 : place + 4])[0])
    return 0, 0
