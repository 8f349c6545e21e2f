"""Label sets for properties."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tilekit.boxes.annotations import Annotations
from tilekit.labels.label_set import ImageLabel, LabelSet
from tilekit.pages import PageKey

texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
words = st.text("abcdefgh", min_size=1, max_size=8)


@st.composite
def label_sets(
    draw: st.DrawFn,
    *,
    labels: st.SearchStrategy[str] = texts,
    whole: bool = True,
    ignore: bool = False,
    pdf: bool = True,
    image_labels: bool = False,
    folders: bool = True,
    empty: bool = True,
    used: bool = False,
) -> LabelSet:
    """Pages with boxes inside them: whole pixels, or any finite sub-pixel boxes; ignored boxes come last.

    `used`: every name is used by some box.
    """
    names = tuple(draw(st.lists(labels, min_size=1, max_size=5, unique=True)))
    count = draw(st.integers(1, 4))
    pages, sizes, marks = {}, {}, {}
    for place in range(count):
        folder = draw(st.sampled_from(["", "a/", "b ü/"])) if folders else ""
        if pdf and draw(st.booleans()):
            key = PageKey(f"{folder}scan{place}.pdf", draw(st.integers(0, 9)))
        else:
            key = PageKey(f"{folder}scan{place}.tif")
        width, height = draw(st.integers(2, 50_000)), draw(st.integers(2, 50_000))
        rows = draw(st.integers(0 if empty else 1, 6))
        boxes = np.array([draw(_box(width, height, whole)) for _ in range(rows)], dtype=np.float64)
        ids = [draw(st.integers(0, len(names) - 1)) for _ in range(rows)]
        flags = sorted(draw(st.booleans()) for _ in range(rows)) if ignore else [False] * rows
        pages[key] = Annotations(boxes.reshape(-1, 4), ids, names, flags)
        sizes[key] = (width, height)
        if image_labels and draw(st.booleans()):
            marks[key] = (ImageLabel(draw(labels), draw(st.sampled_from([0.0, 0.5, 1.0]))),)
    if used:
        names = tuple(name for name in names if any(name in page.labels for page in pages.values()))
        pages = {
            key: Annotations(page.boxes, [names.index(x) for x in page.labels], names, page.ignore)
            for key, page in pages.items()
        }
    return LabelSet(pages, sizes=sizes, names=names, image_labels=marks)


@st.composite
def _box(draw: st.DrawFn, width: int, height: int, whole: bool) -> tuple[float, float, float, float]:
    if whole:
        x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        return x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    x = sorted(draw(st.lists(st.floats(0, width, width=32), min_size=2, max_size=2)))
    y = sorted(draw(st.lists(st.floats(0, height, width=32), min_size=2, max_size=2)))
    x1, y1 = max(x[1], min(width, x[0] + 0.5)), max(y[1], min(height, y[0] + 0.5))
    return min(x[0], x1 - 0.25), min(y[0], y1 - 0.25), x1, y1
