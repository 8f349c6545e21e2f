"""AWS's documented examples and samples, as call sequences: the same operations with the same parameters in the same
order. The developer guide's scripts poll every few seconds; here the pauses are short."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from awscli.clidriver import create_clidriver

from tests.local.clients import Clients, wait

QUICK = {"Delay": 1, "MaxAttempts": 60}  # the waiters of the SDK pause 30 and 120 s


def name_of(arn: str) -> str:
    return arn.split("/")[1]


def page(clients: Clients, key: str) -> str:
    return clients.put_page(key, [("square", 40, 40, 30, 30)])


def until_dataset(clients: Clients, arn: str, done: str) -> None:
    """The guide: describe until the status ends well, fail where it ends badly, go on while in progress."""

    def ended() -> bool:
        described = clients.service.describe_dataset(DatasetArn=arn)["DatasetDescription"]
        assert "FAILED" not in described["Status"], described["StatusMessage"]
        return str(described["Status"]) == done

    wait(ended)


def until_gone(clients: Clients, project: str, version: str) -> None:
    """The guide's delete script: describe until the list is empty."""

    def gone() -> bool:
        found = clients.service.describe_project_versions(ProjectArn=project, VersionNames=[version])
        return not found["ProjectVersionDescriptions"]

    wait(gone)


def create_datasets(clients: Clients, project: str) -> dict[str, str]:
    """Creating datasets: from a manifest in S3, and a copy of an existing one."""
    manifest = clients.put_manifest("train.manifest", [page(clients, f"{n}.jpg") for n in range(10)])
    train = clients.service.create_dataset(ProjectArn=project, DatasetType="TRAIN", DatasetSource=manifest)[
        "DatasetArn"
    ]
    until_dataset(clients, train, "CREATE_COMPLETE")
    test = clients.service.create_dataset(ProjectArn=project, DatasetType="TEST")["DatasetArn"]
    until_dataset(clients, test, "CREATE_COMPLETE")
    return {"TRAIN": train, "TEST": test}


def test_projects_and_datasets(canned: Clients) -> None:
    service, bucket = canned.service, canned.bucket
    project = service.create_project(ProjectName=f"guide-{bucket}")["ProjectArn"]
    made = create_datasets(canned, project)
    # Describing projects: a table of datasets, with every field the script prints.
    described = service.describe_projects(ProjectNames=[name_of(project)])["ProjectDescriptions"]
    for one in described:
        assert (one["ProjectArn"], one["Status"]) == (project, "CREATED")
        for dataset in one["Datasets"]:
            assert {"CreationTimestamp", "DatasetArn", "DatasetType", "Status", "StatusMessage"} <= set(
                dataset
            )
    # Adding entries, then listing them from an empty token on.
    more = "".join(f"{page(canned, f'more{n}.jpg')}\n" for n in range(2))
    service.update_dataset_entries(DatasetArn=made["TRAIN"], Changes={"GroundTruth": more.encode()})
    until_dataset(canned, made["TRAIN"], "UPDATE_COMPLETE")
    entries: list[str] = []
    token, more_to_come = "", True
    while more_to_come:
        found = service.list_dataset_entries(
            DatasetArn=made["TRAIN"], ContainsLabels=["square"], NextToken=token, MaxResults=5
        )
        entries += found["DatasetEntries"]
        token, more_to_come = found.get("NextToken", ""), "NextToken" in found
    assert len(entries) == 12
    assert all(json.loads(entry)["source-ref"].startswith(f"s3://{bucket}/") for entry in entries)
    # Distributing a training dataset.
    service.distribute_dataset_entries(Datasets=[{"Arn": made["TRAIN"]}, {"Arn": made["TEST"]}])
    for arn in made.values():
        until_dataset(canned, arn, "UPDATE_COMPLETE")
    stats = service.describe_dataset(DatasetArn=made["TRAIN"])["DatasetDescription"]["DatasetStats"]
    assert {"TotalLabels", "TotalEntries", "LabeledEntries", "ErrorEntries"} == set(stats)
    # Deleting a dataset: until it cannot be found.
    service.delete_dataset(DatasetArn=made["TEST"])
    wait(
        lambda: canned.code(service.describe_dataset, DatasetArn=made["TEST"]) == "ResourceNotFoundException"
    )


