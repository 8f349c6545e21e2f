"""DetectCustomLabels."""

from __future__ import annotations

import time
from typing import Any

from tilekit.local.clock import Throttle
from tilekit.local.context import Backend, Caller, need
from tilekit.local.images import check_image
from tilekit.local.protocol import ServiceFault
from tilekit.rekognition.limits import LIMITS


class DetectionOperation:
    """DetectCustomLabels with the pace of the model's inference units."""

    def __init__(self) -> None:
        self._limiter = Throttle()

    def __call__(self, backend: Backend, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Everything the model finds, highest confidence first, filtered and capped as asked."""
        arn = request["ProjectVersionArn"]
        row = need(backend, caller, "versions", arn, "model")
        if row["status"] != "RUNNING":
            raise ServiceFault(
                "ResourceNotReadyException",
                f"The model is in state {row['status']}; start it and wait until it runs.",
            )
        rate = backend.settings.tps_per_unit
        if rate is not None and not self._limiter.allows(arn, rate * (row["max_units"] or row["min_units"])):
            raise ServiceFault("ProvisionedThroughputExceededException", "Provisioned Rate exceeded")
        data, limit = _image_bytes(backend, request["Image"])
        check_image(data, limit)
        if backend.settings.latency:
            time.sleep(backend.settings.latency)
        found = backend.models.detect(row["folder"], data)
        kept = _filter(found, request.get("MinConfidence"), backend.models.thresholds(row["folder"]))
        return {"CustomLabels": kept[: request.get("MaxResults", len(kept))]}


def _image_bytes(backend: Backend, image: dict[str, Any]) -> tuple[bytes, int]:
    if ("Bytes" in image) == ("S3Object" in image):
        raise ServiceFault(
            "InvalidParameterException", "Request has invalid parameters: Image takes Bytes or S3Object."
        )
    if "Bytes" in image:
        return image["Bytes"], LIMITS.max_call_bytes
    where = image["S3Object"]
    if "Bucket" not in where or "Name" not in where:
        raise ServiceFault("InvalidParameterException", "S3Object needs Bucket and Name.")
    return backend.buckets.read(where["Bucket"], where["Name"], where.get("Version")), LIMITS.max_image_bytes


def _filter(found: list[dict[str, Any]], least: float | None, thresholds: Any) -> list[dict[str, Any]]:
    if least is not None:
        return [label for label in found if label["Confidence"] >= least]
    return [label for label in found if label["Confidence"] >= 100 * thresholds.get(label["Name"], 0.0)]
