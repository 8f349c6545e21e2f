"""Which tiles hold nothing, and the color of the paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A sample this far from the paper is ink. Sensor and JPEG noise up to a standard deviation of
# 4 stays below it; shading over a tile (about 10 levels) does too; a pencil line of 30 does not.
INK = 25
# Samples of ink a blank tile may hold: dust of a few pixels, and a few more per million samples.
DUST = 9
DUST_PER_MILLION = 6
_SAMPLES = 1 << 16


def background(pixels: NDArray[np.uint8]) -> tuple[int, ...]:
    """The most common color of (h, w, bands) pixels, band by band, from at most about 65,536 of them.

    The histogram is smoothed over 5 levels, so noise does not move it.
    """
    height, width, bands = pixels.shape
    step = max(1, int((height * width / _SAMPLES) ** 0.5))
    sample = pixels[step // 2 :: step, step // 2 :: step] if step > 1 else pixels
    found = []
    for band in range(bands):
        counts = np.bincount(sample[..., band].ravel(), minlength=256)
        smooth = np.convolve(counts, np.ones(5, np.int64), "same")
        level = int(np.argmax(smooth))
        low = max(0, level - 2)
        found.append(low + int(np.argmax(counts[low : level + 3])))
    return tuple(found)


def is_blank(pixels: NDArray[np.uint8]) -> bool:
    """Whether (h, w, bands) pixels hold nothing but paper: flat but for noise and specks of dust.

    The rule: at most 9 samples, and 6 more per million, differ from the tile's own background
    by more than 25 levels of 255. A one-pixel line of 20 px is thus kept, whatever its color.
    """
    height, width, bands = pixels.shape
    paper = np.asarray(background(pixels), np.int16)
    low = np.tile(np.clip(paper - INK, 0, 255).astype(np.uint8), width)
    high = np.tile(np.clip(paper + INK, 0, 255).astype(np.uint8), width)
    allowed = DUST + DUST_PER_MILLION * pixels.size // 1_000_000
    rows, ink = max(1, (1 << 18) // (width * bands)), 0
    for start in range(0, height, rows):
        part = pixels[start : start + rows].reshape(-1, width * bands)
        ink += int(np.count_nonzero((part < low) | (part > high)))
        if ink > allowed:
            return False
    return True
