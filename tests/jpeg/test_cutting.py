"""Cut out of the bits == the window of the scan: coefficients always, pixels but for a rim of two."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.jpeg.files import SAMPLINGS, jpeg, jpegs
from tests.jpeg.naive import coefficients
from tilekit.jpeg import index as index_module
from tilekit.jpeg.cutting import Stretch, cut_runs, reason_against, window_runs
from tilekit.jpeg.index import build_index, every_mcu, spaced_columns
from tilekit.jpeg.markers import CannotCut, read_header
from tilekit.jpeg.tables import widened


def reader(data):
    return lambda at, count: data[at : at + count]


def indexed(data, columns=None, workers=1):
    header, begin = read_header(reader(data))
    columns = np.arange(header.across) if columns is None else columns
    return build_index(reader(data), len(data), header, begin, columns, workers=workers)


def cut(data, index, window):
    x0, y0, x1, y1 = window
    stretch = Stretch(np.frombuffer(data, np.uint8), 0)
    return cut_runs(stretch, window_runs(index, *window), index.header, index.lookups, x1 - x0, y1 - y0)


@st.composite
def windows(draw, header):
    across, down = header.mcu
    x0 = across * draw(st.integers(0, header.across - 1))
    y0 = down * draw(st.integers(0, header.down - 1))
    return x0, y0, draw(st.integers(x0 + 1, header.width)), draw(st.integers(y0 + 1, header.height))


@given(st.data())
def test_a_cut_has_the_coefficients_of_its_window(data):
    file = data.draw(jpegs())
    index = indexed(file)
    header = index.header
    window = x0, y0, x1, y1 = data.draw(windows(header))
    tile = cut(file, index, window)
    whole, part = coefficients(file)[0], coefficients(tile)[0]
    left, top = x0 // header.mcu[0], y0 // header.mcu[1]
    right, bottom = -(-x1 // header.mcu[0]), -(-y1 // header.mcu[1])
    for (h, v), planes, piece in zip(header.sampling, whole, part, strict=True):
        assert np.array_equal(planes[top * v : bottom * v, left * h : right * h], piece)


@given(st.data())
def test_a_cut_decodes_to_its_window(data):
    file = data.draw(jpegs())
    index = indexed(file)
    header = index.header
    window = x0, y0, x1, y1 = data.draw(windows(header))
    assume(reason_against(header, x0, y0, x1 - x0) is None)
    color = "GRAY" if len(header.components) == 1 else "RGB"
    want = simplejpeg.decode_jpeg(file, colorspace=color)[y0:y1, x0:x1]
    got = simplejpeg.decode_jpeg(cut(file, index, window), colorspace=color)
    assert got.shape == want.shape
    rim = 2 if header.upsampled else 0
    inner = (
        slice(0 if y0 == 0 else rim, want.shape[0] - (0 if y1 == header.height else rim)),
        slice(0 if x0 == 0 else rim, want.shape[1] - (0 if x1 == header.width else rim)),
    )
    assert np.array_equal(got[inner], want[inner])


@given(jpegs())
def test_the_index_is_where_a_slow_parse_finds_the_mcus(file):
    index = indexed(file)
    assert index.starts.tolist() == coefficients(file)[1]


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(index_module, "_PART", 1500)
    monkeypatch.setattr(index_module, "_STEP", 300)
    monkeypatch.setattr(index_module, "_AHEAD", 5000)


@pytest.mark.parametrize("restart", [{}, {"restart_blocks": 3}, {"restart_rows": 1}, {"restart_blocks": 400}])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_any_number_of_workers_gives_one_index(small_parts, monkeypatch, sampling, restart):
    file = jpeg(260, 250, sampling, 90, 1, True, noise=30.0, **restart)
    one = indexed(file)
    joined = []
    join = index_module._Stitch.join

    def counted(self, piece):
        joined.append(join(self, piece))
        return joined[-1]

    monkeypatch.setattr(index_module._Stitch, "join", counted)
    many = indexed(file, workers=3)
    for name in ("marks", "starts", "ends", "preds"):
        assert np.array_equal(getattr(one, name), getattr(many, name))
    if len(joined) > 8 and not restart:  # parts were joined, not parsed twice
        assert sum(joined) > len(joined) // 4


@pytest.mark.parametrize("wrong", ["place", "none"])
def test_a_wrong_guess_is_parsed_again(small_parts, monkeypatch, wrong):
    file = jpeg(260, 250, "4:2:0", 95, 2, noise=40.0)
    guess = index_module._Stitch.guess

    def misled(self, part):
        piece = guess(self, part)
        if piece is None or wrong == "none":
            return None
        piece.start += 1
        return piece

    want = indexed(file)
    monkeypatch.setattr(index_module._Stitch, "guess", misled)
    got = indexed(file, workers=2)
    assert np.array_equal(want.starts, got.starts)
    assert np.array_equal(want.preds, got.preds)


@given(jpegs(most=60), st.data())
def test_damage_is_never_a_whole_index_of_something_else(file, data):
    """Changed bytes: no index, or exactly what a slow decoder makes of them."""
    _, begin = read_header(reader(file))
    broken = bytearray(file)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(begin, len(file) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(broken[: data.draw(st.integers(begin, len(file)))] if data.draw(st.booleans()) else broken)
    try:
        index = indexed(broken)
    except CannotCut:
        return
    planes, places = coefficients(broken)
    assert index.starts.tolist() == places
    header = index.header
    got = coefficients(cut(broken, index, (0, 0, header.width, header.height)))[0]
    assert all(np.array_equal(a, b) for a, b in zip(planes, got, strict=True))


def parsed_at_once(files):
    header, begin = read_header(reader(files[0]))
    stops = np.cumsum([len(file) for file in files])
    begins = stops - [len(file) for file in files] + begin
    return every_mcu(np.frombuffer(b"".join(files), np.uint8), header, begins, stops)[0]


@given(st.sampled_from(SAMPLINGS), st.integers(0, 5), st.integers(1, 4), st.integers(0, 7))
def test_many_files_parsed_at_once_are_where_a_slow_parse_finds_them(sampling, restart, count, seed):
    files = [jpeg(48, 40, sampling, 70, seed + more, restart_blocks=restart) for more in range(count)]
    found, before = parsed_at_once(files), 0
    for which, file in enumerate(files):
        inside = slice(which * found.each, (which + 1) * found.each)
        alone = indexed(file)
        assert (found.starts[inside] - before).tolist() == coefficients(file)[1]
        assert (found.ends[inside] - before).tolist() == alone.ends.tolist()
        assert np.array_equal(found.after[inside], alone.preds)
        first = alone.marks % restart == 0 if restart else alone.marks == 0
        assert np.array_equal(found.before[inside], np.where(first[:, None], 0, alone.preds))
        before += 8 * len(file)


@given(st.data())
def test_damage_in_one_of_many_files_is_found_as_in_it_alone(data):
    """Never does a file borrow the bytes of the next one, nor is one refused for another's sake."""
    files = [jpeg(48, 40, "4:2:0", 70, seed) for seed in range(3)]
    _, begin = read_header(reader(files[0]))
    which = data.draw(st.integers(0, 2))
    file = bytearray(files[which])
    at = data.draw(st.integers(begin, len(file) - 1))
    if data.draw(st.booleans()):
        file[at] ^= data.draw(st.integers(1, 255))
    else:
        del file[at:]
    files[which] = bytes(file)
    reasons = []
    for chosen in ([files[which]], files):
        try:
            parsed_at_once(chosen)
            reasons.append(None)
        except CannotCut as exc:
            reasons.append(str(exc))
    assert reasons[0] == reasons[1]


