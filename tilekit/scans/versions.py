"""Versions of what makes pixels: part of every record, tile set and dataset, so that what an older release made is redone.

Raise one by one whenever the same scan and recipe come out in other bytes by that path.
"""

from __future__ import annotations

READING = 2  # 2: sYCC, PSD, text Netpbm, XMP orientation; decoding, colors, orientation, bands and levels
REDUCTION = 3  # scale and dpi; 2: JPEGs reduced in their DCT, 3: levels of pyramid TIFFs
ENCODING = 2  # JPEG, PNG, WebP; 2: accurate DCT, PNG by ISA-L
CUTTING = 2  # tiles kept in a JPEG's bits; 2: from JPEG blocks in TIFFs too


def pixel_versions() -> str:
    """All of them, as recipes carry them."""
    return f"reading {READING}, reduction {REDUCTION}, encoding {ENCODING}, cutting {CUTTING}"
