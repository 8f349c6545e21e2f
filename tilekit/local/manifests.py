"""A manifest's bytes as lines."""

from __future__ import annotations


def manifest_text(data: bytes) -> str:
    """The text of a manifest; a byte order mark at its start is no part of the first line."""
    return data.decode("utf-8-sig", errors="replace")


def manifest_lines(text: str) -> list[str]:
    """The lines of a manifest; a line end after the last one makes no further line."""
    lines = text.split("\n")
    return lines[:-1] if not lines[-1] else lines
