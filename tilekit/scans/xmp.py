"""What an XMP packet says of how a picture lies: for files that say it nowhere else."""

from __future__ import annotations

import re

_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*(?:[\"']|<)")


def orientation_of(packet: bytes) -> int:
    """The TIFF orientation in an XMP packet (UTF-8), 1 where there is none."""
    found = _ORIENTATION.search(packet)
    return int(found[1]) if found else 1
