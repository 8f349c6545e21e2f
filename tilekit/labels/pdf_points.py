"""Boxes on PDF pages in points (1/72 inch), as PDF tools give them: origin at the bottom left, y pointing up.

One JSON object: `{"format": "pdf-points", "dpi": 150, "names": [...], "pages": [{"source", "page" (from one),
"width", "height" (points, of the upright page), "boxes": [{"label", "x0", "y0", "x1", "y1", "ignore"}]}]}`.
`dpi` is the resolution the pages are scanned at; the page is then round(points x dpi / 72) px, as open_scan makes it.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, an_object, number, numbers, text, whole
from tilekit.labels.files import folder_of
from tilekit.labels.json_files import read_json_object
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.pages import PageKey
from tilekit.rekognition.lines import is_number
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


def read_pdf_points(path: PathLike, options: ReadOptions, *, dpi: float | None = None) -> LabelSet:
    """Read a file of boxes in points, into px at `dpi` (None: the file's own)."""
    document = read_json_object(path, "pages")
    pages = document["pages"]
    if not isinstance(pages, list):
        raise LabelError(f"{os.fspath(path)}: not a file of PDF points: pages is no list")
    dots = dpi if dpi is not None else document.get("dpi", DEFAULT_DPI)
    if not is_number(dots) or dots <= 0:
        raise LabelError(f"{os.fspath(path)}: dpi is {dots!r}; a number greater than 0 is needed")
    names = document.get("names")
    collector = Collector(path, options, [str(name) for name in names] if isinstance(names, list) else ())
    for place, page in enumerate(pages):
        _page(collector, page, Where(f"pages[{place}]"), float(dots), folder_of(path))
    return collector.finish(FORMAT)


def _page(collector: Collector, page: Any, where: Where, dpi: float, folder: str) -> None:
    found = page.get("boxes") if isinstance(page, dict) else None
    boxes = found if isinstance(found, list) else []
    try:
        entry = an_object(page)
        source = text(entry.get("source"), "source")
        first = whole(entry.get("page", 1), "page")
        points = number(entry.get("width"), "width"), number(entry.get("height"), "height")
        if first < 1 or not all(0 < side < 1e9 for side in points):
            raise Wrong(f"has page {first!r}, width and height {points!r}; pages count from one")
        key = PageKey(resolve(source, folder, collector.options.images).source, first - 1)
    except Wrong as exc:
        collector.expect(len(boxes))
        collector.refuse(where.at(exc.field), str(exc), len(boxes))
        return
    pixels = page_pixels(*points, dpi)
    mention = collector.page(key, pixels, where, len(boxes))
    if mention is None:
        return

    def take(box: Any, spot: Where) -> None:
        value = an_object(box)
        sides = numbers([value.get(side) for side in ("x0", "y0", "x1", "y1")], 4, "")
        moved = points_to_pixels(np.array(sides, dtype=np.float64), points, pixels)[0]
        rounded = np.round(moved, 6).tolist()
        ignore, score = value.get("ignore") is True, value.get("score")
        collector.box(mention, value.get("label"), rounded, spot, ignore=ignore, share=False, score=score)

    collector.each(boxes, lambda place: where.at(f"boxes[{place}]"), take, mention)


def write_pdf_points(labels: LabelSet, path: PathLike, *, dpi: float = DEFAULT_DPI) -> None:
    """Write boxes in points, of pages scanned at `dpi`. Every page needs its size."""
    if dpi <= 0:
        raise InvalidArgument(f"dpi={dpi!r} must be greater than 0")
    folder, pages = folder_of(path), []
    for key, page in labels.items():
        pixels = labels.size(key)
        points = pixels[0] * 72 / dpi, pixels[1] * 72 / dpi
        rows = pixels_to_points(page.boxes, points, pixels).tolist()
        boxes: list[dict[str, Any]] = [
            {"label": label, "x0": x0, "y0": y0, "x1": x1, "y1": y1, **({"ignore": True} if ignored else {})}
            for (x0, y0, x1, y1), label, ignored in zip(rows, page.labels, page.ignore.tolist(), strict=True)
        ]
        for box, score in zip(
            boxes, labels.scores[key].tolist() if key in labels.scores else (), strict=False
        ):
            box["score"] = score
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
