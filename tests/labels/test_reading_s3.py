"""Label files that are S3 objects: read in place, their relative sources counted from the object's folder."""

from __future__ import annotations

import json

import boto3
import pytest
from moto import mock_aws

import tilekit as tk
from tests.labels.test_mask_images import mask_of_chips, segmented
from tilekit.errors import LabelError, StorageNotFound

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def bucket(monkeypatch):
    for name, value in [("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "us-east-1")]:
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="plans")
        yield client


def labels() -> tk.LabelSet:
    page = tk.PageKey("scans/site.tif")
    boxes = tk.Annotations([[10, 20, 40, 60], [5, 5, 9, 9]], [0, 1], ["up", "down"])
    return tk.LabelSet({page: boxes}, sizes={page: (200, 100)})


@pytest.mark.parametrize(("name", "form"), [("x.manifest", "ground-truth"), ("x.json", "coco")])
def test_labels_in_a_bucket_equal_the_local_ones(bucket, tmp_path, monkeypatch, name, form):
    monkeypatch.chdir(tmp_path)
    tk.write_labels(labels(), name, form)
    bucket.put_object(Bucket="plans", Key=f"jobs/{name}", Body=(tmp_path / name).read_bytes())
    found = tk.read_labels(f"s3://plans/jobs/{name}")
    (key,) = found
    assert key == tk.PageKey("s3://plans/jobs/scans/site.tif")
    assert found[key] == labels()[tk.PageKey("scans/site.tif")]
    assert found.sizes[key] == (200, 100)


def test_what_is_wrong_names_the_object(bucket):
    with pytest.raises(StorageNotFound, match=r"s3://plans/none\.manifest"):
        tk.read_labels("s3://plans/none.manifest")
    bucket.put_object(Bucket="plans", Key="bad.manifest", Body=b'{"source-ref": "a.png"}\n{"source-ref"')
    with pytest.raises(LabelError, match=r"s3://plans/bad\.manifest, line 2"):
        tk.read_labels("s3://plans/bad.manifest")


def test_mask_images_in_a_bucket(bucket, tmp_path):
    line = segmented("s3://plans/masks/a.png", (4, 3))
    bucket.put_object(Bucket="plans", Key="jobs/seg.manifest", Body=json.dumps(line).encode())
    bucket.put_object(Bucket="plans", Key="masks/a.png", Body=mask_of_chips([(1, 0, 3, 2)], (4, 3)))
    (page,) = tk.read_labels("s3://plans/jobs/seg.manifest", shapes=True).values()
    assert page.boxes.tolist() == [[1, 0, 3, 2]]
    lost = {**line, "seg-ref": "s3://plans/masks/none.png"}
    bucket.put_object(Bucket="plans", Key="jobs/lost.manifest", Body=json.dumps(lost).encode())
    with pytest.raises(LabelError, match=r"line 1: seg-ref: the mask image cannot be reached: .*none\.png"):
        tk.read_labels("s3://plans/jobs/lost.manifest", shapes=True)
