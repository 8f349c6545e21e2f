"""One JPEG decoded in bands == decoded whole, whatever tells where bands begin; damage is never pixels."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

import tilekit as tk
from tests.jpeg.files import SAMPLINGS, jpeg
from tests.scans.test_spans import rising
from tilekit.errors import TilekitError
from tilekit.flow import Gate
from tilekit.jpeg.markers import CannotCut
from tilekit.jpeg.restarts import restart_rows
from tilekit.scans import bitbands, vips
from tilekit.scans.bitbands import IndexedRows, bands_for, rows_for, spans_of_bits
from tilekit.scans.jpegbits import JpegBits


def bits_of(data):
    return JpegBits("page", lambda at, count: data[at : at + count], len(data))


def whole(data, gray):
    return simplejpeg.decode_jpeg(data, "GRAY" if gray else "RGB")


@st.composite
def files(draw, kinds=("", "blocks", "rows")):
    kind, sampling = draw(st.sampled_from(kinds)), draw(st.sampled_from(SAMPLINGS))
    size = draw(st.integers(17, 90)), draw(st.integers(17, 150))
    many = {f"restart_{kind}": draw(st.integers(1, 12 if kind == "blocks" else 3))} if kind else {}
    return jpeg(*size, sampling, draw(st.sampled_from([60, 90])), draw(st.integers(0, 5)), **many), sampling


@given(files(), st.data(), st.integers(1, 3), st.booleans())
@settings(deadline=None)
def test_bands_are_the_page(file, data, workers, gated):
    content, sampling = file
    page = whole(content, sampling == "gray")
    bits = bits_of(content)
    by_markers = bits.restarts()
    ways = [IndexedRows(bits, bits.index()), *([by_markers] if by_markers else [])]
    spans = [(a, min(b, len(page))) for a, b in data.draw(rising()) if a < len(page)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bitbands, "_BAND_BYTES", data.draw(st.sampled_from([1, 1 << 13])))
        patch.setattr(bitbands, "_FEWEST", 1)
        for rows in ways:
            gate = Gate(workers) if gated else None
            found = spans_of_bits(bits, rows, spans, workers=workers, gate=gate)
            for start, stop in spans:
                assert np.array_equal(next(found), page[start:stop])
            assert next(found, None) is None


@given(files(), st.data())
def test_each_needed_row_is_in_one_band(file, data):
    header = bits_of(file[0]).header
    step = data.draw(st.integers(1, 4))
    spans = [(a, min(b, header.height)) for a, b in data.draw(rising()) if a < header.height]
    bands = list(bands_for(header, step, spans))
    rows = [row for band in bands for row in range(band.top, band.stop)]
    assert rows == sorted(set(rows))
    down, more = header.mcu[1], int(header.mcu[1] > 8)
    assert {y // down for a, b in spans for y in range(a, b)} <= set(rows)
    for band in bands:
        assert band.first % step == 0
        assert band.last % step == 0 or band.last == header.down
        assert band.first <= max(0, band.top - more)
        assert band.last >= min(header.down, band.stop + more)


def test_what_is_decoded_in_bands_and_what_is_not():
    plain, marked = bits_of(jpeg(64, 160, "4:4:4")), bits_of(jpeg(64, 160, "4:4:4", restart_rows=1))
    everything, top, end = [(0, 160)], [(0, 8)], [(150, 160)]
    assert rows_for(plain, everything, 1) is None
    assert isinstance(rows_for(plain, everything, 2), IndexedRows)
    assert rows_for(plain, top, 4) is None
    assert isinstance(rows_for(plain, end, 1), IndexedRows)  # all that is above need not be decoded
    for spans in (everything, top, end):
        assert rows_for(marked, spans, 1) is marked.restarts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bitbands, "_MOST_BAND_BYTES", 1)
        assert rows_for(marked, everything, 1) is None


def found_by(content, decoder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vips, "SMALL_BYTES", 0)
        if not decoder:
            patch.setattr(vips, "rows_for", lambda *_: None)
        with tk.open_scan(content) as scan:
            spans = [(0, 11), (7, scan.height)]
            return [pixels.copy() for pixels in scan.spans_of_rows(spans, workers=2)]


@given(files(("", "rows")), st.data())
@settings(deadline=None)
def test_damage_is_an_error_as_from_the_top(file, data):
    content = bytearray(file[0])
    begin = content.index(b"\xff\xda") + 14
    kind = data.draw(st.sampled_from(["flip", "cut", "drop"]))
    at = data.draw(st.integers(begin, len(content) - 3))
    if kind == "flip":
        content[at] = data.draw(st.integers(0, 255))
    elif kind == "cut":
        del content[at:]
    else:
        del content[at : at + data.draw(st.integers(1, 40))]
    try:
        expected = found_by(bytes(content), decoder=False)
    except TilekitError:
        with pytest.raises(TilekitError):
            found_by(bytes(content), decoder=True)
        return
    for pixels, right in zip(found_by(bytes(content), decoder=True), expected, strict=True):
        assert np.array_equal(pixels, right)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data.replace(b"\xff\xd1", b"\xff\xd2", 1), "out of order"),
        (lambda data: data.replace(b"\xff\xd1", b"", 1), "out of order"),
        (lambda data: data[:-2], "not all there"),
        (lambda data: data[: data.rindex(b"\xff\xd3")] + b"\xff\xd9", "not all there"),
    ],
)
def test_restart_markers_that_cannot_be_trusted(change, why):
    data = change(jpeg(60, 60, "gray", restart_rows=1))
    bits = bits_of(data)
    with pytest.raises(CannotCut, match=why):
        restart_rows(lambda at, count: data[at : at + count], len(data), bits.header, bits._begin)
    assert bits.restarts() is None


def test_restart_markers_seldom_where_rows_begin():
    data = jpeg(8 * 13, 60, "gray", restart_blocks=12)
    bits = bits_of(data)
    with pytest.raises(CannotCut, match="off its rows"):
        restart_rows(lambda at, count: data[at : at + count], len(data), bits.header, bits._begin)
