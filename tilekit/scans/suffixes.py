"""Endings of scan files: only for finding scans in folders; opening goes by content."""

from __future__ import annotations

SCAN_SUFFIXES = frozenset(
    {
        ".avif",
        ".bif",
        ".btf",
        ".gif",
        ".heic",
        ".heif",
        ".j2c",
        ".j2k",
        ".jfif",
        ".jp2",
        ".jpc",
        ".jpe",
        ".jpeg",
        ".jpf",
        ".jpg",
        ".jpx",
        ".mrxs",
        ".ndpi",
        ".pdf",
        ".pgm",
        ".png",
        ".ppm",
        ".scn",
        ".svs",
        ".svslide",
        ".tif",
        ".tiff",
        ".vms",
        ".vmu",
        ".webp",
    }
)
