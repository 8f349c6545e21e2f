"""The service's client against bare boto3 and s3transfer, how its rate is found, and the local server itself.

All against the local server, in a process of its own; a client's CPU is this process's only.
"""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest

from tilekit.aws.detector import RekognitionDetector
from tilekit.aws.project import RekognitionProject
from tilekit.aws.rate import RateLimiter
from tilekit.aws.uploading import upload_files
from tilekit.bench.pairing import Cost
from tilekit.bench.processes import run_task
from tilekit.grid import Window
from tilekit.local import running
from tilekit.scans.encoding import encode_image
from tilekit.storage.s3 import Access, S3Location, S3Store
from tilekit.tiles.tile import Tile

BUCKET = "bench"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def tile_of(kilobytes: int, index: int = 0) -> Tile:
    """A noisy tile of 1024 px whose JPEG at quality 90 has about so many bytes."""
    rng = np.random.default_rng(index)
    pixels = np.full((1024, 1024, 3), 230, np.uint8)
    rows = min(1024, round(kilobytes * 1024 / 1_350))
    pixels[:rows] = rng.integers(0, 255, (rows, 1024, 3), np.uint8)
    return Tile(index, 0, index, Window(0, 0, 1024, 1024), pixels)


def model_of(endpoint: str, folder):
    """A canned model that runs."""
    S3Store(Access(endpoint_url=endpoint)).client.create_bucket(Bucket=BUCKET)
    for split in ("train", "test"):
        (folder / f"{split}.jpg").write_bytes(encode_image(np.zeros((128, 128, 3), np.uint8)).data)
        line = {
            "source-ref": f"{split}.jpg",
            "bb": {
                "image_size": [{"width": 128, "height": 128, "depth": 3}],
                "annotations": [{"class_id": 0, "left": 9, "top": 9, "width": 30, "height": 30}],
            },
            "bb-metadata": {
                "objects": [{"confidence": 1}],
                "class-map": {"0": "arrow"},
                "type": "groundtruth/object-detection",
                "human-annotated": "yes",
                "creation-date": "2026-11-23T00:00:00",
            },
        }
        (folder / f"{split}.manifest").write_text(json.dumps(line) + "\n")
    project = RekognitionProject("bench", BUCKET, endpoint_url=endpoint)
    model = project.train(folder / "train.manifest", folder / "test.manifest", check=False)
    model.start()
    return model


def test_client_cpu(frame, tmp_path):
    """CPU of this process for a call: the detector's against the bare client's, the same bytes."""
    import boto3
    from botocore.config import Config

    calls = frame.pick(60, 10)
    with running(canned=True, time_scale=0.0) as endpoint:
        model = model_of(endpoint, tmp_path)
        data = encode_image(tile_of(500).pixels).data
        config = Config(max_pool_connections=4, retries={"total_max_attempts": 1})
        client = boto3.client("rekognition", endpoint_url=endpoint, config=config)
        fast = RateLimiter(1e6, highest=1e6)
        detector = RekognitionDetector(
            model.arn, access=Access(endpoint_url=endpoint), workers=4, limiter=fast, max_rate=1e6
        )
        request = {"ProjectVersionArn": model.arn, "Image": {"Bytes": data}, "MinConfidence": 0.0}

        def cost(work):
            cpu = time.process_time()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, range(calls)))
            used = (time.process_time() - cpu) / calls
            return Cost(used, used)

        works = {
            "bare": lambda: cost(lambda _: client.detect_custom_labels(**request)),
            "detector": lambda: cost(
                lambda _: detector.call("bench", lambda one: one.detect_custom_labels(**request))
            ),
        }
        timed = frame.pair(works, rounds=5)
    assert not timed.failed, timed.failed
    note = f"{len(data) / 1e3:.0f} kB, {1e3 * timed.seconds('detector'):.1f} ms of CPU a call"
    frame.record("service.cpu", timed.ratio("detector", "bare"), note, cost=timed)


def rate_found(folder, limit, settle, seconds):
    """Share of the allowed calls that came through after `settle` seconds, and share of them refused."""
    folder.mkdir()
    with running(canned=True, time_scale=0.0, tps_per_unit=limit, latency=0.2) as endpoint:
        model = model_of(endpoint, folder)
        tile = tile_of(60)
        detector = RekognitionDetector(
            model.arn, access=Access(endpoint_url=endpoint), workers=24, max_rate=max(50.0, limit)
        )
        log = []
        began = time.monotonic()

        def work(_):
            while time.monotonic() - began < settle + seconds:
                detector.detect_tile(tile)

        def watch():
            while time.monotonic() - began < settle + seconds:
                log.append((time.monotonic() - began, detector.calls, detector.throttles))
                time.sleep(0.1)

        watcher = threading.Thread(target=watch)
        watcher.start()
        with ThreadPoolExecutor(24) as pool:
            list(pool.map(work, range(24)))
        watcher.join()
    first, last = next(item for item in log if item[0] >= settle), log[-1]
    calls, refused = last[1] - first[1], last[2] - first[2]
    return (calls - refused) / (last[0] - first[0]) / limit, refused / max(1, calls)


