from __future__ import annotations

import boto3
import numpy as np
import pytest
from moto import mock_aws
from PIL import Image

import tilekit as tk
from tests.scans.test_formats import NOISE, pillow
from tilekit.errors import ScanNotFound


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_s3_object_is_a_scan(monkeypatch):
    for name, value in [("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "us-east-1")]:
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="scans")
        client.put_object(Bucket="scans", Key="a/b.tif", Body=pillow(Image.fromarray(NOISE), "TIFF"))
        with tk.open_scan("s3://scans/a/b.tif") as scan:
            assert scan.key == tk.PageKey("s3://scans/a/b.tif")
            assert np.array_equal(scan.read(0, 0, 307, 411), NOISE)
        with pytest.raises(ScanNotFound, match=r"s3://scans/none\.tif"):
            tk.open_scan("s3://scans/none.tif")
