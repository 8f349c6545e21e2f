"""JPEG 2000 by OpenJPEG through glymur: decoded strip by strip, memory bounded.

Of the readers tried on 4096 x 4096 px (wavelet 9-7, ratio 20), strips of 1024 rows took 0.76 s and
95 MB tiled, 1.4 s and 177 MB untiled; imagecodecs decodes whole pages only (0.7 s, 257 MB); GDAL
took 0.63 s and 155 MB, 1.2 s and 174 MB, and is the heavier dependency.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import MissingExtra, ScanCorrupt, ScanError, ScanNotFound, ScanUnsupported
from tilekit.scans.faults import one_line
from tilekit.scans.request import Request
from tilekit.scans.resampling import box_reduced
from tilekit.scans.scan import ScanInfo
from tilekit.scans.strips import STRIP_PIXELS, Size, StripScan
from tilekit.scans.vips import check_size

try:
    import glymur
except ImportError as _exc:
    raise MissingExtra("reading JPEG 2000 needs glymur", "jp2") from _exc

_FAULTS = (RuntimeError, ValueError, OSError, KeyError, IndexError, TypeError, AttributeError, MemoryError)


class Jp2Scan(StripScan):
    """A JPEG 2000 page.

    Memory: StripScan's, plus OpenJPEG's own: four bytes a sample of one strip, and the file.
    A `scale` is the exact mean over each pixel's area.
    """

    def __init__(self, info: ScanInfo, picture: Any, tile_rows: int, shift: int) -> None:
        super().__init__(info)
        self._picture = picture
        self._tile_rows = tile_rows
        self._shift = shift
        self._decoding = threading.Lock()

    def _rows(self, size: Size) -> int:
        """Whole rows of tiles, so that none is decoded twice."""
        rows = max(1, min(STRIP_PIXELS // 4, STRIP_PIXELS) // size[0])
        if size == (self.width, self.height) and self._tile_rows < self.height:
            return max(1, rows // self._tile_rows) * self._tile_rows
        return rows

    def _make(self, size: Size, y0: int, y1: int) -> NDArray[np.uint8]:
        if size == (self.width, self.height):
            return self._decode(0, y0, size[0], y1)
        return box_reduced(self._decode, (self.width, self.height), size, (0, y0, size[0], y1))

    def _decode(self, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.uint8]:
        try:
            with self._decoding, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pixels = np.asarray(self._picture[y0:y1, x0:x1])
        except _FAULTS as exc:
            raise ScanCorrupt(f"{self.key}: is damaged or cut short ({one_line(exc)})") from exc
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        if pixels.shape[:2] != (y1 - y0, x1 - x0):
            raise ScanCorrupt(f"{self.key}: is damaged (rows {y0} to {y1} do not decode)")
        return _to_page(pixels, self._shift)


def open_jp2(ask: Request) -> Jp2Scan:
    """Open a JP2 or raw codestream of 1 to 4 components, 8 to 16 bits.

    More than eight bits keep their upper eight; alpha is laid over white; sRGB, sYCC and gray only.
    Raises ScanCorrupt, ScanNotFound, ScanTooLarge, ScanUnsupported (other components or signs).
    """
    key, source = ask.key, ask.source
    if ask.page:
        raise ScanNotFound(f"{key}: the file has 1 page")
    path = Path(source.path or source.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = glymur.Jp2k(path)
            height, width = (int(side) for side in picture.shape[:2])
            components = int(picture.shape[2]) if len(picture.shape) > 2 else 1
            check_size(key, width, height, ask.max_pixels)
            siz = next(part for part in picture.get_codestream().segment if part.marker_id == "SIZ")
            depth, signed, tile_rows = max(siz.bitdepth), any(siz.signed), int(siz.ytsiz)
            subsampled = set(siz.xrsiz) | set(siz.yrsiz) != {1}
    except ScanError:
        raise
    except (*_FAULTS, StopIteration) as exc:
        raise ScanCorrupt(f"{key}: is damaged ({one_line(exc)})") from exc
    if not 1 <= components <= 4 or signed or subsampled or not 1 <= depth <= 16:
        raise ScanUnsupported(
            f"{key}: has {components} component(s) of {depth} bits; gray or RGB of up to 16 bits can be read"
        )
    info = ScanInfo(
        key=key,
        width=width,
        height=height,
        bands=1 if components < 3 else 3,
        kind="jp2",
        dpi=ask.number,
        access="block" if tile_rows < height else "scanline",
    )
    scan = Jp2Scan(info, picture, tile_rows, depth - 8)
    scan.source = source
    return scan


def _to_page(pixels: NDArray[Any], shift: int) -> NDArray[np.uint8]:
    if shift > 0:
        pixels = pixels >> shift
    elif shift < 0:
        pixels = pixels.astype(np.uint16) * 255 // ((1 << (8 + shift)) - 1)
    pixels = pixels.astype(np.uint8, copy=False)
    if pixels.shape[2] in (2, 4):
        alpha = pixels[..., -1:].astype(np.uint32)
        pixels = ((pixels[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(pixels)
