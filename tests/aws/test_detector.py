from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from tests.aws.building import make_tile
from tilekit.aws.calling import TileFailures
from tilekit.aws.detector import RekognitionDetector, Trained
from tilekit.aws.imaging import boxes_from_ratios, encode_tile
from tilekit.aws.labels_detector import LabelsDetector
from tilekit.aws.model import Model
from tilekit.aws.project import RekognitionProject
from tilekit.aws.rate import RateLimiter
from tilekit.aws.text import TextDetector
from tilekit.detection.detecting import detect_tiles
from tilekit.detectors.protocol import Detector
from tilekit.errors import DetectorError, InvalidArgument, ModelNotReady, ServiceDenied, ServiceLost
from tilekit.grid import Tiling
from tilekit.scans.encoding import decode_image, encode_image
from tilekit.scans.opening import open_scan
from tilekit.storage.s3 import S3Location

ARN = "arn:aws:rekognition:us-east-1:123456789012:project/p/version/v/1700000000000"
URL = "http://127.0.0.1:9"


def fault(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "said"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Detect"
    )


class FakeClient:
    """Answers from a script: exceptions are raised, dicts given, then `answer` for ever."""

    def __init__(self, script: Sequence[Any] = (), answer: dict[str, Any] | None = None) -> None:
        self.script = list(script)
        self.answer = answer or {"CustomLabels": []}
        self.requests: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    def detect_custom_labels(self, **request: Any) -> dict[str, Any]:
        with self.lock:
            self.requests.append(request)
            step = self.script.pop(0) if self.script else self.answer
        if isinstance(step, Exception):
            raise step
        return step

    detect_text = detect_labels = detect_custom_labels


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilekit.aws.calling.pause", lambda *_: 0.0)


def detector(client: FakeClient, **options: Any) -> RekognitionDetector:
    options.setdefault("limiter", RateLimiter(1000.0, highest=1000.0))
    return RekognitionDetector(ARN, client=client, **options)


def label(name: str, confidence: float, *box: float) -> dict[str, Any]:
    if not box:
        return {"Name": name, "Confidence": confidence}
    return {
        "Name": name,
        "Confidence": confidence,
        "Geometry": {"BoundingBox": dict(zip(("Left", "Top", "Width", "Height"), box, strict=True))},
    }


def test_it_is_a_detector() -> None:
    made = detector(FakeClient(), trained=Trained(("a",)), workers=3)
    assert isinstance(made, Detector)
    assert (made.names, made.batch, made.workers) == (("a",), 1, 3)


def test_boxes_come_back_in_tile_pixels_and_clipped() -> None:
    answer = {
        "CustomLabels": [
            label("arrow", 99.5, 0.25, 0.5, 0.25, 0.25),
            label("new", 50.0, -0.1, 0.9, 0.3, 0.3),
            label("whole", 40.0),
            label("arrow", 10.0, 1.2, 0.1, 0.1, 0.1),
        ]
    }
    client = FakeClient(answer=answer)
    made = detector(client, trained=Trained(("arrow",)), thresholds={"new": 0.4})
    (found,) = made.detect([make_tile(0, 200, 100)])
    assert found.labels == ["arrow", "new", "whole"]
    assert found.boxes == pytest.approx(np.array([[50, 50, 100, 75], [0, 90, 40, 100], [0, 0, 200, 100]]))
    assert found.scores == pytest.approx([0.995, 0.5, 0.4])
    assert made.names == ("arrow", "new", "whole")
    assert client.requests[0]["MinConfidence"] == 0.0
    assert client.requests[0]["ProjectVersionArn"] == ARN
    assert "MaxResults" not in client.requests[0]
    made.thresholds["new"] = 0.6
    assert made.detect([make_tile()])[0].labels == ["arrow", "whole"]


