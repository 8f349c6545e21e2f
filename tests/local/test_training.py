from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from tests.local.clients import Clients, line, wait
from tilekit.boxes.annotations import Annotations
from tilekit.local import running
from tilekit.rekognition.evaluation_files import read_manifest_summary, read_snapshot, read_summary
from tilekit.scans.encoding import encode_image
from tilekit.testing.scenes import SceneStyle, scene_page

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("training")]  # one training for all

NAMES = ("valve", "solid_circle")


@pytest.fixture(scope="module")
def trained() -> Iterator[tuple[Clients, str, dict[str, object]]]:
    with running(steps=48, time_scale=0.0, threads=1) as url:
        clients = Clients(url)
        project = clients.project()
        lines = [put_scene(clients, seed) for seed in range(8)]
        clients.dataset(project, "TRAIN", lines[:6])
        clients.dataset(project, "TEST", lines[6:])
        version = clients.version(project)
        assert version["Status"] == "TRAINING_COMPLETED", version["StatusMessage"]
        clients.service.start_project_version(
            ProjectVersionArn=version["ProjectVersionArn"], MinInferenceUnits=1
        )
        wait(lambda: clients.describe(project, "v1")["Status"] == "RUNNING")
        yield clients, project, version


def scene(seed: int) -> tuple[np.ndarray, Annotations]:
    return scene_page(
        seed, 400, 320, symbols=NAMES, symbol_px=(24, 34), count=8, style=SceneStyle(0.2, color=True)
    )


def put_scene(clients: Clients, seed: int) -> str:
    pixels, labels = scene(seed)
    key = f"pages/{seed}.png"
    clients.s3.put_object(Bucket=clients.bucket, Key=key, Body=encode_image(pixels, "png").data)
    boxes = [
        (
            labels.names[number],
            *(int(v) for v in (box[0], box[1], np.ceil(box[2] - box[0]), np.ceil(box[3] - box[1]))),
        )
        for box, number in zip(labels.boxes, labels.class_ids, strict=True)
    ]
    return line(f"s3://{clients.bucket}/{key}", boxes, (pixels.shape[1], pixels.shape[0]))


def read(clients: Clients, where: dict[str, dict[str, str]]) -> bytes:
    there = where["S3Object"]
    data: bytes = clients.s3.get_object(Bucket=there["Bucket"], Key=there["Name"])["Body"].read()
    return data


def test_learns_other_symbols_in_color(trained: tuple[Clients, str, dict]) -> None:
    clients, _, version = trained
    assert version["Status"] == "TRAINING_COMPLETED", version["StatusMessage"]
    summary = read_summary(read(clients, version["EvaluationResult"]["Summary"]))
    assert summary.labels == tuple(sorted(NAMES))
    assert summary.testing_images == 2
    assert summary.f1 == pytest.approx(version["EvaluationResult"]["F1Score"], abs=1e-6)
    assert summary.f1 > 0.7
    assert summary.f1 == pytest.approx(np.mean([row.f1 for row in summary.rows]))


def test_writes_the_files_of_a_training(trained: tuple[Clients, str, dict]) -> None:
    clients, _, version = trained
    checks = read_manifest_summary(read(clients, version["ManifestSummary"]))
    assert (checks.training.total, checks.training.valid, checks.testing.valid) == (6, 6, 2)
    asset = version["TestingDataResult"]["Output"]["Assets"][0]["GroundTruthManifest"]
    lines = list(read_snapshot(read(clients, asset).splitlines()))
    assert len(lines) == 2
    summary = read_summary(read(clients, version["EvaluationResult"]["Summary"]))
    for row in summary.rows:
        boxes = [box for each in lines for box in each.predicted if box.label == row.label]
        hits = sum(box.outcome == "tp" for box in boxes)
        said = sum(box.outcome in ("tp", "fp") for box in boxes)
        assert hits / said == pytest.approx(row.precision)


def test_detects_by_bytes_and_by_reference_alike(trained: tuple[Clients, str, dict]) -> None:
    clients, _, version = trained
    arn = version["ProjectVersionArn"]
    data = encode_image(scene(7)[0], "png").data
    by_bytes = clients.service.detect_custom_labels(
        ProjectVersionArn=arn, Image={"Bytes": data}, MinConfidence=0
    )
    there = {"S3Object": {"Bucket": clients.bucket, "Name": "pages/7.png"}}
    by_reference = clients.service.detect_custom_labels(ProjectVersionArn=arn, Image=there, MinConfidence=0)
    assert by_bytes["CustomLabels"] == by_reference["CustomLabels"]
    scores = [label["Confidence"] for label in by_bytes["CustomLabels"]]
    assert scores == sorted(scores, reverse=True)
    two = clients.service.detect_custom_labels(
        ProjectVersionArn=arn, Image=there, MinConfidence=0, MaxResults=2
    )
    assert two["CustomLabels"] == by_bytes["CustomLabels"][:2]
    assumed = clients.service.detect_custom_labels(ProjectVersionArn=arn, Image=there)["CustomLabels"]
    assert 0 < len(assumed) <= len(scores)
    for label in by_bytes["CustomLabels"]:
        for value in label["Geometry"]["BoundingBox"].values():
            assert json.dumps(value) == json.dumps(round(value, 5))


def test_a_damaged_image_is_an_invalid_format(trained: tuple[Clients, str, dict]) -> None:
    clients, _, version = trained
    data = encode_image(scene(7)[0], "png").data[:600]
    code = clients.code(
        clients.service.detect_custom_labels,
        ProjectVersionArn=version["ProjectVersionArn"],
        Image={"Bytes": data},
    )
    assert code == "InvalidImageFormatException"