@pytest.fixture
def trained(canned: Clients) -> Iterator[tuple[Clients, str, str]]:
    """Training a model, as the guide does it; then what follows, and deleting at the end."""
    service = canned.service
    project = service.create_project(ProjectName=f"guide-{canned.bucket}")["ProjectArn"]
    made = create_datasets(canned, project)
    service.distribute_dataset_entries(Datasets=[{"Arn": arn} for arn in made.values()])
    for arn in made.values():
        until_dataset(canned, arn, "UPDATE_COMPLETE")
    output = {"S3Bucket": canned.bucket, "S3KeyPrefix": "output"}
    version = service.create_project_version(
        ProjectArn=project, VersionName="v1", OutputConfig=output, Tags={"purpose": "guide"}
    )["ProjectVersionArn"]
    service.get_waiter("project_version_training_completed").wait(
        ProjectArn=project, VersionNames=["v1"], WaiterConfig=QUICK
    )
    yield canned, project, version
    # Deleting a model (once it is stopped), its datasets, its project: each until it is gone.
    service.delete_project_version(ProjectVersionArn=version)
    until_gone(canned, project, "v1")
    for arn in made.values():
        service.delete_dataset(DatasetArn=arn)
    wait(
        lambda: (
            not service.describe_projects(ProjectNames=[name_of(project)])["ProjectDescriptions"][0][
                "Datasets"
            ]
        )
    )
    assert service.delete_project(ProjectArn=project)["Status"] == "DELETING"
    wait(lambda: not service.describe_projects(ProjectNames=[name_of(project)])["ProjectDescriptions"])


def test_evaluating_running_and_analyzing(trained: tuple[Clients, str, str]) -> None:
    clients, project, version = trained
    service = clients.service
    # Metrics: the summary file and the evaluation snapshot, found by DescribeProjectVersions.
    described = service.describe_project_versions(ProjectArn=project, VersionNames=["v1"])
    model = described["ProjectVersionDescriptions"][0]
    place = model["EvaluationResult"]["Summary"]["S3Object"]
    summary = json.loads(clients.s3.get_object(Bucket=place["Bucket"], Key=place["Name"])["Body"].read())
    assert summary["AggregatedEvaluationResults"]["F1Score"] == pytest.approx(
        model["EvaluationResult"]["F1Score"]
    )
    for label in summary["LabelEvaluationResults"]:
        assert set(label["Metrics"]) == {"Threshold", "Precision", "Recall", "F1Score"}
    assert model["ManifestSummary"]["S3Object"]["Bucket"] == clients.bucket
    # Starting, waiting, analyzing by S3 and by bytes with a confidence, stopping.
    service.start_project_version(ProjectVersionArn=version, MinInferenceUnits=1, MaxInferenceUnits=2)
    service.get_waiter("project_version_running").wait(
        ProjectArn=project, VersionNames=["v1"], WaiterConfig=QUICK
    )
    by_place = service.detect_custom_labels(
        Image={"S3Object": {"Bucket": clients.bucket, "Name": "0.jpg"}},
        MinConfidence=50,
        ProjectVersionArn=version,
    )
    data = clients.s3.get_object(Bucket=clients.bucket, Key="0.jpg")["Body"].read()
    by_bytes = service.detect_custom_labels(
        Image={"Bytes": data}, MinConfidence=50, ProjectVersionArn=version
    )
    assert by_place["CustomLabels"] == by_bytes["CustomLabels"]
    box = by_bytes["CustomLabels"][0]["Geometry"]["BoundingBox"]
    assert set(box) == {"Left", "Top", "Width", "Height"}
    assert service.list_tags_for_resource(ResourceArn=version)["Tags"] == {"purpose": "guide"}
    assert service.stop_project_version(ProjectVersionArn=version)["Status"] == "STOPPING"
    wait(lambda: clients.describe(project, "v1")["Status"] == "STOPPED")


def test_a_batch_is_analyzed_while_the_model_runs_and_the_model_stops(
    trained: tuple[Clients, str, str],
) -> None:
    """The batch processing sample: a schedule looks at the state, starts, drains a queue, stops when it is empty."""
    clients, project, version = trained
    service = clients.service
    queue = [{"Bucket": clients.bucket, "Name": f"{n}.jpg"} for n in range(4)]
    results = []
    for _ in range(100):
        status = service.describe_project_versions(ProjectArn=project, VersionNames=["v1"])[
            "ProjectVersionDescriptions"
        ][0]["Status"]
        if queue and status in ("TRAINING_COMPLETED", "STOPPED"):
            service.start_project_version(ProjectVersionArn=version, MinInferenceUnits=1)
        elif queue and status == "RUNNING":
            results.append(
                service.detect_custom_labels(ProjectVersionArn=version, Image={"S3Object": queue.pop()})
            )
        elif not queue and status == "RUNNING":
            service.stop_project_version(ProjectVersionArn=version)
        elif not queue and status == "STOPPED":
            break
    assert len(results) == 4
    assert clients.describe(project, "v1")["Status"] == "STOPPED"


