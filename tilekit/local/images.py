"""Images for detection, as the service accepts them."""

from __future__ import annotations

from tilekit.local.protocol import ServiceFault
from tilekit.rekognition.images import HEAD_BYTES, ImageFacts, image_facts
from tilekit.rekognition.limits import LIMITS


def check_image(data: bytes, max_bytes: int) -> ImageFacts:
    """The facts of an image for detection, or the service's error for what is wrong with it."""
    if len(data) > max_bytes:
        raise ServiceFault(
            "ImageTooLargeException", f"The image is larger than the limit of {max_bytes // 1_000_000} MB."
        )
    header = image_facts(data[:HEAD_BYTES], len(data))
    if not header.kind or not header.width or not header.height:
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
