from __future__ import annotations

import json
import urllib.request

from tests.local.clients import Clients, wait
from tilekit.local.usage import USAGE_PATH


def test_the_whole_flow_in_canned_mode(canned: Clients) -> None:
    project = canned.project()
    version = canned.trained(project)
    assert version["Status"] == "TRAINING_COMPLETED"
    arn = version["ProjectVersionArn"]
    assert (
        canned.service.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=1)["Status"]
        == "STARTING"
    )
    canned.service.get_waiter("project_version_running").wait(ProjectArn=project, VersionNames=["v1"])
    keys = [item["Key"] for item in canned.s3.list_objects_v2(Bucket=canned.bucket)["Contents"]]
    picture = next(key for key in keys if key.endswith((".jpg", ".png")))
    body = canned.s3.get_object(Bucket=canned.bucket, Key=picture)
    found = canned.service.detect_custom_labels(ProjectVersionArn=arn, Image={"Bytes": body["Body"].read()})
    assert [label["Name"] for label in found["CustomLabels"]] == ["square"]
    canned.service.stop_project_version(ProjectVersionArn=arn)
    with urllib.request.urlopen(canned.url + USAGE_PATH) as answer:
        assert json.load(answer)["unit_minutes"] >= 1
    canned.service.delete_project_version(ProjectVersionArn=arn)
    for dataset in datasets(canned, project):
        canned.service.delete_dataset(DatasetArn=dataset["DatasetArn"])
    wait(lambda: not datasets(canned, project))
    canned.service.delete_project(ProjectArn=project)


def datasets(clients: Clients, project: str) -> list[dict[str, str]]:
    found = clients.service.describe_projects(ProjectNames=[project.split("/")[1]])
    return found["ProjectDescriptions"][0]["Datasets"]  # type: ignore[no-any-return]
