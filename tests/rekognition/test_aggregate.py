from __future__ import annotations

from typing import Any

import pytest

from tests.rekognition.lines import line, raw, sport
from tilekit.rekognition.aggregate import Tally, judge, manifest_summary
from tilekit.rekognition.evaluation_files import read_manifest_summary, write_manifest_summary
from tilekit.rekognition.limits import Limits
from tilekit.rekognition.rules import check_line


def tally(*lines: Any) -> Tally:
    counts = Tally()
    for number, each in enumerate(lines, 1):
        counts.add(number, check_line(raw(each)))
    return counts


GOOD = [line(ref=f"s3://bucket/{i}.jpg") for i in range(10)]


def codes(training: Tally, testing: Tally | None, limits: Limits = Limits()) -> list[str]:  # noqa: B008
    verdict = judge(training, testing, limits)
    return [finding.code for finding in (*verdict.training, *verdict.testing, *verdict.both)]


def test_clean() -> None:
    assert codes(tally(*GOOD), tally(GOOD[0])) == ["TILEKIT_FEW_IMAGES"] * 0


def test_twenty_percent_is_allowed_and_more_is_not() -> None:
    assert "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST" not in codes(tally(*GOOD[:8], b"", b"{"), tally(*GOOD))
    assert "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST" in codes(tally(*GOOD[:7], b"", b"{"), tally(*GOOD))


def test_ignored_lines_do_not_count_as_invalid() -> None:
    empty = [line([], names={}, ref=f"s3://bucket/e{i}.jpg") for i in range(40)]
    counts = tally(*GOOD, *empty)
    assert (counts.valid, counts.invalid, counts.ignored) == (10, 0, 40)
    assert codes(counts, tally(*GOOD)) == []


@pytest.mark.parametrize(
    ("train", "test", "limits", "code"),
    [
        ([], GOOD, Limits(), "ERROR_EMPTY_MANIFEST"),
        ([*GOOD, line(ref="s3://other/a.jpg")], GOOD, Limits(), "ERROR_IMAGES_IN_MULTIPLE_S3_BUCKETS"),
        (GOOD, GOOD, Limits(max_images=9), "ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM"),
        (GOOD, GOOD, Limits(max_labels=1), "ERROR_MANIFEST_TOO_MANY_LABELS"),
        ([sport()] * 10, [sport()], Limits(), "ERROR_MANIFEST_TOO_FEW_LABELS"),
        ([line([], names={"0": "a"})] * 3, GOOD, Limits(), "ERROR_MANIFEST_TOO_FEW_USABLE_LABELS"),
        (GOOD, [line([(0, 1, 1, 9, 9)], names={"0": "other"})], Limits(), "ERROR_INSUFFICIENT_LABEL_OVERLAP"),
        (GOOD, [line([(0, 990, 1, 99, 9)])], Limits(), "ERROR_INSUFFICIENT_USABLE_LABEL_OVERLAP"),
        (GOOD[:1], None, Limits(), "ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_AUTOSPLIT"),
        ([*GOOD, sport()], GOOD, Limits(), "TILEKIT_OTHER_USE_CASE"),
        (GOOD, GOOD, Limits(max_test_images_per_label=9), "TILEKIT_TOO_MANY_TEST_IMAGES"),
        (GOOD[:9], GOOD, Limits(), "TILEKIT_FEW_IMAGES"),
        ([line([(0, 1, 1, 9, 9)], names={"0": "a"})] * 10, [], Limits(), "TILEKIT_ONE_LABEL"),
    ],
)
def test_each_rule(train: list[Any], test: list[Any] | None, limits: Limits, code: str) -> None:
    assert code in codes(tally(*train), None if test is None else tally(*test), limits)


def test_half_the_labels_suffice() -> None:
    one = line([(0, 1, 1, 9, 9)], names={"0": "Echo"})
    assert "ERROR_INSUFFICIENT_LABEL_OVERLAP" not in codes(tally(*GOOD), tally(one))


def test_the_summary_comes_back() -> None:
    training, testing = tally(*GOOD[:2], b"", b"{"), tally(*GOOD)
    document = manifest_summary(training, testing, judge(training, testing))
    again = read_manifest_summary(write_manifest_summary(document))
    assert again.training.error_lines == (3, 4)
    assert again.training.use_case == "NOT_DETERMINED"
    assert [code for code, _ in again.training.errors] == ["ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST"]
    assert (again.testing.total, again.testing.valid, again.errors) == (10, 10, ())
