"""Boxes on pixels as a matplotlib figure, whole or a window of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tilekit.errors import InvalidArgument
from tilekit.figures import BLUE, GRAY, ORANGE, caption, picture_axes, rectangles, saved

if TYPE_CHECKING:
    from tilekit.boxes.labeled import LabeledBoxes

_COLORS = (BLUE, ORANGE, "#008a64", "#aa4488", "#b68200", "#282828", "#44a0d2", "#783c14")
_MOST_CAPTIONS = 150
_SIDE = 1600


def plot_boxes(
    found: LabeledBoxes,
    picture: Any,
    window: Sequence[float] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """`found` on `picture`: a scan, or (h, w, 1 or 3) uint8 pixels in whose px the boxes are.

    `window` (x0, y0, x1, y1): only this part, at full resolution; without it all, reduced. Raises InvalidArgument
    for a window outside the picture.
    """
    pixels, extent = _seen(picture, window)
    x0, y0, x1, y1 = extent
    inside = (
        (found.boxes[:, 2] > x0)
        & (found.boxes[:, 0] < x1)
        & (found.boxes[:, 3] > y0)
        & (found.boxes[:, 1] < y1)
    )
    shown = found[inside]
    ignore = getattr(shown, "ignore", np.zeros(len(shown), bool))
    scores = getattr(shown, "scores", None)
    figure, axes = picture_axes(
        pixels, f"{len(shown)} boxes" + (f" of {len(found)} in this part" * (window is not None))
    )
    axes.images[0].set_extent((x0, x1, y1, y0))
    for label in np.unique(shown.class_ids):
        rows = (shown.class_ids == label) & ~ignore
        color = _COLORS[int(label) % len(_COLORS)]
        rectangles(axes, shown.boxes[rows].tolist(), color)
        name = shown.names[label] if label < len(shown.names) else str(label)
        axes.plot([], [], color=color, label=f"{name} ({int(rows.sum())})")
        for place in np.flatnonzero(rows) if len(shown) <= _MOST_CAPTIONS else ():
            box = shown.boxes[place]
            words = name if scores is None else f"{name} {scores[place]:.2f}"
            caption(axes, max(box[0], x0), max(box[1], y0), words, color)
    if ignore.any():
        rectangles(axes, shown.boxes[ignore].tolist(), GRAY, fill=0.3)
        axes.plot([], [], color=GRAY, label=f"ignored ({int(ignore.sum())})")
    if len(shown):
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    axes.set(xlim=(x0, x1), ylim=(y1, y0))
    return saved(figure, path)


def _seen(picture: Any, window: Sequence[float] | None) -> tuple[Any, tuple[float, float, float, float]]:
    """Pixels to show, and where they lie in the picture."""
    scan = hasattr(picture, "thumbnail") and hasattr(picture, "info")
    width, height = (picture.width, picture.height) if scan else (picture.shape[1], picture.shape[0])
    if window is None:
        return (picture.thumbnail(_SIDE) if scan else picture), (0, 0, width, height)
    x0, y0, x1, y1 = (round(edge) for edge in window)
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
    if x0 >= x1 or y0 >= y1:
        raise InvalidArgument(f"window={tuple(window)} lies outside the picture of {width} x {height} px")
    pixels = picture.read(x0, y0, x1, y1) if scan else picture[y0:y1, x0:x1]
    return pixels, (x0, y0, x1, y1)


def counts_html(found: LabeledBoxes) -> str:
    """A row for each label: how many there are, and how wide and high the middle one is."""
    from html import escape

    rows = []
    for label, name in enumerate(found.names):
        boxes = found.boxes[found.class_ids == label]
        if len(boxes):
            wide, high = np.median(boxes[:, 2:] - boxes[:, :2], axis=0)
            rows.append(
                f"<tr><td>{escape(name)}</td><td>{len(boxes)}</td><td>{wide:.0f} x {high:.0f}</td></tr>"
            )
    head = "<tr><th>label</th><th>boxes</th><th>median size, px</th></tr>"
    return f"<p>{escape(repr(found))}</p><table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
