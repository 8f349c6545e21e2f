from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.errors import InvalidArgument
from tilekit.rekognition import arns

PROJECT = "arn:aws:rekognition:us-east-1:123456789012:project/symbols/1690000000000"
VERSION = "arn:aws:rekognition:us-east-1:123456789012:project/symbols/version/v1.2/1690000000001"
DATASET = "arn:aws:rekognition:us-east-1:123456789012:project/symbols/dataset/test/1690000000002"

names = st.text("abcXYZ019_.-", min_size=1, max_size=255)


def test_round_trip() -> None:
    assert str(arns.parse_project_arn(PROJECT)) == PROJECT
    assert str(arns.parse_version_arn(VERSION)) == VERSION


@given(names, names, st.integers(0, 10**13))
def test_any_version_comes_back(project: str, version: str, created: int) -> None:
    arn = arns.VersionArn("aws", "eu-west-1", "123456789012", project, version, created)
    assert arns.parse_version_arn(str(arn)) == arn


def test_says_what_it_is_instead() -> None:
    with pytest.raises(InvalidArgument, match="but a project's"):
        arns.parse_version_arn(PROJECT)
    with pytest.raises(InvalidArgument, match="but a model version's"):
        arns.parse_project_arn(VERSION)
    with pytest.raises(InvalidArgument, match="but a dataset's"):
        arns.parse_version_arn(DATASET)
    with pytest.raises(InvalidArgument, match="not a project ARN;"):
        arns.parse_project_arn("symbols")


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 256, "a/b"])
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidArgument, match="name="):
        arns.check_name(name)


def test_buckets_descriptions_tags() -> None:
    assert arns.check_bucket("my-bucket") == "my-bucket"
    assert arns.check_description("run 1 (tiles): ok?") == "run 1 (tiles): ok?"
    assert arns.check_tags({"team": "a"}) == {"team": "a"}
    assert arns.split_s3("s3://my-bucket/a b/ü.jpg") == ("my-bucket", "a b/ü.jpg")
    for call in (
        lambda: arns.check_bucket("ab"),
        lambda: arns.check_description("line\nbreak"),
        lambda: arns.check_tags({"aws:x": "1"}),
        lambda: arns.check_tags({"x": "1" * 257}),
        lambda: arns.check_tags({str(i): "" for i in range(201)}),
        lambda: arns.split_s3("s3://ab/x"),
        lambda: arns.split_s3("file.jpg"),
    ):
        with pytest.raises(InvalidArgument):
            call()
