from __future__ import annotations

import base64
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.clients import Clients
from tilekit.local.protocol import ServiceFault, parse_request, service_model

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/rekognition/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0"
)
VERSION = "arn:aws:rekognition:us-east-1:123456789012:project/p/version/v/1"


def ask(
    url: str, operation: str | None, body: bytes, **headers: str
) -> tuple[int, dict[str, Any], http.client.HTTPResponse]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    sent = {"Content-Type": "application/x-amz-json-1.1", "Authorization": SIGNED}
    if operation is not None:
        sent["X-Amz-Target"] = operation if "." in operation else f"RekognitionService.{operation}"
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/", body, {name: value for name, value in sent.items() if value})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data), answer


@pytest.mark.parametrize(
    ("operation", "body", "headers", "code"),
    [
        ("DescribeProjects", b"{}", {"Authorization": ""}, "MissingAuthenticationTokenException"),
        ("DescribeProjects", b"{}", {"Authorization": "Basic abc"}, "IncompleteSignatureException"),
        (
            "DescribeProjects",
            b"{}",
            {"Authorization": SIGNED.replace("rekognition", "s3")},
            "InvalidSignatureException",
        ),
        ("RekognitionService.Nothing", b"{}", {}, "UnknownOperationException"),
        ("RekognitionServiceX.DescribeProjects", b"{}", {}, "UnknownOperationException"),
        (None, b"{}", {}, "UnknownOperationException"),
        ("DescribeProjects", b"{", {}, "SerializationException"),
        ("DescribeProjects", b"[]", {}, "SerializationException"),
        ("DescribeProjects", b'{"MaxResults": "ten"}', {}, "SerializationException"),
        ("DescribeProjects", b'{"MaxResults": 0}', {}, "ValidationException"),
        ("DescribeProjects", b'{"MaxResults": 101}', {}, "ValidationException"),
        ("DescribeProjects", b'{"NextToken": "abc"}', {}, "InvalidPaginationTokenException"),
        ("CreateProject", b"{}", {}, "ValidationException"),
        ("CreateProject", b'{"ProjectName": "two words"}', {}, "ValidationException"),
        ("DetectText", b'{"Image": {"Bytes": "AAAA"}}', {}, "AccessDeniedException"),
    ],
)
def test_refuses_as_the_service_does(
    canned_url: str, operation: str, body: bytes, headers: dict, code: str
) -> None:
    status, answer, response = ask(canned_url, operation, body, **headers)
    assert (status, answer["__type"]) == (400, code)
    assert answer["Code"] == code
    assert answer["Message"]
    assert response.headers["x-amzn-RequestId"] == answer["Logref"]


def test_refuses_bad_base64_and_large_images_and_goes_on(canned_url: str) -> None:
    bad = json.dumps({"ProjectVersionArn": VERSION, "Image": {"Bytes": "%%%"}}).encode()
    assert ask(canned_url, "DetectCustomLabels", bad)[1]["__type"] == "SerializationException"
    six = base64.b64encode(bytes(6_000_000)).decode()
    large = json.dumps({"ProjectVersionArn": VERSION, "Image": {"Bytes": six}}).encode()
    assert ask(canned_url, "DetectCustomLabels", large)[1]["__type"] == "ValidationException"
    status, answer, _ = ask(canned_url, "DetectCustomLabels", bytes(11 * 1024 * 1024))
    assert (status, answer["__type"]) == (413, "RequestEntityTooLargeException")
    assert ask(canned_url, "DescribeProjects", b"{}")[0] == 200


def test_keeps_connections_open(canned_url: str) -> None:
    place = urlsplit(canned_url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    for _ in range(3):
        head = {"X-Amz-Target": "RekognitionService.DescribeProjects", "Authorization": SIGNED}
        connection.request("POST", "/", b"{}", head)
        answer = connection.getresponse()
        assert answer.status == 200
        assert not answer.will_close
        answer.read()
    connection.close()


def test_image_errors(canned: Clients) -> None:
    version = canned.trained(canned.project())["ProjectVersionArn"]
    detect = canned.service.detect_custom_labels
    assert (
        canned.code(detect, ProjectVersionArn=version, Image={"Bytes": b"x"}) == "ResourceNotReadyException"
    )
    canned.service.start_project_version(ProjectVersionArn=version, MinInferenceUnits=1)
    there = {"S3Object": {"Bucket": canned.bucket, "Name": "none"}}
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    for image, code in (
        ({"Bytes": b"nothing"}, "InvalidImageFormatException"),
        ({"Bytes": png + (5000).to_bytes(4, "big") + (100).to_bytes(4, "big")}, "ImageTooLargeException"),
        ({"Bytes": png + (63).to_bytes(4, "big") + (100).to_bytes(4, "big")}, "InvalidParameterException"),
        ({"Bytes": png + (4000).to_bytes(4, "big") + (100).to_bytes(4, "big")}, "InvalidParameterException"),
        ({"Bytes": bytes(4_100_000)}, "ImageTooLargeException"),
        ({}, "InvalidParameterException"),
        ({"Bytes": b"x", **there}, "InvalidParameterException"),
        (there, "InvalidS3ObjectException"),
    ):
        assert canned.code(detect, ProjectVersionArn=version, Image=image) == code, image
    canned.service.stop_project_version(ProjectVersionArn=version)


def refusal(operation: str, body: bytes) -> str:
    try:
        parse_request(operation, body)
    except ServiceFault as fault:
        return fault.code
    return ""


@given(
    st.sampled_from(sorted(service_model().operation_names)),
    st.binary(max_size=200) | st.text(max_size=100).map(str.encode),
)
def test_any_bytes_are_parsed_or_refused(operation: str, body: bytes) -> None:
    assert refusal(operation, body) in {"", "SerializationException", "ValidationException"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ProjectArn", "Image", "Bytes", "S3Object", "Tags", "MaxResults", "Changes"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(["DetectCustomLabels", "CreateDataset", "UpdateDatasetEntries", "TagResource"]), JSON)
def test_any_json_is_parsed_or_refused(operation: str, value: object) -> None:
    assert refusal(operation, json.dumps(value).encode()) in {
        "",
        "SerializationException",
        "ValidationException",
    }
