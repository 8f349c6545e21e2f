"""The client against bare boto3, uploads against s3transfer and the AWS CLI, and how fast a model's rate is found.

All against the local server with a canned answer, in a process of its own; client CPU is this process's only.
Prints figures; nothing here fails on time. `pytest benchmarks/test_aws.py -s`; TILEKIT_BENCH_ROUNDS sets the
rounds (default 5), TILEKIT_BENCH_SECONDS the length of the rate runs (default 40).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tilekit.aws.detector import RekognitionDetector
from tilekit.aws.project import RekognitionProject
from tilekit.aws.rate import RateLimiter
from tilekit.aws.uploading import upload_files
from tilekit.grid import Window
from tilekit.local import running
from tilekit.scans.encoding import encode_image
from tilekit.storage.s3 import Access, S3Location, S3Store
from tilekit.tiles.tile import Tile

ROUNDS = int(os.environ.get("TILEKIT_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("TILEKIT_BENCH_SECONDS", "40"))
BUCKET = "bench"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch):
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
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


@pytest.mark.parametrize("kilobytes", [100, 500, 1000])
def test_client_cpu_against_bare_boto3(tmp_path, kilobytes):
    """CPU of this process per call: our detector against encode + bare client, and both without the encoding."""
    import boto3
    from botocore.config import Config

    calls = 60
    with running(canned=True, time_scale=0.0) as endpoint:
        model = model_of(endpoint, tmp_path)
        tile = tile_of(kilobytes)
        data = encode_image(tile.pixels).data
        config = Config(max_pool_connections=4, retries={"total_max_attempts": 1})
        client = boto3.client("rekognition", endpoint_url=endpoint, config=config)
        fast = RateLimiter(1e6, highest=1e6)
        detector = RekognitionDetector(
            model.arn, access=Access(endpoint_url=endpoint), workers=4, limiter=fast, max_rate=1e6
        )

        def bare(_=None):
            client.detect_custom_labels(ProjectVersionArn=model.arn, Image={"Bytes": data}, MinConfidence=0.0)

        def bare_encoding(_=None):
            client.detect_custom_labels(
                ProjectVersionArn=model.arn,
                Image={"Bytes": encode_image(tile.pixels).data},
                MinConfidence=0.0,
            )

        def ours(_=None):
            request = {"ProjectVersionArn": model.arn, "Image": {"Bytes": data}, "MinConfidence": 0.0}
            detector.call("bench", lambda found: found.detect_custom_labels(**request))

        def ours_encoding(_=None):
            detector.detect_tile(tile)

        def cost(work) -> tuple[float, float]:
            cpu, wall = time.process_time(), time.perf_counter()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, range(calls)))
            return (time.process_time() - cpu) / calls * 1e3, calls / (time.perf_counter() - wall)

        kinds = {"bare": bare, "ours": ours, "bare+encode": bare_encoding, "ours+encode": ours_encoding}
        for work in kinds.values():
            cost(work)
        found = {name: [] for name in kinds}
        for _ in range(ROUNDS):
            for name, work in kinds.items():
                found[name].append(cost(work))
    cpu = {name: [item[0] for item in values] for name, values in found.items()}
    pairs = [one / other for one, other in zip(cpu["ours"], cpu["bare"], strict=True)]
    whole = [one / other for one, other in zip(cpu["ours+encode"], cpu["bare+encode"], strict=True)]
    rate = statistics.median(item[1] for item in found["ours+encode"])
    print(
        f"\n{len(data) / 1e3:.0f} kB: bare {statistics.median(cpu['bare']):.2f} ms, "
        f"ours {statistics.median(cpu['ours']):.2f} ms CPU a call, ratio {statistics.median(pairs):.3f}; "
        f"with encoding {statistics.median(cpu['bare+encode']):.2f} and "
        f"{statistics.median(cpu['ours+encode']):.2f} ms, ratio {statistics.median(whole):.3f}; {rate:.0f} calls/s"
    )


@pytest.mark.parametrize(("count", "kilobytes"), [(400, 20), (150, 200), (3, 40_000)])
def test_upload_against_s3transfer(tmp_path, count, kilobytes):
    """Many small tiles, larger tiles, a few large files: paired walls, fresh keys each time."""
    from boto3.s3.transfer import TransferConfig
    from s3transfer.manager import TransferManager

    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        path = tmp_path / f"{number:05}.jpg"
        path.write_bytes(rng.bytes(kilobytes * 1000))
        files.append(path)
    total = count * kilobytes / 1000
    with running(canned=True, time_scale=0.0) as endpoint:
        store = S3Store(Access(endpoint_url=endpoint), connections=16)
        store.client.create_bucket(Bucket=BUCKET)

        def ours(place: str) -> None:
            root = S3Location(BUCKET, place)
            report = upload_files(store, [(path, root / path.name) for path in files], prefix=root / "")
            assert report.sent == count

        def s3transfer(place: str) -> None:
            with TransferManager(store.client, TransferConfig(max_concurrency=16)) as manager:
                for path in files:
                    manager.upload(str(path), BUCKET, f"{place}/{path.name}")

        def cli(place: str) -> None:
            command = [
                os.path.join(os.path.dirname(sys.executable), "aws"),
                "s3",
                "cp",
                "--quiet",
                "--recursive",
            ]
            command += [str(tmp_path), f"s3://{BUCKET}/{place}/", "--endpoint-url", endpoint]
            subprocess.run(command, check=True, capture_output=True)

        walls: dict[str, list[float]] = {"ours": [], "s3transfer": [], "aws s3 cp": []}
        for turn in range(ROUNDS):
            for name, work in (("ours", ours), ("s3transfer", s3transfer), ("aws s3 cp", cli)):
                began = time.perf_counter()
                work(f"{name.replace(' ', '')}-{turn}")
                walls[name].append(time.perf_counter() - began)
    for peer in ("s3transfer", "aws s3 cp"):
        pairs = [other / own for own, other in zip(walls["ours"], walls[peer], strict=True)]
        print(
            f"\n{count} x {kilobytes} kB: ours {total / min(walls['ours']):.1f} MB/s, {peer} "
            f"{total / min(walls[peer]):.1f} MB/s, throughput ratio {statistics.median(pairs):.2f}"
        )


@pytest.mark.parametrize(("limit", "settle"), [(50.0, 10.0), (20.0, 10.0), (5.0, 30.0)])
def test_the_rate_is_found(tmp_path, limit, settle):
    """Share of the allowed calls that came through after `settle` seconds, and share of calls refused."""
    seconds = settle + SECONDS
    with running(canned=True, time_scale=0.0, tps_per_unit=limit, latency=0.2) as endpoint:
        model = model_of(endpoint, tmp_path)
        tile = tile_of(60)
        detector = RekognitionDetector(
            model.arn, access=Access(endpoint_url=endpoint), workers=24, max_rate=max(50.0, limit)
        )
        log: list[tuple[float, int, int]] = []
        began = time.monotonic()

        def work(_) -> None:
            while time.monotonic() - began < seconds:
                detector.detect_tile(tile)

        def watch() -> None:
            while time.monotonic() - began < seconds:
                log.append((time.monotonic() - began, detector.calls, detector.throttles))
                time.sleep(0.25)

        watcher = threading.Thread(target=watch)
        watcher.start()
        with ThreadPoolExecutor(24) as pool:
            list(pool.map(work, range(24)))
        watcher.join()
    first = next(item for item in log if item[0] >= settle)
    last = log[-1]
    calls, refused = last[1] - first[1], last[2] - first[2]
    span = last[0] - first[0]
    reached = (calls - refused) / span / limit
    at = next(
        (
            item[0]
            for item, later in zip(log, log[8:], strict=False)
            if (later[1] - later[2] - item[1] + item[2]) / (later[0] - item[0]) >= 0.95 * limit
        ),
        None,
    )
    print(
        f"\nlimit {limit:g}/s: after {settle:g} s reached {reached:.3f} of it, {refused / calls:.3%} refused; "
        f"first at 95 % after {'-' if at is None else f'{at:.1f} s'}"
    )
