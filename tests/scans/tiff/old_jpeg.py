"""Writes TIFF pages of old-style JPEG (compression 6, TIFF 6.0 section 22), which no library writes any more."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 40, 32


def picture(gray: bool, seed: int = 1) -> Image.Image:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    bands = np.dstack([x * 5 + seed, y * 7, (x + y) * 3]).astype(np.uint8)
    return Image.fromarray(bands[..., 0] if gray else bands)


def jpeg_of(image: Image.Image, subsampling: int = 0) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, subsampling=subsampling)
    return out.getvalue()


def old_tiff(jpegs: list[bytes], gray: bool, subsampling: int = 1, bits: int = 8) -> bytes:
    """One directory a JPEG, each with its stream as JPEGInterchangeFormat and as its one strip."""
    samples, out, before = 1 if gray else 3, bytearray(b"II*\0\0\0\0\0"), 4
    for jpeg in jpegs:
        at = len(out)
        out += jpeg + b"\0" * (len(jpeg) & 1)
        fields = [
            (256, 4, 1, WIDTH), (257, 4, 1, HEIGHT), (259, 3, 1, 6), (262, 3, 1, 1 if gray else 6), (273, 4, 1, at),
            (277, 3, 1, samples), (278, 4, 1, HEIGHT), (279, 4, 1, len(jpeg)), (512, 3, 1, 1), (513, 4, 1, at),
            (514, 4, 1, len(jpeg)),
        ]  # fmt: skip
        if not gray:
            fields.append((530, 3, 2, subsampling | subsampling << 16))
        where = len(out)
        struct.pack_into("<I", out, before, where)
        before = where + 2 + 12 * (len(fields) + 1)
        fields.append((258, 3, samples, bits if gray else before + 4))
        out += struct.pack("<H", len(fields))
        for field in sorted(fields):
            out += struct.pack("<HHII", *field)
        out += struct.pack("<I", 0) + (b"" if gray else struct.pack("<HHH", bits, bits, bits))
    return bytes(out)
