"""The frames of a GIF, one after the other, in one pass: each is drawn over the one before it.

Opened singly, a frame costs all those before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyvips

from tilekit.rendition import Rendition
from tilekit.scans.color import to_page
from tilekit.scans.levels import rows_of
from tilekit.scans.memory import scan_of_array
from tilekit.scans.request import Request
from tilekit.scans.scan import Scan
from tilekit.scans.vips import check_size, vips_errors


def open_frames(ask: Request) -> Iterator[Scan]:
    """Every frame as a scan of its own, closed when the next is asked for. Memory: one frame."""
    source = ask.source
    with vips_errors(ask.key):
        options = {"n": -1, "access": "sequential", "fail_on": "error"}
        if source.path is not None:
            tall = pyvips.Image.gifload(str(source.path), revalidate=True, **options)
        else:
            tall = pyvips.Image.gifload_buffer(source.data, **options)
        pages = int(tall.get("n-pages")) if tall.get_typeof("n-pages") else 1
        height = tall.height // pages
        check_size(ask.key, tall.width, height, ask.max_pixels)
        if ask.rendition == Rendition():
            tall = to_page(tall, str(ask.key))
        frame = np.empty((height, tall.width, tall.bands), np.uint8)
        filled = page = 0
        for rows in rows_of(tall):
            while len(rows):
                take = min(height - filled, len(rows))
                frame[filled : filled + take] = rows[:take]
                filled, rows = filled + take, rows[take:]
                if filled == height:
                    with scan_of_array(frame.copy(), replace(ask, page=page), pages=pages) as scan:
                        yield scan
                    filled, page = 0, page + 1
