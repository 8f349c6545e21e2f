from __future__ import annotations

import contextlib
import pickle
import socket
from typing import Any

import botocore.exceptions as known
import pytest
from botocore.exceptions import ClientError

from tilekit.aws.errors import error_code, is_passing, is_throttle, service_error
from tilekit.aws.recipe import ModelRecipe, check_tiling, tiling_of_tag, tiling_tag
from tilekit.aws.service import Service
from tilekit.aws.trying import pause
from tilekit.errors import (
    InvalidArgument,
    ModelNotReady,
    QuotaExceeded,
    RecipeMismatch,
    ServiceDenied,
    ServiceError,
    ServiceThrottled,
    TilekitError,
)
from tilekit.grid import Tiling
from tilekit.rekognition.pricing import PRICES, Prices, dollars, duration, parse_duration
from tilekit.storage.s3 import Access


def fault(code: str, status: int = 400, message: str = "said") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "X"
    )


@pytest.mark.parametrize(
    ("code", "status", "throttle", "passing", "kind", "words"),
    [
        ("ThrottlingException", 400, True, False, ServiceThrottled, "fewer workers"),
        ("ThrottlingException", 500, True, False, ServiceThrottled, "rate"),
        ("ProvisionedThroughputExceededException", 400, True, False, ServiceThrottled, "inference units"),
        ("InternalServerError", 500, False, True, ServiceError, "said"),
        ("500", 500, False, True, ServiceError, "said"),
        ("LimitExceededException", 400, False, False, QuotaExceeded, "models running at once"),
        ("ServiceQuotaExceededException", 400, False, False, QuotaExceeded, "Service Quotas"),
        ("ResourceNotReadyException", 400, False, False, ModelNotReady, "tilekit deploy"),
        ("ResourceInUseException", 400, False, False, ServiceError, "name is taken"),
        ("ResourceNotFoundException", 400, False, False, ServiceError, "region"),
        ("ImageTooLargeException", 400, False, False, ServiceError, "smaller tile"),
        ("InvalidImageFormatException", 400, False, False, ServiceError, "PNG and JPEG"),
        ("InvalidS3ObjectException", 400, False, False, ServiceError, "s3:GetObject"),
        ("InvalidPaginationTokenException", 400, False, False, ServiceError, "run again"),
        ("AccessDeniedException", 400, False, False, ServiceDenied, "rekognition:StartProjectVersion"),
        ("ExpiredTokenException", 400, False, False, ServiceDenied, "log in"),
        ("UnrecognizedClientException", 400, False, False, ServiceDenied, "credentials"),
        ("InvalidSignatureException", 400, False, False, ServiceDenied, "clock"),
        ("SomethingNew", 400, False, False, ServiceError, "said"),
    ],
)
def test_every_code_is_told_apart(
    code: str, status: int, throttle: bool, passing: bool, kind: type[TilekitError], words: str
) -> None:
    exc = fault(code, status)
    assert is_throttle(exc) is throttle
    assert is_passing(exc) is passing
    error = service_error(exc, "StartProjectVersion", "p/v")
    assert type(error) is kind
    assert words in str(error)
    assert str(error).startswith("p/v: StartProjectVersion failed with ")
    assert isinstance(error, ServiceError)
    assert error.code == code


def test_denied_names_the_action_the_service_names() -> None:
    text = "User: arn:aws:iam::1:user/x is not authorized to perform: s3:GetBucketAcl on resource: y"
    assert "must allow s3:GetBucketAcl" in str(
        service_error(fault("AccessDeniedException", message=text), "X")
    )


@pytest.mark.parametrize(
    ("exc", "passing", "kind"),
    [
        (known.NoCredentialsError(), False, ServiceDenied),
        (known.PartialCredentialsError(provider="env", cred_var="x"), False, ServiceDenied),
        (known.ParamValidationError(report="Missing"), False, InvalidArgument),
        (known.EndpointConnectionError(endpoint_url="u"), True, ServiceError),
        (known.ReadTimeoutError(endpoint_url="u"), True, ServiceError),
        (known.ConnectTimeoutError(endpoint_url="u"), True, ServiceError),
        (known.ConnectionClosedError(endpoint_url="u"), True, ServiceError),
        (known.SSLError(endpoint_url="u", error="bad"), False, ServiceError),
    ],
)
def test_errors_without_an_answer(exc: Exception, passing: bool, kind: type[TilekitError]) -> None:
    assert error_code(exc) == ""
    assert is_passing(exc) is passing
    assert type(service_error(exc, "DetectText")) is kind


