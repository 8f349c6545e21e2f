"""The kit of faults: each thing that the service can do to a client, by a rule."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import HTTPClientError

from tests.local.clients import Clients, line, wait
from tests.local.test_protocol import SIGNED
from tilekit.errors import InvalidArgument
from tilekit.local import FaultRule, running
from tilekit.local.faults import read_faults
from tilekit.rekognition.codes import CODES

TERMINAL = [name for name, code in CODES.items() if code.terminal and code.message]
RULES = [
    FaultRule("Dataset", error="InternalServerError", message="An internal error.", times=1),
    FaultRule("Update", error="ERROR_TOO_MANY_RECORDS_IN_ERROR", times=1),
    FaultRule("Starting", message="The model could not be loaded.", error="InternalServerError", times=1),
    FaultRule("Copying", error="AccessDeniedException", message="No rights.", times=1),
    *(FaultRule("Training", error=code, times=1) for code in TERMINAL),
]


BUCKET_RULES = [
    FaultRule("S3.PUT", error="SlowDown", after=1, times=1),  # the first makes the bucket
    FaultRule("S3.GET", drop=True, times=1),
]


@pytest.fixture(scope="module")
def faulty() -> Iterator[Clients]:
    with running(canned=True, time_scale=0.0, faults=RULES, max_projects=6, max_models=2) as url:
        yield Clients(url)


def test_calls_whose_answer_is_lost_are_done_and_others_are_not() -> None:
    rule = FaultRule("CreateProject", error="InternalServerError", late=True, times=1)
    with running(canned=True, faults=[rule]) as url:
        clients = Clients(url)
        create = clients.service.create_project
        assert clients.code(create, ProjectName="late") == "InternalServerError"
        assert clients.code(create, ProjectName="late") == "ResourceInUseException"


def test_half_an_answer_and_none() -> None:
    rules = [
        FaultRule("CreateProject", drop=True, late=True, times=1),
        FaultRule("CreateProject", drop=True, times=1),
    ]
    with running(canned=True, faults=rules) as url:
        for name, error in (("half", http.client.IncompleteRead), ("none", http.client.RemoteDisconnected)):
            place = urlsplit(url)
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
            head = {"X-Amz-Target": "RekognitionService.CreateProject", "Authorization": SIGNED}
            connection.request("POST", "/", json.dumps({"ProjectName": name}).encode(), head)
            with pytest.raises(error):
                connection.getresponse().read()
            connection.close()
        found = Clients(url).service.describe_projects()["ProjectDescriptions"]
        assert [item["ProjectArn"].split("/")[1] for item in found] == ["half"]


def test_buckets_fail_too() -> None:
    with running(canned=True, faults=BUCKET_RULES) as url:
        faulty = Clients(url)
        put = faulty.s3.put_object
        assert faulty.code(put, Bucket=faulty.bucket, Key="a", Body=b"a") == "SlowDown"
        assert faulty.code(put, Bucket=faulty.bucket, Key="a", Body=b"a") == ""
        with pytest.raises(HTTPClientError):
            faulty.s3.get_object(Bucket=faulty.bucket, Key="a")
        assert faulty.s3.get_object(Bucket=faulty.bucket, Key="a")["Body"].read() == b"a"


@pytest.mark.timeout(600)
def test_work_in_the_background_fails_with_its_words(faulty: Clients) -> None:
    service = faulty.service
    project = (
        "".join(item["ProjectArn"] for item in service.describe_projects()["ProjectDescriptions"][:1])
        or faulty.project()
    )
    lines = [faulty.put_page(f"{n}.jpg", [("square", 40, 40, 30, 30)]) for n in range(2)]
    broken = faulty.dataset(project, "TRAIN", lines)
    described = service.describe_dataset(DatasetArn=broken)["DatasetDescription"]
    assert (described["Status"], described["StatusMessageCode"]) == ("CREATE_FAILED", "SERVICE_ERROR")
    assert described["StatusMessage"] == "An internal error."
    service.delete_dataset(DatasetArn=broken)
    wait(lambda: faulty.code(service.describe_dataset, DatasetArn=broken) == "ResourceNotFoundException")
    train = faulty.dataset(project, "TRAIN", lines)
    faulty.dataset(project, "TEST", lines)
    service.update_dataset_entries(DatasetArn=train, Changes={"GroundTruth": lines[0].encode()})
    wait(lambda: faulty.dataset_status(train) == "UPDATE_FAILED")
    for code in TERMINAL:
        version = faulty.version(project, "v1")
        assert (version["Status"], version["StatusMessage"]) == ("TRAINING_FAILED", CODES[code].message)
        service.delete_project_version(ProjectVersionArn=version["ProjectVersionArn"])
    arn = faulty.version(project, "v1")["ProjectVersionArn"]
    service.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=1)
    wait(lambda: faulty.describe(project, "v1")["Status"] == "FAILED")
    assert faulty.describe(project, "v1")["StatusMessage"] == "The model could not be loaded."
    copy = {
        "SourceProjectArn": project,
        "SourceProjectVersionArn": arn,
        "DestinationProjectArn": project,
        "OutputConfig": {"S3Bucket": faulty.bucket, "S3KeyPrefix": "copy"},
    }
    service.copy_project_version(**copy, VersionName="v2")
    wait(lambda: faulty.describe(project, "v2")["Status"] == "COPYING_FAILED")
    assert faulty.describe(project, "v2")["StatusMessage"] == "No rights."
    assert (
        faulty.code(service.copy_project_version, **copy, VersionName="v3") == "ServiceQuotaExceededException"
    )


def test_a_quota_is_a_setting(faulty: Clients) -> None:
    codes = [faulty.code(faulty.service.create_project, ProjectName=f"q{n}") for n in range(8)]
    assert codes[-1] == "LimitExceededException"


@pytest.mark.parametrize(
    "rule",
    [
        {"operation": "Nothing", "error": "X"},
        {"operation": "S3.FETCH", "drop": True},
        {"error": "X", "every": 0},
        {"error": "X", "probability": 2},
        {"delay": "long"},
        {"colour": "red"},
        {"late": True, "delay": 1.0},
        {},
        7,
    ],
)
def test_a_rule_that_is_none_is_named(rule: object) -> None:
    with pytest.raises(InvalidArgument, match=r"rule|every|probability"):
        read_faults([rule])  # type: ignore[list-item]


def test_rows_of_the_table_that_no_other_test_has(canned: Clients) -> None:
    project = canned.project()
    elsewhere = Clients(canned.url, region="us-east-1")
    abroad = Clients.__new__(Clients)
    abroad.service = boto3.client(
        "rekognition",
        endpoint_url=canned.url,
        region_name="eu-west-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    assert (
        abroad.code(abroad.service.describe_project_versions, ProjectArn=project)
        == "ResourceNotFoundException"
    )
    good = elsewhere.put_page("a.jpg", [("square", 40, 40, 30, 30)])
    bare = line(f"s3://{elsewhere.bucket}/b.jpg", [], (320, 240))
    arn = elsewhere.dataset(
        project,
        "TRAIN",
        [good, good, "x" * 100_001, *[good.replace("a.jpg", f"{n}.jpg") for n in range(9)], bare],
    )
    stats = canned.service.describe_dataset(DatasetArn=arn)["DatasetDescription"]["DatasetStats"]
    assert stats["TotalEntries"] == 11
    make = {"ProjectArn": project, "DatasetType": "TRAIN"}
    assert canned.code(canned.service.create_dataset, **make) == "ResourceAlreadyExistsException"
    image_level = json.dumps(
        {
            "source-ref": f"s3://{elsewhere.bucket}/a.jpg",
            "kind": 0,
            "kind-metadata": {
                "class-name": "letter",
                "confidence": 1.0,
                "type": "groundtruth/image-classification",
                "human-annotated": "yes",
                "creation-date": "2026-01-01T00:00:00",
                "job-name": "kinds",
            },
        }
    )
    other = canned.project()
    asset = canned.put_manifest("kinds.manifest", [image_level, image_level.replace("letter", "form")])
    version = canned.version(other, TrainingData={"Assets": [asset]}, TestingData={"Assets": [asset]})
    assert version["Status"] == "TRAINING_FAILED"
    both = {"TrainingData": {"Assets": [asset]}, "TestingData": {"AutoCreate": True}}
    output = {"S3Bucket": canned.bucket, "S3KeyPrefix": "x"}
    make_version = canned.service.create_project_version
    named = {"ProjectArn": project, "VersionName": "v1", "OutputConfig": output}
    assert canned.code(make_version, **named, **both) == "InvalidParameterException"
