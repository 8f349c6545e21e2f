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
    """`kind` "jpeg" or "png", or "" where it is neither; sides in px (0 where unknown) as stored; `bytes` of the file.

    `orientation`: a JPEG's EXIF orientation, 1 (as stored) to 8; the service never turns a PNG. `damage`: why the
    pixels cannot all be decoded, where somebody tried.
    """

    kind: str
    width: int
    height: int
    bytes: int
    orientation: int = 1
    damage: str = ""

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height once EXIF has turned it."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def image_facts(head: bytes, size: int) -> ImageFacts:
    """Facts of an image file of `size` bytes from its first HEAD_BYTES."""
    if head[:8] == _PNG and head[12:16] == b"IHDR" and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return ImageFacts("png", width, height, size)
    if head[:3] == b"\xff\xd8\xff":
        width, height = _jpeg_sides(head)
        return ImageFacts("jpeg", width, height, size, _orientation(head))
    return ImageFacts("", 0, 0, size)


def check_image(facts: ImageFacts, limits: Limits = LIMITS) -> list[Finding]:
    """What the service would refuse about an image of a dataset."""
    if not facts.bytes:
        return [Finding("ERROR_INVALID_IMAGE", "there is no such image, or it is empty")]
    if not facts.kind or not facts.width or not facts.height:
        return [Finding("ERROR_INVALID_IMAGE", "it is neither a PNG nor a JPEG")]
    found = check_sides(facts.width, facts.height, limits)
    if facts.damage:
        found.append(Finding("ERROR_INVALID_IMAGE", f"its pixels cannot all be decoded: {facts.damage}"))
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


def _orientation(head: bytes) -> int:
    """EXIF's orientation, from the first Exif segment of a JPEG; 1 where there is none, or none that can be read."""
    place = 2
    while place + 4 <= len(head) and head[place] == 0xFF and 0xE0 <= head[place + 1] <= 0xFE:
        length = int(struct.unpack(">H", head[place + 2 : place + 4])[0])
        if head[place + 1] == 0xE1 and head[place + 4 : place + 10] == b"Exif\0\0":
            return _tiff_orientation(head[place + 10 : place + 2 + length])
        place += 2 + length
    return 1


def _tiff_orientation(data: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
    if not order or len(data) < 10:
        return 1
    start = int(struct.unpack(order + "I", data[4:8])[0])
    if start + 2 > len(data):
        return 1
    count = int(struct.unpack(order + "H", data[start : start + 2])[0])
    for place in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, many, value = struct.unpack(order + "HHIH", data[place : place + 10])
        if tag == 0x0112:
            return int(value) if kind == 3 and many == 1 and 1 <= value <= 8 else 1
    return 1


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