@given(st.binary(max_size=600), st.sampled_from(SAMPLINGS), st.booleans(), st.integers(0, 200))
@settings(max_examples=200)
def test_random_bits_are_read_within_their_bytes(noise, sampling, optimize, at):
    file = jpeg(64, 64, sampling, 50, 0, optimize)
    _, begin = read_header(reader(file))
    made = file[:begin] + file[begin : begin + at] + noise
    try:
        index = indexed(made)
    except CannotCut:
        return
    assert index.starts[-1] <= 8 * len(made)


@given(st.data())
def test_runs_that_are_no_mcus_are_refused_or_copied_within_bounds(data):
    """The copying kernel is given positions that lie."""
    file = jpeg(64, 64, "4:2:0", 70)
    index = indexed(file)
    runs = window_runs(index, 0, 0, 64, 64)
    places = data.draw(
        st.lists(st.integers(0, 8 * len(file) + 64), min_size=len(runs.starts), max_size=len(runs.starts))
    )
    lying = index_module.Runs(np.array(places, np.int64), runs.ends, runs.before, runs.after)
    stretch = Stretch(np.frombuffer(file, np.uint8), 0)
    try:
        made = cut_runs(stretch, lying, index.header, index.lookups, 64, 64)
    except CannotCut:
        return
    assert made[:2] == b"\xff\xd8"