def test_small_tiles_are_padded_and_boxes_in_the_padding_vanish() -> None:
    answer = {"CustomLabels": [label("a", 90, 0.0, 0.0, 0.5, 0.25), label("a", 80, 0.8, 0.8, 0.1, 0.1)]}
    client = FakeClient(answer=answer)
    (found,) = detector(client).detect([make_tile(0, 32, 16, bands=1)])
    assert decode_image(client.requests[0]["Image"]["Bytes"]).shape == (64, 64, 1)
    assert found.boxes.tolist() == [[0, 0, 32, 16]]


def test_bytes_stay_under_the_limit_by_lower_quality() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
    full = len(encode_tile(pixels).data)
    assert len(encode_tile(pixels, max_bytes=full // 2).data) < full // 2
    png = encode_tile(pixels, format="png", max_bytes=full)
    assert png.data[:2] == b"\xff\xd8"
    assert encode_tile(pixels, format="png").data[:4] == b"\x89PNG"
    with pytest.raises(InvalidArgument, match="4096 px"):
        encode_tile(np.zeros((10, 4097, 3), np.uint8))
    long = encode_tile(np.zeros((64, 2000, 1), np.uint8))
    assert (long.width, long.height) == (2000, 100)


def test_references_send_no_bytes() -> None:
    client = FakeClient(answer={"CustomLabels": [label("a", 90, 0.5, 0.5, 0.5, 0.5)]})
    made = detector(client, reference=lambda tile: S3Location("b", f"k{tile.index}") if tile.index else None)
    _, second = made.detect([make_tile(0), make_tile(1, 20, 20)])
    assert "Bytes" in client.requests[0]["Image"]
    assert client.requests[1]["Image"] == {"S3Object": {"Bucket": "b", "Name": "k1"}}
    assert second.boxes.tolist() == [[10, 10, 20, 20]]


@pytest.mark.parametrize(
    "trouble",
    [
        fault("ThrottlingException"),
        fault("ProvisionedThroughputExceededException"),
        fault("InternalServerError", 500),
        fault("500", 500),
        ReadTimeoutError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        EndpointConnectionError(endpoint_url=URL),
    ],
)
def test_what_passes_is_tried_again(trouble: Exception) -> None:
    client = FakeClient([trouble, trouble])
    assert len(detector(client).detect([make_tile()])) == 1
    assert len(client.requests) == 3


def test_a_failing_tile_makes_as_many_calls_as_one_layer_allows() -> None:
    """It was 20: five, twice over in `detect`, twice over in `detect_tiles`."""
    client = FakeClient([ConnectionClosedError(endpoint_url=URL)] * 100)
    made = detector(client, attempts=3)
    page = encode_image(np.full((32, 32, 3), 200, np.uint8)).data
    with open_scan(page) as scan, pytest.raises(DetectorError):
        detect_tiles(scan, made, Tiling(64))
    assert len(client.requests) == 3


def test_all_tries_of_a_tile_have_one_deadline() -> None:
    client = FakeClient([ConnectionClosedError(endpoint_url=URL)] * 100)
    with pytest.raises(DetectorError):
        detector(client, attempts=100, patience=0.0).detect([make_tile()])
    assert len(client.requests) == 1


def test_a_service_that_lets_nothing_through_ends_the_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tiles together wait as long as one does, not each of them anew; and it is said meanwhile."""
    clock = iter(range(0, 10**6, 3))
    monkeypatch.setattr("tilekit.aws.trying.time.monotonic", lambda: float(next(clock)))
    for trouble in (ConnectionClosedError(endpoint_url=URL), fault("ThrottlingException")):
        client = FakeClient([trouble] * 10**4)
        made = detector(client, workers=1, attempts=10**6, patience=120.0)
        said: list[str] = []
        made.note = said.append
        with pytest.raises(ServiceLost, match="no call has come through for 2"):
            made.detect([make_tile(number) for number in range(20)])
        assert len(client.requests) < 60
        assert "trying again for up to" in said[0]
        assert len(said) <= 3
        client.script.clear()
        assert len(made.detect([make_tile()])) == 1  # the service answers again
        assert pickle.loads(pickle.dumps(detector(FakeClient()))).note("heard by nobody") is None


def test_tiles_without_a_result_are_named() -> None:
    client = FakeClient([{"CustomLabels": []}, fault("ImageTooLargeException"), {"CustomLabels": []}])
    with pytest.raises(
        DetectorError, match=r"1 tiles have no result \(1\).*column 1.*smaller tile"
    ) as caught:
        detector(client).detect([make_tile(0), make_tile(1), make_tile(2)])
    assert isinstance(caught.value, TileFailures)
    assert list(caught.value.failed) == [1]
    assert len(client.requests) == 3


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("ResourceNotReadyException", ModelNotReady, "tilekit deploy"),
        ("AccessDeniedException", ServiceDenied, "rekognition:DetectCustomLabels"),
        ("ExpiredTokenException", ServiceDenied, "login has expired"),
        ("InvalidSignatureException", ServiceDenied, "clock"),
    ],
)
def test_what_no_tile_survives_is_raised_at_once(code: str, kind: type[Exception], words: str) -> None:
    client = FakeClient([fault(code)])
    with pytest.raises(kind, match=words):
        detector(client).detect([make_tile(0), make_tile(1)])
    assert len(client.requests) == 1


def test_tiles_that_fail_do_not_keep_the_rest_from_being_asked() -> None:
    reset = ConnectionClosedError(endpoint_url=URL)

    class Flaky(FakeClient):
        seen: set[int]

        def detect_custom_labels(self, **request: Any) -> dict[str, Any]:
            number = int(decode_image(request["Image"]["Bytes"]).mean() // 10)
            with self.lock:
                first = number not in self.seen
                self.seen.add(number)
            if number == 3 and first:
                raise reset
            if number == 5:
                raise fault("InvalidImageFormatException")
            return self.answer

    client = Flaky()
    client.seen = set()
    made = detector(client, workers=4, attempts=2)

    def tiles() -> Iterator[Any]:
        for number in range(8):
            tile = make_tile(number)
            tile.pixels[:] = number * 10 + 5
            yield tile

    with pytest.raises(TileFailures) as caught:
        made.detect(list(tiles()))
    assert list(caught.value.failed) == [5]
    assert (made.calls, made.retried) == (9, 1)


def test_the_real_client_against_the_local_server(
    make_project: Callable[..., RekognitionProject], dataset: tuple[Path, Path]
) -> None:
    project = make_project()
    model = project.train(*dataset)
    place = next(iter(project.store.list(project.root / "images/test/"))).location
    with (
        model.running(
            watchdog=False, workers=4, reference=lambda tile: place if tile.index == 9 else None
        ) as made,
        ThreadPoolExecutor(4) as pool,
    ):
        found = list(pool.map(lambda number: made.detect([make_tile(number)])[0], range(10)))
    assert all(item.boxes[0] == pytest.approx([51.2, 51.2, 76.8, 76.8]) for item in found)
    assert made.calls == 10


def test_text_words_or_lines() -> None:
    def word(text: str, kind: str = "WORD") -> dict[str, Any]:
        box = {"Left": 0.1, "Top": 0.1, "Width": 0.2, "Height": 0.1}
        return {"DetectedText": text, "Type": kind, "Confidence": 98.0, "Geometry": {"BoundingBox": box}}

    answer = {"TextDetections": [word("VALVE 7", "LINE"), word("VALVE"), word("7")]}
    client = FakeClient(answer=answer)
    fast = RateLimiter(1000.0, highest=1000.0)
    words = TextDetector(client=client, limiter=fast)
    (found,) = words.detect([make_tile(0, 40, 40)])
    assert found.labels == ["VALVE", "7"]
    assert decode_image(client.requests[0]["Image"]["Bytes"]).shape[:2] == (80, 80)
    assert found.boxes[0] == pytest.approx([8, 8, 24, 16])
    (found,) = TextDetector(client=client, level="LINE", limiter=fast).detect([make_tile()])
    assert found.labels == ["VALVE 7"]
    client.answer = {"TextDetections": [word(str(number)) for number in range(100)]}
    words.detect([make_tile(4)])
    assert [(item.tile, item.words) for item in words.crowded] == [(4, 100)]
    for wrong in ({"level": "PAGE"}, {"min_confidence": 2}):
        with pytest.raises(InvalidArgument):
            TextDetector(**wrong)


def test_labels_with_a_place() -> None:
    box = {"Left": 0.5, "Top": 0.5, "Width": 0.25, "Height": 0.25}
    answer = {
        "Labels": [
            {"Name": "Car", "Confidence": 99.0, "Instances": [{"BoundingBox": box, "Confidence": 97.0}]},
            {"Name": "Outdoors", "Confidence": 99.0, "Instances": []},
        ]
    }
    client = FakeClient(answer=answer)
    (found,) = LabelsDetector(client=client, max_labels=7).detect([make_tile(0, 100, 100)])
    assert found.labels == ["Car"]
    assert found.boxes[0] == pytest.approx([50, 50, 75, 75])
    assert found.scores[0] == pytest.approx(0.97)
    assert client.requests[0]["MaxLabels"] == 7
    for wrong in ({"max_labels": 0}, {"min_confidence": -1}):
        with pytest.raises(InvalidArgument):
            LabelsDetector(**wrong)


def test_a_detector_and_a_model_go_to_another_process(
    make_project: Callable[..., RekognitionProject], dataset: tuple[Path, Path], endpoint: str
) -> None:
    model = Model.find(make_project().train(*dataset).arn, endpoint_url=endpoint)
    again = pickle.loads(pickle.dumps(model))
    assert again.status == "TRAINING_COMPLETED"
    made = pickle.loads(pickle.dumps(model.detector(workers=3, thresholds={"arrow": 0.5})))
    assert (made.workers, made.thresholds, made.names) == (3, {"arrow": 0.5}, ("arrow", "triangle"))
    with pytest.raises(ModelNotReady):
        made.detect([make_tile()])


def test_arguments_are_checked() -> None:
    for wrong in (
        {"min_confidence": 50},
        {"thresholds": {"a": 50}},
        {"workers": 0},
        {"attempts": 0},
        {"max_rate": 0},
    ):
        with pytest.raises(InvalidArgument):
            RekognitionDetector(ARN, **wrong)
    with pytest.raises(InvalidArgument, match="model ARN"):
        RekognitionDetector("p/v")
    assert boxes_from_ratios([], (1, 1), (1, 1)).shape == (0, 4)


def test_tiles_of_a_jpeg_are_sent_as_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.jpeg.files import jpeg
    from tilekit.scans import vips
    from tilekit.scans.jpegbits import JpegBits
    from tilekit.tiles.writing import encode_tiles

    monkeypatch.setattr(vips, "SMALL_BYTES", 0)
    tiling = Tiling(112, 32, align=16)
    client = FakeClient(answer={"CustomLabels": [label("a", 90.0, 0.25, 0.25, 0.5, 0.5)]})
    with open_scan(jpeg(500, 410)) as scan:
        want = {tile.data for tile in encode_tiles(scan, tiling)}
        plain = detect_tiles(scan, detector(FakeClient(answer=client.answer), quality=90), tiling)
        monkeypatch.setattr(JpegBits, "pixels", None)
        monkeypatch.setattr(type(scan), "spans_of_rows", None)
        found = detect_tiles(scan, detector(client), tiling)
    assert {request["Image"]["Bytes"] for request in client.requests} == want
    assert len(client.requests) == len(want) == 30
    np.testing.assert_array_equal(found.detections.boxes, plain.detections.boxes)
    assert detector(client).takes_jpeg
    assert not detector(client, quality=90).takes_jpeg
    assert not TextDetector(client=client, format="png").takes_jpeg
    with pytest.raises(InvalidArgument, match="quality"):
        detector(client, quality=0)
