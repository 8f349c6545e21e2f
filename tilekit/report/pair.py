"""The one picture that tells the story: the same part of a page, as each side saw it, where they differ most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.detections import Detections
from tilekit.draw import draw
from tilekit.report.matches import Matches, PageBoxes
from tilekit.report.pages import cut_window, page_number
from tilekit.scans.encoding import encode_image
from tilekit.storage.local import write_bytes

_AROUND = 16  # the part shown is this many median objects wide
_SMALLEST, _LARGEST = 160, 900  # px of the page
_SHOWN = 560  # px of the pictures, at least
_CANDIDATES = 200
_COLORS = {"found": (26, 127, 55), "missed": (224, 122, 0), "false": (197, 28, 40)}


@dataclass(frozen=True)
class Part:
    """A window of a page, x0, y0, x1, y1 in its px, and by how many true boxes the two sides differ in it."""

    page: int
    window: tuple[int, int, int, int]
    difference: int


def telling_part(matches: Matches) -> Part | None:
    """Where the last run has most more (or, if it is worse overall, fewer) true boxes than the first; None if nowhere."""
    if len(matches.thresholds) < 2:
        return None
    changes = [_changes(page, matches) for page in matches.pages]
    sign = -1 if sum(int(change.sum()) for change in changes) < 0 else 1
    best: Part | None = None
    for place, (page, change) in enumerate(zip(matches.pages, changes, strict=True)):
        found = _best_window(page, sign * change)
        if found is not None and (best is None or found[1] > best.difference):
            best = Part(place, found[0], found[1])
    return best


def write_pair(root: Path, matches: Matches, names: list[str]) -> dict[str, Any] | None:
    """Write `pair-0.jpg`, `pair-1.jpg` of the first and last run; what the summary page says beside them.

    None, and nothing is written, where the two differ nowhere.
    """
    part = telling_part(matches)
    if part is None:
        return None
    page = matches.pages[part.page]
    number = page_number(part.page)
    pixels = cut_window(root / "tiles" / number, part.window)
    times = max(1, round(_SHOWN / max(pixels.shape[:2])))
    large = np.repeat(np.repeat(pixels, times, axis=0), times, axis=1)
    sides = []
    for side, run in enumerate((0, len(names) - 1)):
        kinds, boxes = _judged(page, matches, run, part.window)
        corner = np.array([*part.window[:2], *part.window[:2]], float)
        shown = Detections((boxes - corner) * times, np.ones(len(boxes)), kinds, tuple(_COLORS))
        picture = draw(large, shown, colors=_COLORS, names=False, line=max(2, times))
        write_bytes(root / f"pair-{side}.jpg", encode_image(picture, "jpeg", quality=90).data)
        found, missed, false = (int((kinds == kind).sum()) for kind in range(3))
        words = f"{found} of {found + missed} found here" + (f", {false} false" if false else "")
        sides.append({"name": names[run], "image": f"pair-{side}.jpg", "words": words})
    x0, y0, x1, y1 = part.window
    where = f"pages/{number}.html#at={x0},{y0},{x1},{y1}&run={len(names) - 1}"
    return {"sides": sides, "href": where, "page": matches.titles[part.page]}


def _hits(page: PageBoxes, matches: Matches, run: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which true boxes a run has at its thresholds, and which of its boxes are false alarms."""
    found = page.runs[run]
    kept = found.scores >= np.array([*matches.thresholds[run], 0.0])[found.labels]
    hit = np.zeros(len(page.truth), bool)
    hit[found.match[kept & (found.match >= 0)]] = True
    return hit, kept & (found.match == -1)


def _changes(page: PageBoxes, matches: Matches) -> NDArray[np.int64]:
    """1 where only the last run has a true box, -1 where only the first has it."""
    first, _ = _hits(page, matches, 0)
    last, _ = _hits(page, matches, len(matches.thresholds) - 1)
    return last.astype(np.int64) - first.astype(np.int64)


def _best_window(page: PageBoxes, change: NDArray[np.int64]) -> tuple[tuple[int, int, int, int], int] | None:
    places = np.flatnonzero(change > 0)
    if not len(places):
        return None
    boxes = page.truth.boxes
    size = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))
    side = float(np.clip(_AROUND * size, _SMALLEST, _LARGEST))
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    candidates = places[:: max(1, len(places) // _CANDIDATES)]
    inside = (np.abs(centers[None] - centers[candidates][:, None]) < side / 2).all(axis=2)
    gains = inside @ change
    at = int(gains.argmax())
    x, y = centers[candidates[at]]
    left, top = max(0, int(x - side / 2)), max(0, int(y - side / 2))
    return (left, top, left + int(side), top + int(side)), int(gains[at])


def _judged(
    page: PageBoxes, matches: Matches, run: int, window: tuple[int, int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Boxes in the window and what each is: 0 found, 1 missed (true boxes), 2 false alarm."""
    hit, false = _hits(page, matches, run)
    boxes = np.concatenate([page.truth.boxes, page.runs[run].boxes[false]])
    kinds = np.concatenate([np.where(hit, 0, 1), np.full(int(false.sum()), 2)]).astype(np.int64)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centers >= window[:2]) & (centers < window[2:])).all(axis=1)
    return kinds[inside], boxes[inside]
