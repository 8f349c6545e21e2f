"""Figures for people: made by matplotlib on first use, saved, shown in a notebook.

For every room that has something to plot. It knows nothing of scans, boxes or evaluations: callers give numbers,
pixels and rectangles. It never imports matplotlib before a figure is asked for, and touches no global state of it.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tilekit.errors import InvalidArgument, MissingExtra
from tilekit.storage.local import atomic_path

BLUE, ORANGE, GRAY = "#0072b2", "#d55e00", "#888888"


def new_figure(width: float, height: float) -> Any:
    """An empty figure of this many inches. Raises MissingExtra without matplotlib (the extra `report`)."""
    try:
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise MissingExtra("plots need matplotlib", "report") from exc
    return Figure(figsize=(width, height), layout="constrained")


def saved(figure: Any, path: str | os.PathLike[str] | None) -> Any:
    """Write the figure where `path` says, format by its ending (PNG without one), and give it back.

    Raises InvalidArgument for an ending that is no format.
    """
    if path is None:
        return figure
    form = os.path.splitext(os.fspath(path))[1].lstrip(".").lower() or "png"
    known = figure.canvas.get_supported_filetypes()
    if form not in known:
        raise InvalidArgument(
            f"{os.fspath(path)}: plots are written as {', '.join(sorted(known))}, by the ending"
        )
    with atomic_path(path) as part:
        figure.savefig(part, format=form, dpi=120)
    return figure


def picture_axes(pixels: Any, title: str) -> tuple[Any, Any]:
    """A figure of (h, w, 1 or 3) uint8 pixels, as tall as they are, and its axes in px of the picture."""
    height, width = pixels.shape[:2]
    wide = 9.0 if width >= height else max(3.0, 9.0 * width / height)
    figure = new_figure(wide, min(12.0, wide * height / width) + 0.6)
    axes = figure.add_subplot()
    shown = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    axes.imshow(
        shown, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), interpolation="antialiased"
    )
    axes.set_title(title, fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    return figure, axes


def rectangles(
    axes: Any, boxes: Iterable[Sequence[float]], color: str, *, width: float = 1.2, fill: float = 0.0
) -> None:
    """Outline boxes (x0, y0, x1, y1); `fill`: how opaque the inside is."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    patches = [Rectangle((x0, y0), x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes]
    face = (0, 0, 0, 0) if not fill else color
    axes.add_collection(PatchCollection(patches, facecolor="none", edgecolor=color, linewidth=width))
    if fill:
        axes.add_collection(PatchCollection(patches, facecolor=face, edgecolor="none", alpha=fill))


def caption(axes: Any, x: float, y: float, text: str, color: str) -> None:
    """Words above a box, on a patch of its color."""
    axes.text(x, y, text, fontsize=7, color="white", va="bottom", clip_on=True,
              bbox={"facecolor": color, "edgecolor": "none", "pad": 1.0})  # fmt: skip


def as_html(draw: Callable[[], Any], words: str) -> str:
    """`words` with the figure below; only the words where matplotlib is not installed."""
    from html import escape

    text = f"<p>{escape(words)}</p>"
    try:
        figure = draw()
    except MissingExtra:
        return text
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=96)
    return text + _image_html(out.getvalue(), "png", words)


def pixels_html(pixels: Any, words: str) -> str:
    """`words` with (h, w, 1 or 3) uint8 pixels below, as a JPEG inside the page."""
    from html import escape

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(out, format="jpeg", quality=85)
    return f"<p>{escape(words)}</p>" + _image_html(out.getvalue(), "jpeg", words)


def _image_html(data: bytes, kind: str, words: str) -> str:
    """An encoded picture inside the page."""
    from html import escape

    body = base64.b64encode(data).decode("ascii")
    return f'<img alt="{escape(words, quote=True)}" style="max-width:100%" src="data:image/{kind};base64,{body}">'
