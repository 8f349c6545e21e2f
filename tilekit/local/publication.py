"""After training: thresholds, metrics, and the files of the results, written to the output bucket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilekit.local.context import Service, s3_object
from tilekit.local.metrics import Evaluation, evaluate
from tilekit.local.preparation import Material
from tilekit.storage.local import write_text


@dataclass(frozen=True, slots=True)
class Predicted:
    """A predicted box on a test image: line place, label, score 0..1, x0, y0, x1, y1 in px of the image."""

    line: int
    label: str
    score: float
    corners: tuple[float, float, float, float]


def publish(
    service: Service, version: Any, material: Material, predicted: Sequence[Predicted]
) -> dict[str, Any]:
    """Write the results' files and give the fields that describe them."""
    result = evaluate(material.test, predicted)
    folder = service.state.model_folder(version["folder"])
    write_text(folder / "thresholds.json", json.dumps(result.thresholds), durable=True)
    request = json.loads(version["request"])
    bucket = request["OutputConfig"]["S3Bucket"]
    prefix = request["OutputConfig"].get("S3KeyPrefix", "").strip("/")
    project = version["arn"].split(":project/")[1].split("/")[0]
    base = "/".join(part for part in (prefix, project, version["name"]) if part)
    summary_key = f"{base}/EvaluationResultSummary-{project}-{version['name']}.json"
    service.buckets.write(bucket, summary_key, _summary(service, version, material, result))
    return {"EvaluationResult": {"F1Score": result.f1, "Summary": s3_object(bucket, summary_key)}}


def _summary(service: Service, version: Any, material: Material, result: Evaluation) -> bytes:
    return json.dumps({"Version": 1, "AggregatedEvaluationResults": {"F1Score": result.f1}}).encode()