def test_slides_in_a_workshop(canned: Clients) -> None:
    """The whole-slide workshop: manifests straight into the training, its own split, waiters, bytes of fields."""
    service = canned.service
    project = service.create_project(ProjectName=f"slides-{canned.bucket}")["ProjectArn"]
    asset = canned.put_manifest("fields.manifest", [page(canned, f"field{n}.jpg") for n in range(10)])
    version = service.create_project_version(
        ProjectArn=project,
        VersionName="slides.1",
        OutputConfig={"S3Bucket": canned.bucket, "S3KeyPrefix": "models"},
        TrainingData={"Assets": [asset]},
        TestingData={"AutoCreate": True},
    )["ProjectVersionArn"]
    service.get_waiter("project_version_training_completed").wait(ProjectArn=project, WaiterConfig=QUICK)
    service.start_project_version(ProjectVersionArn=version, MinInferenceUnits=1)
    service.get_waiter("project_version_running").wait(ProjectArn=project, WaiterConfig=QUICK)
    data = canned.s3.get_object(Bucket=canned.bucket, Key="field3.jpg")["Body"].read()
    found = service.detect_custom_labels(ProjectVersionArn=version, Image={"Bytes": data}, MinConfidence=0)
    assert [label["Name"] for label in found["CustomLabels"]] == ["square"]
    service.stop_project_version(ProjectVersionArn=version)


@pytest.fixture
def shell(canned: Clients, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name, value in {
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": canned.url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_DEFAULT_OUTPUT": "json",
        "AWS_PAGER": "",
    }.items():
        monkeypatch.setenv(name, value)
    driver = create_clidriver()

    def run(command: str, **options: Any) -> Any:
        words = ["rekognition", command]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", value if isinstance(value, str) else json.dumps(value)]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert driver.main(words) == 0, words
        text = out.getvalue()
        return json.loads(text) if text.strip() else {}

    return run


def test_the_guides_commands_of_the_shell(canned: Clients, shell: Any) -> None:
    """Each command of the guide's CLI examples that `test_command_line` has not."""
    project = shell("create-project", project_name=f"shell-{canned.bucket}")["ProjectArn"]
    target = shell("create-project", project_name=f"target-{canned.bucket}")["ProjectArn"]
    made = create_datasets(canned, project)
    assert shell("describe-projects", project_names=[name_of(project)])["ProjectDescriptions"]
    assert shell("describe-dataset", dataset_arn=made["TRAIN"])["DatasetDescription"]["Status"]
    assert len(shell("list-dataset-entries", dataset_arn=made["TRAIN"])["DatasetEntries"]) == 10
    assert shell("list-dataset-labels", dataset_arn=made["TRAIN"])["DatasetLabelDescriptions"]
    shell("distribute-dataset-entries", datasets=[{"Arn": arn} for arn in made.values()])
    for arn in made.values():
        until_dataset(canned, arn, "UPDATE_COMPLETE")
    output = {"S3Bucket": canned.bucket, "S3KeyPrefix": "out"}
    trained = shell("create-project-version", project_arn=project, version_name="v1", output_config=output)
    version = trained["ProjectVersionArn"]
    wait(lambda: canned.describe(project, "v1")["Status"] == "TRAINING_COMPLETED")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "111122223333"},
                "Action": "rekognition:CopyProjectVersion",
                "Resource": f"{project.rsplit('/', 1)[0]}/version/*",
            }
        ],
    }
    revision = shell(
        "put-project-policy", project_arn=project, policy_name="lend", policy_document=json.dumps(policy)
    )["PolicyRevisionId"]
    assert len(shell("list-project-policies", project_arn=project)["ProjectPolicies"]) == 1
    shell("delete-project-policy", project_arn=project, policy_name="lend", policy_revision_id=revision)
    copied = shell(
        "copy-project-version",
        source_project_arn=project,
        source_project_version_arn=version,
        destination_project_arn=target,
        version_name="v1",
        output_config=output,
    )["ProjectVersionArn"]
    wait(lambda: canned.describe(target, "v1")["Status"] == "COPYING_COMPLETED")
    shell("tag-resource", resource_arn=version, tags={"a": "b"})
    assert shell("list-tags-for-resource", resource_arn=version)["Tags"] == {"a": "b"}
    shell("untag-resource", resource_arn=version, tag_keys=["a"])
    for arn in (copied, version):
        assert shell("delete-project-version", project_version_arn=arn)["Status"] == "DELETING"
    for arn in made.values():
        shell("delete-dataset", dataset_arn=arn)
    until_gone(canned, project, "v1")
    wait(
        lambda: (
            not canned.service.describe_projects(ProjectNames=[name_of(project)])["ProjectDescriptions"][0][
                "Datasets"
            ]
        )
    )
    assert shell("delete-project", project_arn=project)["Status"] == "DELETING"
