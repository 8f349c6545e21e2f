"""All pages at once: the same as page by page."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.remap import remap_to_tiles
from tilekit.boxes.tallying import PagedBoxes, reduced_sizes, tally, tile_counts
from tilekit.grid import Tiling


def pages_of(seed: int, count: int) -> tuple[list[Annotations], list[tuple[int, int]]]:
    rng = np.random.default_rng(seed)
    pages, sizes = [], []
    for _ in range(count):
        width, height = (int(v) for v in rng.integers(1, 900, 2))
        each = int(rng.integers(0, 12))
        low = rng.integers(-40, 900, (each, 2)).astype(float)
        boxes = np.concatenate([low, low + rng.integers(0, 400, (each, 2))], axis=1)
        names = ("a", "b", "c") if rng.random() < 0.5 else ("c", "a")
        pages.append(Annotations(boxes, rng.integers(0, len(names), each), names, rng.random(each) < 0.2))
        sizes.append((width, height))
    return pages, sizes


tilings = st.one_of(
    st.builds(
        lambda tile, share, scale: Tiling(tile, int(tile * share), scale=scale),
        st.integers(2, 700),
        st.floats(0, 0.9),
        st.sampled_from([1.0, 0.5, 0.31]),
    ),
    st.integers(1, 1000).map(Tiling.whole),
)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 5), tilings, st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 4))
def test_all_pages_at_once_equal_page_by_page(seed, count, tiling, min_visible, most):
    pages, sizes = pages_of(seed, count)
    paged = PagedBoxes.of(pages, sizes)
    found = tally(paged, tiling, min_visible=min_visible, most=most)
    whole, tiles, positive, crowded, by_label = [], 0, 0, 0, dict.fromkeys(paged.names, 0)
    for number, (page, size) in enumerate(zip(pages, sizes, strict=True)):
        grid = tiling.grid(*size)
        tiles += len(grid)
        rows = np.flatnonzero(paged.page == number)
        carried = remap_to_tiles(paged.boxes[rows], grid, min_visible)
        held = np.unique(carried.tile_index, return_counts=True)[1]
        positive, crowded = positive + len(held), crowded + int((held > most).sum())
        every = remap_to_tiles(paged.boxes[rows], grid, 0.0)
        uncut = set(every.source_index[~every.cut].tolist())
        shown = {
            (int(paged.labels[rows[source]]), int(tile))
            for tile, source in zip(carried.tile_index, carried.source_index, strict=True)
        }
        for label, _ in shown:
            by_label[paged.names[label]] += 1
        columns, lines = grid.columns, grid.lines
        for place, row in enumerate(rows):
            whole.append(place in uncut)
            assert paged.labels[row] >= 0
        assert (columns.size, lines.size) == tuple(reduced_sizes(paged.sizes, tiling)[number])
        assert len(grid) == tile_counts(paged.sizes, tiling)[number]
        assert int((~page.ignore).sum()) == len(rows)
    assert found.tiles == tiles
    assert (found.positive, found.crowded) == (positive, crowded)
    assert dict(zip(paged.names, found.by_label.tolist(), strict=True)) == by_label
    assert found.whole.tolist() == whole


def test_labels_of_one_name_are_one_and_stay_with_their_boxes():
    one = Annotations([[0, 0, 9, 9], [1, 1, 5, 5]], [1, 0], ("a", "b"))
    other = Annotations([[2, 2, 4, 4]], [0], ("b",))
    paged = PagedBoxes.of([one, other], [(10, 10), (10, 10)])
    assert paged.names == ("a", "b")
    assert paged.labels.tolist() == [0, 1, 1]
    assert paged.boxes[:, 0].tolist() == [1, 0, 2]
