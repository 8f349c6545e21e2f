"""`scale` of a TIFF that holds smaller copies of its page: taken from them where their pixels lie where the page's do."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tilekit as tk
from tilekit.errors import ScanCorrupt
from tilekit.scans.resampling import box_reduced


def pyramid(page, levels, subifds=True, orientation=1, **other):
    """A TIFF with levels of our own choosing, as SubIFDs or as directories marked reduced."""
    options = {"compression": "deflate", "tile": (64, 64), "photometric": "rgb", "metadata": None}
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        turn = [(274, "H", 1, orientation, True)]
        inner = {"subifds": len(levels)} if subifds and levels else {}
        file.write(page, extratags=turn, **options, **inner)
        for level in levels:
            file.write(level, subfiletype=1, **(options | other))
    return out.getvalue()


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scaled(data, size, heights=None):
    with tk.open_scan(data) as scan:
        return np.concatenate(list(scan.bands_of_rows(heights or [size[1]], scale=size)))


def decoded(data, place):
    """A level by another decoder."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = [page for first in file.pages for page in (first, *(first.pages or ()))]
        return pages[place].asarray()


@settings(max_examples=30)
@given(
    sides=st.tuples(st.integers(60, 200), st.integers(60, 200)),
    factor=st.sampled_from([2, 3, 4, 8]),
    more=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    subifds=st.booleans(),
    cut=st.integers(1, 8),
)
@example(sides=(128, 192), factor=4, more=(0, 0), subifds=True, cut=3)
@example(sides=(129, 192), factor=8, more=(0, 0), subifds=False, cut=3)
def test_a_level_is_the_reduced_page_or_not_looked_at(sides, factor, more, subifds, cut):
    """Levels hold another picture here, so that one sees where the pixels are from."""
    height, width = (side // factor + extra for side, extra in zip(sides, more, strict=True))
    page, level = noise(*sides), noise(height, width, 1)
    data = pyramid(page, [level], subifds)
    size = (width, height)
    pairs = list(zip(sides, (height, width), strict=True))
    fits = any(all(8 * abs(side - f * own) * own <= side for side, own in pairs) for f in range(2, 12))
    found = scaled(data, size)
    if fits:
        assert np.array_equal(found, decoded(data, 1))
    else:
        assert np.array_equal(found, scaled(pyramid(page, []), size))
    first = min(cut, height - 1)
    assert np.array_equal(scaled(data, size, [first, height - first]), found)
    with tk.open_scan(data) as scan:
        inside = scan.read(1, 2, width - 1, height - 1, scale=size)
        assert np.array_equal(scan.read(0, 0, width, height, scale=size), found)
        assert np.array_equal(scan.read(0, 0, *sides[::-1]), page)  # the page itself is the page's
    assert np.array_equal(inside, found[2 : height - 1, 1 : width - 1])


@settings(max_examples=15)
@given(
    height=st.integers(20, 60),
    width=st.integers(20, 60),
    factor=st.sampled_from([2, 4]),
    share=st.floats(0.3, 1),
)
def test_between_levels_pixels_lie_where_the_page_has_them(height, width, factor, share):
    y, x = np.mgrid[: 4 * height, : 4 * width]
    gray = 128 + 60 * np.sin(x / 17) + 60 * np.cos(y / 23)
    page = np.repeat(gray[..., None], 3, 2).astype(np.uint8)

    def means(size):
        read = lambda x0, y0, x1, y1: page[y0:y1, x0:x1]  # noqa: E731
        return box_reduced(read, (4 * width, 4 * height), size, (0, 0, *size))

    data = pyramid(page, [means((2 * width, 2 * height)), means((width, height))])
    size = (max(1, round(4 / factor * share * width)), max(1, round(4 / factor * share * height)))
    off = np.abs(scaled(data, size).astype(int) - means(size))[1:-1, 1:-1]
    assert off.size == 0 or off.max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("sides", "used"), [((64, 96), True), ((65, 96), False)])
def test_levels_of_a_turned_page_are_turned(orientation, sides, used):
    """A level that leaves out a row of the page leaves it out elsewhere once turned: such a one is not used."""
    page, level = noise(*sides), noise(sides[0] // 2, sides[1] // 2, 1)
    turns = {1: 0, 3: 2, 6: 3, 8: 1, 2: 0, 4: 2, 5: 3, 7: 1}
    upright = np.rot90(level, turns[orientation])
    if orientation in (2, 4, 5, 7):
        upright = upright[:, ::-1]
    size = upright.shape[1::-1]
    found = scaled(pyramid(page, [level], orientation=orientation), size)
    plain = scaled(pyramid(page, [], orientation=orientation), size)
    if used:
        assert np.array_equal(found, upright)
    elif orientation > 1:
        assert np.array_equal(found, plain)


@pytest.mark.parametrize("other", [{"compression": "lzw"}, {"photometric": "minisblack"}])
def test_a_copy_stored_in_another_way_is_no_level(other):
    """A thumbnail, say, of whatever quality."""
    page, small = noise(64, 96), noise(32, 48, 1)
    small = small[..., 0] if "photometric" in other else small
    data = pyramid(page, [small], **other)
    assert np.array_equal(scaled(data, (48, 32)), scaled(pyramid(page, []), (48, 32)))


def test_a_damaged_level_is_an_error_of_the_page_at_that_size():
    data = pyramid(noise(64, 128), [noise(32, 64, 1)])
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        level = file.pages[0].pages[0]
        start, count = level.dataoffsets[0], level.databytecounts[0]
    broken = data[:start] + bytes(count) + data[start + count :]
    with pytest.raises(ScanCorrupt, match="damaged"):
        scaled(broken, (64, 32))
    with tk.open_scan(broken) as scan:
        assert np.array_equal(scan.read(0, 0, 128, 64), noise(64, 128))
