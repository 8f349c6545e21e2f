from __future__ import annotations

import io
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rekognition.lines import META, changed, line, raw, sport, without
from tilekit.rekognition.aggregate import Tally
from tilekit.rekognition.limits import LIMITS, Limits
from tilekit.rekognition.lines import BATCH_BYTES, iter_batches, iter_lines
from tilekit.rekognition.plain import PlainChecker
from tilekit.rekognition.rules import _exact

A, DATE = "annotations", "creation-date"
L = line()
ODD: list[Any] = [
    b"",
    b"  ",
    b'{"source-ref": ',
    raw(L) + raw(L),
    b"[" * 100_000,
    b'\xef\xbb\xbf{"source-ref": "s3://bucket/a.jpg"}',
    {"source-ref": "s3://bucket/a.jpg"},
    sport(),
    line([]),
    line([(0, 990, 0, 20, 20)]),
    line([(7, 1, 1, 20, 20)]),
    line([(0, 1, 1, 1, 20)]),
    line([(0, 1, 1, 2, 2)], size=(3000, 3000)),
    line(size=(50, 800)),
    line(size=(64, 2000)),
    line(ref="a.jpg"),
    line(ref="s3://"),
    line(ref="s3://bucket/"),
    line(ref="s3://bucket/" + "k" * 1025),
    line(names={"0": "x" * 300, "1": "y"}),
    line(names={"0": "", "1": "y"}),
    line([(0, 1, 1, 9, 9)] * 51),
    changed(L, 1, "extra"),
    changed(L, None, META, DATE),
    changed(L, "2024", META, DATE),
    changed(L, "maybe", META, "human-annotated"),
    changed(L, [{"confidence": 2}] * 2, META, "objects"),
    changed(L, {"width": 1000, "height": 800, "depth": 3}, "bb", "image_size"),
    changed(L, 0.5, "bb", A, 0, "left"),
    without(L, META),
    raw(L).replace(b'"job-name"', b'"\xff"'),
    raw(L).replace(b'"job-name"', b'"creation-date": "x", "job-name"'),
]
PLAIN: list[Any] = [
    L,
    line(ref="s3://other/b.jpg"),
    line(names={"0": "Écho", "1": "箭"}),
    line(names={"0": "same", "1": "same"}),
    line(names={"5": "five", "0": "zero", "1": "one"}),
    changed(L, "2024-05-01", META, DATE),
    changed(L, "2024-05-01T10:00:00.123456+02:00", META, DATE),
    raw(L).replace(b": ", b":"),
    raw(L) + b"\r",
]


def judged(lines: list[bytes], limits: Limits = LIMITS) -> None:
    """Whatever is taken as plain, the exact rules take without a word; counts are theirs."""
    checker, tally, counted = PlainChecker(limits), Tally(), Tally()
    found = checker.check(lines)
    assert len(found.sources) == len(lines)
    buckets: Counter[str] = Counter()
    for place, (each, source) in enumerate(zip(lines, found.sources, strict=True)):
        exact = _exact(each.rstrip(b"\r"), limits, None, False)
        if place in found.odd:
            assert source == ""
            continue
        assert (exact.status, exact.findings, exact.source_ref) == ("valid", (), source)
        tally.add(place + 1, exact)
        buckets[exact.bucket] += 1
    assert checker.buckets == buckets
    for names, labels, count in checker.drain():
        counted.add_many(labels, names.named, count)
    assert (counted.total, counted.valid, counted.lines) == (tally.total, tally.valid, tally.lines)
    assert counted.usable() == tally.usable()
    assert counted.named >= tally.named


@pytest.mark.parametrize("each", ODD)
def test_what_is_not_plain_is_set_aside(each: Any) -> None:
    lines = [raw(L), raw(each), raw(L)]
    assert PlainChecker().check([raw(L), *lines]).odd == [0, 2]
    judged(lines)


@pytest.mark.parametrize("each", PLAIN)
def test_what_is_plain_is_taken(each: Any) -> None:
    assert PlainChecker().check([raw(L), raw(each)]).odd == [0]
    judged([raw(L), raw(each), raw(each)])


@given(st.lists(st.sampled_from([raw(each) for each in PLAIN + ODD if each != b"[" * 100_000]), max_size=30))
def test_any_mixture(lines: list[bytes]) -> None:
    judged(lines)
    judged(lines, Limits(max_line_chars=600, max_boxes=1))


@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    lines = []
    for each in data.draw(st.lists(st.sampled_from([raw(each) for each in PLAIN]), min_size=1, max_size=4)):
        at = data.draw(st.integers(0, len(each) - 1))
        new = data.draw(
            st.sampled_from([b'"', b"{", b"}", b"[", b",", b":", b"0", b"9", b"-", b"\\", b"\xff", b""])
        )
        lines += [each, each[:at] + new + each[at + data.draw(st.integers(0, 3)) :]]
    judged([each.replace(b"\n", b"") for each in lines])


def test_another_attribute_is_learned() -> None:
    other = raw(L).replace(b'"bb', b'"symbols')
    checker = PlainChecker()
    assert checker.check([raw(L)] * 3).odd == [0]
    assert checker.check([other] * 3).odd == [0]
    assert sum(count for _, _, count in checker.drain()) == 4


def test_much_metadata_is_drained() -> None:
    checker = PlainChecker()
    lines = [raw(changed(L, {"0": f"a{n}", "1": "b"}, META, "class-map")) for n in range(5000)]
    checker.check(lines)
    assert checker.full
    assert sum(count for _, _, count in checker.drain()) == 4999
    assert not checker.full


@given(
    st.lists(st.binary(max_size=40).map(lambda each: each.replace(b"\n", b"")), max_size=20), st.booleans()
)
def test_batches_are_the_lines(lines: list[bytes], ended: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    got = list(iter_lines(io.BytesIO(data), 100))
    assert [number for number, _ in got] == list(range(1, len(expected) + 1))
    assert [each for _, each in got] == [each.rstrip(b"\r") for each in expected]


def test_long_lines_are_cut_and_the_next_is_whole() -> None:
    long = b"x" * (5 * BATCH_BYTES)
    file = io.BytesIO(b"a\n" + long + b"\nb\n" + long)
    found = [each for _, _, lines in iter_batches(file, 100) for each in lines]
    assert [found[0], found[2]] == [b"a", b"b"]
    assert 100 < len(found[1]) <= 2 * BATCH_BYTES
    assert len(found) == 4
