"""Every operation of botocore's model of the service answers: by the model, or with an error of the model."""

from __future__ import annotations

import functools
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.local.clients import Clients
from tests.local.shapes import bent, values
from tilekit.local.application import operations
from tilekit.local.protocol import check_response, service_model

NAMES = sorted(service_model().operation_names)
# Codes any call may meet that the model lists for none: from the service's front door.
FRONT = {
    "AccessDeniedException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SerializationException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationException",
}
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/rekognition/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0"
)


def ask(url: str, operation: str, request: Any) -> tuple[int, Any]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    head = {"X-Amz-Target": f"RekognitionService.{operation}", "Authorization": SIGNED}
    connection.request("POST", "/", json.dumps(request).encode(), head)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


def check(operation: str, status: int, body: Any) -> None:
    model = service_model().operation_model(operation)
    if status == 200:
        assert check_response(operation, body) == []
        return
    assert status in (400, 413), (status, body)
    declared = {shape.name for shape in model.error_shapes}
    assert body["__type"] in declared | FRONT, (operation, body)
    assert body["Message"]


@functools.cache
def requests(operation: str) -> st.SearchStrategy[Any]:
    return values(service_model().operation_model(operation).input_shape)


@pytest.mark.parametrize("operation", NAMES)
def test_a_request_by_the_model_is_answered_by_the_model(canned_url: str, operation: str) -> None:
    @given(requests(operation))
    @settings(max_examples=6, deadline=None, derandomize=True, database=None)
    def asked(request: Any) -> None:
        status, body = ask(canned_url, operation, request)
        check(operation, status, body)
        if operation not in operations():
            assert body["__type"] in ("AccessDeniedException", "ValidationException")
            if body["__type"] == "AccessDeniedException":
                assert operation in body["Message"]

    asked()


@given(st.sampled_from(sorted(operations())).flatmap(
    lambda name: st.tuples(st.just(name), requests(name).flatmap(bent))
))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_request_bent_anywhere_is_refused_or_answered(canned_url: str, case: tuple[str, Any]) -> None:
    operation, request = case
    status, body = ask(canned_url, operation, request)
    check(operation, status, body)


def test_every_custom_labels_operation_is_done() -> None:
    """The model marks them in their documentation; DetectCustomLabels and the rest are named by their nouns."""
    nouns = ("Project", "Dataset", "CustomLabels", "Resource")
    named = {name for name in NAMES if any(noun in name for noun in nouns)}
    assert set(operations()) == named


@pytest.mark.parametrize("operation", sorted(set(operations())))
def test_no_resource_of_another_account_is_touched(canned_url: str, operation: str) -> None:
    shape = service_model().operation_model(operation).input_shape
    place = "arn:aws:rekognition:us-east-1:999999999999:project/none"
    arns = {
        "ProjectArn": f"{place}/1",
        "DestinationProjectArn": f"{place}/1",
        "ProjectVersionArn": f"{place}/version/v/1",
        "DatasetArn": f"{place}/dataset/train/1",
        "ResourceArn": f"{place}/1",
    }
    rest = {
        "VersionName": "v",
        "OutputConfig": {"S3Bucket": "abc"},
        "Image": {"Bytes": "AAAA"},
        "DatasetType": "TRAIN",
        "Changes": {"GroundTruth": "AAAA"},
        "MinInferenceUnits": 1,
        "Tags": {"a": "b"},
        "TagKeys": ["a"],
        "PolicyName": "p",
        "PolicyDocument": "{}",
        "SourceProjectArn": f"{place}/1",
        "SourceProjectVersionArn": f"{place}/version/v/1",
        "Datasets": [{"Arn": arns["DatasetArn"]}, {"Arn": arns["DatasetArn"] + "1"}],
    }
    if not any("Arn" in name or name == "Datasets" for name in shape.required_members):
        return  # a list of one's own
    request = {name: (arns | rest)[name] for name in shape.required_members}
    status, body = ask(canned_url, operation, request)
    assert (status, body["__type"]) == (400, "AccessDeniedException")


def policy(principal: str, resource: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "rekognition:CopyProjectVersion",
        "Resource": resource,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_copy_into_another_account_needs_a_policy(canned: Clients) -> None:
    other = Clients(canned.url, key="111122223333")
    project, target = canned.project(), other.project()
    assert ":111122223333:" in target
    version = canned.trained(project)["ProjectVersionArn"]
    asked = {
        "SourceProjectArn": project,
        "SourceProjectVersionArn": version,
        "DestinationProjectArn": target,
        "VersionName": "copy",
        "OutputConfig": {"S3Bucket": other.bucket, "S3KeyPrefix": "copy"},
    }
    copy = other.service.copy_project_version
    assert other.code(copy, **asked) == "AccessDeniedException"
    put = canned.service.put_project_policy
    mine = {"ProjectArn": project, "PolicyName": "lend"}
    assert canned.code(put, **mine, PolicyDocument="{}") == "MalformedPolicyDocumentException"
    one = put(**mine, PolicyDocument=policy("444455556666", "*"))["PolicyRevisionId"]
    assert other.code(copy, **asked) == "AccessDeniedException"
    text = policy("arn:aws:iam::111122223333:root", f"{project.rsplit('/', 1)[0]}/version/*")
    assert canned.code(put, **mine, PolicyDocument=text) == "ResourceAlreadyExistsException"
    assert (
        canned.code(put, **mine, PolicyDocument=text, PolicyRevisionId="abc")
        == "InvalidPolicyRevisionIdException"
    )
    two = put(**mine, PolicyDocument=text, PolicyRevisionId=one)["PolicyRevisionId"]
    listed = canned.service.list_project_policies(ProjectArn=project)["ProjectPolicies"]
    assert [(item["PolicyName"], item["PolicyRevisionId"]) for item in listed] == [("lend", two)]
    assert json.loads(listed[0]["PolicyDocument"]) == json.loads(text)
    made = copy(**asked)["ProjectVersionArn"]
    assert made.startswith(target.rsplit("/", 1)[0])
    other.service.start_project_version(ProjectVersionArn=made, MinInferenceUnits=1)
    other.service.stop_project_version(ProjectVersionArn=made)
    drop = canned.service.delete_project_policy
    assert canned.code(drop, **mine, PolicyRevisionId=one) == "InvalidPolicyRevisionIdException"
    drop(**mine, PolicyRevisionId=two)
    assert canned.code(drop, **mine) == "ResourceNotFoundException"
    assert other.code(copy, **(asked | {"VersionName": "again"})) == "AccessDeniedException"


def test_policies_of_a_project_are_few_and_go_with_it(canned: Clients) -> None:
    project = canned.project()
    put = functools.partial(
        canned.service.put_project_policy, ProjectArn=project, PolicyDocument=policy("*", "*")
    )
    for number in range(5):
        put(PolicyName=f"p{number}")
    assert canned.code(put, PolicyName="p5") == "LimitExceededException"
    pages = canned.service.get_paginator("list_project_policies").paginate(
        ProjectArn=project, PaginationConfig={"PageSize": 2}
    )
    assert [item["PolicyName"] for page in pages for item in page["ProjectPolicies"]] == [
        f"p{number}" for number in range(5)
    ]
    canned.service.delete_project(ProjectArn=project)
