"""The service behind the port: who asks what, and the answer as bytes."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from tilekit.local import dataset_operations, project_operations, version_operations
from tilekit.local.clock import RateLimiter
from tilekit.local.context import Caller, Operation, Service, settle
from tilekit.local.detection_operations import DetectionOperation
from tilekit.local.faults import FaultPlan
from tilekit.local.protocol import (
    BODY_LIMIT,
    ServiceFault,
    encode_answer,
    encode_fault,
    operation_of,
    parse_request,
)

_LOG = logging.getLogger("tilekit.local")
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")


def operations() -> dict[str, Operation]:
    """The operations done here, by name."""
    return {
        "CreateProject": project_operations.create_project,
        "DescribeProjects": project_operations.describe_projects,
        "DeleteProject": project_operations.delete_project,
        "TagResource": project_operations.tag_resource,
        "UntagResource": project_operations.untag_resource,
        "ListTagsForResource": project_operations.list_tags,
        "CreateDataset": dataset_operations.create_dataset,
        "DescribeDataset": dataset_operations.describe_dataset,
        "UpdateDatasetEntries": dataset_operations.update_dataset_entries,
        "ListDatasetEntries": dataset_operations.list_dataset_entries,
        "ListDatasetLabels": dataset_operations.list_dataset_labels,
        "DistributeDatasetEntries": dataset_operations.distribute_dataset_entries,
        "DeleteDataset": dataset_operations.delete_dataset,
        "CreateProjectVersion": version_operations.create_project_version,
        "DescribeProjectVersions": version_operations.describe_project_versions,
        "StartProjectVersion": version_operations.start_project_version,
        "StopProjectVersion": version_operations.stop_project_version,
        "CopyProjectVersion": version_operations.copy_project_version,
        "DeleteProjectVersion": version_operations.delete_project_version,
        "DetectCustomLabels": DetectionOperation(),
    }


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; `drop` closes the connection without one."""

    status: int
    body: bytes
    request_id: str
    drop: bool = False


@dataclass(slots=True)
class Application:
    """Answers requests with an `X-Amz-Target` of the service."""

    service: Service
    faults: FaultPlan
    table: dict[str, Operation] = field(default_factory=operations)
    _limiter: RateLimiter = field(default_factory=RateLimiter)

    def answer(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """The service's answer to one request; never raises."""
        request_id = str(uuid.uuid4())
        try:
            operation = operation_of(headers.get("X-Amz-Target"))
            caller = _caller(headers)
            rule = self.faults.next_fault(operation)
            if rule is not None:
                time.sleep(rule.delay)
                if rule.drop:
                    return Reply(0, b"", request_id, drop=True)
                if rule.error is not None:
                    raise ServiceFault(rule.error, rule.message or "A fault on demand.", rule.http_status)
            return Reply(200, encode_answer(self._run(operation, caller, body)), request_id)
        except ServiceFault as fault:
            return Reply(fault.status, encode_fault(fault, request_id), request_id)
        except Exception:  # noqa: BLE001 - one bad request must not take the server with it
            _LOG.exception("request %s failed", request_id)
            broken = ServiceFault("InternalServerError", "The server failed; its log has the reason.", 500)
            return Reply(500, encode_fault(broken, request_id), request_id)

    def _run(self, operation: str, caller: Caller, body: bytes) -> dict[str, object]:
        if len(body) > BODY_LIMIT:
            raise ServiceFault("RequestEntityTooLargeException", "The request body is too large.", 413)
        request = parse_request(operation, body)
        run = self.table.get(operation)
        if run is None:
            raise ServiceFault(
                "InvalidParameterException",
                f"{operation} is not done by this local server, which does Custom Labels only.",
            )
        rate = self.service.settings.control_tps
        if (
            rate is not None
            and operation != "DetectCustomLabels"
            and not self._limiter.allows(operation, rate)
        ):
            raise ServiceFault("ThrottlingException", "Rate exceeded")
        answer = run(self.service, caller, request)
        settle(self.service)
        return answer


def _caller(headers: Mapping[str, str]) -> Caller:
    authorization = headers.get("Authorization", "")
    if not authorization:
        raise ServiceFault("MissingAuthenticationTokenException", "Missing Authentication Token")
    found = _CREDENTIAL.search(authorization)
    if not authorization.startswith("AWS4-HMAC-SHA256") or found is None or "Signature=" not in authorization:
        raise ServiceFault(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential' and 'Signature' parameters.",
        )
    if found[4] != "rekognition":
        raise ServiceFault(
            "InvalidSignatureException", "Credential should be scoped to correct service: 'rekognition'."
        )
    return Caller(found[3])
