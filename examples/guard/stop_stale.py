"""A guard that needs no machine of yours: an AWS Lambda, called every five minutes, that stops models nobody keeps.

It looks at what tilekit left beside each running model in its bucket: who started it (`started.json`), and when
somebody last gave a sign of life (`leases/`, `keepers/`). boto3 alone; `template.json` sets it up.
"""

import json
import os
import time

import boto3
from botocore.exceptions import ClientError

LEASE_SECONDS = 300.0  # signs of life come every minute


def is_stale(started, seen, now):
    """Whether nobody will stop what was started so, and was last kept at `seen` (epoch seconds)."""
    until, idle = started.get("until"), started.get("idle")
    if started.get("kind", "run") == "deploy" and until is None and idle is None:
        return False  # left running on purpose
    if until is not None and now > until + LEASE_SECONDS:
        return True
    if started.get("guard") and until is not None:
        return False  # a schedule stops it
    return now - seen > LEASE_SECONDS


def running(service):
    """Models that run, or will in a moment."""
    projects = service.get_paginator("describe_projects")
    versions = service.get_paginator("describe_project_versions")
    for page in projects.paginate():
        for project in page["ProjectDescriptions"]:
            for found in versions.paginate(ProjectArn=project["ProjectArn"]):
                yield from (
                    one
                    for one in found["ProjectVersionDescriptions"]
                    if one["Status"] in ("STARTING", "RUNNING")
                )


def left_beside(s3, bucket, folder):
    """Who started the model (None where tilekit did not), its last sign of life, and the files that say so."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
    files = {
        item["Key"][len(folder) :]: item["LastModified"]
        for page in pages
        for item in page.get("Contents", ())
    }
    if "started.json" not in files:
        return None, 0.0, []
    started = json.loads(s3.get_object(Bucket=bucket, Key=f"{folder}started.json")["Body"].read())
    signs = [name for name in files if name.startswith(("leases/", "keepers/"))]
    seen = max(files[name].timestamp() for name in ["started.json", *signs])
    return started, seen, ["started.json", *signs]


def handler(event, context, endpoint_url=None):
    """What Lambda calls; gives the ARNs of the models it stopped."""
    service, s3 = (boto3.client(name, endpoint_url=endpoint_url) for name in ("rekognition", "s3"))
    stopped = []
    for model in running(service):
        arn, place = model["ProjectVersionArn"], model["OutputConfig"]
        version = arn.split("/version/")[1].split("/")[0]
        folder = f"{place.get('S3KeyPrefix', '').strip('/')}/{version}/".lstrip("/")
        started, seen, files = left_beside(s3, place["S3Bucket"], folder)
        if started is None or not is_stale(started, seen, time.time()):
            continue
        if os.environ.get("DRY_RUN"):
            print(f"{arn}: nobody keeps it; it would be stopped")
            continue
        try:
            service.stop_project_version(ProjectVersionArn=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUseException":
                raise
            print(
                f"{arn}: nobody keeps it, but it is changing its state just now; tried again in five minutes"
            )
            continue
        for name in files:
            s3.delete_object(Bucket=place["S3Bucket"], Key=f"{folder}{name}")
        print(f"{arn}: stopped, since nobody kept it")
        stopped.append(arn)
    return {"stopped": stopped}
