"""BMP pictures, by Pillow: libvips has no loader for them."""

from __future__ import annotations

import struct

import numpy as np
from PIL import BmpImagePlugin

from tilekit.errors import ScanCorrupt, ScanError
from tilekit.scans.faults import one_line
from tilekit.scans.memory import scan_of_array
from tilekit.scans.request import Request
from tilekit.scans.vips import VipsScan, check_size

_KEPT = {"L", "RGB", "RGBA"}


def open_bmp(ask: Request) -> VipsScan:
    """Open a picture; it is decoded whole (memory: its pixels, twice while opening).

    Raises ScanCorrupt, ScanTooLarge.
    """
    key = ask.key
    try:
        with ask.source.open() as stream, BmpImagePlugin.BmpImageFile(stream) as picture:
            check_size(key, picture.size[0], picture.size[1], ask.max_pixels)
            found = ask.number or _dpi(picture.info.get("dpi"))
            plain = "L" if picture.mode == "1" else "RGB"
            pixels = np.array(picture if picture.mode in _KEPT else picture.convert(plain), np.uint8)
    except ScanError:
        raise
    except (ValueError, RuntimeError, OSError, EOFError, SyntaxError, MemoryError, struct.error) as exc:
        raise ScanCorrupt(f"{key}: is damaged or cut short ({one_line(exc)})") from exc
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return scan_of_array(pixels, ask, dpi=found)


def _dpi(claimed: object) -> float | None:
    first = claimed[0] if isinstance(claimed, tuple) and claimed else None
    return round(float(first), 4) if isinstance(first, (int, float)) and first > 1 else None
