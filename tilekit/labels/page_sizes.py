"""Sizes of pages from the images themselves, for formats that say only shares of them."""

from __future__ import annotations

import os

from tilekit.errors import InvalidArgument, ScanError, StorageError
from tilekit.labels.entries import Wrong
from tilekit.labels.sources import is_there, is_url
from tilekit.pages import PageKey

Size = tuple[int, int]


def size_of_image(key: PageKey) -> Size:
    """(width, height) px of a page on disk, upright, from its header; Wrong says why not."""
    from tilekit.scans.opening import scan_info

    if is_url(key.source):
        raise Wrong(f"the size of {key} is not known, and it is not read from there")
    if not is_there(key.source):
        raise Wrong(f"the size of {key} is not known, and no such image is there")
    try:
        info = scan_info(os.fspath(key.source), page=key.page)
    except (ScanError, StorageError, InvalidArgument) as exc:
        raise Wrong(f"the image cannot be read: {exc}") from exc
    return info.width, info.height
