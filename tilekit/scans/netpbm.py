"""Netpbm pixmaps (binary PGM and PPM), whose pixels libvips reads as raw bytes; the others by Pillow."""

from __future__ import annotations

import re
from typing import Any

import pyvips

from tilekit.errors import ScanCorrupt
from tilekit.scans.color import Meaning
from tilekit.scans.request import Request
from tilekit.scans.vips import VipsScan, check_size, scan_of

_GAP = rb"(?:\s*#[^\n]*\n\s*|\s+)"
_HEADER = re.compile(rb"P([56])" + (_GAP + rb"([0-9]{1,9})") * 3 + rb"\s")


def open_netpbm(ask: Request) -> VipsScan:
    """Open a P5 or P6 file of any maxval; bitmaps, text and float files go to Pillow.

    Raises ScanCorrupt where the header or the length is wrong.
    """
    key, source = ask.key, ask.source
    header = _HEADER.match(source.head)
    if header is None:
        from tilekit.scans.pillow import open_by_pillow

        return open_by_pillow(ask)
    bands = 1 if header[1] == b"5" else 3
    width, height, largest = (int(header[number]) for number in (2, 3, 4))
    check_size(key, width, height, ask.max_pixels)
    if not 0 < largest <= 65535:
        raise ScanCorrupt(f"{key}: has a maxval of {largest}, which must be from 1 to 65535")
    depth = 2 if largest > 255 else 1
    start, length = header.end(), width * height * bands * depth
    if source.size < start + length:
        raise ScanCorrupt(
            f"{key}: is cut short: {source.size - start:,} of {length:,} bytes of pixels are there"
        )

    def load(access: str) -> Any:
        form = "uchar" if depth == 1 else "ushort"
        if source.path is not None:
            image = pyvips.Image.rawload(
                str(source.path), width, height, bands * depth, offset=start, access=access, revalidate=True
            )
        else:
            view = memoryview(source.data or b"")[start : start + length]
            image = pyvips.Image.new_from_memory(view, width, height, bands * depth, "uchar")
        if depth == 2:
            image = image.copy(bands=bands, format=form).byteswap()
        meaning = {(1, 1): "b-w", (1, 2): "grey16", (3, 1): "srgb", (3, 2): "rgb16"}[bands, depth]
        return image.copy(interpretation=meaning)

    return scan_of(load, ask, meaning=Meaning(bands, (), largest), pages=1, access="block")
