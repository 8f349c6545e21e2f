"""A labeled or detected page as a picture: the scan opened, at the size its boxes were made for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tilekit.boxes.plotting import plot_boxes
from tilekit.errors import InvalidArgument
from tilekit.scans.opening import open_scan

if TYPE_CHECKING:
    from tilekit.boxes.annotations import Annotations
    from tilekit.boxes.detections import Detections
    from tilekit.pages import PageKey
    from tilekit.scans.scan import Scan


def plot_page(
    key: PageKey,
    size: tuple[int, int] | None,
    found: Annotations | Detections,
    window: Sequence[float] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """The boxes of a page on its scan, whole or a window; a PDF page is rendered at the size of the boxes.

    Raises InvalidArgument where the scan has another size than the boxes were made for.
    """
    with _opened(key, size) as scan:
        return plot_boxes(found, scan, window, path)


def _opened(key: PageKey, size: tuple[int, int] | None) -> Scan:
    scan = open_scan(key.source, page=key.page)
    if size is None or (scan.width, scan.height) == tuple(size):
        return scan
    was, kind, dpi = (scan.width, scan.height), scan.info.kind, scan.dpi
    scan.close()
    if kind == "pdf" and dpi:
        again = open_scan(key.source, page=key.page, dpi=dpi * size[0] / was[0])
        if abs(again.width - size[0]) <= 1 and abs(again.height - size[1]) <= 1:
            return again
        again.close()
    raise InvalidArgument(
        f"{key}: the scan has {was[0]} x {was[1]} px, its boxes are of {size[0]} x {size[1]}; resolve_scans(..., "
        "scale_to_scan=True) fits labels to the scan"
    )
