from __future__ import annotations

import json

import pytest

from tests.local.clients import Clients, line, wait
from tilekit.local import FaultRule, running


def test_pages_of_projects(canned: Clients) -> None:
    made = {canned.project() for _ in range(5)}
    pages = list(canned.service.get_paginator("describe_projects").paginate(PaginationConfig={"PageSize": 2}))
    found = [project["ProjectArn"] for page in pages for project in page["ProjectDescriptions"]]
    assert made <= set(found)
    assert len(found) == len(set(found))
    assert all(len(page["ProjectDescriptions"]) <= 2 for page in pages)
    names = [arn.split("/")[1] for arn in made]
    some = canned.service.describe_projects(ProjectNames=names[:2])["ProjectDescriptions"]
    assert len(some) == 2


def test_a_name_is_taken_once(canned: Clients) -> None:
    name = canned.project().split("/")[1]
    assert canned.code(canned.service.create_project, ProjectName=name) == "ResourceInUseException"


def test_entries_and_their_filters(canned: Clients) -> None:
    lines = [canned.put_page(f"a/{n}.jpg", [("one" if n % 2 else "two", 10, 10, 30, 30)]) for n in range(6)]
    lines.append(json.dumps({"source-ref": f"s3://{canned.bucket}/a/bare.jpg"}))
    lines.append(line(f"s3://{canned.bucket}/a/off.jpg", [("one", 300, 10, 90, 30)], (320, 240)))
    lines.append(lines[0])
    project = canned.project()
    arn = canned.dataset(project, "TRAIN", lines)
    stats = canned.service.describe_dataset(DatasetArn=arn)["DatasetDescription"]["DatasetStats"]
    assert stats["TotalEntries"] == 8
    assert stats["TotalLabels"] == 2
    assert stats["ErrorEntries"] == 1

    def entries(**filters: object) -> list[dict]:
        pages = canned.service.get_paginator("list_dataset_entries").paginate(
            DatasetArn=arn, PaginationConfig={"PageSize": 3}, **filters
        )
        return [json.loads(entry) for page in pages for entry in page["DatasetEntries"]]

    assert len(entries()) == 8
    assert len(entries(ContainsLabels=["two"])) == 3
    assert len(entries(ContainsLabels=["one", "two"])) == 7
    assert len(entries(Labeled=False)) == 1
    assert len(entries(SourceRefContains="a/bare")) == 1
    wrong = entries(HasErrors=True)
    assert [entry["source-ref"].rsplit("/", 1)[1] for entry in wrong] == ["off.jpg"]
    assert "ERROR_INVALID_BOUNDING_BOX" in json.dumps(wrong[0])
    labels = canned.service.list_dataset_labels(DatasetArn=arn)["DatasetLabelDescriptions"]
    assert {label["LabelName"]: label["LabelStats"]["EntryCount"] for label in labels} == {"one": 4, "two": 3}


def test_update_replaces_by_source_and_adds(canned: Clients) -> None:
    first, second = (canned.put_page(f"{n}.jpg", [("old", 10, 10, 30, 30)]) for n in range(2))
    project = canned.project()
    arn = canned.dataset(project, "TRAIN", [first])
    changed = first.replace("old", "new")
    canned.service.update_dataset_entries(
        DatasetArn=arn, Changes={"GroundTruth": f"{changed}\n{second}\n".encode()}
    )
    wait(lambda: canned.dataset_status(arn) == "UPDATE_COMPLETE")
    labels = canned.service.list_dataset_labels(DatasetArn=arn)["DatasetLabelDescriptions"]
    assert [label["LabelName"] for label in labels] == ["new", "old"]


def test_distribute_moves_a_fifth(canned: Clients) -> None:
    lines = [canned.put_page(f"{n}.jpg", [("square", 10, 10, 30, 30)]) for n in range(10)]
    project = canned.project()
    train = canned.dataset(project, "TRAIN", lines)
    test = canned.service.create_dataset(ProjectArn=project, DatasetType="TEST")["DatasetArn"]
    wait(lambda: canned.dataset_status(test) == "CREATE_COMPLETE")
    canned.service.distribute_dataset_entries(Datasets=[{"Arn": train}, {"Arn": test}])
    wait(lambda: {canned.dataset_status(arn) for arn in (train, test)} == {"UPDATE_COMPLETE"})
    counts = [
        canned.service.describe_dataset(DatasetArn=arn)["DatasetDescription"]["DatasetStats"]["TotalEntries"]
        for arn in (train, test)
    ]
    assert counts == [8, 2]


