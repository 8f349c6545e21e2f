"""Netpbm: what is binary libvips reads as raw bytes, text is parsed here, and a binary bitmap goes to Pillow."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyvips

from tilekit.errors import ScanCorrupt, ScanError, ScanTooLarge, ScanUnsupported
from tilekit.scans.color import Meaning
from tilekit.scans.faults import check_size
from tilekit.scans.memory import scan_of_array
from tilekit.scans.request import Request
from tilekit.scans.vips import VipsScan, scan_of

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NUMBER = rb"([0-9]{1,9})"
_GRAY_OR_RGB = re.compile(rb"P([2356])" + (_GAP + _NUMBER) * 3 + rb"(?=\s)")
_BITMAP = re.compile(rb"P(1)" + (_GAP + _NUMBER) * 2 + rb"(?=\s)")
_FLOATS = re.compile(rb"P([fF])" + (_GAP + _NUMBER) * 2 + _GAP + rb"(-?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s")
_PAM = re.compile(rb"P7\n(.*?)ENDHDR\n", re.DOTALL)
_LARGEST = 65535
_TEXT_BYTES = 16  # held for each of a text file, at most


@dataclass(frozen=True)
class _Raw:
    """Samples as they lie in the file. `most`: the largest one, 0 of floats; `alpha`: whether the last is."""

    width: int
    height: int
    bands: int
    most: int
    start: int
    alpha: bool = False
    little: bool = False

    @property
    def size(self) -> int:
        """Bytes of a sample."""
        return 4 if not self.most else 2 if self.most > 255 else 1


def open_netpbm(ask: Request) -> VipsScan:
    """Open the first picture of a file of any kind of Netpbm, of any maxval.

    Raises ScanCorrupt where the header or the length is wrong, ScanTooLarge (text over the budget).
    """
    head, name = ask.source.head, str(ask.key)
    if found := _GRAY_OR_RGB.match(head):
        kind, width, height, most = (int(part) for part in found.groups())
        bands = 1 if kind in (2, 5) else 3
        raw = _Raw(width, height, bands, _checked(most, name), found.end() + (kind > 3))
        return _open_raw(ask, raw) if kind > 3 else _open_text(ask, raw)
    if found := _BITMAP.match(head):
        return _open_text(ask, _Raw(int(found[2]), int(found[3]), 1, 1, found.end()))
    if found := _FLOATS.match(head):
        scale, bands = float(found[4]), 1 if found[1] == b"f" else 3
        return _open_raw(ask, _Raw(int(found[2]), int(found[3]), bands, 0, found.end(), little=scale < 0))
    if found := _PAM.match(head):
        return _open_raw(ask, _pam(found, name))
    if head[1:2] == b"4":
        from tilekit.scans.pillow import open_by_pillow

        return open_by_pillow(ask)
    raise ScanCorrupt(f"{name}: its Netpbm header makes no sense ({head[:40]!r})")


def _checked(most: int, name: str) -> int:
    if not 0 < most <= _LARGEST:
        raise ScanCorrupt(f"{name}: has a maxval of {most}, which must be from 1 to {_LARGEST}")
    return most


def _pam(found: re.Match[bytes], name: str) -> _Raw:
    lines = [line.split(None, 1) for line in found[1].splitlines() if line[:1] != b"#"]
    fields = {line[0].upper(): line[1].strip() for line in lines if len(line) == 2}
    try:
        width, height, bands, most = (int(fields[key]) for key in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except (KeyError, ValueError) as exc:
        raise ScanCorrupt(f"{name}: its PAM header lacks a size, depth or maxval") from exc
    kind = fields.get(b"TUPLTYPE", b"").decode("latin-1")
    alpha = kind.endswith("_ALPHA")
    if bands - alpha not in (1, 3):
        raise ScanUnsupported(
            f"{name}: has {bands} bands of type {kind or 'unknown'}; gray or RGB can be read"
        )
    return _Raw(width, height, bands, _checked(most, name), found.end(), alpha)


def _open_raw(ask: Request, raw: _Raw) -> VipsScan:
    key, source = ask.key, ask.source
    check_size(key, raw.width, raw.height, ask.max_pixels)
    length = raw.width * raw.height * raw.bands * raw.size
    left = source.size - raw.start - length
    if left < 0:
        raise ScanCorrupt(f"{key}: is cut short: {length + left:,} of {length:,} bytes of pixels are there")
    warnings = (f"{left:,} bytes after its picture were left out",) if left > 1 else ()

    def load(access: str) -> Any:
        each = raw.bands * raw.size
        if source.path is not None:
            image = pyvips.Image.rawload(
                os.fsencode(source.path), raw.width, raw.height, each, offset=raw.start, access=access, revalidate=True
            )  # fmt: skip
        else:
            view = memoryview(source.data or b"")[raw.start : raw.start + length]
            image = pyvips.Image.new_from_memory(view, raw.width, raw.height, each, "uchar")
        if raw.size > 1:
            image = image.copy(bands=raw.bands, format="float" if raw.size == 4 else "ushort")
            image = image if raw.little else image.byteswap()
        gray, wide = raw.bands - raw.alpha == 1, raw.size == 2
        space = ("grey16" if wide else "b-w") if gray else ("rgb16" if wide else "srgb")
        image = image.copy(interpretation=space)
        return image if raw.most else image.copy_memory().flipver()  # floats begin at the bottom

    meaning = Meaning(raw.bands - raw.alpha, (2,) * raw.alpha, raw.most)
    return scan_of(load, ask, meaning=meaning, pages=1, access="block", warnings=warnings)


def _open_text(ask: Request, raw: _Raw) -> VipsScan:
    key, source = ask.key, ask.source
    check_size(key, raw.width, raw.height, ask.max_pixels)
    count = raw.width * raw.height * raw.bands
    if source.size * _TEXT_BYTES > ask.budget:
        raise ScanTooLarge(
            f"{key}: is text, which can only be read whole and takes {source.size * _TEXT_BYTES:,} bytes, over the "
            f"budget of {ask.budget:,}; pass a larger budget if you trust it"
        )
    if count > source.size:
        raise ScanCorrupt(
            f"{key}: says it is {raw.width} x {raw.height} px, which its {source.size:,} bytes cannot hold"
        )
    try:
        with source.open() as stream:
            text = re.sub(rb"#[^\r\n]*", b" ", stream.read()[raw.start :])
    except OSError as exc:
        raise ScanError(f"{key}: cannot be read: {exc}") from exc
    if text.translate(None, b"0123456789 \t\r\n\v\f"):
        raise ScanCorrupt(f"{key}: is damaged (what should be numbers is not)")
    if raw.most == 1 and source.head[1:2] == b"1":  # bits need no gap between them, and 1 is black
        values = np.frombuffer(text.translate(None, b" \t\r\n\v\f"), np.uint8).astype(np.int64) - ord("0")
        values = 1 - values
    else:
        values = np.fromstring(text, np.int64, sep=" ")
    if len(values) < count or values[:count].min() < 0 or values[:count].max() > raw.most:
        raise ScanCorrupt(
            f"{key}: is damaged or cut short ({len(values):,} of {count:,} samples, or one over {raw.most})"
        )
    kind = np.uint8 if raw.most < 256 else np.uint16
    pixels = values[:count].astype(kind).reshape(raw.height, raw.width, raw.bands)
    return scan_of_array(pixels, ask, meaning=Meaning(raw.bands, (), raw.most))
