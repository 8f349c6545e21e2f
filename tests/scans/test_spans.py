"""Spans against slices of the whole page; memory used again only when nobody looks at it."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tilekit as tk
from tilekit.flow import Gate
from tilekit.scans.spans import Lender, SpanFiller, spans_of_bands


@st.composite
def rising(draw):
    starts = sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=6)))
    spans, last = [], 0
    for start in starts:
        last = max(draw(st.integers(start + 1, 60)), last)
        spans.append((start, last))
    return spans


@given(spans=rising(), chunk=st.integers(1, 500), keep=st.booleans())
def test_spans_are_slices_of_the_page(spans, chunk, keep):
    page = np.random.default_rng(len(spans)).integers(0, 256, (60, 7, 3), np.uint8)
    filler, found, flat = SpanFiller(spans, 7, 3), [], page.reshape(-1)
    for at in range(0, len(flat), chunk):
        for pixels in filler.add(flat[at : at + chunk]):
            start, stop = spans[len(found)]
            assert np.array_equal(pixels, page[start:stop])
            assert not pixels.flags.writeable
            found.append(pixels if keep else None)
            del pixels
    assert len(found) == len(spans)
    for (start, stop), pixels in zip(spans, found, strict=True):
        assert pixels is None or np.array_equal(pixels, page[start:stop])
    bands = [page[:13], page[13:40], page[40:]]
    assert [p.shape[0] for p in spans_of_bands(bands, spans)] == [b - a for a, b in spans]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_large_pages_give_their_spans(kind):
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    Image.fromarray(noise).save(out, kind)
    with tk.open_scan(out.getvalue()) as scan:
        whole = next(scan.bands_of_rows([300]))
        spans = [(0, 100), (50, 150), (60, 160), (200, 300)]
        for gate in (None, Gate(1), Gate(2)):
            for (start, stop), pixels in zip(spans, scan.spans_of_rows(spans, gate=gate), strict=True):
                assert np.array_equal(pixels, whole[start:stop])
            first = scan.spans_of_rows(spans, gate=gate)
            next(first)
            first.close()
            if gate is not None:
                gate.enter()
                gate.leave()


def test_the_urgent_go_first():
    gate, order = Gate(1), []
    gate.enter()

    def work(name, urgent):
        gate.enter(urgent=urgent)
        order.append(name)
        gate.leave()

    plain = [threading.Thread(target=work, args=("plain", False)) for _ in range(3)]
    urgent = threading.Thread(target=work, args=("urgent", True))
    for thread in [*plain, urgent]:
        thread.start()
    while gate._urgent == 0:
        pass
    gate.leave()
    for thread in [*plain, urgent]:
        thread.join()
    assert order == ["urgent", "plain", "plain", "plain"]


def test_memory_is_lent_again_once_no_view_is_left():
    lender = Lender()
    lender.size = 100
    first = lender.lend()
    place, view = first.ctypes.data, first.reshape(10, 10)[2:, 3:]
    del first
    assert lender.lend().ctypes.data != place
    del view
    assert place in {lent.ctypes.data for lent in (lender.lend(), lender.lend())}


def test_a_filler_with_a_gate_waits_for_memory_that_comes_back():
    gate = Gate(1)
    lender = Lender(gate)
    lender.size = 100
    kept = [lender.lend(), lender.lend()]
    place = kept[0].ctypes.data
    gate.enter()
    threading.Timer(0.05, kept.pop, (0,)).start()
    assert lender.lend().ctypes.data == place
    lender.close()
    assert lender.lend().size == 100
    gate.leave()