def test_copies_a_dataset_and_a_model(canned: Clients) -> None:
    project, other = canned.project(), canned.project()
    version = canned.trained(project)
    source = canned.service.describe_projects(ProjectNames=[project.split("/")[1]])["ProjectDescriptions"][0]
    arn = source["Datasets"][0]["DatasetArn"]
    copied = canned.service.create_dataset(
        ProjectArn=other, DatasetType="TRAIN", DatasetSource={"DatasetArn": arn}
    )
    wait(lambda: canned.dataset_status(copied["DatasetArn"]) == "CREATE_COMPLETE")
    made = canned.service.copy_project_version(
        SourceProjectArn=project,
        SourceProjectVersionArn=version["ProjectVersionArn"],
        DestinationProjectArn=other,
        VersionName="copy",
        OutputConfig={"S3Bucket": canned.bucket, "S3KeyPrefix": "copy"},
    )["ProjectVersionArn"]
    wait(lambda: canned.describe(other, "copy")["Status"] == "COPYING_COMPLETED")
    canned.service.start_project_version(ProjectVersionArn=made, MinInferenceUnits=1)
    wait(lambda: canned.describe(other, "copy")["Status"] == "RUNNING")
    canned.service.stop_project_version(ProjectVersionArn=made)


def test_tags(canned: Clients) -> None:
    arn = canned.project()
    canned.service.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2"})
    canned.service.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert canned.service.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"b": "2"}
    assert (
        canned.code(canned.service.tag_resource, ResourceArn=arn, Tags={"aws:x": "1"})
        == "ValidationException"
    )


def test_a_manifest_with_too_many_errors_fails(canned: Clients) -> None:
    good = [canned.put_page(f"{n}.jpg", [("square", 10, 10, 30, 30)]) for n in range(3)]
    project = canned.project()
    arn = canned.dataset(project, "TRAIN", [*good, "{", "nothing"])
    described = canned.service.describe_dataset(DatasetArn=arn)["DatasetDescription"]
    assert (described["Status"], described["StatusMessageCode"]) == ("CREATE_FAILED", "CLIENT_ERROR")


def test_training_with_missing_images_fails_and_says_where(canned: Clients) -> None:
    project = canned.project()
    good = [canned.put_page(f"{n}.jpg", [("square", 10, 10, 30, 30)]) for n in range(2)]
    gone = [
        line(f"s3://{canned.bucket}/gone{n}.jpg", [("square", 10, 10, 30, 30)], (320, 240)) for n in range(2)
    ]
    canned.dataset(project, "TRAIN", [*good, *gone])
    canned.dataset(project, "TEST", good)
    version = canned.version(project)
    assert version["Status"] == "TRAINING_FAILED"
    assert version["StatusMessage"]
    assert "EvaluationResult" not in version
    where = version["ManifestSummary"]["S3Object"]
    summary = json.loads(canned.s3.get_object(Bucket=where["Bucket"], Key=where["Name"])["Body"].read())
    assert summary["statistics"]["training"]["error_json_line_indices"] == [3, 4]
    assert (
        canned.code(
            canned.service.start_project_version,
            ProjectVersionArn=version["ProjectVersionArn"],
            MinInferenceUnits=1,
        )
        == "InvalidParameterException"
    )


def test_trains_from_manifests_with_a_split_of_its_own(canned: Clients) -> None:
    project = canned.project()
    lines = [canned.put_page(f"{n}.jpg", [("square", 10, 10, 30, 30)]) for n in range(5)]
    asset = canned.put_manifest("all.manifest", lines)
    version = canned.version(project, TrainingData={"Assets": [asset]}, TestingData={"AutoCreate": True})
    assert version["Status"] == "TRAINING_COMPLETED", version["StatusMessage"]


@pytest.fixture(scope="module")
def strict() -> Clients:
    rules = [FaultRule("DescribeProjects", error="ThrottlingException", every=2, message="Rate exceeded")]
    with running(canned=True, time_scale=0.0, tps_per_unit=2, faults=rules) as url:
        yield Clients(url)


def test_only_two_models_run_and_faults_come_on_demand(strict: Clients) -> None:
    arns = [strict.trained(strict.project())["ProjectVersionArn"] for _ in range(3)]
    for arn in arns[:2]:
        strict.service.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=1)
    start = strict.service.start_project_version
    assert strict.code(start, ProjectVersionArn=arns[2], MinInferenceUnits=1) == "LimitExceededException"
    assert strict.code(start, ProjectVersionArn=arns[2], MinInferenceUnits=6) == "LimitExceededException"
    codes = [strict.code(strict.service.describe_projects) for _ in range(4)]
    assert codes == ["", "ThrottlingException", "", "ThrottlingException"]
    image = {
        "S3Object": {
            "Bucket": strict.bucket,
            "Name": strict.a_page(),
        }
    }
    detect = [
        strict.code(strict.service.detect_custom_labels, ProjectVersionArn=arns[0], Image=image)
        for _ in range(4)
    ]
    assert detect[0] == ""
    assert "ProvisionedThroughputExceededException" in detect
