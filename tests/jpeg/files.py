"""JPEG files of all the plain kinds, from small random pictures."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from PIL import Image, ImageFile

ImageFile.MAXBLOCK = 1 << 22  # Pillow cannot optimize the tables of noise in less
SAMPLINGS = ("gray", "4:4:4", "4:2:2", "4:2:0", "4:4:0")


@lru_cache(256)
def jpeg(
    width: int, height: int, sampling: str = "4:2:0", quality: int = 80, seed: int = 0, optimize: bool = False,
    restart_blocks: int = 0, restart_rows: int = 0, noise: float = 8.0,
) -> bytes:  # fmt: skip
    """A picture of soft shapes and noise as a JPEG."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(2, height // 24), max(2, width // 24), 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC), np.float64)
    pixels = np.clip(soft + rng.normal(0, noise, soft.shape), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels)
    out = io.BytesIO()
    options = {"quality": quality, "optimize": optimize}
    if restart_blocks:
        options["restart_marker_blocks"] = restart_blocks
    if restart_rows:
        options["restart_marker_rows"] = restart_rows
    if sampling == "gray":
        picture.convert("L").save(out, "JPEG", **options)
    elif sampling == "4:4:0":
        turned = picture.transpose(Image.Transpose.TRANSPOSE)
        turned.save(out, "JPEG", subsampling="4:2:2", **options)
        return transposed(out.getvalue())
    else:
        picture.save(out, "JPEG", subsampling=sampling, **options)
    return out.getvalue()


def transposed(data: bytes) -> bytes:
    """4:4:0, which no encoder at hand writes: its twin with 4:2:2 sampling, its frame said to be 1 x 2.

    The blocks of an MCU are then stacked instead of side by side; the picture is another, but a valid one.
    """
    at = data.index(b"\xff\xc0")
    height, width = data[at + 5 : at + 7], data[at + 7 : at + 9]
    high, wide = int.from_bytes(height, "big"), int.from_bytes(width, "big")
    across, down = -(-wide // 16), -(-high // 8)
    changed = bytearray(data)
    # the same MCUs, now 8 wide and 16 high: any size with as many in a row and as many rows
    changed[at + 5 : at + 7] = (16 * down).to_bytes(2, "big")
    changed[at + 7 : at + 9] = (8 * across).to_bytes(2, "big")
    changed[at + 11] = 0x12
    return bytes(changed)


@st.composite
def jpegs(draw: st.DrawFn, most: int = 120) -> bytes:
    """A file of any size up to `most` px, sampling, quality, tables and restart interval."""
    blocks = draw(st.sampled_from([0, 0, 0, 1, 2, 5, 7, 40]))
    return jpeg(
        draw(st.integers(1, most)), draw(st.integers(1, most)), draw(st.sampled_from(SAMPLINGS)),
        draw(st.sampled_from([5, 50, 90, 100])), draw(st.integers(0, 3)), draw(st.booleans()),
        blocks, 0 if blocks else draw(st.sampled_from([0, 0, 1, 2])), draw(st.sampled_from([0.0, 8.0, 60.0])),
    )  # fmt: skip
