"""Errors of libvips in our sentences."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyvips

from tilekit.errors import ScanCorrupt, ScanUnsupported
from tilekit.pages import PageKey
from tilekit.scans.faults import one_line

if TYPE_CHECKING:
    pass


_UNSUPPORTED = re.compile(r"data precision 1[26]\b|marker type 0xf7|SOF type 0x[0-9a-f]+")


@contextlib.contextmanager
def vips_errors(key: PageKey) -> Iterator[None]:
    """Turn an error of libvips inside the block into ScanCorrupt or ScanUnsupported naming the page."""
    try:
        yield
    except pyvips.Error as exc:
        if kind := _UNSUPPORTED.search(str(getattr(exc, "detail", "") or exc)):
            raise ScanUnsupported(
                f"{key}: is a JPEG of a kind that cannot be read (12 or 16 bits, lossless or JPEG-LS: {kind[0]}); "
                "write it as 8-bit JPEG or as TIFF"
            ) from exc
        raise ScanCorrupt(f"{key}: {_reason(exc)}") from exc


def _reason(exc: BaseException) -> str:
    """What libvips says, as one line without the names of its functions."""
    lines = [line.strip() for line in str(getattr(exc, "detail", "") or exc).splitlines() if line.strip()]
    words = "; ".join(dict.fromkeys(lines[:3]))[:300] or one_line(exc)
    return f"is damaged or cut short ({words})"