class Scripted:
    """A client whose one operation answers from a script."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.given: list[dict[str, Any]] = []

    def describe_projects(self, **given: Any) -> Any:
        self.given.append(given)
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


def scripted(*script: Any, **options: Any) -> tuple[Service, Scripted]:
    service = Service(Access(region="us-east-1"), rate=1e6, sleep=lambda _: None, **options)
    service._client = Scripted(*script)
    return service, service._client


def test_control_calls_are_tried_again_and_paged() -> None:
    reset = known.ConnectionClosedError(endpoint_url="u")
    service, client = scripted(
        fault("ThrottlingException"),
        reset,
        {"ProjectDescriptions": [1, 2], "NextToken": "t"},
        {"ProjectDescriptions": [3]},
    )
    assert list(service.pages("DescribeProjects", "ProjectDescriptions", ProjectNames=None)) == [1, 2, 3]
    assert client.given == [{}, {}, {}, {"NextToken": "t"}]


def test_patience_ends() -> None:
    service, client = scripted(*[fault("InternalServerError", 500)] * 3, patience=0.0)
    with pytest.raises(ServiceError, match="InternalServerError"):
        service.call("DescribeProjects")
    assert len(client.given) == 1
    service, _ = scripted(fault("ResourceInUseException"))
    assert service.call("DescribeProjects", expect=("ResourceInUseException",)) == {
        "expected": "ResourceInUseException"
    }


def test_pauses_grow_and_are_bounded() -> None:
    assert 0.1 <= pause(1) <= 0.25
    assert 10 <= pause(100) <= 20


def test_prices() -> None:
    assert PRICES.running(1, 2) == pytest.approx(2 * 4 / 60)
    assert PRICES.running(3600) == 4
    assert PRICES.detection(18_000, 1) == 4
    assert Prices(unit_hour=5).running(3600) == 5
    assert PRICES.training(1800) == 0.5
    assert dollars(1234.5) == "US$ 1,234.50"
    with pytest.raises(InvalidArgument):
        PRICES.running(-1)
    with pytest.raises(InvalidArgument):
        PRICES.detection(1, 0)


def test_durations() -> None:
    assert [parse_duration(text) for text in ("90", "90s", "15m", "2h", "1h30m", "1d", "1.5 H")] == [
        90,
        90,
        900,
        7200,
        5400,
        86400,
        5400,
    ]
    assert [duration(value) for value in (5, 600, 7500)] == ["5 s", "10 min", "2 h 05 min"]
    for wrong in ("", "soon", "2x", "h", "1h-2m"):
        with pytest.raises(InvalidArgument, match="duration"):
            parse_duration(wrong)


@pytest.mark.parametrize(
    "tiling",
    [
        None,
        Tiling(),
        Tiling((640, 512), overlap=(64, 0.25), edge="pad", scale=0.5),
        Tiling(1024, overlap=0.125, dpi=300.0),
        Tiling.parts(4),
        Tiling.parts(rows=2, cols=3, overlap=10),
    ],
)
def test_a_tiling_goes_through_a_tag_and_a_file(tiling: Tiling | None) -> None:
    import re

    tag = tiling_tag(tiling)
    assert re.fullmatch(r"[\w .:/=+\-@]{1,256}", tag)
    assert tiling_of_tag(tag) == tiling
    recipe = ModelRecipe(tiling, ("a", "b"), "d", "arn")
    assert ModelRecipe.from_json(recipe.to_json()) == recipe


def test_recipes_that_are_none() -> None:
    with pytest.raises(InvalidArgument):
        ModelRecipe.from_json({"format": 99})
    with pytest.raises(InvalidArgument):
        tiling_of_tag("tile=abc")


def test_tilings_that_look_alike_pass() -> None:
    check_tiling(Tiling(128), Tiling(128, overlap=64, edge="pad"), "m")
    check_tiling(None, None, "m")
    check_tiling(Tiling(128), Tiling(256), "m", force=True)
    for one, other in (
        (Tiling(128), Tiling(256)),
        (Tiling(128), Tiling(128, scale=0.5)),
        (None, Tiling(128)),
        (Tiling.parts(4), Tiling(128)),
        (Tiling(128, dpi=300), None),
    ):
        with pytest.raises(RecipeMismatch, match="m was trained on"):
            check_tiling(one, other, "m")


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("tilekit.aws.service.time.monotonic", lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def _any_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.mark.usefixtures("_any_keys")
def test_an_endpoint_that_never_answered_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, notes, endpoint = Clock(monkeypatch), [], closed_port()
    service = Service(
        Access("us-east-1", endpoint_url=endpoint), rate=1e6, sleep=clock.sleep, note=notes.append
    )
    with pytest.raises(ServiceError) as caught:
        service.call("DescribeProjects", patience=900.0)
    assert 15 <= clock.now - 1000 < 16
    assert f"cannot be reached at {endpoint}" in str(caught.value)
    assert "--endpoint-url or AWS_ENDPOINT_URL" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert notes == []


@pytest.mark.usefixtures("_any_keys")
@pytest.mark.parametrize("first", [{"ProjectDescriptions": []}, fault("AccessDeniedException")])
def test_a_service_that_answered_once_is_waited_for(monkeypatch: pytest.MonkeyPatch, first: Any) -> None:
    monkeypatch.setattr("tilekit.aws.trying.random.uniform", lambda low, high: high)
    clock, notes = Clock(monkeypatch), []
    service, client = scripted(
        first,
        *[known.EndpointConnectionError(endpoint_url="http://127.0.0.1:9")] * 12,
        {"ProjectDescriptions": [1]},
        note=notes.append,
    )
    service._sleep = clock.sleep
    with contextlib.suppress(ServiceError):
        service.call("DescribeProjects")
    assert service.call("DescribeProjects", "p/v", patience=900.0) == {"ProjectDescriptions": [1]}
    assert client.script == []
    assert 60 < clock.now - 1000 < 900
    assert 2 <= len(notes) <= 4
    assert notes[0].startswith("p/v: DescribeProjects: Could not connect to the endpoint URL")
    assert "trying again for up to 14 min" in notes[0]


def test_where_amazon_cannot_be_reached_the_regions_are_told() -> None:
    exc = known.ConnectTimeoutError(endpoint_url="https://rekognition.xx-y-1.amazonaws.com/")
    assert "us-east-1" in str(service_error(exc, "DescribeProjects"))


@pytest.mark.usefixtures("_any_keys")
def test_another_process_has_the_service_without_the_note() -> None:
    service = Service(Access("us-east-1"), note=lambda _: None)
    service.answered = True
    again = pickle.loads(pickle.dumps(service))
    assert again.answered
    again.note("heard by nobody")
