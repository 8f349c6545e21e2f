"""File names of tiles: the name alone gives page and window."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from tilekit.errors import InvalidArgument
from tilekit.grid import Window
from tilekit.pages import PageKey

_NAME = re.compile(
    r"^(?P<stem>.*)\.p(?P<page>[0-9]+)\.x(?P<x>[0-9]+)\.y(?P<y>[0-9]+)"
    r"\.w(?P<w>[1-9][0-9]*)\.h(?P<h>[1-9][0-9]*)\.(?P<ext>[0-9A-Za-z]+)$",
    re.DOTALL,
)


class TileName(NamedTuple):
    """What a tile's name says: `stem` with the relative folder, the zero-based page, the window."""

    stem: str
    page: int
    window: Window
    ext: str

    def __str__(self) -> str:
        return tile_name(self.stem, self.window, self.ext, self.page)


def stem_of(source: str) -> str:
    """The last part of a path or URL without its extension; "scan" where nothing is left."""
    name = PurePosixPath(source.replace("\\", "/")).name
    return PurePosixPath(name).stem.strip() or "scan"


def tile_name(key_or_stem: PageKey | str, window: Window, ext: str, page: int = 0) -> str:
    """`<relative folder>/<stem>.p<page>.x<left>.y<top>.w<width>.h<height>.<ext>`.

    A PageKey gives its file's stem and its page; a string is the stem, with its relative folder.
    """
    if isinstance(key_or_stem, PageKey):
        stem, page = stem_of(key_or_stem.source), key_or_stem.page
    else:
        stem = key_or_stem
    x0, y0, x1, y1 = window
    return f"{stem}.p{page}.x{x0}.y{y0}.w{x1 - x0}.h{y1 - y0}.{ext}"


def parse_tile_name(name: str) -> TileName:
    """Read a tile's name or path; raises InvalidArgument where it is not one."""
    found = _NAME.match(name.replace("\\", "/"))
    if found is None:
        raise InvalidArgument(f"{name!r} is not a tile's name; <stem>.p0.x0.y0.w1024.h1024.jpg would be one")
    x, y, w, h = (int(found[part]) for part in "xywh")
    return TileName(found["stem"], int(found["page"]), Window(x, y, x + w, y + h), found["ext"])


def check_stem(stem: str) -> str:
    """A stem that stays inside the output folder, with forward slashes.

    Raises InvalidArgument for an empty or absolute one, or one with `..` in it.
    """
    plain = stem.replace("\\", "/")
    parts = plain.split("/")
    if not parts[-1] or plain.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        raise InvalidArgument(f"stem={stem!r} must be a relative path without '..', such as 'folder/plan'")
    if "\0" in plain:
        raise InvalidArgument(f"stem={stem!r} must not hold a NUL character")
    return plain
