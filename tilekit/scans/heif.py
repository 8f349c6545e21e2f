"""HEIC and HEIF pictures of phones, by pillow-heif: the libvips wheel has no HEVC decoder."""

from __future__ import annotations

import numpy as np

from tilekit.errors import MissingExtra, ScanCorrupt, ScanError, ScanNotFound
from tilekit.scans.faults import check_size, one_line
from tilekit.scans.memory import scan_of_array
from tilekit.scans.request import Request
from tilekit.scans.vips import VipsScan

try:
    import pillow_heif
except ImportError as _exc:
    raise MissingExtra("reading HEIC needs pillow-heif", "heif") from _exc


def open_heif(ask: Request) -> VipsScan:
    """Open a picture; it is decoded whole (memory: its pixels, twice while opening).

    libheif turns it upright itself. Raises ScanCorrupt, ScanNotFound, ScanTooLarge.
    """
    key = ask.key
    try:
        with ask.source.open() as stream:
            file = pillow_heif.open_heif(stream, convert_hdr_to_8bit=True)
            if ask.page >= len(file):
                raise ScanNotFound(f"{key}: the file has {len(file)} page(s)")
            picture = file[ask.page]
            check_size(key, picture.size[0], picture.size[1], ask.max_pixels)
            profile = picture.info.get("icc_profile")
            pixels = np.array(np.asarray(picture), dtype=np.uint8, copy=True)
            pages = len(file)
    except ScanError:
        raise
    except (ValueError, RuntimeError, OSError, EOFError, SyntaxError, MemoryError) as exc:
        raise ScanCorrupt(f"{key}: is damaged or cut short ({one_line(exc)})") from exc
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return scan_of_array(pixels, ask, pages=pages, profile=profile)
