from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rekognition.lines import META, changed, line, raw
from tilekit.errors import LabelError
from tilekit.rekognition import evaluation_files as files
from tilekit.rekognition.rules import check_line

share = st.floats(0, 1)
rows = st.builds(files.LabelMetrics, st.text(), st.integers(0, 1000), share, share, share, share)
summaries = st.builds(
    files.EvaluationSummary,
    st.text(),
    st.text(),
    st.lists(st.text(), max_size=3).map(tuple),
    st.integers(0, 9999),
    st.integers(0, 9999),
    share,
    share,
    share,
    st.lists(rows, max_size=3).map(tuple),
    st.none() | share,
    st.none() | share,
    st.lists(st.tuples(st.text(), st.text(), share), max_size=3).map(tuple),
)


@given(summaries, st.booleans())
def test_summary_round_trip(summary: files.EvaluationSummary, nested: bool) -> None:
    assert files.read_summary(files.write_summary(summary, nested=nested)) == summary


EXAMPLE = """{"Version": 1, "AggregatedEvaluationResults": {"ConfusionMatrix": [
 {"GroundTruthLabel": "CAP", "PredictedLabel": "WATCH", "Value": 0.0085}],
 "F1Score": 0.9726959470546408, "Precision": 0.97, "Recall": 0.9735},
 "EvaluationDetails": {"EvaluationEndTimestamp": "2019-11-21T07:30:23.910943", "Labels": ["CAP", "WATCH"],
 "NumberOfTestingImages": 624, "NumberOfTrainingImages": 5216, "ProjectVersionArn": "arn"},
 "LabelEvaluationResults": [{"Label": "CAP", "Metrics": {"F1Score": 0.97, "Precision": 0.98, "Recall": 0.97,
 "Threshold": 0.98}, "NumberOfTestingImages": 390}]}"""


def test_summary_as_the_guide_prints_it() -> None:
    summary = files.read_summary(EXAMPLE)
    assert (summary.f1, summary.testing_images, summary.rows[0].threshold) == (0.9726959470546408, 624, 0.98)
    assert summary.confusion == (("CAP", "WATCH", 0.0085),)


@pytest.mark.parametrize(
    "data", ["{", "{}", '{"EvaluationDetails": 3, "AggregatedEvaluationResults": {}}', "[]"]
)
def test_a_broken_summary_is_told(data: str) -> None:
    with pytest.raises(LabelError, match="evaluation summary"):
        files.read_summary(data)


whole = st.integers(0, 4000)
boxes = st.builds(
    files.SnapshotBox,
    st.text(),
    whole,
    whole,
    whole,
    whole,
    share,
    st.sampled_from(["tp", "fp", "fn", "tn"]),
    st.booleans(),
)
truths = st.builds(files.SnapshotBox, st.text(), whole, whole, whole, whole, share)


@given(
    st.lists(
        st.builds(
            files.SnapshotLine,
            st.text(),
            st.tuples(whole, whole),
            st.lists(truths, max_size=3).map(tuple),
            st.lists(boxes, max_size=3).map(tuple),
        ),
        max_size=3,
    )
)
def test_snapshot_round_trip(lines: list[files.SnapshotLine]) -> None:
    written = [files.write_snapshot(each, "2024-01-01T00:00:00") for each in lines]
    assert list(files.read_snapshot(written)) == lines


def test_a_broken_snapshot_names_the_line() -> None:
    with pytest.raises(LabelError, match="line 2"):
        list(files.read_snapshot([b"\n", b'{"source-ref": "x", "rekognition-custom-labels-evaluation": 3}']))


@pytest.mark.parametrize("key", ["errors", "cl-errors"])
def test_errors_stand_where_they_belong(key: str) -> None:
    broken = changed(changed(line(), 990, "bb", "annotations", 0, "left"), [5, 5], "extra")
    written = files.validation_line(raw(broken), check_line(raw(broken)), key=key)
    assert written["bb"]["annotations"][0][key][0]["code"] == "ERROR_INVALID_BOUNDING_BOX"
    assert key not in written["bb"]["annotations"][1]
    meta = changed(line(), {"0": "a"}, META, "class-map")
    again = files.validation_line(raw(meta), check_line(raw(meta)), key=key)
    assert again["bb"]["annotations"][0][key][0]["code"] == "ERROR_MISSING_CLASS_MAP_ID"
    assert files.validation_line(b"{", check_line(b"{"), key=key) == {
        key: [{"code": "ERROR_INVALID_JSON_LINE", "message": "The JSON Line has an invalid format."}]
    }


def test_warnings_as_the_guide_prints_them() -> None:
    empty = line([], names={})
    written = files.validation_line(raw(empty), check_line(raw(empty)))
    assert written["warnings"] == [
        {"code": "WARNING_NO_ANNOTATIONS", "message": "No annotations were found."}
    ]
    assert written["bb"]["warnings"][0]["code"] == "WARNING_NO_ATTRIBUTE_ANNOTATIONS"
