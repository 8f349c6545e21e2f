"""boto3 clients of a local server, answers checked by botocore's own model, and small datasets."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import boto3
import numpy as np
import simplejpeg
from botocore.config import Config

from tilekit.local.protocol import check_response

Box = tuple[str, int, int, int, int]


class Clients:
    """S3 and the service on one URL, with a fresh bucket."""

    def __init__(self, url: str, region: str = "us-east-1", key: str = "key", secret: str = "secret") -> None:
        config = Config(retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": region}
        self.url = url
        self.s3 = boto3.client("s3", endpoint_url=url, config=config, **keys)
        self.service = boto3.client("rekognition", endpoint_url=url, config=config, **keys)
        self.service.meta.events.register("after-call.rekognition", self._check)
        self.problems: list[str] = []
        self.bucket = f"bucket-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.bucket)

    def _check(self, parsed: dict[str, Any], model: Any, http_response: Any, **_: Any) -> None:
        if http_response.status_code == 200:
            self.problems += check_response(model.name, json.loads(http_response.content))
            assert not self.problems

    def project(self) -> str:
        arn: str = self.service.create_project(ProjectName=f"p-{uuid.uuid4().hex[:12]}")["ProjectArn"]
        return arn

    def put_manifest(self, name: str, lines: Sequence[str]) -> dict[str, Any]:
        self.s3.put_object(Bucket=self.bucket, Key=name, Body="".join(f"{line}\n" for line in lines).encode())
        return {"GroundTruthManifest": {"S3Object": {"Bucket": self.bucket, "Name": name}}}

    def put_page(self, name: str, boxes: Sequence[Box], size: tuple[int, int] = (320, 240)) -> str:
        pixels = np.full((size[1], size[0], 3), 250, np.uint8)
        for _, left, top, width, height in boxes:
            pixels[top : top + height, left : left + width] = 20
        self.s3.put_object(Bucket=self.bucket, Key=name, Body=simplejpeg.encode_jpeg(pixels))
        return line(f"s3://{self.bucket}/{name}", boxes, size)

    def a_page(self) -> str:
        """A page that was put, among manifests and results."""
        keys = [found["Key"] for found in self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]]
        return next(key for key in keys if key.endswith(".jpg"))

    def dataset(self, project: str, kind: str, lines: Sequence[str]) -> str:
        source = self.put_manifest(f"{kind}-{uuid.uuid4().hex[:8]}.manifest", lines)
        made = self.service.create_dataset(ProjectArn=project, DatasetType=kind, DatasetSource=source)
        arn: str = made["DatasetArn"]
        wait(lambda: self.dataset_status(arn).endswith(("COMPLETE", "FAILED")))
        return arn

    def dataset_status(self, arn: str) -> str:
        status: str = self.service.describe_dataset(DatasetArn=arn)["DatasetDescription"]["Status"]
        return status

    def version(self, project: str, name: str = "v1", **more: Any) -> dict[str, Any]:
        output = {"S3Bucket": self.bucket, "S3KeyPrefix": "out"}
        self.service.create_project_version(ProjectArn=project, VersionName=name, OutputConfig=output, **more)
        wait(lambda: self.describe(project, name)["Status"] != "TRAINING_IN_PROGRESS", 900)
        return self.describe(project, name)

    def describe(self, project: str, name: str) -> dict[str, Any]:
        found = self.service.describe_project_versions(ProjectArn=project, VersionNames=[name])
        shown: dict[str, Any] = found["ProjectVersionDescriptions"][0]
        return shown

    def trained(self, project: str) -> dict[str, Any]:
        lines = [self.put_page(f"{uuid.uuid4().hex}.jpg", [("square", 40, 40, 30, 30)]) for _ in range(3)]
        self.dataset(project, "TRAIN", lines[:2])
        self.dataset(project, "TEST", lines[2:])
        return self.version(project)

    def code(self, call: Callable[..., Any], **request: Any) -> str:
        try:
            call(**request)
        except self.service.exceptions.ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""


def line(source: str, boxes: Sequence[Box], size: tuple[int, int]) -> str:
    names = sorted({box[0] for box in boxes})
    return json.dumps(
        {
            "source-ref": source,
            "bounding-box": {
                "image_size": [{"width": size[0], "height": size[1], "depth": 3}],
                "annotations": [
                    {
                        "class_id": names.index(name),
                        "left": left,
                        "top": top,
                        "width": width,
                        "height": height,
                    }
                    for name, left, top, width, height in boxes
                ],
            },
            "bounding-box-metadata": {
                "objects": [{"confidence": 1} for _ in boxes],
                "class-map": {str(place): name for place, name in enumerate(names)},
                "type": "groundtruth/object-detection",
                "human-annotated": "yes",
                "creation-date": "2026-01-01T00:00:00",
                "job-name": "test",
            },
        }
    )


def wait(done: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
