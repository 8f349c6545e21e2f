"""Where public clients met a server that was not yet the service; each was one that broke."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import simplejpeg

from tests.local.clients import Clients, line, wait
from tilekit.rekognition.codes import CODES


def read(clients: Clients, where: dict[str, Any]) -> bytes:
    there = where["S3Object"]
    data: bytes = clients.s3.get_object(Bucket=there["Bucket"], Key=there["Name"])["Body"].read()
    return data


def datasets(clients: Clients, project: str) -> list[dict[str, Any]]:
    found = clients.service.describe_projects(ProjectNames=[project.split("/")[1]])
    return found["ProjectDescriptions"][0]["Datasets"]  # type: ignore[no-any-return]


def page(clients: Clients, name: str) -> str:
    return clients.put_page(name, [("square", 40, 40, 30, 30)])


def test_a_version_name_that_is_not_there_is_an_empty_list(canned: Clients) -> None:
    project = canned.project()
    found = canned.service.describe_project_versions(ProjectArn=project, VersionNames=["v-new"])
    assert found["ProjectVersionDescriptions"] == []
    version = canned.trained(project)
    canned.service.delete_project_version(ProjectVersionArn=version["ProjectVersionArn"])
    found = canned.service.describe_project_versions(ProjectArn=project, VersionNames=["v1"])
    assert found["ProjectVersionDescriptions"] == []


def test_an_empty_token_is_the_first_page(canned: Clients) -> None:
    project = canned.project()
    arn = canned.dataset(project, "TRAIN", [page(canned, "a.jpg")])
    service = canned.service
    assert len(service.list_dataset_entries(DatasetArn=arn, NextToken="")["DatasetEntries"]) == 1
    assert len(service.list_dataset_labels(DatasetArn=arn, NextToken="")["DatasetLabelDescriptions"]) == 1
    assert service.describe_projects(NextToken="")["ProjectDescriptions"]
    assert service.describe_project_versions(ProjectArn=project, NextToken="")
    assert service.list_project_policies(ProjectArn=project, NextToken="")["ProjectPolicies"] == []


def test_a_healthy_dataset_has_its_message_in_describe_projects(canned: Clients) -> None:
    project = canned.project()
    arn = canned.dataset(project, "TRAIN", [page(canned, "a.jpg")])
    empty = canned.service.create_dataset(ProjectArn=project, DatasetType="TEST")["DatasetArn"]
    wait(lambda: canned.dataset_status(empty) == "CREATE_COMPLETE")
    shown = {item["DatasetArn"]: item for item in datasets(canned, project)}
    assert shown[arn]["StatusMessage"] == "The dataset was successfully created from the manifest file."
    assert shown[arn]["StatusMessageCode"] == "SUCCESS"
    for dataset, item in shown.items():
        described = canned.service.describe_dataset(DatasetArn=dataset)["DatasetDescription"]
        assert described["StatusMessage"] == item["StatusMessage"]


def test_input_is_what_was_given_from_the_first_moment(canned: Clients) -> None:
    project = canned.project()
    asset = canned.put_manifest("all.manifest", [page(canned, f"{n}.jpg") for n in range(20)])
    canned.service.create_project_version(
        ProjectArn=project,
        VersionName="v1",
        OutputConfig={"S3Bucket": canned.bucket, "S3KeyPrefix": "out"},
        TrainingData={"Assets": [asset]},
        TestingData={"AutoCreate": True},
    )
    early = canned.describe(project, "v1")  # whatever its state is by now
    assert early["TrainingDataResult"]["Input"] == {"Assets": [asset]}
    assert early["TestingDataResult"]["Input"] == {"AutoCreate": True}
    wait(lambda: canned.describe(project, "v1")["Status"] == "TRAINING_COMPLETED")
    late = canned.describe(project, "v1")
    assert late["TrainingDataResult"]["Input"] == {"Assets": [asset]}
    assert late["TestingDataResult"]["Input"] == {"AutoCreate": True}
    output = late["TestingDataResult"]["Output"]
    assert output["AutoCreate"] is True
    manifest = late["TrainingDataResult"]["Output"]["Assets"][0]["GroundTruthManifest"]
    assert len(read(canned, manifest).splitlines()) == 16
    assert len(read(canned, output["Assets"][0]["GroundTruthManifest"]).splitlines()) == 4


def test_with_datasets_input_is_empty(canned: Clients) -> None:
    version = canned.trained(canned.project())
    assert version["TrainingDataResult"]["Input"] == {}
    assert version["TestingDataResult"]["Input"] == {"AutoCreate": False}
    assert version["TestingDataResult"]["Output"]["AutoCreate"] is False


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:1", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("null", False),
        ("http://10.0.0.1", False),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "POST", "GET"])
def test_pages_of_this_machine_may_call_and_no_others(
    canned_url: str, origin: str, allowed: bool, method: str
) -> None:
    place = urlsplit(canned_url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    asked = {"Access-Control-Request-Headers": "authorization,x-amz-target", "Origin": origin}
    head = asked if method == "OPTIONS" else {"Origin": origin, "X-Amz-Target": "RekognitionService.X"}
    connection.request(method, "/", headers=head)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.headers["Access-Control-Allow-Origin"] == (origin if allowed else None)
    assert (answer.status == 403) == (not allowed)
    if method == "OPTIONS" and allowed:
        assert (answer.status, body) == (200, b"")
        assert "x-amz-target" in answer.headers["Access-Control-Allow-Headers"]


def test_the_snapshot_is_as_real_ones_are(canned: Clients) -> None:
    project = canned.project()
    # The canned answer is one box in the middle, so two boxes are missed and one is found.
    size = (300, 200)
    pixels = np.full((size[1], size[0], 3), 250, np.uint8)
    canned.s3.put_object(Bucket=canned.bucket, Key="p.jpg", Body=simplejpeg.encode_jpeg(pixels))
    source = f"s3://{canned.bucket}/p.jpg"
    boxes = [("square", 120, 80, 60, 40), ("square", 5, 5, 20, 20), ("square", 200, 5, 20, 20)]
    canned.dataset(project, "TRAIN", [page(canned, "t.jpg")])
    canned.dataset(project, "TEST", [line(source, boxes, size), page(canned, "u.jpg")])
    version = canned.version(project)
    asset = version["TestingDataResult"]["Output"]["Assets"][0]["GroundTruthManifest"]
    lines = [json.loads(text) for text in read(canned, asset).splitlines()]
    assert [item["rekognition-custom-labels-object-id"] for item in lines] == [1, 2]
    assert [item["line-idx"] for item in lines] == [0, 1]
    for item in lines:
        meta = item["rekognition-custom-labels-evaluation-metadata"]
        assert meta["confidence"] == max((entry["confidence"] for entry in meta["objects"]), default=0.0)
        for entry in meta["objects"]:
            flags = entry["rekognition-custom-labels-evaluation-details"]
            assert not flags["is-true-negative"]
            kinds = ("is-true-positive", "is-false-positive", "is-false-negative")
            assert sum(flags[kind] for kind in kinds) == 1
        for name in ("rekognition-custom-labels-training-0", "rekognition-custom-labels-evaluation"):
            for box in item[name]["annotations"]:
                assert all(isinstance(box[side], int) for side in ("left", "top", "width", "height"))
    found = lines[0]["rekognition-custom-labels-evaluation"]["annotations"]
    assert [(box["left"], box["top"], box["width"], box["height"]) for box in found] == [(120, 80, 60, 40)]


def test_images_of_two_buckets_are_refused(canned: Clients) -> None:
    other = Clients(canned.url)
    project = canned.project()
    message = CODES["ERROR_IMAGES_IN_MULTIPLE_S3_BUCKETS"].message
    mixed = [page(canned, "a.jpg"), page(other, "b.jpg")]
    arn = canned.dataset(project, "TRAIN", mixed)
    described = canned.service.describe_dataset(DatasetArn=arn)["DatasetDescription"]
    assert (described["Status"], described["StatusMessage"]) == ("CREATE_FAILED", message)
    good = canned.dataset(project, "TEST", mixed[:1])
    canned.service.update_dataset_entries(DatasetArn=good, Changes={"GroundTruth": mixed[1].encode()})
    wait(lambda: canned.dataset_status(good) == "UPDATE_FAILED")
    described = canned.service.describe_dataset(DatasetArn=good)["DatasetDescription"]
    assert (described["StatusMessage"], described["StatusMessageCode"]) == (message, "CLIENT_ERROR")
    assert described["DatasetStats"]["TotalEntries"] == 1


def test_an_update_of_garbage_fails(canned: Clients) -> None:
    arn = canned.dataset(canned.project(), "TRAIN", [page(canned, "a.jpg")])
    canned.service.update_dataset_entries(DatasetArn=arn, Changes={"GroundTruth": b"nothing of the kind\n"})
    wait(lambda: canned.dataset_status(arn) != "UPDATE_IN_PROGRESS")
    assert canned.dataset_status(arn) == "UPDATE_FAILED"
    canned.service.update_dataset_entries(
        DatasetArn=arn, Changes={"GroundTruth": page(canned, "b.jpg").encode()}
    )  # a failed update does not close the dataset
    wait(lambda: canned.dataset_status(arn) == "UPDATE_COMPLETE")


def test_a_project_with_datasets_is_not_deleted(canned: Clients) -> None:
    project = canned.project()
    arn = canned.dataset(project, "TRAIN", [page(canned, "a.jpg")])
    assert canned.code(canned.service.delete_project, ProjectArn=project) == "ResourceInUseException"
    canned.service.delete_dataset(DatasetArn=arn)
    wait(lambda: not datasets(canned, project))
    assert canned.service.delete_project(ProjectArn=project)["Status"] == "DELETING"


def test_a_byte_order_mark_hides_no_line(canned: Clients) -> None:
    lines = [page(canned, f"{n}.jpg") for n in range(3)]
    project = canned.project()
    body = b"\xef\xbb\xbf" + "".join(f"{text}\n" for text in lines).encode()
    canned.s3.put_object(Bucket=canned.bucket, Key="bom.manifest", Body=body)
    where = {"GroundTruthManifest": {"S3Object": {"Bucket": canned.bucket, "Name": "bom.manifest"}}}
    made = canned.service.create_dataset(ProjectArn=project, DatasetType="TRAIN", DatasetSource=where)
    wait(lambda: canned.dataset_status(made["DatasetArn"]) == "CREATE_COMPLETE")
    described = canned.service.describe_dataset(DatasetArn=made["DatasetArn"])["DatasetDescription"]
    assert described["DatasetStats"]["TotalEntries"] == 3
    version = canned.version(
        canned.project(), TrainingData={"Assets": [where]}, TestingData={"Assets": [where]}
    )
    summary = json.loads(read(canned, version["ManifestSummary"]))
    assert summary["statistics"]["training"]["valid_json_lines"] == 3


def test_files_are_named_as_the_service_names_them(canned: Clients) -> None:
    project = canned.project()
    name = project.split("/")[1]
    version = canned.trained(project)
    assets = {
        f"{split}{kind}": version[f"{split}DataResult"][field]["Assets"][0]["GroundTruthManifest"]
        for split in ("Training", "Testing")
        for kind, field in (("GroundTruth", "Output"), ("ManifestWithValidation", "Validation"))
    }
    assets["ManifestSummary"] = version["ManifestSummary"]
    assets["EvaluationResultSummary"] = version["EvaluationResult"]["Summary"]
    for kind, where in assets.items():
        assert where["S3Object"]["Name"] == f"out/{kind}-{name}-v1.json"
        assert read(canned, where)