def test_rates(frame, tmp_path):
    """Both limits at once: five calls a second leave the machine to the other."""
    if not frame.first:
        return
    if frame.quick:
        for name in ("rate.50", "refused.50", "rate.5", "refused.5"):
            frame.record(f"service.{name}", None, "left out of the quick run")
        return
    plans = {"50": (10.0, 30.0), "5": (30.0, 20.0)}
    with ThreadPoolExecutor(2) as pool:
        found = {
            limit: pool.submit(rate_found, tmp_path / limit, float(limit), settle, seconds)
            for limit, (settle, seconds) in plans.items()
        }
    for limit, (settle, seconds) in plans.items():
        reached, refused = found[limit].result()
        note = f"over {seconds:g} s after {settle:g} s"
        frame.record(f"service.rate.{limit}", reached, note, exact=True)
        frame.record(f"service.refused.{limit}", refused, note, exact=True)


@pytest.mark.parametrize(("name", "count", "kilobytes"), [("small", 400, 20), ("large", 3, 40_000)])
def test_upload(frame, tmp_path, name, count, kilobytes):
    """Fresh keys each time, the same connections, the same 16 threads."""
    from boto3.s3.transfer import TransferConfig
    from s3transfer.manager import TransferManager

    rng = np.random.default_rng(0)
    count = frame.pick(count, max(1, count // 20))
    files = [tmp_path / f"{number:05}.jpg" for number in range(count)]
    for path in files:
        path.write_bytes(rng.bytes(kilobytes * 1000))
    turns = iter(range(10**6))
    with running(canned=True, time_scale=0.0) as endpoint:
        store = S3Store(Access(endpoint_url=endpoint), connections=16)
        store.client.create_bucket(Bucket=BUCKET)

        def ours():
            root = S3Location(BUCKET, f"a{next(turns)}")
            report = upload_files(store, [(path, root / path.name) for path in files], prefix=root / "")
            assert report.sent == count

        def s3transfer():
            place = f"b{next(turns)}"
            with TransferManager(store.client, TransferConfig(max_concurrency=16)) as manager:
                for path in files:
                    manager.upload(str(path), BUCKET, f"{place}/{path.name}")

        timed = frame.pair({"tilekit": ours, "s3transfer": s3transfer}, rounds=5)
    assert not timed.failed, timed.failed
    rate = count * kilobytes / 1e3 / timed.seconds("tilekit")
    frame.record(
        f"service.upload.{name}", timed.ratio("s3transfer", "tilekit"), f"{rate:.0f} MB/s", cost=timed
    )


def replayed(endpoint, arn):
    """A signed call with a small picture, and a function that sends it `count` times on one connection."""
    import boto3
    from botocore.awsrequest import AWSRequest

    data = encode_image(np.full((64, 64, 3), 230, np.uint8)).data
    client = boto3.client("rekognition", endpoint_url=endpoint)
    caught = {}

    def catch(request: AWSRequest, **_):
        caught.update(headers=dict(request.headers.items()), body=request.body)

    client.meta.events.register("before-send.rekognition.*", catch)
    client.detect_custom_labels(ProjectVersionArn=arn, Image={"Bytes": data}, MinConfidence=0.0)
    where = urlsplit(endpoint)
    head = {
        key: value.decode() if isinstance(value, bytes) else value for key, value in caught["headers"].items()
    }

    def send(count):
        connection = http.client.HTTPConnection(where.hostname, where.port)
        took = []
        for _ in range(count):
            start = time.perf_counter()
            connection.request("POST", "/", caught["body"], head)
            answer = connection.getresponse()
            body = answer.read()
            took.append(time.perf_counter() - start)
            assert answer.status == 200, body
        connection.close()
        return took

    return send


def test_server(frame, tmp_path):
    """What the server adds to a call, and how many it answers: requests sent again as bytes, no client's work."""
    with running(canned=True, time_scale=0.0, tps_per_unit=1e6) as endpoint:
        send = replayed(endpoint, model_of(endpoint, tmp_path).arn)
        send(50)
        took = [1e3 * statistics.median(send(frame.pick(200, 50))) for _ in range(3)]
        frame.record("local.overhead", took, "median call")
        rates, each = [], frame.pick(400, 50)
        for _ in range(3):
            start = time.perf_counter()
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(send, [each, each]))
            rates.append(2 * each / (time.perf_counter() - start))
        frame.record("local.requests", rates)


def test_model(frame):
    """A network of the size that training makes, on an encoded tile of 1024 px, in one thread."""
    cost = run_task({"do": "benchmarks.targets.works:local_detection", "count": frame.pick(9, 2)})
    frame.record(
        "local.detect",
        [1e3 * one for one in cost.answer["seconds"]],
        "decoding of the JPEG and of the answer included",
    )
