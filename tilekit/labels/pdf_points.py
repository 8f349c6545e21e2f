"""Boxes on PDF pages in points (1/72 inch), as PDF tools give them: origin at the bottom left, y pointing up.

One JSON object: `{"format": "pdf-points", "dpi": 150, "names": [...], "pages": [{"source", "page" (from one),
"width", "height" (points, of the upright page), "boxes": [{"label", "x0", "y0", "x1", "y1", "ignore"}]}]}`.
`dpi` is the resolution the pages are scanned at; the page is then round(points x dpi / 72) px, as open_scan makes it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.collecting import Collector, snapped
from tilekit.labels.files import folder_of, read_bytes
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.pages import PageKey
from tilekit.rekognition.lines import decode_plain, is_number
from tilekit.storage.local import write_text

FORMAT = "pdf-points"
DEFAULT_DPI = 150.0


def page_pixels(width: float, height: float, dpi: float) -> tuple[int, int]:
    """Size in px of a page of width x height points at `dpi`."""
    return max(1, round(width * dpi / 72)), max(1, round(height * dpi / 72))


def points_to_pixels(
    boxes: NDArray[np.float64], points: tuple[float, float], pixels: tuple[int, int]
) -> NDArray[np.float64]:
    """(n, 4) x0, y0, x1, y1 in points from the bottom left -> xyxy px from the top left, of one page.

    `points`, `pixels`: the page's (width, height) in either; the exact ratio of the two is used.
    """
    rows = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    across, down = pixels[0] / points[0], pixels[1] / points[1]
    return np.stack(
        [
            rows[:, 0] * across,
            pixels[1] - rows[:, 3] * down,
            rows[:, 2] * across,
            pixels[1] - rows[:, 1] * down,
        ],
        axis=1,
    )


def pixels_to_points(
    boxes: NDArray[np.float64], points: tuple[float, float], pixels: tuple[int, int]
) -> NDArray[np.float64]:
    """The way back from `points_to_pixels`."""
    rows = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    across, down = points[0] / pixels[0], points[1] / pixels[1]
    return np.stack(
        [
            rows[:, 0] * across,
            (pixels[1] - rows[:, 3]) * down,
            rows[:, 2] * across,
            (pixels[1] - rows[:, 1]) * down,
        ],
        axis=1,
    )


def read_pdf_points(
    path: PathLike, *, strict: bool = True, images: PathLike | None = None, dpi: float | None = None
) -> LabelSet:
    """Read a file of boxes in points, into px at `dpi` (None: the file's own)."""
    try:
        document = decode_plain(read_bytes(path))
    except ValueError as exc:
        raise LabelError(f"{path}: {exc}") from exc
    if not isinstance(document, dict) or not isinstance(document.get("pages"), list):
        raise LabelError(f"{path}: not a file of PDF points: pages is missing")
    dots = dpi if dpi is not None else document.get("dpi", DEFAULT_DPI)
    if not is_number(dots) or dots <= 0:
        raise LabelError(f"{path}: dpi is {dots!r}; a number greater than 0 is needed")
    collector = Collector(path, strict, [str(name) for name in document.get("names") or ()])
    for place, page in enumerate(document["pages"]):
        _page(collector, page, f"pages[{place}]", float(dots), folder_of(path), images)
    return collector.finish(FORMAT)


def _page(
    collector: Collector, page: Any, field: str, dpi: float, folder: str, images: PathLike | None
) -> None:
    source = page.get("source") if isinstance(page, dict) else None
    if not isinstance(source, str) or not source:
        collector.problem(f"{field}.source", "is missing")
        return
    number, points = page.get("page", 1), (page.get("width"), page.get("height"))
    if not isinstance(number, int) or number < 1 or not all(is_number(side) and side > 0 for side in points):
        collector.problem(field, f"has page {number!r}, width and height {points!r}; pages count from one")
        return
    key = PageKey(resolve(source, folder, images).source, number - 1)
    pixels = page_pixels(*points, dpi)
    collector.page(key, *pixels, field)
    boxes = page.get("boxes")
    for place, box in enumerate(boxes if isinstance(boxes, list) else []):
        where = f"{field}.boxes[{place}]"
        sides = [box.get(side) for side in ("x0", "y0", "x1", "y1")] if isinstance(box, dict) else [None]
        if not all(is_number(side) for side in sides):
            collector.problem(where, f"has the sides {sides}; four numbers are needed")
            continue
        moved = points_to_pixels(np.array(sides, dtype=np.float64), points, pixels)[0]
        collector.box(
            key, box.get("label"), snapped(moved.tolist()), ignore=box.get("ignore") is True, field=where
        )


def write_pdf_points(labels: LabelSet, path: PathLike, *, dpi: float = DEFAULT_DPI) -> None:
    """Write boxes in points, of pages scanned at `dpi`. Every page needs its size."""
    if dpi <= 0:
        raise InvalidArgument(f"dpi={dpi!r} must be greater than 0")
    folder, pages = folder_of(path), []
    for key, page in labels.items():
        pixels = labels.size(key)
        points = pixels[0] * 72 / dpi, pixels[1] * 72 / dpi
        rows = pixels_to_points(page.boxes, points, pixels).tolist()
        boxes = [
            {"label": label, "x0": x0, "y0": y0, "x1": x1, "y1": y1, **({"ignore": True} if ignored else {})}
            for (x0, y0, x1, y1), label, ignored in zip(rows, page.labels, page.ignore.tolist(), strict=True)
        ]
        pages.append(
            {
                "source": relative(PageKey(key.source), folder),
                "page": key.page + 1,
                "width": points[0],
                "height": points[1],
                "boxes": boxes,
            }
        )
    document = {"format": FORMAT, "dpi": dpi, "names": list(labels.names), "pages": pages}
    write_text(path, json.dumps(document, ensure_ascii=False, allow_nan=False))