def test_optimized_tables_get_codes_for_what_they_lack():
    flat = jpeg(64, 64, "gray", 90, optimize=True, noise=0.0)
    header, _ = read_header(reader(flat))
    assert set(range(12)) - set(header.dc[0][1]), "this table should lack some"
    counts, symbols = widened(header.dc[0])
    assert set(range(12)) <= set(symbols)
    assert symbols.startswith(header.dc[0][1])
    assert sum(count << (16 - length) for length, count in enumerate(counts, 1)) < 65536


def test_a_code_that_only_the_written_tables_have_is_damage():
    file = bytearray(jpeg(11, 1, "gray", 5, optimize=True))
    header, begin = read_header(reader(bytes(file)))
    assert header.dc[0] != widened(header.dc[0])
    file[begin] = 0b11111101  # not a code of the file's own, whatever follows
    with pytest.raises(CannotCut, match="damaged"):
        indexed(bytes(file))


def test_a_window_off_the_grid_says_so():
    header, _ = read_header(reader(jpeg(64, 64, "4:2:0")))
    assert reason_against(header, 16, 32, 50) is None
    assert "16 x 16" in (reason_against(header, 8, 0, 50) or "")
    assert "only 4 px" in (reason_against(header, 16, 32, 4) or "")
    assert reason_against(header, 16, 32, 5) is reason_against(header, 0, 0, 64) is None


def test_spaced_columns_keep_the_index_small():
    header, _ = read_header(reader(jpeg(64, 64)))
    wide = header.sized(65_500, 65_500)
    assert len(spaced_columns(wide)) * wide.down * 36 <= 16 << 20
    assert spaced_columns(header).tolist() == [0]


@pytest.mark.parametrize(
    ("options", "why"),
    [({"progressive": True}, "progressive"), ({"mode": "CMYK"}, "4 components")],
)
def test_what_cannot_be_cut_says_why(options, why):
    import io

    from PIL import Image

    picture = Image.new(options.pop("mode", "RGB"), (40, 40))
    out = io.BytesIO()
    picture.save(out, "JPEG", **options)
    with pytest.raises(CannotCut, match=why):
        read_header(reader(out.getvalue()))


@given(st.data())
def test_a_mutated_header_is_read_or_refused(data):
    file = bytearray(jpeg(48, 40, "4:2:0", optimize=True))
    _, begin = read_header(reader(bytes(file)))
    for _ in range(data.draw(st.integers(1, 5))):
        file[data.draw(st.integers(2, begin - 1))] = data.draw(st.integers(0, 255))
    try:
        header, at = read_header(reader(bytes(file)))
        if header.across * header.down < 100_000:
            build_index(reader(bytes(file)), len(file), header, at, [0], workers=1)
    except CannotCut:
        pass
