"""JPEG 2000 by OpenJPEG through glymur: decoded strip by strip, memory bounded.

Of the readers tried on 4096 x 4096 px (wavelet 9-7, ratio 20), strips of 1024 rows took 0.76 s and
95 MB tiled, 1.4 s and 177 MB untiled; imagecodecs decodes whole pages only (0.7 s, 257 MB); GDAL
took 0.63 s and 155 MB, 1.2 s and 174 MB, and is the heavier dependency.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import MissingExtra, ScanCorrupt, ScanError, ScanNotFound, ScanUnsupported
from tilekit.scans.faults import check_size, one_line
from tilekit.scans.memory import with_profile
from tilekit.scans.request import Request
from tilekit.scans.resampling import box_reduced
from tilekit.scans.scan import ScanInfo
from tilekit.scans.strips import STRIP_PIXELS, Size, StripScan

try:
    import glymur
except ImportError as _exc:
    raise MissingExtra("reading JPEG 2000 needs glymur", "jp2") from _exc

_FAULTS = (RuntimeError, ValueError, OSError, KeyError, IndexError, TypeError, AttributeError, MemoryError)


_SRGB, _GRAY, _SYCC = 16, 17, 18  # ISO 15444-1, table I.10
_COLORS = {_SRGB: 3, _GRAY: 1, _SYCC: 3}


@dataclass(frozen=True)
class _Meaning:
    """What the components are: `colors` of them color, `alpha` the place of the one that is opacity, if any.

    `shift`: bits over eight. `profile`: to be followed, or b"".
    """

    colors: int
    alpha: int | None
    shift: int
    sycc: bool
    profile: bytes


class Jp2Scan(StripScan):
    """A JPEG 2000 page.

    Memory: StripScan's, plus OpenJPEG's own: four bytes a sample of one strip, and the file.
    A `scale` is the exact mean over each pixel's area.
    """

    def __init__(self, info: ScanInfo, picture: Any, tile_rows: int, meaning: _Meaning) -> None:
        super().__init__(info)
        self._picture = picture
        self._tile_rows = tile_rows
        self._meaning = meaning
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
        return _to_page(pixels, self._meaning)


def open_jp2(ask: Request) -> Jp2Scan:
    """Open a JP2 or raw codestream of gray or color of up to 16 bits.

    More than eight bits keep their upper eight; a component that the file says is opacity is laid over white, one
    it says nothing of is left out. Raises ScanCorrupt, ScanNotFound, ScanTooLarge, ScanUnsupported (other
    components, colors or signs).
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
            check_size(key, width, height, ask.max_pixels)
            siz = next(part for part in picture.get_codestream().segment if part.marker_id == "SIZ")
            meaning, tile_rows = _meaning(picture, siz, str(key)), int(siz.ytsiz)
    except ScanError:
        raise
    except (*_FAULTS, StopIteration) as exc:
        raise ScanCorrupt(f"{key}: is damaged ({one_line(exc)})") from exc
    info = ScanInfo(
        key=key,
        width=width,
        height=height,
        bands=meaning.colors,
        kind="jp2",
        dpi=ask.number,
        access="block" if tile_rows < height else "scanline",
    )
    scan = Jp2Scan(info, picture, tile_rows, meaning)
    scan.source = source
    return scan


def _meaning(picture: Any, siz: Any, name: str) -> _Meaning:
    """What the boxes of the header say of the components. Raises ScanUnsupported for what is not read here."""
    boxes = {
        box.box_id: box for outer in picture.box if outer.box_id == "jp2h" for box in reversed(outer.box)
    }
    components, depth = len(siz.bitdepth), max(siz.bitdepth)
    if (
        any(siz.signed)
        or set(siz.xrsiz) | set(siz.yrsiz) != {1}
        or not 1 <= depth <= 16
        or min(siz.bitdepth) < depth
    ):
        raise ScanUnsupported(
            f"{name}: has {components} component(s) of {depth} bits, signed, subsampled or of several depths; gray or "
            "RGB of one depth of up to 16 bits can be read"
        )
    if "pclr" in boxes:
        raise ScanUnsupported(f"{name}: has a palette, which cannot be read in JPEG 2000; write it as RGB")
    color = boxes.get("colr")
    space = None if color is None else color.colorspace
    if space is not None and space not in _COLORS:
        raise ScanUnsupported(
            f"{name}: its colors are of JPEG 2000 space {space}, which cannot be read; write it as gray or RGB"
        )
    colors = _COLORS[space] if space else 1 if components < 3 else 3
    if components < colors or (components > colors + 1 and "cdef" not in boxes):
        raise ScanUnsupported(
            f"{name}: has {components} components; gray or RGB, with or without alpha, can be read"
        )
    kinds = dict(zip(boxes["cdef"].index, boxes["cdef"].channel_type, strict=True)) if "cdef" in boxes else {}
    alpha = next(
        (place for place, kind in kinds.items() if kind in (1, 2) and colors <= place < components), None
    )
    profile = getattr(color, "icc_profile", None) or b""
    return _Meaning(colors, alpha, depth - 8, space == _SYCC, bytes(profile))


def _to_page(pixels: NDArray[Any], meaning: _Meaning) -> NDArray[np.uint8]:
    if meaning.shift > 0:
        pixels = pixels >> meaning.shift
    elif meaning.shift < 0:
        pixels = pixels.astype(np.uint16) * 255 // ((1 << (8 + meaning.shift)) - 1)
    pixels = pixels.astype(np.uint8, copy=False)
    color = pixels[..., : meaning.colors]
    if meaning.sycc:
        color = _rgb(color)
    if meaning.profile:
        color = with_profile(color, meaning.profile)
    if meaning.alpha is not None:
        alpha = pixels[..., meaning.alpha : meaning.alpha + 1].astype(np.uint32)
        color = ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(color)


def _rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """From sYCC (IEC 61966-2-1, amendment 1)."""
    y, blue, red = (pixels[..., band].astype(np.float32) - (128 if band else 0) for band in range(3))
    parts = [y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue]
    return np.clip(np.floor(np.dstack(parts) + 0.5), 0, 255).astype(np.uint8)
