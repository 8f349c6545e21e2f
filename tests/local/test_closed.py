"""The server is closed to strangers: pages from elsewhere, other names, unsigned calls, garbage."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.local.clients import Clients
from tilekit.errors import InvalidArgument, ServiceError
from tilekit.local import Key, gate, running
from tilekit.local.signing import Request, read_keys, read_signature, sign

SIGNED = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
PROJECTS = {
    "X-Amz-Target": "RekognitionService.DescribeProjects",
    "Authorization": SIGNED.format("rekognition"),
}


def send(
    url: str, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, bytes, http.client.HTTPResponse]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data, answer


def alive(url: str) -> bool:
    return send(url, "POST", "/", PROJECTS, b"{}")[0] == 200


@pytest.mark.parametrize("path", ["/moto-api/reset", "/moto-api/data.json", "/moto-api", "/moto-api/config"])
@pytest.mark.parametrize("signed", [True, False])
def test_moto_can_be_neither_reset_nor_read(canned: Clients, path: str, signed: bool) -> None:
    headers = {"Authorization": SIGNED.format("s3")} if signed else {}
    for method in ("POST", "GET"):
        assert send(canned.url, method, path, headers)[0] in (403, 404)
    canned.s3.head_bucket(Bucket=canned.bucket)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:1", True),
        ("[::1]:80", True),
        ("bucket.localhost:80", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:80", False),
        ("10.0.0.1", False),
        ("a b", False),
        ("", False),
    ],
)
def test_only_names_of_this_machine_are_answered(canned_url: str, host: str, allowed: bool) -> None:
    status, _, _ = send(canned_url, "POST", "/", {**PROJECTS, "Host": host}, b"{}")
    assert (status == 200) == allowed
    assert allowed or status == 421
    status, _, _ = send(canned_url, "GET", "/", {"Authorization": SIGNED.format("s3"), "Host": host})
    assert (status == 421) != allowed


def test_beyond_loopback_addresses_and_given_names_are_answered() -> None:
    names = gate.host_names("0.0.0.0", ["rekognition"])
    for host in ("192.168.1.5:5000", "rekognition:5000", "bucket.rekognition", "localhost"):
        assert gate.host_allowed(host, "0.0.0.0", names), host
    for host in ("evil.example", "rekognition.evil.example"):
        assert not gate.host_allowed(host, "0.0.0.0", names), host
    assert not gate.host_allowed("192.168.1.5", "127.0.0.1", gate.host_names("127.0.0.1"))


@pytest.mark.parametrize(
    "target", ["", "x", "x.y", "..", "RekognitionService.", "DynamoDB_20120810.ListTables", "é"]
)
def test_a_bad_target_is_an_unknown_operation(canned_url: str, target: str) -> None:
    headers = {"X-Amz-Target": target, "Authorization": SIGNED.format("rekognition")}
    status, body, answer = send(canned_url, "POST", "/", headers, b"{}")
    assert (status, json.loads(body)["__type"]) == (400, "UnknownOperationException")
    assert not answer.will_close


@pytest.mark.parametrize("bucket", ["...", "a", "UPPER", "a..b", "1.2.3.4", "-ab", "a b c", "x" * 64])
def test_a_bad_bucket_name_is_refused(canned_url: str, bucket: str) -> None:
    headers = {"Authorization": SIGNED.format("s3")}
    status, body, _ = send(canned_url, "PUT", "/" + quote(bucket), headers)
    assert (status, b"InvalidBucketName" in body) == (400, True)


def test_unsigned_calls_reach_nothing(canned: Clients) -> None:
    canned.s3.put_object(Bucket=canned.bucket, Key="a", Body=b"a")
    for method, path in (
        ("GET", f"/{canned.bucket}/a"),
        ("PUT", f"/{canned.bucket}/b"),
        ("DELETE", f"/{canned.bucket}/a"),
        ("GET", "/"),
    ):
        assert send(canned.url, method, path, {})[0] == 403
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    body = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--x--\r\n'
    assert send(canned.url, "POST", f"/{canned.bucket}", form, body)[0] == 403
    assert canned.s3.get_object(Bucket=canned.bucket, Key="a")["Body"].read() == b"a"


@pytest.mark.parametrize("service", ["iam", "dynamodb", "ec2", "lambda"])
def test_no_other_service_of_moto_answers(canned_url: str, service: str) -> None:
    headers = {"Authorization": SIGNED.format(service), "Content-Type": "application/x-www-form-urlencoded"}
    assert send(canned_url, "POST", "/", headers, b"Action=ListUsers&Version=2010-05-08")[0] == 403


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Length": "x"}, b"", 400),
        ({"Content-Length": "-1"}, b"", 400),
        ({"Content-Length": "9" * 30}, b"", 400),
        ({"Transfer-Encoding": "chunked"}, b"zz\r\nabc\r\n", 400),
        ({"Transfer-Encoding": "chunked"}, b"3\r\nabc\r\n0\r\n\r\n", 403),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    canned_url: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    assert send(canned_url, "PUT", "/bucket/key", headers, body)[0] == status
    assert alive(canned_url)


@given(
    st.binary(max_size=300)
    | st.binary(max_size=80).map(lambda data: b"POST / HTTP/1.1\r\n" + data + b"\r\n\r\n")
)
@settings(max_examples=40, deadline=None)
def test_any_bytes_leave_the_server_alive(canned_url: str, data: bytes) -> None:
    place = urlsplit(canned_url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as raw:
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        while part := raw.recv(65536):
            answer += part
    assert b" 500 " not in answer.split(b"\r\n")[0]
    assert alive(canned_url)


NAME = st.from_regex(r"[A-Za-z][A-Za-z-]{0,12}", fullmatch=True)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
HEADERS = st.dictionaries(
    NAME.filter(
        lambda name: name.lower() not in ("host", "content-length", "transfer-encoding", "expect", "origin")
    ),
    VALUE,
    max_size=3,
)
PATH = st.text("abc019/.-_~%?=&+*", max_size=30).map(lambda text: "/" + text)


@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS", "NOTHING"]),
    PATH,
    HEADERS,
    st.binary(max_size=100),
    st.sampled_from(["", "s3", "sts", "rekognition", "x"]),
)
@settings(max_examples=100, deadline=None)
def test_any_request_gets_an_answer(
    canned_url: str, method: str, path: str, headers: dict[str, str], body: bytes, service: str
) -> None:
    signed = {"Authorization": SIGNED.format(service)} if service else {}
    status, data, _ = send(canned_url, method, path, {**headers, **signed}, body)
    assert status < 500 or (
        status == 501 and b"NotImplemented" in data + b"NotImplemented" * (method == "HEAD")
    )


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    keys = {"mine": "s3cret/+", "theirs": Key("other", "111122223333")}
    with running(canned=True, time_scale=0.0, keys=keys) as url:
        yield url


def test_with_keys_only_their_signatures_count(locked: str) -> None:
    mine, theirs = (
        Clients(locked, key="mine", secret="s3cret/+"),
        Clients(locked, key="theirs", secret="other"),
    )
    assert ":111122223333:" in theirs.project()
    assert ":123456789012:" in mine.project()
    mine.s3.put_object(Bucket=mine.bucket, Key="a +%/ü.txt", Body=b"text")
    assert mine.s3.list_objects_v2(Bucket=mine.bucket, Prefix="a +")["KeyCount"] == 1
    for key, secret, code in (
        ("mine", "wrong", "InvalidSignatureException"),
        ("nobody", "s3cret/+", "UnrecognizedClientException"),
    ):
        bad = Clients.__new__(Clients)
        with pytest.raises(bad_error(mine), match=r"SignatureDoesNotMatch|InvalidAccessKeyId"):
            Clients.__init__(bad, locked, key=key, secret=secret)
        assert bad.code(bad.service.describe_projects) == code


def bad_error(clients: Clients) -> type[Exception]:
    return clients.s3.exceptions.ClientError  # type: ignore[no-any-return]


def test_links_signed_for_others_work_until_they_are_changed(locked: str) -> None:
    mine = Clients(locked, key="mine", secret="s3cret/+")
    mine.s3.put_object(Bucket=mine.bucket, Key="a b.txt", Body=b"text")
    signer = boto3.client(
        "s3",
        endpoint_url=locked,
        region_name="us-east-1",
        aws_access_key_id="mine",
        aws_secret_access_key="s3cret/+",
        config=Config(signature_version="s3v4"),
    )
    link = signer.generate_presigned_url("get_object", Params={"Bucket": mine.bucket, "Key": "a b.txt"})
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"text"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(link.replace("a%20b.txt", "b.txt")).close()


@given(
    st.sampled_from(["GET", "PUT", "POST"]),
    st.text("abc 1+%/ü~*'()", max_size=12),
    st.dictionaries(st.text("ab =&ü", min_size=1, max_size=4), st.text("ab =&+ü/", max_size=6), max_size=3),
    st.binary(max_size=20),
    st.sampled_from(["s3", "rekognition"]),
)
@settings(max_examples=60, deadline=None)
def test_signatures_are_botocores(
    method: str, key: str, query: dict[str, str], body: bytes, service: str
) -> None:
    path = "/" + quote(key, safe="/~") if service == "s3" else "/"
    asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    url = f"http://127.0.0.1:5000{path}" + (f"?{asked}" if asked else "")
    made = botocore.awsrequest.AWSRequest(method, url, headers={"X-Thing": "  a   b "}, data=body)
    made.context["payload_signing_enabled"] = True
    credentials = botocore.credentials.Credentials("key", "secret")
    kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    kind(credentials, service, "us-east-1").add_auth(made)
    headers = {"Host": "127.0.0.1:5000", **dict(made.headers.items())}
    request = Request(
        method, url.removeprefix("http://127.0.0.1:5000"), headers, hashlib.sha256(body).hexdigest()
    )
    signature = read_signature(request)
    assert signature is not None
    assert sign(request, signature, "secret") == signature.value
    assert sign(request, signature, "other") != signature.value


@pytest.mark.parametrize(
    "keys", [{}, {"a": ""}, {"a": {"account": "1"}}, {"a": {"secret": "x", "account": "1"}}, {"a": 3}]
)
def test_keys_that_are_none_are_named(keys: Any) -> None:
    with pytest.raises(InvalidArgument, match="keys"):
        read_keys(keys)


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(InvalidArgument, match="colour"), running(colour="red"):
        pass
    with pytest.raises(InvalidArgument, match="bucket"), running(bucket="..."):
        pass
    with pytest.raises(ServiceError, match="cannot be read"), running(canned=True, faults="/nowhere.json"):
        pass


def test_a_thousand_detections_at_once_lose_nothing(canned: Clients) -> None:
    version = canned.trained(canned.project())["ProjectVersionArn"]
    canned.service.start_project_version(ProjectVersionArn=version, MinInferenceUnits=1)
    key = canned.a_page()
    image = canned.s3.get_object(Bucket=canned.bucket, Key=key)["Body"].read()
    body = json.dumps(
        {"ProjectVersionArn": version, "Image": {"Bytes": base64.b64encode(image).decode()}}
    ).encode()
    head = {**PROJECTS, "X-Amz-Target": "RekognitionService.DetectCustomLabels"}
    place = urlsplit(canned.url)

    def some(count: int) -> list[tuple[int, str]]:
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
        with contextlib.closing(connection):
            found = []
            for _ in range(count):
                connection.request("POST", "/", body, head)
                answer = connection.getresponse()
                found.append((answer.status, answer.read().decode()))
        return found

    with ThreadPoolExecutor(50) as pool:
        answers = [answer for part in pool.map(some, [20] * 50) for answer in part]
    assert [answer for answer in answers if answer[0] != HTTPStatus.OK] == []
    assert [len(json.loads(text)["CustomLabels"]) for _, text in answers] == [1] * 1000
    canned.service.stop_project_version(ProjectVersionArn=version)


def test_two_clients_at_once_both_get_what_they_made(canned: Clients) -> None:
    def work(number: int) -> tuple[set[str], set[str]]:
        own = Clients(canned.url, key=("111111111111", "222222222222")[number])
        made = {own.project() for _ in range(10)}
        shown = own.service.get_paginator("describe_projects").paginate()
        return made, {item["ProjectArn"] for page in shown for item in page["ProjectDescriptions"]}

    with ThreadPoolExecutor(2) as pool:
        for made, found in pool.map(work, range(2)):
            assert made <= found
