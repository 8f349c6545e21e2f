"""Images on their way into the network: decoded, and shrunk as the service shrinks them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from tilekit.rekognition.shrink import shrunk_size
from tilekit.scans.encoding import decode_image

_GRAY_SPREAD = 6


def read_pixels(data: bytes, limit: int | None) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Pixels (h, w, 1 or 3) with the long side at most `limit` (None: as they are), and the size before.

    Raises ScanError for bytes that do not decode.
    """
    pixels = decode_image(data)
    size = (pixels.shape[1], pixels.shape[0])
    return (shrink(pixels, limit) if limit is not None else pixels), size


def shrink(pixels: NDArray[np.uint8], limit: int) -> NDArray[np.uint8]:
    """The image with its long side at most `limit` px, bilinear with antialiasing."""
    height, width = pixels.shape[:2]
    target = shrunk_size(width, height, limit)
    if target == (width, height):
        return pixels
    tensor = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
    small = F.interpolate(tensor, size=(target[1], target[0]), mode="bilinear", antialias=True)
    shrunk: NDArray[np.uint8] = np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())
    return shrunk


def is_gray(pixels: NDArray[np.uint8]) -> bool:
    """Whether an image has no color worth the name: 99.9 % of pixels with nearly equal channels."""
    if pixels.shape[2] == 1:
        return True
    some = pixels[::3, ::3].astype(np.int16)
    spread = some.max(axis=2) - some.min(axis=2)
    return bool((spread <= _GRAY_SPREAD).mean() > 0.999)
