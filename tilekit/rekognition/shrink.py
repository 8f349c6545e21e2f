"""What training does to images with a long side: it shrinks them, and small boxes vanish.

Source: Custom Labels guide, page "tm-debugging-json-line-errors": an image with a side over 1280 px is
shrunk; a box must be larger than 1 x 1 px after that. The method is not stated; the long side is taken
to become 1280 px.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilekit.rekognition.limits import LIMITS


def shrunk_size(width: int, height: int, limit: int = LIMITS.shrink_side) -> tuple[int, int]:
    """Size (px) the trainer sees of a width x height image: its long side at most `limit`."""
    longest = max(width, height)
    if longest <= limit:
        return width, height
    return max(1, round(width * limit / longest)), max(1, round(height * limit / longest))


def smallest_side(width: int, height: int, limit: int = LIMITS.shrink_side) -> float:
    """Both sides of a box (px of the image as uploaded) must be greater than this."""
    return max(width, height, limit) / limit


def survives(
    box_width: float, box_height: float, width: int, height: int, limit: int = LIMITS.shrink_side
) -> bool:
    """Whether a box is still larger than 1 x 1 px once training has shrunk its image."""
    least = smallest_side(width, height, limit)
    return box_width > least and box_height > least


def surviving(
    boxes: NDArray[np.float64], width: int, height: int, limit: int = LIMITS.shrink_side
) -> NDArray[np.bool_]:
    """`survives` for (n, 4) float64 xyxy boxes of one image: (n,) bool."""
    least = smallest_side(width, height, limit)
    sides: NDArray[np.bool_] = (boxes[:, 2:] - boxes[:, :2]) > least
    return sides[:, 0] & sides[:, 1]
